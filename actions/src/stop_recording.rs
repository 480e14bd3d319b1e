//! `stop_recording`: end the recording.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<StopRecording>(Needs::Call).exits(&["failed"]);

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 30;

/// Ends the recording of the call.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StopRecording {}

impl Action for StopRecording {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "stop_recording", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "recording")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
