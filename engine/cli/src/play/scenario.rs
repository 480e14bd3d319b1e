//! A scenario: a flow, what is given, and what shall happen, as JSON.

use flow::{Outcome, Vars};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A play of a flow: what goes in, and what must come out, in this order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Where editors find the schema.
    #[serde(rename = "$schema", default)]
    pub(crate) _schema: Option<String>,
    /// The flow's file, seen from this one.
    pub(crate) flow: String,
    /// What is played, in a few words.
    pub(crate) scenario: String,
    /// What is so before it begins.
    #[serde(default)]
    pub(crate) given: Given,
    /// The acts.
    pub(crate) play: Vec<Act>,
    /// How the run must have ended. Without it, it may still wait.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) ends: Option<Outcome>,
}

/// What is so before a play begins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Given {
    /// Whether somebody calls or texts. Without it: a call, unless `text` is given.
    pub(crate) medium: Option<Playing>,
    /// The time; without it 2026-01-01T12:00:00Z, a Thursday.
    #[schemars(with = "Option<String>")]
    pub(crate) now: Option<Timestamp>,
    /// Who calls or texts.
    pub(crate) from: Option<String>,
    /// Our number.
    pub(crate) to: Option<String>,
    /// The text that starts the run.
    pub(crate) text: Option<String>,
    /// Other variables.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub(crate) variables: Vars,
}

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Playing {
    /// A call.
    Call,
    /// A text.
    Text,
}

/// One act: exactly one of `expect`, `ai`, `text`, `wait_s`, `hang_up`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Act {
    /// The action that must act next, by type.
    pub(crate) expect: Option<String>,
    /// With `expect`: what it must ask for, at least.
    pub(crate) with: Option<Value>,
    /// With `expect`: how it ends. Without it, by `done` at once; an `ai_talk` on a call goes on.
    pub(crate) reply: Option<Reply>,
    /// What the agent does in the `ai_talk` that goes on.
    pub(crate) ai: Option<Ai>,
    /// A text from the peer.
    pub(crate) text: Option<String>,
    /// Time passes, in seconds; deadlines on the way are met.
    pub(crate) wait_s: Option<i64>,
    /// The caller hangs up.
    pub(crate) hang_up: Option<bool>,
}

/// How an action ends.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Reply {
    /// One of its exits.
    pub(crate) exit: String,
    /// After so many seconds.
    pub(crate) after_s: i64,
    /// What was learned, such as `{"digits": "12"}`.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub(crate) values: Vars,
}

impl Default for Reply {
    fn default() -> Self {
        Self { exit: "done".into(), after_s: 0, values: Vars::new() }
    }
}

/// What an agent does: takes a tool, or ends by an exit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ai {
    /// A tool, by action type.
    #[serde(default)]
    pub(crate) tool: Option<String>,
    /// The tool's arguments.
    #[serde(default)]
    pub(crate) args: Option<Value>,
    /// An exit of `ai_talk`, such as `no_input`.
    #[serde(default)]
    pub(crate) exit: Option<String>,
}
