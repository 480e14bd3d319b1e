//! Actions that a service beside the engine carries out, such as a waiting queue or a mailer.

use flow::older::Rewriting;
use flow::{Cx, Deed, Event, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Asks the service of this action type for its work, and waits for the end at most so long.
pub(crate) fn enter(cx: &mut Cx<'_>, name: &'static str, options: &impl Serialize, s: u64) -> Step {
    match serde_json::to_value(options) {
        Ok(option) => {
            cx.ask(Deed::Service { name: name.into(), option });
            Step::wait(name, s)
        }
        Err(why) => Step::exit("failed", &format!("the options cannot be told: {why}")),
    }
}

/// Leaves by the exit that the service names. What it learned is set under `prefix`.
pub(crate) fn resume(event: &Event, cx: &mut Cx<'_>, prefix: &str) -> Step {
    match event {
        Event::Done { exit, values, why, .. } => {
            for (name, value) in values {
                cx.set(&format!("{prefix}.{name}"), value.clone());
            }
            Step::exit(exit, why)
        }
        Event::TimedOut { .. } => Step::exit("failed", "nobody told how it ended"),
        _ => Step::Stay,
    }
}

/// Options of the older dialect that name an agent.
pub(crate) const ASSISTANT: &[&str] = &["assistance_type", "assistance_id", "ai_id"];

/// Puts them into today's `ai`.
pub(crate) fn assistant(option: &mut Rewriting) {
    for older in ["assistance_id", "ai_id"] {
        option.convert(older, "ai", |id| Some(json!({ "id": id })));
    }
    option.drop(ASSISTANT);
}

/// Whose words.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    /// The caller's.
    In,
    /// Ours.
    Out,
    /// Both.
    #[default]
    Both,
}

/// Puts the older words for `anonymous` into today's.
pub(crate) fn anonymous(option: &mut Rewriting) {
    option.convert("anonymous", "anonymous", |word| match word.as_str() {
        Some("yes") => Some(true.into()),
        // `auto` does as the caller does, whose own number is what is shown.
        Some("no" | "auto" | "") => None,
        _ => Some(word),
    });
}
