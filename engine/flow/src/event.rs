//! The vocabulary between a run and the world: events come in, commands go out.
//!
//! Both are plain data that cross process borders as JSON. An [`Event`] is past tense, a [`Deed`]
//! is imperative. What a deed led to comes back as [`Event::Done`] with the same [`Key`], so a
//! late or repeated answer is told apart by comparison.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Variables by name. Names may hold dots, such as `caller.name`; values are any JSON.
pub type Vars = BTreeMap<String, Value>;

/// The name of one wish of one run: run, action, visit, attempt. Never used twice for two wishes,
/// always the same for the same wish, so it serves as idempotency key towards the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(pub String);

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// A live phone call.
    Call,
    /// A thread of texts.
    Text,
    /// Neither: started by the API.
    None,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    Started,
    /// The deed that was asked for under `key` came to its end.
    Done {
        /// The key of the command.
        key: Key,
        /// One of the exits that the action declares; `done` when all went well.
        exit: String,
        /// What was learned, such as `digits`; the action says which variables take it.
        #[serde(default, skip_serializing_if = "Vars::is_empty")]
        values: Vars,
        /// Why it ended so, for the history of the run.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
        /// An action to run before the flow goes on, such as the `connect_call` that a model
        /// chose as a tool: `{"type": "connect_call", "option": {...}}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        then: Option<Value>,
    },
    /// A text of the run's thread arrived; `values` hold `text`, `id`, `from` and so on.
    Message {
        /// What the peer wrote.
        text: String,
        /// The `message.*` variables, without the prefix.
        #[serde(default)]
        values: Vars,
    },
    /// The deadline of the wait named `key` has passed.
    TimedOut {
        /// The key of the wait.
        key: Key,
    },
    /// The call is over.
    HungUp {
        /// Why it ended.
        cause: HangupCause,
    },
    /// Somebody outside, such as a client of the API, has something for a run that waits for it.
    Signal {
        /// What it is called; an action waits for one name or for any.
        name: String,
        /// What it brings.
        #[serde(default, skip_serializing_if = "Vars::is_empty")]
        values: Vars,
    },
    /// Somebody outside ended the nearest running service (`stop_service`).
    ServiceStopped,
    /// Somebody outside ended the run.
    Stopped {
        /// Why, for the history.
        why: String,
    },
}

/// What shall be done, and the key under which it is done once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Comes back in [`Event::Done`].
    pub key: Key,
    /// The deed itself.
    #[serde(flatten)]
    pub deed: Deed,
}

