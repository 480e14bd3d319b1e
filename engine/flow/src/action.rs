//! What the engine asks of an action, and the catalog of all of them.

use std::time::Duration;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::event::{Command, Deed, Event, Key, Medium, Outcome, Vars};
use crate::text::Text;

/// One step of a flow, with its options already checked.
///
/// An action decides; it never acts. What it wants done goes out through [`Cx::ask`].
pub trait Action: Send + Sync {
    /// Runs when the flow arrives here.
    fn enter(&self, cx: &mut Cx<'_>) -> Step;

    /// Runs when an event comes in while the flow waits here. The deed of this wait and the
    /// deadline need no code of their own: an action's answer to them is the exit of that name.
    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        let _ = cx;
        match event {
            Event::Done { exit, why, .. } => Step::exit(exit, why),
            Event::TimedOut { .. } => Step::exit("timeout", "the deadline passed"),
            _ => Step::Stay,
        }
    }
}

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
    /// End the run.
    End(Outcome),
}

impl Step {
    /// Leaves by a named exit.
    pub fn exit(exit: &str, why: &str) -> Self {
        Self::Exit { exit: exit.into(), why: why.into() }
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

/// The id of another action. Its schema carries `"format": "action-id"`, by which the linker
/// finds every target, so an action cannot forget to declare one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Target(pub String);

/// Which medium an action can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any run.
    Nothing,
    /// A live call.
    Call,
    /// A thread of texts.
    Text,
}

/// Whether and how a model may take an action as a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Never offered.
    No,
    /// Done at once; the conversation goes on.
    Instant,
    /// The goodbye is spoken, the conversation ends, then the flow runs this action.
    Ends,
}

/// What an action type is: one constant beside its options.
#[derive(Clone, Copy)]
pub struct Spec {
    /// Which medium it needs.
    pub needs: Needs,
    /// The ways it can end besides `done`.
    pub exits: &'static [&'static str],
    /// Whether a model may take it.
    pub tool: Tool,
    /// The schema of its options.
    pub schema: fn() -> Schema,
    /// Reads its options.
    pub read: fn(&Value) -> Result<Box<dyn Action>, String>,
}

impl Spec {
    /// The spec of an action with these options, which ends only by `done`.
    pub const fn of<A: Action + DeserializeOwned + JsonSchema + 'static>(needs: Needs) -> Self {
        Self { needs, exits: &[], tool: Tool::No, schema: schema::<A>, read: read::<A> }
    }

    /// The same with exits.
    pub const fn exits(mut self, exits: &'static [&'static str]) -> Self {
        self.exits = exits;
        self
    }

    /// The same, offered to models.
    pub const fn tool(mut self, tool: Tool) -> Self {
        self.tool = tool;
        self
    }
}

fn schema<A: JsonSchema>() -> Schema {
    schemars::schema_for!(A)
}

fn read<A: Action + DeserializeOwned + 'static>(option: &Value) -> Result<Box<dyn Action>, String> {
    match A::deserialize(option) {
        Ok(action) => Ok(Box::new(action)),
        Err(error) => Err(error.to_string()),
    }
}

/// Every action type there is, by name. A value, passed in: the engine knows none by name.
pub type Catalog = &'static [(&'static str, Spec)];

/// The whole world of an action: variables to get and set, text to render, deeds to ask for.
pub struct Cx<'a> {
    /// The run's clock.
    pub now: Timestamp,
    /// What the run is about.
    pub medium: Medium,
    pub(crate) vars: &'a mut Vars,
    pub(crate) key: Key,
    pub(crate) commands: Vec<Command>,
    /// Names of the variables that were set, for the history.
    pub(crate) changed: Vec<String>,
}

impl Cx<'_> {
    /// A variable.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.vars.get(name)
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.changed.push(name.into());
        self.vars.insert(name.into(), value.into());
    }

    /// Fills in the variables of a text. What they hold is never scanned again.
    pub fn render(&self, text: &Text) -> String {
        text.render(self.vars)
    }

    /// Fills in the variables of every string of a JSON value, at any depth.
    pub fn render_value(&self, value: &Value) -> Value {
        crate::text::render_value(value, self.vars)
    }

    /// Asks for a deed. Its end comes back as [`Event::Done`] under the key of this visit.
    pub fn ask(&mut self, deed: Deed) {
        self.commands.push(Command { key: self.key.clone(), deed });
    }
}
