//! The seam to language models, and why one could not do its work.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::history::{Item, ToolCall};
use crate::tools::Tool;

/// A vendor of language models.
pub trait Llm: Send + Sync {
    /// What metrics and messages call it.
    fn name(&self) -> &'static str {
        "unnamed"
    }

    /// Asks. The answer streams in; dropping it cancels the request.
    fn ask(&self, ask: Ask) -> Answer;

    /// Phrases that would be understood now, for recognizers that want a grammar; `None` = any.
    fn expects(&self, items: &[Item]) -> Option<Vec<String>> {
        let _ = items;
        None
    }
}

/// Finds the models for an agent.
pub trait Models: Send + Sync {
    /// The model of an agent, then its fallbacks, in order.
    ///
    /// # Errors
    /// The vendor is unknown, or has no key.
    fn llm(&self, config: &Config) -> Result<Vec<std::sync::Arc<dyn Llm>>, Error>;
}

/// What a model is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The agent, for its model and settings.
    pub config: std::sync::Arc<Config>,
    /// What was said so far, system items first.
    pub items: Vec<Item>,
    /// What it may do.
    pub tools: Vec<Tool>,
    /// The run's and the session's id, for vendors that cache by user.
    pub session: String,
}

/// An answer on its way: pieces, then [`Piece::End`] or an error. The channel closing without
/// either is an error too.
pub struct Answer(pub mpsc::Receiver<Result<Piece, Error>>);

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Words, as they come.
    Text(String),
    /// A tool, complete.
    Call(ToolCall),
    /// The answer is complete.
    End(Usage),
}

/// What an answer cost, in tokens; 0 = unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
}

/// Why a vendor (of models, recognizers or voices) could not do its work, in the terms of whoever
/// must decide what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Trying again, here or at another vendor, may help.
    #[error("{vendor} cannot be reached: {why}")]
    Unreachable {
        /// Which vendor.
        vendor: &'static str,
        /// In words, no secret in it.
        why: String,
    },
    /// Trying again will not help: the key, the model or the language is wrong.
    #[error("{vendor} refused: {why}")]
    Refused {
        /// Which vendor.
        vendor: &'static str,
        /// In words, no secret in it.
        why: String,
    },
    /// The vendor said something that we do not understand.
    #[error("{vendor} sent what we cannot read: {why}")]
    Unreadable {
        /// Which vendor.
        vendor: &'static str,
        /// In words, no secret in it.
        why: String,
    },
}

impl Error {
    /// Which vendor.
    pub fn vendor(&self) -> &'static str {
        match self {
            Self::Unreachable { vendor, .. }
            | Self::Refused { vendor, .. }
            | Self::Unreadable { vendor, .. } => vendor,
        }
    }

    /// A label for metrics: `unreachable`, `refused`, `unreadable`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}
