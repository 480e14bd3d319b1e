//! One run of a flow: an event in, commands out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Command, Event, Key, Medium, Outcome, Vars};
use crate::link::Flow;

/// One run of a flow. Its serialized form is what a store keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activeflow {
    /// The run's own id, a part of every key.
    pub id: String,
    /// What it is about.
    pub medium: Medium,
    /// Its variables.
    pub vars: Vars,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    waiting: Option<Waiting>,
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The key of the wait; what answers an older one is dropped.
    pub key: Key,
    /// In a word: `message`, `digits`, `ai_talk`.
    pub what: String,
    /// When [`Event::TimedOut`] is due.
    pub until: Option<Timestamp>,
}

/// What one event led to.
#[derive(Debug, Default)]
pub struct Advance {
    /// What shall be done, in this order.
    pub commands: Vec<Command>,
    /// The actions that were left on the way, for the history.
    pub taken: Vec<Taken>,
}

/// One action, left by one exit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// The id of the action.
    pub action: String,
    /// Its type.
    pub kind: String,
    /// The exit.
    pub exit: String,
    /// Why this one.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// The variables that it set.
    pub changed: Vec<String>,
}

impl Activeflow {
    /// A run that has not begun: give it [`Event::Started`].
    pub fn new(id: &str, flow: &Flow, medium: Medium, vars: Vars) -> Self {
        let _ = flow;
        Self { id: id.into(), medium, vars, outcome: None, waiting: None }
    }

    /// Takes one event and runs until the flow waits or ends.
    pub fn advance(&mut self, flow: &Flow, now: Timestamp, event: Event) -> Advance {
        let _ = (flow, now, event);
        unimplemented!("seam")
    }

    /// What it waits for, and until when.
    pub fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }
}

/// Takes an action as a model's tool, beside the run: its options are `args`, it is entered once,
/// and what it asks for is returned under `key`. Variables that it sets are set in `vars`.
///
/// # Errors
/// A sentence for the model: the tool does not exist, or its arguments are wrong.
pub fn take_tool(
    flow: &Flow,
    kind: &str,
    args: &serde_json::Value,
    key: Key,
    medium: Medium,
    now: Timestamp,
    vars: &mut Vars,
) -> Result<Vec<Command>, String> {
    let _ = (flow, kind, args, key, medium, now, vars);
    unimplemented!("seam")
}
