//! The action where a run is, made ready, and asked what to do.

use serde_json::Value;

use super::Activeflow;
use super::advance::Advancing;
use crate::action::{Action, Cx, Spec, Step};
use crate::link::{Body, Place, from_model};
use crate::shape;

/// The action of the innermost frame.
pub(super) struct Current<'a> {
    pub(super) id: String,
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
        let key = self.key(&current.id);
        let Activeflow { vars, frames, counts, medium, .. } = &mut *self.run;
        let (at, asked) = frames.last().map_or((0, 0), |frame| (frame.at, frame.asked));
        let mut cx = Cx {
            now: self.now,
            medium: *medium,
            vars,
            zone: &self.flow.zone,
            key,
            asked,
            count: counts.get(&at).copied().unwrap_or(0),
            commands: Vec::new(),
            changed: Vec::new(),
            fault: None,
        };
        let before = cx.count;
        let step = act(&mut cx);
        let Cx { asked, count, commands, changed, fault, .. } = cx;
        if count != before {
            match count {
                0 => counts.remove(&at),
                n => counts.insert(at, n),
            };
        }
        if let Some(why) = fault {
            return Answer { step: Step::exit("failed", &why), changed };
        }
        if let Some(frame) = frames.last_mut() {
            frame.asked = asked;
        }
        self.out.commands.extend(commands);
        Answer { step, changed }
    }

    /// The action of the innermost frame.
    pub(super) fn current(&self) -> Current<'a> {
        let flow = self.flow;
        let frame = self.run.frames.last();
        let place =
            &flow.places[frame.map_or(0, |frame| frame.at as usize).min(flow.places.len() - 1)];
        if let Some(then) = frame.and_then(|frame| frame.then.as_ref()) {
            let kind = then.get("type").and_then(Value::as_str).unwrap_or_default();
            let option = then.get("option").unwrap_or(&Value::Null);
            let id = format!("{}.then", place.id);
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
        };
        Current { id: place.id.clone(), kind: place.kind, spec: place.spec, place, action }
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
