//! `play`: play sound files.

use flow::{Action, Cx, Deed, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec =
    Spec::of::<Play>(Needs::Call).exits(&["failed"]).renamed(&[("stream_urls", "sources")]);

/// Longer than anybody listens, seconds.
const AT_MOST_S: u64 = 4 * 3600;

/// Plays sound files on the call, one after the other.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Play {
    /// `https://` addresses, or files below the media folder.
    #[schemars(length(min = 1))]
    sources: Vec<String>,
}

impl Action for Play {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        cx.ask(Deed::Play { sources: self.sources.clone() });
        Step::wait("play", AT_MOST_S)
    }

    fn resume(&self, event: &Event, _: &mut Cx<'_>) -> Step {
        match event {
            Event::Done { exit, why, .. } => Step::exit(exit, why),
            Event::TimedOut { .. } => Step::exit("failed", "the sound did not come to its end"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        Pace::Waits
    }
}
