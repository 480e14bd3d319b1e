//! End to end: voxflow as processes, between doubles of the world that are held against the
//! vendors' own libraries. Started by `tests/run.sh`.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod calls;
mod carriers;
mod chat;
mod conformance;
mod demo;
mod dials;
mod elsewhere;
mod faults;
mod full;
mod leaving;
mod outlive;
mod outlive_telnyx;
mod phone;
mod shared;
mod sip;
mod storms;
mod story;
mod texts;
mod traces;
mod transfers;
mod vendors;
mod wordless;
