//! What brought a run on, for its history: enough to play it again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Activeflow, Advance, Flows, Taken};
use crate::event::{Event, Vars};

/// The exit of an action from which another flow was entered; the action itself is left later.
const CALLED: &str = "called";
/// The exit of the first action when it has led on without being left.
const BEGAN: &str = "began";

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
    /// only that another flow was entered, or branches at the beginning; it costs a copy of the event.
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
        let exit = match event {
            Event::Started => BEGAN,
            Event::Done { .. } => CALLED,
            _ => "",
        };
        let mut advance = self.advance(flows, now, event);
        if let Some(first) = advance.taken.first_mut() {
            first.cause = cause;
            return advance;
        }
        let here = here.or_else(|| self.action(flows).map(|(id, kind)| (id.to_owned(), kind)));
        // A run that has only arrived at its first action has nothing to tell yet.
        let told = exit == CALLED || exit == BEGAN && self.entered > 1;
        if let Some((action, kind)) = here.filter(|_| told && !advance.dropped) {
            advance.taken.push(Taken {
                flow: String::new(),
                action: action.into(),
                kind: kind.into(),
                exit: exit.into(),
                why: "".into(),
                at: now,
                changed: Vec::new(),
                cause,
            });
        }
        advance
    }
}
