//! `mute`: let the caller be silent.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Mute>(Needs::Call).exits(&["failed"]);

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 30;

/// Lets nobody hear the caller any more, neither people nor agents. Keys still count.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mute {}

impl Action for Mute {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "mute", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "mute")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
