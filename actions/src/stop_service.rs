//! `stop_service`: end the conversation with the agent, or the flow that was called, and go on.

use flow::{Action, Cx, Deed, Needs, Spec, Step, Tool};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<StopService>(Needs::Nothing).tool(Tool::Ends);

/// Ends the nearest service, and goes on after it. In a flow that another has called, that is
/// this flow: the other goes on. Otherwise it is the conversation with an agent; on a thread of
/// texts the next text begins a new one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StopService {}

impl Action for StopService {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        if cx.called {
            return Step::Return;
        }
        cx.ask(Deed::StopService);
        Step::Next
    }
}
