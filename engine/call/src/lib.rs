//! One live phone call: carries out the commands of its run, reports what happens.
//!
//! Read in this order: [`leg`] (one party's sound and control) → [`switchboard`] (who takes a
//! call) → [`session`] (the one task that owns the call) → `deeds` (what it can be told to do) →
//! `converse` (an AI conversation) → `player` (paces sound to the leg).
//!
//! Invariant: whatever a call does, it listens to its leg; a caller who is gone ends everything.

mod converse;
mod deeds;
pub mod leg;
mod player;
pub mod session;
pub mod switchboard;

pub use flow::{Destination, HangupCause};
pub use leg::{Arrival, Control, Dial, Dialled, Leg};
pub use session::{Library, Order, Report};
pub use switchboard::Switchboard;
pub use talk::{Inbound, Note, Outbound, Vendors, failed};
