//! Carriers, one file each: they read, check, and bring messages and calls; they send and dial.
//!
//! Read in this order: [`twilio`] → [`telnyx`] → [`voipms`] → [`line`] → [`hook`] → [`browser`] →
//! [`sip`] → [`audiosocket`].
//! What they share: `door` (what a webhook goes through), `signed` (HMAC), `outward` (a request to
//! a carrier), `elsewhere` (what is another process's), `rim` (a socket's end of a leg), `stream` (the
//! messages of a media stream), `pace` (sound in time), `refusal` (what a door answers when it
//! refuses).
//!
//! Invariant: nothing is believed before its signature or token is checked, and no input panics.
//! Invariant: whatever a socket starts ends with the socket or with its call.

pub mod audiosocket;
pub mod browser;
mod door;
mod elsewhere;
pub mod hook;
pub mod line;
mod outward;
mod pace;
mod refusal;
mod rim;
mod signed;
pub mod sip;
mod stream;
pub mod telnyx;
pub mod twilio;
pub mod voipms;

pub use door::Unsigned;
