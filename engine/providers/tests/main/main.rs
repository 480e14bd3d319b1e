//! Vendors as a talk uses them: the programs of this machine, and the others on loopback.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod duplexes;
mod models;
mod openai;
mod recognizers;
mod round_trip;
mod socket;
mod voices;
