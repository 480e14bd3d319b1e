//! `join_bridge`: let the caller hear others.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec =
    Spec::of::<JoinBridge>(Needs::Call).exits(&["failed"]).renamed(&[("confbridge_id", "bridge")]);

/// The longest bridge, seconds.
const AT_MOST_S: u64 = 12 * 3600;

/// Puts the caller together with the others in a bridge, where all hear each other, until one of
/// the two ends. It lives in one process: with several, calls of one bridge must be brought to the
/// same.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JoinBridge {
    /// The bridge, by id.
    #[schemars(length(min = 1))]
    bridge: String,
}

impl Action for JoinBridge {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "join_bridge", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "bridge")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
