//! `join_queue`: let the caller wait for somebody.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<JoinQueue>(Needs::Call)
    .exits(&["failed", "timeout"])
    .renamed(&[("queue_id", "queue")])
    .ended_older_runs();

/// The longest wait and the longest talk, seconds.
const AT_MOST_S: u64 = 4 * 3600 + 3600;

/// Puts the caller into a waiting line until somebody is free, and connects the two: in the order
/// in which callers came. A line and its members are a `[[waiting_line]]` of the settings; how long
/// a caller waits there at most is said there too.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JoinQueue {
    /// The waiting line, by its name.
    #[schemars(length(min = 1))]
    queue: String,
}

impl Action for JoinQueue {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "join_queue", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "queue")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
