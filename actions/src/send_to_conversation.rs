//! `send_to_conversation`: write into another thread.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<SendToConversation>(Needs::Nothing)
    .exits(&["failed", "opted_out"])
    .renamed(&[("conversation_id", "conversation")])
    .older(&["sync"], |option| option.drop(&["sync"]));

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 300;

/// Sends a text into a thread of texts.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendToConversation {
    /// The thread, by id.
    #[schemars(length(min = 1))]
    conversation: String,
    /// The text.
    #[schemars(length(min = 1))]
    text: String,
}

impl Action for SendToConversation {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "send_to_conversation", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "send_to_conversation")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
