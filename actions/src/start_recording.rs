//! `start_recording`: record the call.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<StartRecording>(Needs::Call)
    .exits(&["failed"])
    .renamed(&[
        ("end_of_silence", "silence_s"),
        ("end_of_key", "finish_on"),
        ("beep_start", "beep"),
        ("on_end_flow_id", "on_end"),
    ])
    .words(&[("finish_on", "none", ""), ("finish_on", "any", "0123456789ABCD#*")])
    .older(&["duration"], |option| option.rename("duration", "max_s"));

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 30;

/// Begins to record the call; the flow goes on at once. The recording ends with the call, with
/// `stop_recording`, or as told here.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StartRecording {
    /// The kind of file: `wav`, `mp3` or `ogg`.
    #[serde(default)]
    format: Format,
    /// Silence after which it ends, seconds; 0 = never.
    #[serde(default)]
    #[schemars(range(max = 3600))]
    silence_s: u64,
    /// The keys that end it; empty = none.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9A-D#*]*$"))]
    finish_on: String,
    /// The longest it may be, seconds; 0 = as long as the call.
    #[serde(default)]
    #[schemars(range(max = 86_400))]
    max_s: u64,
    /// Whether a tone is played first.
    #[serde(default)]
    beep: bool,
    /// The flow to start when it has ended, by name or id.
    on_end: Option<String>,
}

/// The kind of a sound file.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// 16-bit samples.
    #[default]
    Wav,
    /// MPEG layer 3.
    Mp3,
    /// Opus in Ogg.
    Ogg,
}

impl Action for StartRecording {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "start_recording", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "recording")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
