//! What an agent may do: actions of the flow language, taken by a model.

use async_trait::async_trait;
use serde_json::Value;

use crate::history::ToolCall;

/// A tool as a model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// The action type.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON schema of its arguments.
    pub parameters: Value,
}

/// Takes tools for a model. Given to a talk or a chat by whoever owns the run.
#[async_trait]
pub trait Tools: Send + Sync {
    /// What is on offer.
    fn list(&self) -> Vec<Tool>;

    /// Takes one. The same `key` (session, turn, call id) never acts twice. Failures are answers
    /// too: the model must hear of every one.
    async fn take(&self, key: &str, call: &ToolCall) -> Took;
}

/// What came of a tool.
#[derive(Clone, Debug, PartialEq)]
pub enum Took {
    /// Tell the model this, and let it speak on when `speak`.
    Result {
        /// The answer.
        value: Value,
        /// Whether the model is asked again at once.
        speak: bool,
    },
    /// The conversation ends after its goodbye; the run goes on with `then`, if any, before its
    /// next action.
    Ends {
        /// `{"type", "option"}` of the action to run first.
        then: Option<Value>,
        /// Whether the whole run ends.
        stop: bool,
    },
}
