//! `parallel`: go on at several actions side by side.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Split, Step, Target, Until};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Parallel>(Needs::Nothing).exits(&["failed"]);

/// Goes on at several actions side by side. A branch ends where the flow ends, or when it gets to
/// the action that follows this one; the variables are everybody's. With `until` `all` the flow
/// goes on by `done` when all branches have ended, and by `failed` as soon as nothing in a branch
/// catches a failure; with `first` it goes on by `done` when one has ended, and by `failed` when
/// all have failed. The branches that are left over end with it: what they wait for is waited
/// for no more. A text or an event goes to the first branch that waits for it. A call does one
/// thing at a time: of branches that all want to be heard, one after the other is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parallel {
    /// Where each branch begins.
    #[schemars(length(min = 1, max = 16))]
    branches: Vec<Target>,
    /// When the branches are over together.
    #[serde(default)]
    until: Until,
}

impl Action for Parallel {
    fn enter(&self, _: &mut Cx<'_>) -> Step {
        Step::Split(Split { branches: self.branches.clone(), until: self.until })
    }

    fn resume(&self, event: &Event, _: &mut Cx<'_>) -> Step {
        match event {
            Event::TimedOut { .. } => Step::exit("timeout", "the branches did not end in time"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        Pace::Splits(self.until)
    }
}
