//! The seam to models that hear and speak by themselves: sound in, sound out.
//!
//! Whose turn it is stays the matter of [`crate::turn`]: a vendor's own ears are switched off. It
//! is given the caller's sound while he speaks, and asked when his turn is over.

use agent::{Error, Item, Tool, ToolCall, Usage};
use async_trait::async_trait;
use audio::Frame;
use tokio::sync::mpsc;

use crate::tts::Voice;
use crate::turn::TurnId;

/// A vendor of models that hear and speak.
#[async_trait]
pub trait Duplex: Send + Sync {
    /// What metrics and messages call it.
    fn name(&self) -> &'static str {
        "unnamed"
    }

    /// Opens a conversation.
    async fn open(&self, brief: Brief) -> Result<Conversing, Error>;
}

/// What a model is told before a conversation, or when it takes one up again.
#[derive(Clone, Debug, Default)]
pub struct Brief {
    /// What it is told, and what was said before, in order.
    pub items: Vec<Item>,
    /// What it may do.
    pub tools: Vec<Tool>,
    /// Its voice, the caller's language, and the rate of the sound that will come: the leg's.
    pub voice: Voice,
}

/// A model in conversation.
pub struct Conversing {
    /// The caller's sound, and what is wanted. Dropping it ends the conversation.
    pub tell: mpsc::Sender<Tell>,
    /// What it says and does. An error is the conversation's end.
    pub told: mpsc::Receiver<Result<Told, Error>>,
}

/// What a model is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Tell {
    /// The caller begins to speak.
    Voice,
    /// 20 ms of what he says.
    Frame(Frame),
    /// It was no speech: forget it, if that can be done.
    Noise,
    /// The caller's turn is over: answer, as this turn. After [`Tell::Result`]: go on.
    Ask {
        /// Which turn the answer will be.
        turn: TurnId,
        /// What he said otherwise than by voice, such as keys; mostly empty.
        words: String,
    },
    /// Say just this, as a turn or in its middle.
    Say {
        /// Which turn.
        turn: TurnId,
        /// The words.
        words: String,
    },
    /// What a tool answered.
    Result {
        /// The call that it answers.
        call: String,
        /// The answer, JSON or plain text.
        text: String,
    },
    /// The turn is over before its end.
    Cut {
        /// Which turn.
        turn: TurnId,
        /// How much of its sound was heard, milliseconds: the rest was never said.
        heard: u64,
    },
}

/// What a model tells. What belongs to no turn that counts is dropped by whoever hears it.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// What the caller said before this turn was asked for, written down; may come late or never.
    Heard(TurnId, String),
    /// Words of an answer, in pieces.
    Text(TurnId, String),
    /// Sound of a turn, of any length.
    Sound(TurnId, Frame),
    /// A tool, complete.
    Call(TurnId, ToolCall),
    /// The answer is complete. With tools, it goes on after their results.
    End(TurnId, Usage),
    /// The words of [`Tell::Say`] were all spoken.
    Said(TurnId),
}
