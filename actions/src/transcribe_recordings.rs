//! `transcribe_recordings`: write down what was recorded.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service::{self, Direction};

/// What this action is.
pub const SPEC: Spec = Spec::of::<TranscribeRecordings>(Needs::Nothing)
    .exits(&["failed"])
    .renamed(&[("provider", "stt_type"), ("on_end_flow_id", "on_end")]);

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 120;

/// Writes down what is said in the recordings of this call.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TranscribeRecordings {
    /// The language, a BCP-47 tag; without it, the recognizer detects it.
    language: Option<String>,
    /// Vendor of the recognizer; without it, the configured default.
    stt_type: Option<String>,
    /// Whose words: `in` the caller's, `out` ours, or `both`.
    #[serde(default)]
    direction: Direction,
    /// The flow to start when it is done, by name or id.
    on_end: Option<String>,
}

impl Action for TranscribeRecordings {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "transcribe_recordings", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "transcription")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
