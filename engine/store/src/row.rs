//! What is kept, row by row.

use agent::Item;
use conversation::{Address, Media, Outgoing, Status, Tenant};
use flow::{Activeflow, Medium, Outcome};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A version of a flow: the text as written, by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRow {
    /// Hash of the text; the same text is the same version.
    pub id: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// What it is called.
    pub name: String,
    /// The document.
    pub text: String,
    /// When it was first stored.
    pub created: Timestamp,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// UUID v7.
    pub id: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// The version of the flow that it started with.
    pub flow: String,
    /// The flow's name, for people.
    pub flow_name: String,
    /// What it is about.
    pub medium: Medium,
    /// The thread's or the call's id.
    pub subject: String,
    /// Commits so far; the fence.
    pub seq: i64,
    /// Where it stands.
    pub state: Activeflow,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// When it began.
    pub created: Timestamp,
    /// When it last moved.
    pub updated: Timestamp,
}

/// A peer on a channel of ours: what makes a thread unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peering {
    /// Whose number it is.
    pub tenant: Tenant,
    /// The channel's file name.
    pub channel: String,
    /// Our end.
    pub ours: Address,
    /// The other end.
    pub peer: Address,
}

/// A thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadRow {
    /// UUID v5 of the peering, so that it needs no look-up.
    pub id: String,
    /// Who with whom.
    pub peering: Peering,
    /// Commits so far; the fence.
    pub seq: i64,
    /// The `n` of the last text that was handled.
    pub handled: i64,
    /// The run that waits for a text, if one does.
    pub waiting_run: Option<String>,
    /// When it last moved.
    pub updated: Timestamp,
}

/// A text, from or to the peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageRow {
    /// UUID v7.
    pub id: String,
    /// Its thread.
    pub thread: String,
    /// Its place in the thread, given by the store.
    pub n: i64,
    /// What it is claimed by: channel, ends and the carrier's id, or a hash of the text for a
    /// while. Empty for texts to the peer.
    pub claim: String,
    /// Whether it came from the peer.
    pub inbound: bool,
    /// What was written.
    pub text: String,
    /// Attachments.
    pub media: Vec<Media>,
    /// The carrier has answered it as an opt-out word.
    pub answered_by_carrier: bool,
    /// When.
    pub at: Timestamp,
}

/// An AI session of a thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    /// UUID v7.
    pub id: String,
    /// Its thread.
    pub thread: String,
    /// Commits so far; the fence.
    pub seq: i64,
    /// The agent's configuration.
    pub agent: Value,
    /// Raised by every text; a reply for an older one is never sent.
    pub generation: i64,
    /// The generation that was answered last.
    pub answered: i64,
    /// The run that talks through it now, for its variables and tools.
    pub run: String,
    /// Key of the command of that run, when the run waits for the reply.
    pub awaited: Option<String>,
    /// What was said.
    pub history: Vec<Item>,
    /// When it was last used.
    pub active: Timestamp,
    /// Seconds of silence after which it is over.
    pub idle_s: i64,
    /// Why it is over: `stop_service`, `idle`, `ended`, `agent_changed`.
    pub ended: Option<String>,
}

/// A text that shall leave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Idempotency key, and the row's id.
    pub key: String,
    /// Its thread, for order.
    pub thread: String,
    /// What to send.
    pub outgoing: Outgoing,
    /// The run that waits for its end, with the command's key.
    pub run: Option<String>,
    /// How far it came.
    pub status: Status,
    /// The carrier's id, once it has one.
    pub carrier_id: Option<String>,
    /// Why it failed, or will be tried again.
    pub why: Option<String>,
    /// Tries so far.
    pub attempts: i64,
    /// Not before.
    pub not_before: Timestamp,
    /// Who is sending it.
    pub claimed_by: Option<String>,
    /// When it was made.
    pub created: Timestamp,
}

/// Something to do later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerRow {
    /// What it is for: `run:<id>`, `session:<id>`, `reply:<id>`. Setting it again replaces it.
    pub id: String,
    /// When.
    pub due: Timestamp,
    /// What fires: the kind and id of a job.
    pub kind: String,
    /// The row that it is about.
    pub subject: String,
    /// What must still be so for it to matter: a wait's key, a generation.
    pub guard: String,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRow {
    /// UUID v7.
    pub id: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// The carrier's file name.
    pub carrier: String,
    /// The carrier's id.
    pub carrier_id: String,
    /// Who called.
    pub from: String,
    /// What was dialed.
    pub to: String,
    /// Its run.
    pub run: String,
    /// `in_progress`, `completed`, `failed`.
    pub status: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// A line of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The run.
    pub run: String,
    /// When.
    pub at: Timestamp,
    /// `caller`, `agent`, `tool`, `note`.
    pub who: String,
    /// The words.
    pub text: String,
}
