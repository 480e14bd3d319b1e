//! `ai_task`: let an AI agent work by itself, with its tools.

use agent::Config;
use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<AiTask>(Needs::Nothing)
    .exits(&["failed", "timeout"])
    .older(service::ASSISTANT, service::assistant)
    .ended_older_runs();

/// It is cut off by itself; a run whose agent was lost goes on this much later, seconds.
const GRACE_S: u64 = 30;

/// Lets an AI agent work by itself with its tools, without talking to anybody: its prompt says what
/// to do. What it says at the end is in `ai_task.text`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AiTask {
    /// The agent.
    ai: Config,
    /// The longest it may work, seconds.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 1, max = 600))]
    duration_s: u64,
}

fn half_a_minute() -> u64 {
    30
}

impl Action for AiTask {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "ai_task", self, self.duration_s + GRACE_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "ai_task")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
