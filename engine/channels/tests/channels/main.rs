//! The doors on loopback: real HTTP and WebSockets against a fake runtime and a fake Twilio.
#![allow(clippy::unwrap_used)]

mod audiosocket;
mod booth;
mod browser;
mod calls;
mod dials;
mod doors;
mod hook;
mod house;
mod line;
mod name_server;
mod post;
mod sip;
mod sip_dial;
mod sip_ends;
mod sip_names;
mod sip_places;
mod telephone;
mod telnyx;
mod telnyx_calls;
mod texts;
mod voipms;
