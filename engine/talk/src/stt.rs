//! The seam to recognizers: sound in, words out.

use agent::Error;
use async_trait::async_trait;
use audio::{Frame, Rate};
use tokio::sync::mpsc;

/// A vendor that turns sound into words.
///
/// A vendor opens streams, and a stream is two plain channels. Whoever drops them ends
/// it.
#[async_trait]
pub trait Stt: Send + Sync {
    /// What metrics and messages call it.
    fn name(&self) -> &'static str {
        "unnamed"
    }

    /// Opens a stream.
    async fn open(&self, want: Want) -> Result<Listening, Error>;
}

/// What a stream shall be like.
#[derive(Clone, Debug, Default)]
pub struct Want {
    /// The rate of the sound that will come: the leg's.
    pub rate: Rate,
    /// BCP-47; empty = the vendor detects it.
    pub language: String,
    /// Whether [`Words::LikelyEnd`] is of use, from vendors that tell it only if asked.
    pub likely_ends: bool,
}

/// A recognizer at work.
pub struct Listening {
    /// The caller's sound, and hints about it. When full, the oldest sound is dropped and counted.
    pub sound: mpsc::Sender<Hear>,
    /// What was recognized. An error is the stream's end.
    pub words: mpsc::Receiver<Result<Words, Error>>,
}

/// What a recognizer is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Hear {
    /// 20 ms of sound.
    Frame(Frame),
    /// Our own voice detection says that the caller began to speak.
    Voice,
    /// Our own voice detection says that the caller fell silent: a recognizer that works by
    /// utterance recognizes now, a streaming one may finalize.
    Quiet,
    /// Only these phrases make sense now; `None` = anything. For recognizers with a grammar.
    Expect(Option<Vec<String>>),
}

/// What was recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// The vendor heard speech begin.
    Started,
    /// Words that may still change; each replaces the partial before it.
    Partial(String),
    /// Words that will not change; each is added to those before it. Empty = nothing was said.
    Final(String),
    /// The vendor says that the caller has finished.
    EndOfTurn,
    /// The vendor says that he may have finished, with the words so far.
    LikelyEnd,
    /// He had not.
    GoesOn,
}
