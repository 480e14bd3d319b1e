//! A flow as its author wrote it, perhaps wrong.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Vars;
use crate::expression::Expression;

/// The newest version of the language.
pub const VERSION: u32 = 1;

/// A flow as written. A bare array of actions is a document too.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Where editors find the schema.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub schema: Option<String>,
    /// The version of the language; 1 when absent.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub version: u32,
    /// What the flow is called.
    #[serde(default)]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The variables that it expects, with their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: Vars,
    /// The time zone of `now` in expressions, such as `Europe/Berlin`; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The action where every failure exit goes that nothing else catches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "action-id"))]
    pub on_error: Option<String>,
    /// The flow to start when a run of this one ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_complete: Option<String>,
    /// The steps, at least one.
    #[schemars(length(min = 1))]
    pub actions: Vec<Written>,
}

/// An action as written.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Unique in the flow; made from the type when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which action.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, Value>>")]
    pub option: Option<Value>,
    /// Where the exit `done` goes; absent = the next element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "action-id"))]
    pub next: Option<String>,
    /// An older name of `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "action-id", "deprecated" = true))]
    pub next_id: Option<String>,
    /// Where the other exits go.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub on: BTreeMap<String, String>,
    /// When it is false the action is passed over.
    #[serde(rename = "if", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expression>,
    /// The longest that the action may take, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub timeout_s: Option<u64>,
    /// Tries for an effect that fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How often and how soon to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Tries after the first.
    #[schemars(range(min = 1, max = 100))]
    pub times: u32,
    /// Seconds between tries.
    #[serde(default)]
    #[schemars(range(max = 86_400))]
    pub wait_s: u64,
}

fn one() -> u32 {
    1
}
