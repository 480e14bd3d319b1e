//! Speech and language vendors, one file each.
//!
//! Read in this order: [`wire`] (what they share) → any vendor.

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
pub mod wire;

pub use engines::{Engines, Key, Names, Settings};
