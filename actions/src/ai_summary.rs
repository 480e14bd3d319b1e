//! `ai_summary`: let an AI summarise a conversation.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<AiSummary>(Needs::Nothing)
    .exits(&["failed"])
    .renamed(&[("on_end_flow_id", "on_end")])
    .ended_older_runs();

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 120;

/// Lets an AI summarise a call, a conference, a recording or a transcription. The summary is in
/// `ai_summary.content`; of something that still goes on it is made when that ends, and `on_end`
/// starts with it.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AiSummary {
    /// What is summarised: `call`, `conference`, `recording` or `transcribe`.
    #[serde(default)]
    reference_type: Reference,
    /// Which one; without it, the one that this run is about.
    reference_id: Option<String>,
    /// The language of the summary, a BCP-47 tag.
    language: Option<String>,
    /// The flow to start when the summary of something that goes on is made, by name or id.
    on_end: Option<String>,
}

/// What can be summarised.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reference {
    /// A call.
    #[default]
    Call,
    /// A conference.
    Conference,
    /// A recording.
    Recording,
    /// A transcription.
    Transcribe,
}

impl Action for AiSummary {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "ai_summary", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "ai_summary")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
