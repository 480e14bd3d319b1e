//! The actions and the engine together: linking, runs as scores, random runs.
#![allow(clippy::unwrap_used)]

mod branches;
mod budget;
#[path = "../chance/mod.rs"]
mod chance;
mod conditions;
mod diagnostics;
mod durations;
mod ends;
mod flows;
mod older;
mod random;
mod schemas;
mod score;
mod scores;
mod sheets;
mod subflows;
mod tools;
