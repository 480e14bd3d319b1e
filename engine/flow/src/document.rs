//! A flow as its author wrote it, perhaps wrong.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Vars;

/// A flow as written. A bare array of actions is a document too.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Where editors find the schema.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version of the language; 1 when absent.
    #[serde(default = "one")]
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
    /// Where every failure exit goes that nothing else catches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<String>,
    /// The flow to start when a run of this one ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_complete: Option<String>,
    /// The steps, at least one.
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
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub option: Value,
    /// Where the exit `done` goes; absent = the next element.
    #[serde(default, alias = "next_id", skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Where the other exits go.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub on: BTreeMap<String, String>,
    /// An expression; when it is false the action is passed over.
    #[serde(rename = "if", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The longest the action may take, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Tries for an effect that fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How often and how soon to try again.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Tries after the first.
    pub times: u32,
    /// Seconds between tries.
    pub wait_s: u64,
}

fn one() -> u32 {
    1
}
