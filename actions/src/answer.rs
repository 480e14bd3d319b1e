//! `answer`: pick up.

use flow::{Action, Cx, Deed, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Answer>(Needs::Call);

/// A carrier that has not picked up by then never will, seconds.
const AT_MOST_S: u64 = 60;

/// Picks up the call. Everything that is spoken picks up by itself; this is for picking up first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Answer {}

impl Action for Answer {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        cx.ask(Deed::Answer);
        Step::wait("answer", AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        match event {
            Event::Done { exit, why, .. } => {
                if exit == "done" {
                    cx.set("call.status", "progressing");
                }
                Step::exit(exit, why)
            }
            Event::TimedOut { .. } => Step::exit("timeout", "the deadline passed"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
