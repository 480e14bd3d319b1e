//! `hangup`: end the call, and the run with it.

use flow::{Action, Cx, Deed, HangupCause, Needs, Outcome, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Hangup>(Needs::Call).renamed(&[("reason", "cause")]).words(&[
    ("cause", "noanswer", "no_answer"),
    ("cause", "dialout", "no_answer"),
    ("cause", "cancel", "cancelled"),
    ("cause", "amd", "normal"),
]);

/// Ends the call, and the run with it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Hangup {
    /// What the far side is told.
    #[serde(default)]
    cause: HangupCause,
}

impl Action for Hangup {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        cx.ask(Deed::Hangup { cause: self.cause });
        Step::End(Outcome::Finished)
    }

    fn pace(&self) -> Pace {
        Pace::Ends
    }
}
