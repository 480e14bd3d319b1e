//! Text threads: which run a text belongs to, and when silence ends a session.
//!
//! Read in this order: [`message`] (what arrives and leaves) → [`thread`] (the machine) →
//! [`opt_out`] and [`segment`] (what the law and the bill care for) → [`seam`] (who brings and
//! takes messages).
//!
//! Invariant: nothing here waits, reads a clock or opens a socket.

pub mod message;
pub mod opt_out;
pub mod seam;
pub mod segment;
pub mod thread;

pub use message::{Address, Media, Message, Outgoing, Receipt, Status, Tenant};
pub use seam::{Accepted, Busy, Delivery, Inbox, Messenger, Refusal, Sent};
