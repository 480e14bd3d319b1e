//! One live phone call: carries out the commands of its run, reports what happens.
//!
//! Read in this order: [`leg`] (one party's sound and control) → [`switchboard`] (who takes a
//! call) → [`player`] (says and plays) → [`session`] (the one task that owns the call).

pub mod leg;
pub mod player;
pub mod session;
pub mod switchboard;

pub use leg::{Arrival, Control, Dial, Dialled, Leg};
pub use session::{Library, Order, Report};
pub use switchboard::Switchboard;
pub use talk::{Note, Vendors};
