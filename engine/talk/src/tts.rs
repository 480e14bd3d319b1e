//! The seam to voices: text in, sound out, turn by turn.

use agent::Error;
use async_trait::async_trait;
use audio::{Frame, Rate};
use tokio::sync::mpsc;

use crate::turn::TurnId;

/// A vendor that turns text into sound.
#[async_trait]
pub trait Tts: Send + Sync {
    /// What metrics and messages call it.
    fn name(&self) -> &'static str {
        "unnamed"
    }

    /// Opens a voice for the length of a call.
    async fn open(&self, voice: Voice) -> Result<Speaking, Error>;
}

/// Which voice, and for which ears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voice {
    /// The vendor's id of the voice; empty = its default.
    pub id: String,
    /// BCP-47; empty = the voice's own.
    pub language: String,
    /// The rate that needs no resampling: the leg's. Vendors that cannot give it give another.
    pub rate: Rate,
}

/// A voice at work.
pub struct Speaking {
    /// What to say. Dropping it ends the voice.
    pub say: mpsc::Sender<Say>,
    /// What it sounds like. An error is the end of the turn that it names, or of the voice.
    pub sound: mpsc::Receiver<Result<Spoken, Error>>,
}

/// What a voice is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// A clause or sentence of a turn, complete enough to be spoken.
    Text(TurnId, String),
    /// The turn's text is complete.
    End(TurnId),
    /// Nobody wants the rest of this turn.
    Cut(TurnId),
}

/// What a voice gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Spoken {
    /// Sound of a turn, of any length.
    Sound(TurnId, Frame),
    /// The words that the sound so far has covered, with the time at which each ends in the
    /// turn's sound, milliseconds; from vendors that tell.
    Words(TurnId, Vec<(String, u64)>),
    /// All sound of the turn has been given.
    End(TurnId),
}
