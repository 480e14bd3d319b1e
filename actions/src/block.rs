//! `block`: wait for anything from outside, as the older dialect does.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::wait_event::{pace, take, wait};

/// What this action is.
pub const SPEC: Spec = Spec::of::<Block>(Needs::Nothing)
    .exits(&["timeout"])
    // It had no deadline, but what a run was about was forgotten after a day.
    .older(&[], |option| option.set("timeout_s", 86_400));

/// Waits until somebody outside brings an event to this run, whatever it is called. Its name is
/// then in `event.name`, what it brings in `event.*`. The plain way to write this today is
/// `wait_event`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Block {
    /// How long to wait, seconds. Needed, here or as the action's own `timeout_s`.
    #[schemars(range(min = 1, max = 31_536_000))]
    timeout_s: Option<u64>,
}

impl Action for Block {
    fn enter(&self, _: &mut Cx<'_>) -> Step {
        wait(self.timeout_s)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        match event {
            Event::Signal { name, values } => take(name, values, cx),
            Event::TimedOut { .. } => Step::exit("timeout", "nothing came"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        pace(self.timeout_s)
    }
}
