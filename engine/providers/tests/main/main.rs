//! Vendors as a talk uses them: the programs of this machine, and OpenAI on loopback.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod openai;
mod round_trip;
