//! The action where a run is, made ready, and asked what to do.

use std::sync::Arc;

use serde_json::Value;

use super::Activeflow;
use super::advance::{Advancing, chosen};
use super::leave::then_id;
use crate::action::{Action, Spec};
use crate::cx::{Cx, Naming};
use crate::link::{Body, Place, from_model};
use crate::shape;
use crate::step::Step;

/// The action of the innermost frame.
pub(super) struct Current<'a> {
    pub(super) id: Arc<str>,
    pub(super) kind: &'static str,
    pub(super) spec: &'static Spec,
    pub(super) place: &'a Place,
    pub(super) action: Result<Held<'a>, String>,
}

/// An action that the flow owns, or one that was made for this moment.
pub(super) enum Held<'a> {
    Flow(&'a dyn Action),
    Own(Box<dyn Action>),
}

impl Held<'_> {
    pub(super) fn get(&self) -> &dyn Action {
        match self {
            Held::Flow(action) => *action,
            Held::Own(action) => action.as_ref(),
        }
    }
}

/// What an action answered, and what it changed.
pub(super) struct Answer {
    pub(super) step: Step,
    pub(super) changed: Vec<String>,
}

impl<'a> Advancing<'a> {
    /// Lets an action act on the run, and takes over what it asks for unless it met a limit.
    pub(super) fn ask(
        &mut self,
        current: &Current<'a>,
        act: impl FnOnce(&mut Cx<'_>) -> Step,
    ) -> Answer {
        let Activeflow { id, vars, strands, medium, .. } = &mut *self.run;
        let none =
            || Answer { step: Step::exit("failed", "the run is nowhere"), changed: Vec::new() };
        let Some(strand) = strands.get_mut(self.at) else { return none() };
        let called = strand.is_called();
        let Some(frame) = strand.frames.last_mut() else { return none() };
        // A model ends its conversation, not the flow that holds it.
        let called = called && frame.then.is_none();
        let before = match frame.counts.is_empty() {
            true => 0,
            false => frame.counts.get(&frame.at).copied().unwrap_or(0),
        };
        let mut cx = Cx {
            now: self.now,
            medium: *medium,
            called,
            vars,
            beside: self.beside,
            zone: &self.flow.zone,
            key: Naming::Of {
                run: id,
                action: &current.id,
                visit: frame.visit,
                attempt: frame.attempt,
            },
            asked: frame.asked,
            count: before,
            commands: Vec::new(),
            changed: Vec::new(),
            fault: None,
        };
        let step = act(&mut cx);
        let Cx { asked, count, commands, changed, fault, .. } = cx;
        if count != before {
            match count {
                0 => frame.counts.remove(&frame.at),
                n => frame.counts.insert(frame.at, n),
            };
        }
        if let Some(why) = fault {
            return Answer { step: Step::exit("failed", &why), changed };
        }
        frame.asked = asked;
        self.out.commands.extend(commands);
        Answer { step, changed }
    }

    /// What the keys of the action of the innermost frame are made of.
    pub(super) fn naming<'b>(&'b self, current: &'b Current<'_>) -> Naming<'b> {
        let frame = self.run.strands.get(self.at).and_then(|strand| strand.frames.last());
        let (visit, attempt) = frame.map_or((0, 0), |frame| (frame.visit, frame.attempt));
        Naming::Of { run: &self.run.id, action: &current.id, visit, attempt }
    }

    /// The action of the innermost frame.
    pub(super) fn current(&self) -> Current<'a> {
        let flow = self.flow;
        let frame = self.run.strands.get(self.at).and_then(|strand| strand.frames.last());
        let place =
            &flow.places[frame.map_or(0, |frame| frame.at as usize).min(flow.places.len() - 1)];
        if let Some(then) = frame.and_then(|frame| frame.then.as_ref()) {
            let ((kind, option), id) = (chosen(then), then_id(place));
            return match from_model(flow.catalog, kind, option) {
                Ok((kind, spec, action)) => {
                    Current { id, kind, spec, place, action: Ok(Held::Own(action)) }
                }
                // It was checked when it came; a newer catalog may see it otherwise.
                Err(why) => {
                    Current { id, kind: place.kind, spec: place.spec, place, action: Err(why) }
                }
            };
        }
        let action = match &place.body {
            Body::Ready(action) => Ok(Held::Flow(action.as_ref())),
            Body::Template(option) => self.fill(place, option).map(Held::Own),
            Body::Broken(why) => Err(why.clone()),
        };
        Current { id: Arc::clone(&place.id), kind: place.kind, spec: place.spec, place, action }
    }

    fn fill(&self, place: &Place, option: &Value) -> Result<Box<dyn Action>, String> {
        let shape = shape::of(place.spec);
        let filled = shape.fill(option, &self.run.vars);
        if let Some(fault) = shape.faults(&filled).first() {
            return Err(format!("option{}: {}", fault.pointer, fault.message));
        }
        (place.spec.read)(&filled)
    }
}
