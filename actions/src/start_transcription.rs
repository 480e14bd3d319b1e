//! `start_transcription`: write down what is said.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service::{self, Direction};

/// What this action is.
pub const SPEC: Spec = Spec::of::<StartTranscription>(Needs::Call)
    .exits(&["failed"])
    .renamed(&[("provider", "stt_type"), ("on_end_flow_id", "on_end")]);

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 30;

/// Begins to write down what is said on the call; the flow goes on at once.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StartTranscription {
    /// The language, a BCP-47 tag; without it, the recognizer detects it.
    language: Option<String>,
    /// Vendor of the recognizer; without it, the configured default.
    stt_type: Option<String>,
    /// Whose words: `in` the caller's, `out` ours, or `both`.
    #[serde(default)]
    direction: Direction,
    /// The flow to start when it has ended, by name or id.
    on_end: Option<String>,
}

impl Action for StartTranscription {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "start_transcription", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "transcription")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
