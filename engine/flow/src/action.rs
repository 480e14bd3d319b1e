//! What the engine asks of an action, and the catalog of all of them.

use std::any::TypeId;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cx::Cx;
use crate::event::{Event, Medium};
use crate::older::{Older, Rewriting};
use crate::step::{Step, Until};

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

    /// How often one that counts goes elsewhere at most, where what it counts is not known before.
    fn most_times(&self) -> Option<u64> {
        None
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
    /// Goes on at once at all of its targets, and by `done` when they have ended.
    Splits(Until),
    /// Waits for the end of a deed; may be tried again.
    Effect,
    /// Waits for a person or for time to pass, with a deadline.
    Waits,
    /// Waits for a person with no deadline of its own.
    WaitsForEver,
    /// Ends the run.
    Ends,
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
    /// Options that only the older dialect has, by which a document of it is known.
    pub older_only: &'static [&'static str],
    /// What it meant in the older dialect, where that differs from today.
    pub older: Option<Older>,
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
            older_only: &[],
            older: None,
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

    /// The same, with what its options meant in the older dialect, and the names of those that
    /// only that dialect has.
    pub const fn older(
        mut self,
        only: &'static [&'static str],
        rewrite: fn(&mut Rewriting),
    ) -> Self {
        self.older_only = only;
        let ends_run = match self.older {
            Some(older) => older.ends_run,
            None => false,
        };
        self.older = Some(Older { rewrite, ends_run });
        self
    }

    /// The same; in the older dialect a run ended when it failed.
    pub const fn ended_older_runs(mut self) -> Self {
        let rewrite = match self.older {
            Some(older) => older.rewrite,
            None => as_it_is,
        };
        self.older = Some(Older { rewrite, ends_run: true });
        self
    }
}

fn as_it_is(_: &mut Rewriting) {}

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
    /// Names of today that the older dialect has, too.
    pub same: &'static [&'static str],
    /// Tells of vendors that agents name; without it, every name is as good as another.
    pub vendors: Option<Vendors>,
}

/// Whether a vendor can do a work (`model`, `recognizer` or `voice`), by its name in an agent's
/// configuration; if not, why.
pub type Vendors = &'static (dyn Fn(&str, &str) -> Result<(), String> + Sync);

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
