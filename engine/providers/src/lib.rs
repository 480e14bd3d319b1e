//! Speech and language vendors, one file each.
//!
//! Read in this order: [`engines`] (who gets which) → `dial` (the sockets of vendors) and `pieces`
//! (voices that speak piece by piece) → any vendor. Three need no key and no network:
//! [`scripted`] thinks, [`espeak`] speaks, [`pocketsphinx`] listens.

pub mod deepgram;
mod dial;
pub mod elevenlabs;
pub mod engines;
pub mod espeak;
pub mod openai;
mod pieces;
pub mod pocketsphinx;
mod programs;
pub mod scripted;

pub use engines::{Engines, Key, Known, Names, Settings};
