//! `play_tone`: play a short tone.

use flow::{Action, Cx, Deed, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<PlayTone>(Needs::Call).exits(&["failed"]);

/// Much longer than a tone takes, seconds.
const AT_MOST_S: u64 = 30;

/// Plays a short tone, as before a message is left.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlayTone {}

impl Action for PlayTone {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        cx.ask(Deed::Play { sources: vec!["tone:beep".into()] });
        Step::wait("play_tone", AT_MOST_S)
    }

    fn resume(&self, event: &Event, _: &mut Cx<'_>) -> Step {
        match event {
            Event::Done { exit, why, .. } => Step::exit(exit, why),
            Event::TimedOut { .. } => Step::exit("failed", "the tone did not come to its end"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
