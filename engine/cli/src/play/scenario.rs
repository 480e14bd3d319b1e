//! A scenario: a flow, what is given, and what shall happen, as JSON.

use std::collections::BTreeMap;

use flow::{Outcome, Vars};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A play of a flow: what goes in, and what must come out, in this order.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Where editors find the schema.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    /// The flow's file, seen from this one; or the flow itself.
    pub(crate) flow: Source,
    /// What is played, in a few words.
    pub(crate) scenario: String,
    /// What is so before it begins.
    #[serde(default)]
    pub(crate) given: Given,
    /// The acts.
    pub(crate) play: Vec<Act>,
    /// How the run must have ended. Without it, it may still wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) ends: Option<Outcome>,
}

/// Where the flow of a scenario is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Source {
    /// In a file.
    File(String),
    /// Here.
    Document(Value),
}

/// What is so before a play begins.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Given {
    /// Whether somebody calls or texts, or neither. Without it: a call, unless `text` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) medium: Option<Playing>,
    /// The time; without it 2026-01-01T12:00:00Z, a Thursday.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) now: Option<Timestamp>,
    /// Who calls or texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// Our number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    /// The text that starts the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// Other variables.
    #[serde(skip_serializing_if = "Vars::is_empty")]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub(crate) variables: Vars,
    /// Flows that this one calls, by their names, where they are not files beside it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) flows: BTreeMap<String, Source>,
    /// Who answers what the play does not answer itself; the first that fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) mocks: Vec<Mock>,
}

/// What a run is about.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Playing {
    /// A call.
    Call,
    /// A text.
    Text,
    /// Neither: started by the API, or after another run.
    None,
}

/// Answers by pattern: exactly one of `deed`, `http`, `says`. In a pattern, `*` stands for any
/// letters, also for none.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Mock {
    /// What an action of this type asks for, such as `connect_call`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deed: Option<String>,
    /// With `deed`: patterns for parts of what is asked for, each under its path, such as
    /// `{"destinations.0.target": "+1555*"}`.
    #[serde(rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) parts: BTreeMap<String, Value>,
    /// A request to a server: method and address, such as `POST https://crm.example/*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<String>,
    /// Words that an agent hears, such as `*refund*`; capitals do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) says: Option<String>,
    /// With `deed` and `http`: how it ends; without it, by `done` at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<Reply>,
    /// With `says`: what the agent does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ai: Option<Ai>,
    /// Answers so often and no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u32>,
}

/// One act: exactly one of `expect`, `end`, `ai`, `say`, `digits`, `text`, `wait_s`, `hang_up`,
/// `signal`, `stop_service`, `stop`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Act {
    /// The action that must act next, by type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expect: Option<String>,
    /// With `expect`: what it must ask for, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) with: Option<Value>,
    /// With `expect`: how it ends. Without it, by the mock that fits, else by `done` at once; an
    /// `ai_talk` and a `receive_digits` go on with the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<Reply>,
    /// With `reply`: what goes on ends now, by the action's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<String>,
    /// What the agent does in the `ai_talk` that goes on. Without it, the mock that fits what it
    /// hears answers, else its `rules`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ai: Option<Ai>,
    /// What the caller says to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) say: Option<String>,
    /// Keys that the caller presses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digits: Option<String>,
    /// A text from the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// Time passes, in seconds; deadlines on the way are met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait_s: Option<i64>,
    /// The caller hangs up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hang_up: Option<bool>,
    /// Something for a run that waits for it, from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<Signal>,
    /// Somebody outside ends the running service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_service: Option<bool>,
    /// Somebody outside ends the run, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop: Option<String>,
    /// With any act: what the agent must say in it, as a pattern; `*` stands for any letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hears: Option<String>,
}

/// Something from outside.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signal {
    /// What it is called.
    pub(crate) name: String,
    /// What it brings.
    #[serde(default, skip_serializing_if = "Vars::is_empty")]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub(crate) values: Vars,
}

/// How an action ends.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Reply {
    /// One of its exits.
    pub(crate) exit: String,
    /// After so many seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) after_s: i64,
    /// What was learned, such as `{"digits": "12"}`.
    #[serde(skip_serializing_if = "Vars::is_empty")]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub(crate) values: Vars,
    /// Of a server's answer: the status, such as 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// Of a server's answer: the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
    /// Of an agent: the action that it took as it ended, such as `{"type": "connect_call"}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) then: Option<Value>,
    /// Nobody tells how it ended: it goes on until an `end`, or until the run's own deadline.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) never: bool,
}

impl Default for Reply {
    fn default() -> Self {
        Self::by("done")
    }
}

impl Reply {
    /// An end by an exit, at once.
    pub(crate) fn by(exit: &str) -> Self {
        Self {
            exit: exit.into(),
            after_s: 0,
            values: Vars::new(),
            status: None,
            body: None,
            then: None,
            never: false,
        }
    }

    /// All that was learned.
    pub(crate) fn learned(&self) -> Vars {
        let mut values = self.values.clone();
        values.extend(self.status.map(|status| ("status".into(), json!(status))));
        values.extend(self.body.clone().map(|body| ("body".into(), body)));
        values
    }
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// What an agent does: says something, takes a tool, or both; or ends by an exit.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ai {
    /// What it says, before the tool if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// A tool, by action type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool: Option<String>,
    /// The tool's arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) args: Option<Value>,
    /// An exit of `ai_talk`, such as `no_input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit: Option<String>,
}
