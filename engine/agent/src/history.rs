//! What was said: items in order, trimmed by size, never losing half a tool pair.

use serde::{Deserialize, Serialize};

/// One thing that was said or done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Item {
    /// What the agent is told.
    System {
        /// The words.
        text: String,
    },
    /// The caller or texter.
    User {
        /// The words.
        text: String,
    },
    /// The agent: words as far as they were heard, and the tools that it took.
    Assistant {
        /// The words.
        text: String,
        /// The tools.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<ToolCall>,
    },
    /// What a tool answered.
    Tool {
        /// Which call it answers.
        call_id: String,
        /// The answer, JSON or plain text.
        text: String,
    },
}

/// A tool that the model takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The model's id of the call.
    pub id: String,
    /// The action type.
    pub name: String,
    /// JSON as the model wrote it, perhaps broken.
    pub arguments: String,
}
