//! What brought a run on, for its history: enough to play it again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Activeflow, Advance, Flows, Taken};
use crate::event::{Event, Vars};

/// The exit of an action from which another flow was entered; the action itself is left later.
const CALLED: &str = "called";

/// What brought a run on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// What happened.
    pub event: Event,
    /// The variables that the run began with; told once, with the first action that it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Vars>,
}

impl Activeflow {
    /// [`Activeflow::advance`], with the event noted in the history. What is noted beside it is
    /// only that another flow was entered; it costs a copy of the event.
    pub fn advance_noted<'a>(
        &mut self,
        flows: impl Into<Flows<'a>>,
        now: Timestamp,
        event: Event,
    ) -> Advance {
        let flows = flows.into();
        // Until its first action is left, a run has the variables that it began with.
        let given = (self.entered <= 1).then(|| self.vars.clone());
        let cause = Some(Box::new(Cause { event: event.clone(), given }));
        let here = self.action(flows).map(|(action, kind)| (action.to_owned(), kind));
        let answered = matches!(event, Event::Done { .. });
        let mut advance = self.advance(flows, now, event);
        match (advance.taken.first_mut(), here) {
            (Some(first), _) => first.cause = cause,
            (None, Some((action, kind))) if answered && !advance.dropped => {
                let (exit, why) = (CALLED.into(), "".into());
                let (flow, action, kind) = (String::new(), action.into(), kind.into());
                let changed = Vec::new();
                let taken = Taken { flow, action, kind, exit, why, at: now, changed, cause };
                advance.taken.push(taken);
            }
            (None, _) => {}
        }
        advance
    }
}
