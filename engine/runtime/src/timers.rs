//! Time passes: timers that are due become jobs.
