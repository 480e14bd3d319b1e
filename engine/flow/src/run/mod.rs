//! One run of a flow: an event in, commands out.
//!
//! Read in this order: this file (the state, and what an event does to it) → [`advance`] (from
//! action to action until the run waits or ends) → [`current`] (one action, asked) → [`tool`]
//! (actions that a model takes).
//!
//! Invariant: the same state and the same events give the same commands, to the byte.
//! Invariant: what answers a wait that is gone is dropped and counted; it never ends a run.

mod advance;
mod current;
mod tool;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Command, Event, Key, Medium, Outcome, Vars};
use crate::limits;
use crate::link::Flow;

pub use tool::take_tool;

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
    /// Why it ended so, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Where it is: one cursor a frame, the innermost last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    frames: Vec<Frame>,
    waiting: Option<Waiting>,
    /// Actions entered so far, tries included.
    #[serde(default)]
    entered: u64,
    /// Passes through actions that count, by their place in the flow.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counts: BTreeMap<u32, u32>,
    /// Events that came too late, or twice.
    #[serde(default, skip_serializing_if = "is_zero")]
    dropped: u64,
    /// Whether `on_error` has caught a failure since somebody last answered. A failure on the way
    /// through it is not caught again, or the run would go in circles.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    caught: bool,
}

/// A cursor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Frame {
    /// The place in the flow.
    at: u32,
    /// Which entered action of the run this is, from 1.
    visit: u64,
    /// Which try of it, from 1.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    attempt: u32,
    /// Deeds asked for in this try.
    #[serde(default, skip_serializing_if = "is_zero_32")]
    asked: u32,
    /// An action that a model chose, `{"type", "option"}`, run after the service at `at` and
    /// before what comes after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    then: Option<Value>,
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The key of the wait; what answers an older one is dropped.
    pub key: Key,
    /// In a word: `message`, `digits`, `ai_talk`, `retry`.
    pub what: String,
    /// When [`Event::TimedOut`] is due.
    pub until: Option<Timestamp>,
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
    /// The id of the action.
    pub action: String,
    /// Its type.
    pub kind: String,
    /// The exit; `jump` to a target, `passed_over` when its `if` was false, `retry` for another
    /// try, `hung_up`, `stopped`, `ended`.
    pub exit: String,
    /// Why this one.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// The variables that it set.
    pub changed: Vec<String>,
    /// What brought the run here, of the first action that was left after it: noted by whoever
    /// keeps the history, so that the run can be played again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<Cause>>,
}

/// What brought a run on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// What happened.
    pub event: Event,
    /// The variables that the run began with; told once, with the first action that it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Vars>,
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
            frames: Vec::new(),
            waiting: None,
            entered: 0,
            counts: BTreeMap::new(),
            dropped: 0,
            caught: false,
        }
    }

    /// Takes one event and runs until the flow waits or ends.
    pub fn advance(&mut self, flow: &Flow, now: Timestamp, event: Event) -> Advance {
        advance::Advancing::new(self, flow, now).take(event)
    }

    /// What it waits for, and until when.
    pub fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }

    /// The id of the action where it waits.
    pub fn action<'a>(&self, flow: &'a Flow) -> Option<&'a str> {
        let frame = self.frames.last()?;
        Some(flow.places.get(frame.at as usize)?.id.as_str())
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
        self.waiting = None;
        self.frames.clear();
        self.counts.clear();
    }

    fn begins(&self) -> Result<(), String> {
        limits::refuse_all(&self.vars).map_or(Ok(()), Err)
    }
}

fn first() -> u32 {
    1
}

fn is_first(attempt: &u32) -> bool {
    *attempt == 1
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn is_zero_32(n: &u32) -> bool {
    *n == 0
}
