//! What an action answers: where the run goes from it, or what it waits for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::event::{Outcome, Vars};

/// The word for waiting for [`crate::Deed::LoadFlow`].
pub const LOAD: &str = "load_flow";

/// What an action answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Leave by the exit `done`.
    Next,
    /// Leave by a named exit.
    Exit {
        /// One of the spec's exits.
        exit: String,
        /// Why, for the history.
        why: String,
    },
    /// Go to an action by id.
    Jump(Target),
    /// Wait for an event.
    Wait(Wait),
    /// The event is not for us: keep waiting, deadline and all.
    Stay,
    /// Run another flow; leave by `done` when it has ended, by `failed` when nothing in it caught
    /// a failure.
    Call(Box<Call>),
    /// Go on at several actions, side by side; leave by `done` or `failed` when they have ended.
    Split(Split),
    /// End the flow that was called, and leave the action that called it by `done`.
    Return,
    /// End the run.
    End(Outcome),
}

impl Step {
    /// Leaves by a named exit.
    pub fn exit(exit: &str, why: &str) -> Self {
        Self::Exit { exit: exit.into(), why: why.into() }
    }

    /// Waits at most so many seconds.
    pub fn wait(what: &'static str, at_most_s: u64) -> Self {
        Self::Wait(Wait { what, at_most: Some(Duration::from_secs(at_most_s)) })
    }
}

/// How long to wait, and for what.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// For what, in a word for people: `message`, `digits`, `ai_talk`.
    pub what: &'static str,
    /// The deadline; `None` = as long as the call or the session lives.
    pub at_most: Option<Duration>,
}

/// Another flow, to be run as a part of this one.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The version under which it was loaded.
    pub version: String,
    /// Variables that it is given.
    pub arguments: Vars,
    /// Variables that take something from it when it has ended: our name, its name.
    pub results: BTreeMap<String, String>,
    /// Whether it sees nothing of our own variables, and leaves nothing but the results.
    pub isolated: bool,
}

/// Several ways on, side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Where each begins.
    pub branches: Vec<Target>,
    /// When they are over together.
    pub until: Until,
}

/// When branches are over together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// When all have ended. One that fails ends the others.
    #[default]
    All,
    /// When one has ended, which ends the others. One that fails leaves it to the others.
    First,
}

/// The id of another action. Its schema carries `"format": "action-id"`, by which the linker
/// finds every target, so an action cannot forget to declare one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Target(pub Arc<str>);

impl JsonSchema for Target {
    fn schema_name() -> Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "action-id",
            "description": "The id of another action of this flow."
        })
    }
}
