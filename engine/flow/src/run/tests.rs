//! Runs as scores.
