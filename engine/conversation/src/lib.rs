//! Text threads: which run a text belongs to, and when silence ends a session.
//!
//! Read in this order: [`message`] (what arrives and leaves) → [`thread`] (the machine) →
//! [`opt_out`], [`quiet`] with [`zone`], [`segment`] and [`lane`] (what the law, the night, the bill
//! and the carrier care for) → [`seam`] (who brings and takes messages).
//!
//! Invariant: nothing here waits, reads a clock or opens a socket.

pub mod lane;
pub mod message;
pub mod opt_out;
pub mod quiet;
pub mod seam;
pub mod segment;
pub mod thread;
pub mod zone;

pub use message::{Address, Media, Message, Outgoing, Receipt, Status, Tenant};
pub use seam::{Accepted, Busy, Delivery, Inbox, Messenger, Reader, Refusal, Sent};
