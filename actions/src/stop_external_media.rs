//! `stop_external_media`: send the sound nowhere else.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<StopExternalMedia>(Needs::Call).exits(&["failed"]);

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 30;

/// Ends all that `start_external_media` began.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StopExternalMedia {}

impl Action for StopExternalMedia {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "stop_external_media", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "external_media")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
