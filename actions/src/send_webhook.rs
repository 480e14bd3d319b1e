//! `send_webhook`: ask a server, and keep the answer.

use std::collections::BTreeMap;

use flow::{Action, Cx, Deed, Event, Needs, Pace, Spec, Step, text};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::method::Method;

/// What this action is.
pub const SPEC: Spec = Spec::of::<SendWebhook>(Needs::Nothing)
    .exits(&["failed", "timeout"])
    .renamed(&[("uri", "url"), ("data", "body")])
    .older(&["data_type", "sync"], |option| {
        option.convert("data_type", "headers", |kind| match kind.as_str() {
            Some("") | None => None,
            Some(kind) => Some(json!({ "Content-Type": kind })),
        });
        option.convert("method", "method", |method| match method.as_str() {
            Some("") | None => None,
            Some(method) => Some(method.to_uppercase().into()),
        });
        let wait = option.is_true("sync");
        option.drop(&["sync"]);
        option.set("wait", wait);
    });

/// How much later than the server the engine may be, seconds.
const GRACE_S: u64 = 30;

/// Asks a server over HTTP. The answer is in `webhook.body`, read when it is JSON, and its status
/// in `webhook.status`; with `into` both stand below that name instead. A status of 400 or more is
/// the exit `failed`, and the answer can be read all the same.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendWebhook {
    /// Where, `https://` or `http://`.
    #[schemars(length(min = 1))]
    url: String,
    /// How.
    #[serde(default)]
    method: Method,
    /// More headers: names and values.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What is sent: a text as it is, anything else as JSON.
    body: Option<Value>,
    /// How long the answer may take, seconds.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 300))]
    timeout_s: u64,
    /// The name below which the answer is kept: `<into>.body`, `<into>.status`.
    #[serde(default = "webhook")]
    #[schemars(length(min = 1, max = 128))]
    into: String,
    /// Whether the flow waits for the answer. When it does not, nothing is kept, and a failure
    /// is only noted.
    #[serde(default = "yes")]
    wait: bool,
}

fn ten() -> u64 {
    10
}

fn webhook() -> String {
    "webhook".into()
}

fn yes() -> bool {
    true
}

impl Action for SendWebhook {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        cx.ask(Deed::Request {
            method: self.method.word().into(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            timeout_s: self.timeout_s,
        });
        match self.wait {
            true => Step::wait("send_webhook", self.timeout_s + GRACE_S),
            false => Step::Next,
        }
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        let (exit, values, why) = match event {
            Event::Done { exit, values, why, .. } => (exit, values, why),
            Event::TimedOut { .. } => {
                return Step::exit("timeout", "nobody told what the server answered");
            }
            _ => return Step::Stay,
        };
        for name in ["status", "body"] {
            let value = values.get(name).cloned().unwrap_or_default();
            cx.set(&format!("{}.{name}", self.into), value);
        }
        match values.get("status").and_then(Value::as_u64) {
            Some(status) if status >= 400 => {
                let said = values.get("body").map(text::plain).unwrap_or_default();
                let said: String = said.chars().take(200).collect();
                Step::exit("failed", &format!("the server answered {status}: {said}"))
            }
            Some(_) | None => Step::exit(exit, why),
        }
    }

    fn pace(&self) -> Pace {
        if self.wait { Pace::Effect } else { Pace::Instant }
    }

    fn sets(&self) -> Vec<String> {
        ["status", "body"].iter().map(|name| format!("{}.{name}", self.into)).collect()
    }
}
