//! `stop_transcription`: end the transcription.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<StopTranscription>(Needs::Call).exits(&["failed"]);

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 30;

/// Ends the transcription of the call.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StopTranscription {}

impl Action for StopTranscription {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "stop_transcription", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "transcription")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
