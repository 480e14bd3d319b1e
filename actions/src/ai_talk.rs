//! `ai_talk`: hold a conversation by an AI agent, spoken or written.

use agent::Config;
use flow::{Action, Cx, Deed, Event, Medium, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<AiTalk>(Needs::Nothing)
    .exits(&["no_input", "timeout", "failed"])
    .older(crate::service::ASSISTANT, |option| {
        crate::service::assistant(option);
        option.convert("duration", "duration", |s| (s.as_f64() != Some(0.0)).then_some(s));
    })
    .ended_older_runs();

/// The conversation itself keeps to its duration; a run whose conversation was lost goes on this
/// much later, seconds.
const GRACE_S: u64 = 60;

/// How long a run of texts waits for the reply, seconds.
const REPLY_S: u64 = 120;

/// Holds a conversation by an AI agent. On a call it lasts until the caller, the agent or the
/// time ends it. On a thread of texts the agent answers this text and the later ones, and the
/// flow goes on at once unless it shall `wait` for the reply. When the agent ends a call's
/// conversation by taking an action, `ai_talk.ended_by` holds its type, such as `connect_call`;
/// the action runs before the flow goes on, or as the next action when that is of its type.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AiTalk {
    /// The agent.
    ai: Config,
    /// The longest that the conversation may last, seconds.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 1, max = 86_400))]
    duration: u64,
    /// Texts: whether the flow waits until the reply is sent.
    #[serde(default)]
    wait: bool,
}

fn ten_minutes() -> u64 {
    600
}

impl Action for AiTalk {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let wait = match cx.medium {
            Medium::Call => true,
            Medium::Text => self.wait,
            Medium::None => return Step::exit("failed", "there is nobody to talk to"),
        };
        let agent = match serde_json::to_value(&self.ai) {
            Ok(agent) => agent,
            Err(why) => return Step::exit("failed", &format!("the agent cannot be told: {why}")),
        };
        cx.ask(Deed::Talk { agent, duration_s: self.duration, wait });
        match (cx.medium, wait) {
            // Whoever runs this knows at once whether there is such an agent.
            (_, false) if !self.ai.id.is_empty() => Step::wait("ai_talk", REPLY_S),
            (_, false) => Step::Next,
            (Medium::Call, true) => Step::wait("ai_talk", self.duration + GRACE_S),
            (_, true) => Step::wait("ai_talk", REPLY_S),
        }
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        match event {
            Event::Done { exit, why, then, .. } => {
                let ended_by = then.as_ref().and_then(|then| then.get("type")?.as_str());
                cx.set("ai_talk.ended_by", ended_by.unwrap_or_default());
                Step::exit(exit, why)
            }
            Event::ServiceStopped => {
                cx.ask(Deed::StopService);
                Step::exit("done", "the conversation was stopped from outside")
            }
            Event::TimedOut { .. } => {
                if cx.medium == Medium::Call {
                    cx.ask(Deed::StopService);
                }
                Step::exit("timeout", "the conversation did not come to its end in time")
            }
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        Pace::Waits
    }

    fn sets(&self) -> Vec<String> {
        let sets = |name: &String| matches!(name.as_str(), "all" | "set_variables");
        if self.ai.tool_names.iter().any(sets) { vec!["*".into()] } else { Vec::new() }
    }
}
