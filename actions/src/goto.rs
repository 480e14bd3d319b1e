//! `goto`: go on at another action, so many times or always.

use flow::{Action, Cx, Needs, Pace, Spec, Step, Target};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Goto>(Needs::Nothing)
    .renamed(&[("target_id", "target"), ("loop_count", "times")])
    // Without a count it did not jump.
    .older(&[], |option| option.set("times", 0));

/// Goes on at another action. With `times` it does so that many times, then goes on with the
/// next action, and counts anew when it is reached again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Goto {
    /// Where to go.
    target: Target,
    /// How many times; without it, always, which a loop may do only if it passes a wait.
    #[schemars(range(max = 10_000))]
    times: Option<u32>,
}

impl Action for Goto {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        match self.times {
            Some(times) if !cx.count(times) => Step::Next,
            _ => Step::Jump(self.target.clone()),
        }
    }

    fn pace(&self) -> Pace {
        if self.times.is_some() { Pace::Counts } else { Pace::Jumps }
    }
}
