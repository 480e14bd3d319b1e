//! Carriers, one file each: they read, check, and bring messages and calls; they send and dial.
//!
//! Read in this order: [`twilio`] → [`browser`].

pub mod browser;
pub mod twilio;
