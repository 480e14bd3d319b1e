//! `wait_message`: wait for the next text of the thread.

use std::time::Duration;

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step, Wait};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<WaitMessage>(Needs::Text).exits(&["timeout"]);

/// Waits for the next text of the thread. It is then in `message.text`, its sender in
/// `message.from`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WaitMessage {
    /// How long to wait, seconds. Needed, here or as the action's own `timeout_s`.
    #[schemars(range(min = 1, max = 31_536_000))]
    timeout_s: Option<u64>,
    /// A variable that takes the text, too.
    #[schemars(length(min = 1))]
    into: Option<String>,
}

impl Action for WaitMessage {
    fn enter(&self, _: &mut Cx<'_>) -> Step {
        Step::Wait(Wait { what: "message", at_most: self.timeout_s.map(Duration::from_secs) })
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        match event {
            Event::Message { text, values } => {
                for (name, value) in values {
                    cx.set(&format!("message.{name}"), value.clone());
                }
                cx.set("message.text", text.as_str());
                if let Some(into) = &self.into {
                    cx.set(into, text.as_str());
                }
                Step::Next
            }
            Event::TimedOut { .. } => Step::exit("timeout", "no text came"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        if self.timeout_s.is_some() { Pace::Waits } else { Pace::WaitsForEver }
    }

    fn sets(&self) -> Vec<String> {
        self.into.iter().cloned().collect()
    }
}
