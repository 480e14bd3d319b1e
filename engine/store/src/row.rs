//! What is kept, row by row.

use agent::{Item, Ledger, Standing};
use conversation::{Address, Media, Message, Outgoing, Reader, Status, Tenant};
use flow::{Activeflow, Command, Event, Key, Medium, Outcome};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Threads have the same id in every database.
const THREADS: Uuid = Uuid::from_u128(0x7a0e_5b52_9d0c_4a27_9f4e_41c1_62d3_5a10);
/// How claims begin that are made of the text itself.
pub(crate) const HASH_CLAIM: &str = "hash:";

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

impl Peering {
    /// The id of its thread, which follows from the peering: nobody needs to look it up.
    pub fn thread_id(&self) -> String {
        let ends = [&self.tenant.0, &self.channel, self.ours.as_str(), self.peer.as_str()];
        // JSON keeps the parts apart, whatever they contain.
        let name = serde_json::json!(ends).to_string();
        Uuid::new_v5(&THREADS, name.as_bytes()).to_string()
    }
}

impl From<&Message> for Peering {
    fn from(message: &Message) -> Self {
        Self {
            tenant: message.tenant.clone(),
            channel: message.channel.clone(),
            ours: message.ours.clone(),
            peer: message.peer.clone(),
        }
    }
}

impl From<&Outgoing> for Peering {
    fn from(text: &Outgoing) -> Self {
        Self {
            tenant: text.tenant.clone(),
            channel: text.channel.clone(),
            ours: text.ours.clone(),
            peer: text.peer.clone(),
        }
    }
}

impl From<Reader> for Peering {
    fn from(reader: Reader) -> Self {
        let Reader { tenant, channel, ours, peer, .. } = reader;
        Self { tenant, channel, ours, peer }
    }
}

/// Which text of a thread is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The newest, of either side.
    Newest,
    /// The one of ours with this key.
    Of(&'a str),
    /// The newest of ours that was delivered.
    Delivered,
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
    /// The human who answers it; no flow runs meanwhile.
    pub assigned: Option<String>,
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
    /// What it is claimed by within its thread, see [`claim`]; empty: taken in any case. Of a text to
    /// the peer the key by which the outbox has it; empty: it was sent by a version that kept none.
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

impl MessageRow {
    /// A message that came in, as it is stored with [`crate::Write::Receive`].
    pub fn received(message: &Message) -> Self {
        Self {
            id: Uuid::now_v7().to_string(),
            thread: Peering::from(message).thread_id(),
            n: 0,
            claim: claim(message),
            inbound: true,
            text: message.text.clone(),
            media: message.media.clone(),
            answered_by_carrier: message.answered_by_carrier,
            at: message.at,
        }
    }
}

/// What a message is claimed by: `id:` and the carrier's id, which refuses it for 48 h; or, from a
/// carrier that gives none, `hash:` and a hash of text and attachments, which refuses the same
/// words for 4 s or until a text of ours goes to that peer. Claims of two threads never meet.
pub fn claim(message: &Message) -> String {
    if let Some(id) = &message.id {
        return format!("id:{id}");
    }
    let urls: Vec<&str> = message.media.iter().map(|m| m.url.as_str()).collect();
    let said = serde_json::json!([message.text, urls]).to_string();
    format!("{HASH_CLAIM}{}", Uuid::new_v5(&THREADS, said.as_bytes()))
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
    /// What is left of a reply that was cut: sent when the peer asks for more.
    pub rest: String,
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
    /// The run whose history tells what became of it when that was in doubt.
    pub about: Option<String>,
    /// How far it came.
    pub status: Status,
    /// The carrier's id, once it has one.
    pub carrier_id: Option<String>,
    /// Why it failed, or will be tried again.
    pub why: Option<String>,
    /// Tries so far, the one under way included: [`crate::Store::claim_outbox`] counts it before
    /// the text can leave.
    pub attempts: i64,
    /// How often the carrier had no time for it, or no answer; tries that died with their process
    /// do not count.
    pub refused: i64,
    /// Not before.
    pub not_before: Timestamp,
    /// Who is sending it. [`crate::Write::Tried`] must name the same; [`crate::Write::Outbox`]
    /// stores none.
    pub claimed_by: Option<String>,
    /// When the last try began, by the clock of who claimed it.
    pub tried: Option<Timestamp>,
    /// When a try began of which nobody knows whether it left: its claim ran out because somebody
    /// died or froze (noted by the store), or the carrier's answer was lost.
    pub unsure: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When the carrier's last receipt moved the status.
    pub receipt: Option<Timestamp>,
    /// Whether the peer had left when this was read. It is not stored here.
    pub left: bool,
}

/// What is asked of a lane: how fast one of our numbers may send, in all processes together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The sender.
    pub lane: String,
    /// The time.
    pub now: Timestamp,
    /// The time between two tokens.
    pub each: SignedDuration,
    /// How many a lane can save up; at least 1.
    pub most: i64,
    /// How many are wanted; at least 1.
    pub wanted: i64,
    /// For a reply, which goes before the rest.
    pub reply: bool,
}

