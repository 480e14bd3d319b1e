//! What the engine asks of an action, and the catalog of all of them.

use std::any::TypeId;
use std::borrow::Cow;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::event::{Command, Deed, Event, Key, Medium, Outcome, Vars};
use crate::expression::{Expression, World};
use crate::limits;

/// One step of a flow, with its options already checked and their variables filled in.
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

    /// How it moves a run on, for the linker, which proves that no run can hang or spin.
    fn pace(&self) -> Pace {
        Pace::Instant
    }

    /// The names of the variables that it may set; `*` = any. For the linker, which warns of
    /// names that nobody sets.
    fn sets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// How an action moves a run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Goes on at once.
    Instant,
    /// Goes on at once to one of its targets, never by the exit `done`.
    Jumps,
    /// Goes on at once; a loop through it comes to an end, since it counts.
    Counts,
    /// Waits for the end of a deed; may be tried again.
    Effect,
    /// Waits for a person or for time to pass, with a deadline.
    Waits,
    /// Waits for a person with no deadline of its own.
    WaitsForEver,
    /// Ends the run.
    Ends,
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

/// The id of another action. Its schema carries `"format": "action-id"`, by which the linker
/// finds every target, so an action cannot forget to declare one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Target(pub String);

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

impl Needs {
    /// Whether a run about this medium has what is needed.
    pub fn met_by(self, medium: Medium) -> bool {
        match self {
            Self::Nothing => true,
            Self::Call => medium == Medium::Call,
            Self::Text => medium == Medium::Text,
        }
    }

    /// In words: `a live call`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Call => "a live call",
            Self::Text => "a thread of texts",
        }
    }
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
    /// Older names of its options, each with today's.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Options that hold a bare name, each with the option that is meant when the name is written
    /// as `${name}`, as the older dialect allows.
    pub filled: &'static [(&'static str, &'static str)],
    /// Older words in an option, under its name of today, each with today's: `(option, older,
    /// today's)`.
    pub words: &'static [(&'static str, &'static str, &'static str)],
    /// The schema of its options.
    pub schema: fn() -> Schema,
    /// Reads its options.
    pub read: fn(&Value) -> Result<Box<dyn Action>, String>,
    /// The option struct; what is compiled for it is kept under this.
    pub(crate) key: fn() -> TypeId,
}

impl Spec {
    /// The spec of an action with these options, which ends only by `done`.
    pub const fn of<A: Action + DeserializeOwned + JsonSchema + 'static>(needs: Needs) -> Self {
        Self {
            needs,
            exits: &[],
            tool: Tool::No,
            renamed: &[],
            filled: &[],
            words: &[],
            schema: schema::<A>,
            read: read::<A>,
            key: TypeId::of::<A>,
        }
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

    /// The same, with older names of options: `(older, today's)`.
    pub const fn renamed(mut self, renamed: &'static [(&'static str, &'static str)]) -> Self {
        self.renamed = renamed;
        self
    }

    /// The same, with bare names that may be written as `${name}`: `(option, the one then meant)`.
    pub const fn filled(mut self, filled: &'static [(&'static str, &'static str)]) -> Self {
        self.filled = filled;
        self
    }

    /// The same, with older words in options: `(option, older, today's)`.
    pub const fn words(
        mut self,
        words: &'static [(&'static str, &'static str, &'static str)],
    ) -> Self {
        self.words = words;
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

/// Every action type there is. A value, passed in: the engine knows none by name.
#[derive(Clone, Copy)]
pub struct Catalog {
    /// By name, in the order of names.
    pub types: &'static [(&'static str, Spec)],
    /// Older names, each with today's.
    pub aliases: &'static [(&'static str, &'static str)],
}

impl Catalog {
    /// An action type by its name, today's or an older one, with today's name.
    pub fn get(&self, name: &str) -> Option<(&'static str, &'static Spec)> {
        if let Ok(at) = self.types.binary_search_by(|(other, _)| (*other).cmp(name)) {
            let (name, spec) = &self.types[at];
            return Some((name, spec));
        }
        let (_, name) = self.aliases.iter().find(|(older, _)| *older == name)?;
        let (name, spec) = self.types.iter().find(|(other, _)| other == name)?;
        Some((name, spec))
    }
}

impl IntoIterator for Catalog {
    type Item = &'static (&'static str, Spec);
    type IntoIter = std::slice::Iter<'static, (&'static str, Spec)>;

    fn into_iter(self) -> Self::IntoIter {
        self.types.iter()
    }
}

/// The whole world of an action: variables to get and set, deeds to ask for.
pub struct Cx<'a> {
    /// The run's clock.
    pub now: Timestamp,
    /// What the run is about.
    pub medium: Medium,
    pub(crate) vars: &'a mut Vars,
    pub(crate) zone: &'a TimeZone,
    pub(crate) key: Key,
    /// How many deeds this attempt has asked for, so that no two share a key.
    pub(crate) asked: u32,
    /// How often this action was counted, see [`Cx::count`].
    pub(crate) count: u32,
    pub(crate) commands: Vec<Command>,
    /// Names of the variables that were set, for the history.
    pub(crate) changed: Vec<String>,
    /// Why the action fails whatever it answers: a limit.
    pub(crate) fault: Option<String>,
}

impl Cx<'_> {
    /// A variable.
    pub fn get(&self, name: &str) -> Option<&Value> {
        crate::text::lookup(self.vars, name)
    }

    /// Sets a variable. One that is too large is not set, and fails the action.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if let Some(why) = limits::refuse(self.vars, name, &value) {
            self.fault.get_or_insert(why);
            return;
        }
        if !self.changed.iter().any(|other| other == name) {
            self.changed.push(name.into());
        }
        match self.vars.get_mut(name) {
            Some(old) => *old = value,
            None => {
                self.vars.insert(name.into(), value);
            }
        }
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// A sentence: a wrong type, an unknown function, or a limit.
    pub fn eval(&self, expression: &Expression) -> Result<Value, String> {
        expression.eval(self.world())
    }

    /// Whether an expression is true.
    ///
    /// # Errors
    /// A sentence, also when the value is neither true nor false.
    pub fn test(&self, expression: &Expression) -> Result<bool, String> {
        expression.test(self.world())
    }

    /// The run's clock in the flow's time zone.
    pub fn local(&self) -> Zoned {
        self.now.to_zoned(self.zone.clone())
    }

    fn world(&self) -> World<'_> {
        World { vars: self.vars, now: self.now, zone: self.zone }
    }

    /// Counts passes through this action: true for the first `times` of them, then false once,
    /// and so on.
    pub fn count(&mut self, times: u32) -> bool {
        if self.count < times {
            self.count += 1;
            return true;
        }
        self.count = 0;
        false
    }

    /// Asks for a deed. The end of the first deed of a visit comes back as [`Event::Done`].
    pub fn ask(&mut self, deed: Deed) {
        let key = match self.asked {
            0 => self.key.clone(),
            n => Key(format!("{}+{n}", self.key.0)),
        };
        self.asked += 1;
        self.commands.push(Command { key, deed });
    }
}
