//! The queue of a single process.
