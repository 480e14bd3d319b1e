//! `branch`: go on elsewhere, by the value of a variable or by expressions.

use std::collections::BTreeMap;

use flow::{Action, Cx, Expression, Needs, Pace, Spec, Step, Target, text};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Branch>(Needs::Nothing)
    .renamed(&[("target_ids", "cases"), ("default_target_id", "otherwise")])
    .older(&[], |option| {
        option.bare_name("variable");
        option.set("cases", serde_json::json!({}));
        // Without a fitting case the run ended.
        option.set("otherwise", "end");
        option.set("clear", true);
    });

/// Goes on at another action: at the case that the value of a variable has, or at the first case
/// whose expression is true. Without a fitting case and without `otherwise` the flow goes on
/// with the next action.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Branch {
    /// The variable whose value chooses, by its bare name.
    #[serde(default = "digits")]
    #[schemars(length(min = 1))]
    variable: String,
    /// What leads where.
    cases: Cases,
    /// Where to go when no case fits.
    otherwise: Option<Target>,
    /// Whether the variable is emptied once it has chosen, so that keys that are pressed later do
    /// not join those of this choice.
    #[serde(default)]
    clear: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Cases {
    /// A value and where it leads: `{ "1": "sales" }`. Capitals and outer spaces do not count
    /// when nothing fits exactly.
    Values(BTreeMap<String, Target>),
    /// Expressions, tried in order: `[{ "when": "n > 3", "target": "sales" }]`.
    When(Vec<Case>),
}

/// An expression and where it leads.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Must be true.
    #[schemars(extend("format" = "condition"))]
    when: Expression,
    /// Where to go then.
    target: Target,
}

fn digits() -> String {
    "call.digits".into()
}

impl Branch {
    fn target(&self, cx: &Cx<'_>) -> Result<Option<&Target>, String> {
        match &self.cases {
            Cases::Values(values) => {
                let value = cx.get(&self.variable).map(text::plain).unwrap_or_default();
                let value: &str = &value;
                let loose = || {
                    let value = value.trim().to_lowercase();
                    values.iter().find(|(case, _)| case.trim().to_lowercase() == value)
                };
                Ok(values.get(value).or_else(|| loose().map(|(_, target)| target)))
            }
            Cases::When(cases) => {
                for case in cases {
                    if cx.test(&case.when)? {
                        return Ok(Some(&case.target));
                    }
                }
                Ok(None)
            }
        }
    }
}

impl Action for Branch {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let chosen = self.target(cx);
        if self.clear {
            cx.set(&self.variable, "");
        }
        match chosen {
            Ok(found) => match found.or(self.otherwise.as_ref()) {
                Some(target) => Step::Jump(target.clone()),
                None => Step::Next,
            },
            Err(why) => Step::exit("failed", &why),
        }
    }

    fn pace(&self) -> Pace {
        if self.otherwise.is_some() { Pace::Jumps } else { Pace::Instant }
    }
}
