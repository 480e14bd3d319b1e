//! `stop_service`: end the conversation with the agent, and go on.

use flow::{Action, Cx, Deed, Needs, Spec, Step, Tool};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<StopService>(Needs::Nothing).tool(Tool::Ends);

/// Ends the nearest conversation with an agent; the flow goes on after it. On a thread of texts
/// the next text begins a new conversation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StopService {}

impl Action for StopService {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        cx.ask(Deed::StopService);
        Step::Next
    }
}
