//! `ai_talk` on a call: holds a spoken conversation with a caller.
//!
//! Read in this order: [`turn`] (whose turn it is, pure) → [`endpoint`] (when the caller has
//! finished, pure) → [`sentence`] (what can be spoken
//! already, pure) → [`heard`] (what the caller heard of it, pure) → [`stt`], [`tts`] and [`duplex`] (the
//! seams to the vendors) → [`sound`] (what a leg gives and takes) → [`session`] (the one task that owns
//! the conversation) → its parts: `ears`, `mind`, `mouth` and `both` (the vendors in use, and
//! who replaces them), `failed` (how that is counted), `memory` (what was said), `ledger` (what a
//! turn took), `prepared` (first words that are made sound of while the phone rings).
//!
//! Invariant: what a vendor returns carries the id of its turn, and what belongs to an older turn
//! is dropped in one place.

mod both;
pub mod duplex;
mod ear;
mod ears;
pub mod endpoint;
mod failed;
pub mod heard;
mod ledger;
mod memory;
mod mind;
mod mouth;
mod opening;
mod prepared;
mod said;
pub mod sentence;
pub mod session;
pub mod sound;
pub mod stt;
pub mod tts;
pub mod turn;

pub use duplex::{Brief, Conversing, Duplex, Tell, Told};
pub use failed::failed;
pub use prepared::{Prepared, prepare};
pub use session::{Ended, How, Note, Talk, Vendors};
pub use sound::{Inbound, Outbound};
pub use stt::{Hear, Listening, Stt, Want, Words};
pub use tts::{Say, Speaking, Spoken, Tts, Voice};
pub use turn::TurnId;
