//! Calls in virtual time: a phone that plays what it is given, vendors that do what a test wants.
#![allow(clippy::unwrap_used)]

mod bridge;
mod others;
mod phone;
mod recording;
mod services;
mod session;
mod transfer;
mod vendors;