/// What shall be done. Each kind has one executor outside; a new kind is rare and meant to be felt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case")]
pub enum Deed {
    /// Pick up.
    Answer,
    /// End the call.
    Hangup {
        /// What the far side is told.
        cause: HangupCause,
    },
    /// Speak a text on the call.
    Say {
        /// Plain text.
        text: String,
        /// A BCP-47 tag; absent = the default of the voice.
        language: Option<String>,
        /// Vendor of the voice, such as `elevenlabs`; absent = the configured default.
        tts_type: Option<String>,
        /// The voice; absent = the vendor's default.
        voice_id: Option<String>,
        /// Whether a key press ends it; the digit is then in `values.digits`.
        stop_on_digit: bool,
    },
    /// Play sound files on the call, one after the other.
    Play {
        /// `https://` addresses, or files below the media folder.
        sources: Vec<String>,
    },
    /// Collect key presses; `values.digits` holds them without the terminator.
    ReceiveDigits {
        /// Stop at this many; 0 = no limit.
        max_digits: u32,
        /// Any of these characters ends the input.
        finish_on: String,
        /// Time for the first key, milliseconds.
        timeout_ms: u64,
        /// Time between keys, milliseconds.
        between_ms: u64,
        /// Time for all of them, milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window_ms: Option<u64>,
    },
    /// Hold an AI conversation: on a call until it ends, on a thread for this and later texts.
    Talk {
        /// An agent's configuration, variables already filled in; read by the crate `agent`.
        agent: Value,
        /// The longest it may last, seconds.
        duration_s: u64,
        /// Whether the run waits for the end (calls) or for the reply (texts).
        wait: bool,
    },
    /// Dial other parties and bridge the first that answers.
    Connect {
        /// Whom to dial, tried at once.
        destinations: Vec<Destination>,
        /// Whom the far side sees calling; absent = our number.
        source: Option<Destination>,
        /// How long it may ring, seconds.
        ring_s: u64,
        /// Whether the caller hears the far side before it picks up.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        early_media: bool,
        /// Whether nobody may see who calls.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        anonymous: bool,
        /// A sound file that the caller hears until somebody picks up, in place of ringing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        music: Option<String>,
        /// What the far side is told before the caller is put through.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        announce: Option<String>,
        /// Keys by which the caller ends the conversation with the far side.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        end_on: String,
    },
    /// Send a text.
    SendMessage {
        /// To whom; empty = the peer of this run.
        destinations: Vec<Destination>,
        /// From which of our numbers; absent = the one this run is about.
        source: Option<Destination>,
        /// The text.
        text: String,
        /// Addresses of attachments.
        media: Vec<String>,
    },
    /// End the AI session of the thread, so that the next text begins a new one.
    StopService,
    /// Ask a server over HTTP. `values.status` is the number of the answer's status, `values.body`
    /// its body: JSON when it is JSON, else text.
    Request {
        /// In capitals: `GET`, `POST`.
        method: String,
        /// `https://` or `http://`; private addresses are refused unless the operator allows them.
        url: String,
        /// More headers.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// A string is sent as it is, anything else as JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
        /// The longest it may take, seconds.
        timeout_s: u64,
    },
    /// Get another flow, linked. `values.version` is the id under which it is known from then on.
    LoadFlow {
        /// Where it comes from.
        source: FlowSource,
    },
    /// A service beside the engine, such as a waiting queue or a mailer, by the name of its action.
    /// Where no such service is configured the deed fails.
    Service {
        /// The action type: `join_queue`.
        name: String,
        /// The options of the action, variables filled in.
        option: Value,
    },
}

impl Deed {
    /// The action type that asks for it: `send_message`.
    pub fn kind(&self) -> &str {
        match self {
            Self::Answer => "answer",
            Self::Hangup { .. } => "hangup",
            Self::Say { .. } => "talk",
            Self::Play { .. } => "play",
            Self::ReceiveDigits { .. } => "receive_digits",
            Self::Talk { .. } => "ai_talk",
            Self::Connect { .. } => "connect_call",
            Self::SendMessage { .. } => "send_message",
            Self::StopService => "stop_service",
            Self::Request { .. } => "request",
            Self::LoadFlow { .. } => "load_flow",
            Self::Service { name, .. } => name,
        }
    }
}

/// Where a flow comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum FlowSource {
    /// A flow of the same tenant.
    Known {
        /// Its name or id.
        flow: String,
    },
    /// A server that answers with a document.
    Url {
        /// In capitals: `POST`.
        method: String,
        /// `https://` or `http://`.
        url: String,
    },
}

/// Whom to reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// `tel` for a phone number (the default), `sip` for a SIP address.
    #[serde(rename = "type", default = "tel")]
    pub kind: String,
    /// A number in E.164 such as `+15551230000`, or `sip:desk@example.com`.
    pub target: String,
    /// How to call it towards people and models, such as `sales`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

fn tel() -> String {
    "tel".into()
}

/// Why a call ended, in the words that flows use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HangupCause {
    /// Somebody hung up after a conversation.
    #[default]
    Normal,
    /// The line was taken.
    Busy,
    /// Nobody picked up.
    NoAnswer,
    /// It was refused.
    Rejected,
    /// The caller gave up while it rang.
    Cancelled,
    /// It lasted too long.
    Timeout,
    /// Something broke.
    Failed,
}

impl HangupCause {
    /// As in JSON: `no_answer`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It reached its end.
    Finished,
    /// The action `stop`, or somebody outside.
    Stopped,
    /// A failure exit that nothing caught.
    Failed,
    /// The call ended before the flow did.
    HungUp,
    /// A wait ended the run.
    Expired,
    /// A limit: too many actions, too deep, too large.
    Limit,
}
