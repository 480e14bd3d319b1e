//! `stop`: end the run.

use flow::{Action, Cx, Needs, Outcome, Pace, Spec, Step, Tool};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Stop>(Needs::Nothing).tool(Tool::Ends);

/// Ends the run, and the call if there is one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Stop {}

impl Action for Stop {
    fn enter(&self, _: &mut Cx<'_>) -> Step {
        Step::End(Outcome::Stopped)
    }

    fn pace(&self) -> Pace {
        Pace::Ends
    }
}
