//! `sleep`: let time pass.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Sleep>(Needs::Nothing);

/// Lets time pass. The run is kept meanwhile, so that a process may end and another go on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sleep {
    /// How long, seconds.
    #[schemars(range(min = 1, max = 31_536_000))]
    duration_s: u64,
}

impl Action for Sleep {
    fn enter(&self, _: &mut Cx<'_>) -> Step {
        Step::wait("sleep", self.duration_s)
    }

    fn resume(&self, event: &Event, _: &mut Cx<'_>) -> Step {
        match event {
            Event::TimedOut { .. } => Step::Next,
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        Pace::Waits
    }
}
