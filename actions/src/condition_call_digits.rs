//! `condition_call_digits`: go on elsewhere unless keys were pressed as wanted.

use flow::{Action, Cx, Needs, Spec, Step, Target, text};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<ConditionCallDigits>(Needs::Call)
    .renamed(&[("key", "contains"), ("false_target_id", "otherwise")]);

/// Looks at the keys in `call.digits`. When there are enough of them, or the wanted one is among
/// them, the flow goes on with the next action, else at `otherwise`. The plain way to write this
/// today is a `branch`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConditionCallDigits {
    /// How many keys are enough; 0 = their number does not matter.
    #[serde(default)]
    #[schemars(range(max = 64))]
    length: usize,
    /// The wanted key; empty = any.
    #[serde(default)]
    contains: String,
    /// Where to go when it does not hold.
    otherwise: Target,
}

impl Action for ConditionCallDigits {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let digits = cx.get("call.digits").map(text::plain).unwrap_or_default();
        let enough = self.length > 0 && digits.chars().count() >= self.length;
        let wanted = !self.contains.is_empty() && digits.contains(&self.contains);
        if enough || wanted { Step::Next } else { Step::Jump(self.otherwise.clone()) }
    }
}
