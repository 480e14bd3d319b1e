//! `condition_variable`: go on elsewhere unless a value compares as wanted.

use flow::{Action, Cx, Needs, Spec, Step, Target, text};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::comparison::Comparison;

/// What this action is.
pub const SPEC: Spec = Spec::of::<ConditionVariable>(Needs::Nothing)
    .renamed(&[("false_target_id", "otherwise")])
    .filled(&[("variable", "value")]);

/// Compares a variable with a fixed value. When the comparison holds, the flow goes on with the
/// next action, else at `otherwise`. The plain way to write this today is a `branch` with `when`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["value"] }, { "required": ["variable"] }]))]
struct ConditionVariable {
    /// The variable to compare, by its bare name. Written as `${name}` it means `value`.
    #[serde(default)]
    variable: String,
    /// What to compare instead of a variable, such as `${order.id}`.
    value: Option<String>,
    /// How to compare: the variable stands on the left.
    #[serde(default)]
    condition: Comparison,
    /// What the two are compared as.
    #[serde(default)]
    value_type: Kind,
    /// The right side for `string`.
    #[serde(default)]
    value_string: String,
    /// The right side for `number`.
    #[serde(default)]
    value_number: f64,
    /// The right side for `length`, characters.
    #[serde(default)]
    value_length: u64,
    /// Where to go when the comparison does not hold.
    otherwise: Target,
}

/// What two values are compared as.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Texts; one is greater when it is sorted behind the other.
    #[default]
    String,
    /// Numbers. What is no number never compares as wanted.
    Number,
    /// The number of characters of the variable.
    Length,
}

impl ConditionVariable {
    /// Whether it holds for a value, and the value's part in the reason.
    fn holds(&self, value: &str) -> bool {
        match self.value_type {
            Kind::String => self.condition.holds(&value, &self.value_string.as_str()),
            Kind::Number => match value.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => {
                    self.condition.holds(&number, &self.value_number)
                }
                Ok(_) | Err(_) => false,
            },
            Kind::Length => {
                self.condition.holds(&(value.chars().count() as u64), &self.value_length)
            }
        }
    }
}

impl Action for ConditionVariable {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let holds = match &self.value {
            Some(value) => self.holds(value),
            None => self.holds(&cx.get(&self.variable).map(text::plain).unwrap_or_default()),
        };
        if holds { Step::Next } else { Step::Jump(self.otherwise.clone()) }
    }
}
