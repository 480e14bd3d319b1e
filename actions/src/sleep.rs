//! `sleep`: let time pass.

use std::time::Duration;

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step, Wait};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Sleep>(Needs::Nothing)
    .older(&["duration"], |option| option.seconds("duration", "duration_s"));

/// Lets time pass. The run is kept meanwhile, so that a process may end and another go on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["duration"] }, { "required": ["duration_s"] }]))]
struct Sleep {
    /// How long, seconds.
    #[schemars(range(min = 0.001, max = 31_536_000))]
    duration_s: Option<f64>,
    /// How long, milliseconds: the older way to write it, instead of `duration_s`.
    #[schemars(range(min = 1, max = 31_536_000_000_u64))]
    duration: Option<u64>,
}

impl Action for Sleep {
    fn enter(&self, _: &mut Cx<'_>) -> Step {
        let at_most = match (self.duration_s, self.duration) {
            (Some(seconds), _) => Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
            (None, Some(millis)) => Duration::from_millis(millis),
            (None, None) => return Step::exit("failed", "nothing says how long to sleep"),
        };
        Step::Wait(Wait { what: "sleep", at_most: Some(at_most) })
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
