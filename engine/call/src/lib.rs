//! One live phone call: carries out the commands of its run, reports what happens.
//!
//! Read in this order: [`leg`] (one party's sound and control) → [`switchboard`] (who takes a
//! call) → [`dialer`] (who reaches
//! others) → [`session`] (the one task that owns the call) → `deeds` and
//! [`services`] (what it can be told to do) →
//! `bridge` (two legs hear each other) → [`room`] (several do) → [`waiting`] (somebody will) → `transfer` (somebody else takes the call) → `converse` (an AI conversation) → `player` (paces sound to the leg) →
//! `recorder` (writes down what was heard) → `tape` (in a file).
//!
//! Invariant: whatever a call does, it listens to its leg; a caller who is gone ends everything.

mod bridge;
mod converse;
mod deeds;
pub mod dialer;
pub mod leg;
mod player;
mod recorder;
pub mod room;
pub mod services;
pub mod session;
pub mod switchboard;
mod tape;
mod tenants;
mod transfer;
pub mod waiting;

pub use converse::prepare;
pub use dialer::{Dialer, NotReached, Progress, Ringing, Wanted};
pub use flow::{Destination, HangupCause};
pub use leg::{Arrival, Control, Dial, Dialled, Leg, Picked, Unable};
pub use session::{Latest, Library, Means, Order, Report};
pub use switchboard::Switchboard;
pub use talk::{Inbound, Note, Outbound, Prepared, Vendors, failed};
