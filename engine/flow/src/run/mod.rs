//! One run of a flow: an event in, commands out.
//!
//! Read in this order: this file (the state, and what an event does to it) → [`strand`] (where a
//! run is) → [`flows`] (what it needs) → [`advance`] (from action to action until the run waits or
//! ends) → [`leave`] (by which exit, and where that leads) → [`current`] (one action, asked) →
//! [`call`] (flows that call flows) → [`split`] (branches) → [`then`] and [`tool`] (actions that a
//! model takes) → [`history`] (what is noted of an event).
//!
//! Invariant: the same state and the same events give the same commands, to the byte.
//! Invariant: what answers a wait that is gone is dropped and counted; it never ends a run.

mod advance;
mod call;
mod current;
mod flows;
mod history;
mod leave;
mod split;
mod strand;
mod then;
mod tool;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Command, Event, Key, Medium, Outcome, Vars};
use crate::limits;
use crate::link::Flow;
use crate::step::LOAD;

use strand::Strand;

pub use flows::Flows;
pub use history::Cause;
pub use strand::Waiting;
pub use tool::take_tool;

/// One run of a flow. Its serialized form is what a store keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activeflow {
    /// The run's own id, a part of every key.
    pub id: String,
    /// What it is about.
    pub medium: Medium,
    /// Its variables: of the scope that ran last, where a called flow has its own.
    pub vars: Vars,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// Why it ended so, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// How many runs it follows on, each started by the end of the one before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub chain: u64,
    /// Where it is; branches stand behind the strand that they belong to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    strands: Vec<Strand>,
    /// The scope that ran last; 0 = the run's own.
    #[serde(default, skip_serializing_if = "is_zero")]
    scope: u64,
    /// The variables of the other scopes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aside: BTreeMap<u64, Vars>,
    /// Actions entered so far, tries included.
    #[serde(default)]
    entered: u64,
    /// Events that came too late, or twice.
    #[serde(default, skip_serializing_if = "is_zero")]
    dropped: u64,
}

/// What one event led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advance {
    /// What shall be done, in this order.
    pub commands: Vec<Command>,
    /// The actions that were left on the way, for the history.
    pub taken: Vec<Taken>,
    /// Whether the event was not for this run as it stands, and changed nothing but a count.
    pub dropped: bool,
}

/// One action, left by one exit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// The version of the called flow that it belongs to; empty = the run's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub flow: String,
    /// The id of the action.
    pub action: Arc<str>,
    /// Its type.
    pub kind: Cow<'static, str>,
    /// The exit; `jump` to a target, `passed_over` when its `if` was false, `retry` for another
    /// try, `cancelled` in a branch that nobody waits for any more, `called` when another flow was
    /// entered from here, `began` of a first action that has branches, `hung_up`, `stopped`, `ended`.
    pub exit: Cow<'static, str>,
    /// Why this one; for a `jump` the target.
    pub why: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// The variables that it set.
    pub changed: Vec<String>,
    /// What brought the run here, of the first action that was left after it: noted by whoever
    /// keeps the history, so that the run can be played again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<Cause>>,
}

impl Activeflow {
    /// A run that has not begun: give it [`Event::Started`]. Variables that the flow declares
    /// have their defaults unless `vars` bring a value.
    pub fn new(id: &str, flow: &Flow, medium: Medium, vars: Vars) -> Self {
        let mut all = flow.variables.clone();
        all.extend(vars);
        Self {
            id: id.into(),
            medium,
            vars: all,
            outcome: None,
            why: String::new(),
            chain: 0,
            strands: Vec::new(),
            scope: 0,
            aside: BTreeMap::new(),
            entered: 0,
            dropped: 0,
        }
    }

    /// The versions of called flows that it needs in order to take this event.
    pub fn flows<'a>(&'a self, event: &'a Event) -> Vec<&'a str> {
        let mut all = Vec::new();
        for strand in &self.strands {
            all.push(strand.version());
            let called = strand.frames.iter().filter_map(|frame| frame.called.as_deref());
            all.extend(called.map(|called| called.version.as_str()));
        }
        if let Event::Done { key, values, .. } = event
            && self.waits().any(|waiting| waiting.key == *key && waiting.what == LOAD)
            && let Some(version) = values.get("version").and_then(|version| version.as_str())
        {
            all.push(version);
        }
        all.retain(|version| !version.is_empty());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Takes one event and runs until the flow waits or ends.
    pub fn advance<'a>(
        &mut self,
        flows: impl Into<Flows<'a>>,
        now: Timestamp,
        event: Event,
    ) -> Advance {
        advance::Advancing::new(self, flows.into(), now).take(event)
    }

    /// All that it waits for, one for each branch.
    pub fn waits(&self) -> impl Iterator<Item = &Waiting> {
        self.strands.iter().filter_map(|strand| strand.waiting.as_ref())
    }

    /// The wait whose deadline is nearest, or the oldest when none has one.
    pub fn waiting(&self) -> Option<&Waiting> {
        self.waits().min_by_key(|waiting| waiting.until.unwrap_or(Timestamp::MAX))
    }

    /// The nearest deadline: when [`Event::TimedOut`] is due, and with which key.
    pub fn deadline(&self) -> Option<(Key, Timestamp)> {
        self.waiting().and_then(|waiting| Some((waiting.key.clone(), waiting.until?)))
    }

    /// Whether it waits for this, in a word such as `message`.
    pub fn awaits(&self, what: &str) -> bool {
        self.waits().any(|waiting| waiting.what == what)
    }

    /// The id and the type of the action where it waits, if it waits.
    pub fn action<'a>(&self, flows: impl Into<Flows<'a>>) -> Option<(&'a str, &'static str)> {
        let waiting = self.waiting()?;
        let strand = self.strands.iter().find(|s| s.waiting.as_ref() == Some(waiting))?;
        let place = strand.place(flows.into())?;
        Some((&place.id, place.kind))
    }

    /// How many events came too late, or twice.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Actions entered so far, tries included.
    pub fn entered(&self) -> u64 {
        self.entered
    }

    fn end(&mut self, outcome: Outcome, why: String) {
        self.outcome = Some(outcome);
        self.why = why;
        self.strands.clear();
        self.load(0);
        self.aside.clear();
    }

    fn begins(&self) -> Result<(), String> {
        limits::refuse_all(&self.vars).map_or(Ok(()), Err)
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
