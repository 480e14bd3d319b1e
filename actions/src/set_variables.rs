//! `set_variables`: set variables, to values or to the results of expressions.

use std::collections::BTreeMap;

use flow::{Action, Cx, Expression, Needs, Spec, Step, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// What this action is.
pub const SPEC: Spec = Spec::of::<SetVariables>(Needs::Nothing)
    .tool(Tool::Instant)
    .renamed(&[("variables", "values")])
    .older(&["key", "value"], |option| {
        let value = option.get("value").cloned().unwrap_or_else(|| "".into());
        option.convert("key", "values", |key| {
            let name = key.as_str()?.to_owned();
            Some(Value::Object([(name, value)].into_iter().collect()))
        });
        option.drop(&["value"]);
    });

/// Sets variables of this run: first `values`, then `expressions`, each of which sees what was
/// set before it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetVariables {
    /// Names and values, such as `{ "order.id": "17" }`.
    #[serde(default)]
    values: BTreeMap<String, Value>,
    /// Names and expressions, such as `{ "tries": "tries + 1" }`, in the order of names.
    #[serde(default)]
    expressions: BTreeMap<String, Expression>,
}

impl Action for SetVariables {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        for (name, value) in &self.values {
            cx.set(name, value.clone());
        }
        for (name, expression) in &self.expressions {
            match cx.eval(expression) {
                Ok(value) => cx.set(name, value),
                Err(why) => return Step::exit("failed", &why),
            }
        }
        Step::Next
    }

    fn sets(&self) -> Vec<String> {
        self.values.keys().chain(self.expressions.keys()).cloned().collect()
    }
}
