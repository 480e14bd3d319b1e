//! Where a run is: strands that go side by side, and in each a cursor for each flow that it is in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Flows;
use crate::event::{Key, Vars};
use crate::link::Place;
use crate::step::Until;

/// One way through the flow. A run has one, and one more for each branch that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Strand {
    /// 0 = the first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) id: u32,
    /// The strand that it branched off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) of: u32,
    /// The version of the flow where it began; empty = the run's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    flow: String,
    /// The scope of variables where it began.
    #[serde(default, skip_serializing_if = "is_zero_64")]
    scope: u64,
    /// The place where it ends besides the end of the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<u32>,
    /// One cursor a flow, the innermost last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) frames: Vec<Frame>,
    /// What it waits for. A strand that has branched off waits for its branches without this,
    /// unless it has a deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
}

/// A cursor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Frame {
    /// The place in the flow.
    pub(super) at: u32,
    /// Which entered action of the run this is, from 1.
    pub(super) visit: u64,
    /// Which try of it, from 1.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub(super) attempt: u32,
    /// Deeds asked for in this try.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) asked: u32,
    /// An action that a model chose, `{"type", "option"}`, run after the service at `at` and
    /// before what comes after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) then: Option<Value>,
    /// The branches that are waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) split: Option<Until>,
    /// For the first cursor in a flow that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) called: Option<Box<Called>>,
    /// Passes through actions that count, by their place in the flow.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) counts: BTreeMap<u32, u32>,
    /// Whether `on_error` has caught a failure since somebody last answered. A failure on the way
    /// through it is not caught again, or the run would go in circles.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) caught: bool,
}

/// A flow that was called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Called {
    /// Its version.
    pub(super) version: String,
    /// Its own scope of variables; 0 = it works on its caller's.
    #[serde(default, skip_serializing_if = "is_zero_64")]
    pub(super) scope: u64,
    /// What its caller takes from it: the caller's name, its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) results: BTreeMap<String, String>,
    /// What its caller's variables were that its arguments hide; null = not set.
    #[serde(default, skip_serializing_if = "Vars::is_empty")]
    pub(super) before: Vars,
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The key of the wait; what answers an older one is dropped.
    pub key: Key,
    /// In a word: `message`, `digits`, `ai_talk`, `retry`.
    pub what: String,
    /// When [`crate::Event::TimedOut`] is due.
    pub until: Option<Timestamp>,
}

impl Waiting {
    /// The id of the action that waits, a part of its key.
    pub fn action(&self) -> &str {
        self.key.0.rsplit('/').nth(2).unwrap_or_default()
    }
}

impl Strand {
    /// A branch of this strand.
    pub(super) fn branch(&self, id: u32, ends_at: Option<u32>) -> Self {
        let (flow, scope) = (self.version().to_owned(), self.scope());
        Self { id, of: self.id, flow, scope, ends_at, ..Self::default() }
    }

    /// The version of the innermost flow; empty = the run's own.
    pub(super) fn version(&self) -> &str {
        let called = self.frames.iter().rev().find_map(|frame| frame.called.as_deref());
        called.map_or(&self.flow, |called| &called.version)
    }

    /// The scope whose variables it sees.
    pub(super) fn scope(&self) -> u64 {
        let mut called = self.frames.iter().rev().filter_map(|frame| frame.called.as_deref());
        called.find(|called| called.scope != 0).map_or(self.scope, |called| called.scope)
    }

    /// Every scope that it still needs.
    pub(super) fn scopes(&self) -> impl Iterator<Item = u64> {
        let called = self.frames.iter().filter_map(|frame| Some(frame.called.as_ref()?.scope));
        called.chain([self.scope])
    }

    /// Whether it is in a flow that it has called itself.
    pub(super) fn is_called(&self) -> bool {
        self.frames.iter().any(|frame| frame.called.is_some())
    }

    /// The place where it is.
    pub(super) fn place<'a>(&self, flows: Flows<'a>) -> Option<&'a Place> {
        flows.get(self.version())?.places.get(self.frames.last()?.at as usize)
    }

    /// Whether it is over when it gets there.
    pub(super) fn ends_at(&self, at: u32) -> bool {
        self.ends_at == Some(at) && self.frames.len() <= 1
    }

    /// The cursor in the innermost flow, beneath an action that a model chose.
    pub(super) fn cursor(&mut self) -> Option<&mut Frame> {
        self.frames.iter_mut().rev().find(|frame| frame.then.is_none())
    }
}

impl Frame {
    /// An action that a model chose, at a place.
    pub(super) fn then(at: u32, then: Value) -> Self {
        Self { at, attempt: 1, then: Some(then), ..Self::default() }
    }

    /// The first action of a flow that was called.
    pub(super) fn called(called: Called) -> Self {
        Self { attempt: 1, called: Some(Box::new(called)), ..Self::default() }
    }

    /// Moves on to a place.
    pub(super) fn go(&mut self, at: u32) {
        (self.at, self.visit, self.attempt, self.asked, self.split) = (at, 0, 1, 0, None);
    }
}

fn first() -> u32 {
    1
}

fn is_first(attempt: &u32) -> bool {
    *attempt == 1
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_zero_64(n: &u64) -> bool {
    *n == 0
}
