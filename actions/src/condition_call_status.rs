//! `condition_call_status`: go on elsewhere unless the call is in a wanted state.

use flow::{Action, Cx, Needs, Spec, Step, Target, text};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec =
    Spec::of::<ConditionCallStatus>(Needs::Call).renamed(&[("false_target_id", "otherwise")]);

/// Looks at the state of the call, which `call.status` holds: `ringing` until it is answered, then
/// `progressing`. When it is the wanted one the flow goes on with the next action, else at
/// `otherwise`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConditionCallStatus {
    /// The wanted state.
    status: Status,
    /// Where to go when it is another.
    otherwise: Target,
}

/// The state of a call.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// The far side is being reached.
    Dialing,
    /// It rings.
    Ringing,
    /// The two sides are connected.
    Progressing,
    /// It is being hung up.
    Terminating,
    /// It is being given up before anybody answered.
    Canceling,
    /// It is over.
    Hangup,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Dialing => "dialing",
            Self::Ringing => "ringing",
            Self::Progressing => "progressing",
            Self::Terminating => "terminating",
            Self::Canceling => "canceling",
            Self::Hangup => "hangup",
        }
    }
}

impl Action for ConditionCallStatus {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let now = cx.get("call.status").map(text::plain).unwrap_or_default();
        if now == self.status.word() { Step::Next } else { Step::Jump(self.otherwise.clone()) }
    }
}
