//! `join_conference`: let the caller into a conference.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<JoinConference>(Needs::Call)
    .exits(&["failed"])
    .renamed(&[("conference_id", "conference")])
    .ended_older_runs();

/// The longest conference, seconds.
const AT_MOST_S: u64 = 12 * 3600;

/// Lets the caller into a conference, where all hear each other, until one of the two ends. It is
/// made by whoever comes first, and lives in one process: with several, calls of one conference
/// must be brought to the same.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JoinConference {
    /// The conference, by name or id.
    #[schemars(length(min = 1))]
    conference: String,
}

impl Action for JoinConference {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "join_conference", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "conference")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
