//! Agents that are configured once, and that flows name.

use std::collections::BTreeMap;

use agent::Config;
use serde_json::Value;

/// Configured agents by id.
#[derive(Clone, Debug, Default)]
pub struct Agents(pub BTreeMap<String, Config>);

impl Agents {
    /// What a flow says of an agent, or the configured one when it names one.
    ///
    /// # Errors
    /// A sentence: no such agent is configured.
    pub(crate) fn resolve(&self, told: Value) -> Result<Value, String> {
        let Some(id) = told.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) else {
            return Ok(told);
        };
        let known = || self.0.get(id).or_else(|| self.0.values().find(|agent| agent.name == id));
        let agent = known().ok_or_else(|| {
            format!("no agent `{id}` is configured; add an [[ai]] with `id = \"{id}\"`")
        })?;
        serde_json::to_value(agent).map_err(|error| format!("the agent `{id}`: {error}"))
    }
}