/// What a run wants done outside, besides texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeedRow {
    /// Whose run it is.
    pub tenant: Tenant,
    /// The run that hears of its end.
    pub run: String,
    /// The deed; its key is the row's id.
    pub command: Command,
    /// When it was asked for.
    pub created: Timestamp,
}

/// An event for a call, on its way to the process that hosts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToldRow {
    /// UUID v7.
    pub id: String,
    /// The call's run.
    pub run: String,
    /// What happened.
    pub event: Event,
    /// When.
    pub at: Timestamp,
}

/// A request to the API that brought a key of its own, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRow {
    /// The client's key.
    pub key: String,
    /// A hash of the request: the key is good for this one alone.
    pub request: String,
    /// The HTTP status; 0 while the answer is being made.
    pub status: i64,
    /// The body.
    pub body: String,
    /// When it came.
    pub at: Timestamp,
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
    /// W3C `traceparent` of what set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
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
    /// `dialing`, `ringing`, `in_progress`, `completed`, `failed`, or why nobody was reached.
    pub status: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// A call that lives: what another process needs in order to go on with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveRow {
    /// Its run.
    pub run: String,
    /// The call.
    pub call: String,
    /// The carrier's file name.
    pub carrier: String,
    /// The carrier's id.
    pub carrier_id: String,
    /// The process that hosts it; empty = it was let go, and nobody has taken it yet.
    pub worker: String,
    /// How many processes had hosted it before; the fence of the conversation's standing.
    pub epoch: i64,
    /// What the run has asked for and waits for, and what holds for the rest of the call.
    pub pending: Vec<Pending>,
    /// When the row was written last.
    pub at: Timestamp,
}

/// A command that must be carried out again where the call goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// The command.
    pub command: Command,
    /// When it was asked for first.
    pub since: Timestamp,
}

/// How a conversation stood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StandingRow {
    /// The key of the command that it belongs to.
    pub key: Key,
    /// How it stood.
    pub standing: Standing,
    /// Counts what its host has told: what was told later is newer.
    #[serde(default)]
    pub told: i64,
    /// How many of its first items change seldom: they are stored apart, and not with every word.
    #[serde(default)]
    pub settled: usize,
}

/// What a turn of a call took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnRow {
    /// The run.
    pub run: String,
    /// How many processes had hosted the call before.
    pub epoch: i64,
    /// Counts the turns that this process has told of, from 0.
    pub n: i64,
    /// When it was over.
    pub at: Timestamp,
    /// What it took.
    pub ledger: Ledger,
}

/// A process among those of one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRow {
    /// Its name.
    pub id: String,
    /// When it was last alive.
    pub beat: Timestamp,
    /// Whether it takes no more calls.
    pub stopping: bool,
    /// Where the others reach it, such as `http://10.0.0.7:8080`; empty = nowhere.
    pub address: String,
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
