//! Who looks on: what happens in runs, as it happens, with sequence numbers.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;

/// Something that happened in a run.
#[derive(Clone, Debug, Serialize)]
pub struct Happening {
    /// Counts from 1 in this process.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The run.
    pub run: String,
    /// The thread or call.
    pub subject: String,
    /// `run_started`, `run_ended`, `action` (left by an exit), `waiting`, `caller`, `agent`,
    /// `tool`, `state`, `barge_in`, `trouble`, `text_in`, `text_out`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What there is to say about it.
    pub data: Value,
}

/// Tells whoever subscribed. Nobody listening is fine; a slow listener misses the oldest.
pub struct Watch {
    /// The happenings.
    pub happenings: broadcast::Sender<Happening>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { happenings: broadcast::channel(1024).0 }
    }
}
