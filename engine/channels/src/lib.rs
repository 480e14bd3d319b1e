//! Carriers, one file each: they read, check, and bring messages and calls; they send and dial.
//!
//! Read in this order: [`twilio`] → [`browser`]. What both need: `rim` (a socket's end of a leg),
//! `refusal` (what a door answers when it refuses).
//!
//! Invariant: nothing is believed before its signature or token is checked, and no input panics.
//! Invariant: whatever a socket starts ends with the socket or with its call.

pub mod browser;
mod refusal;
mod rim;
pub mod twilio;
