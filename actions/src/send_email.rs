//! `send_email`: send an e-mail.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::service;

/// What this action is.
pub const SPEC: Spec =
    Spec::of::<SendEmail>(Needs::Nothing).exits(&["failed"]).older(&[], |option| {
        option.convert("destinations", "destinations", |all| match all {
            Value::Array(all) => Some(all.into_iter().map(target).collect()),
            other => Some(other),
        });
    });

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 300;

/// Sends an e-mail.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendEmail {
    /// To whom: addresses such as `ann@example.com`.
    #[schemars(length(min = 1, max = 100))]
    destinations: Vec<String>,
    /// The subject.
    #[schemars(length(min = 1))]
    subject: String,
    /// The text.
    #[schemars(length(min = 1))]
    content: String,
    /// What is attached.
    #[serde(default)]
    attachments: Vec<Attachment>,
}

/// A file that goes with it.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Attachment {
    /// What it is: `recording`.
    reference_type: String,
    /// Which one.
    reference_id: String,
}

/// The older dialect writes `{ "type": "email", "target": "ann@example.com" }`.
fn target(written: Value) -> Value {
    match written.get("target") {
        Some(target) => target.clone(),
        None => written,
    }
}

impl Action for SendEmail {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "send_email", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "send_email")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
