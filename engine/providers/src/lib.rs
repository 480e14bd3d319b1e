//! Speech and language vendors, one file each.
//!
//! Read in this order: [`engines`] (who gets which) → what vendors have in common: `dial` (sockets),
//! `listen` (recognizers over a socket), `speak` (voices over a socket), `pieces` (voices that speak
//! piece by piece), `http` and `answer` (models), `converse`
//! (models that hear and speak) → any vendor. Three need no key and no network:
//! [`scripted`] thinks, [`espeak`] speaks, [`pocketsphinx`] listens.

mod answer;
pub mod anthropic;
pub mod assemblyai;
pub mod cartesia;
mod converse;
pub mod deepgram;
mod dial;
pub mod elevenlabs;
pub mod engines;
pub mod espeak;
mod exchange;
pub mod gemini;
mod http;
mod listen;
pub mod openai;
mod pcm;
mod pieces;
pub mod pocketsphinx;
mod programs;
pub mod scripted;
mod speak;
mod sse;

pub use engines::{Engines, Key, Known, Names, Settings, Work, with_accounts};
