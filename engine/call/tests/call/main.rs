//! Calls in virtual time: a phone that plays what it is given, vendors that do what a test wants.
#![allow(clippy::unwrap_used)]

mod phone;
mod session;
mod vendors;
