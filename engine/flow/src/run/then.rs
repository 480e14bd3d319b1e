//! An action that a model chose to end its conversation with, run before the flow goes on.

use serde_json::Value;

use super::advance::{Advancing, Go, chosen};
use super::current::{Answer, Current};
use super::leave::then_id;
use super::strand::Frame;
use crate::action::Tool;
use crate::limits;
use crate::link::from_model;
use crate::step::Step;

impl<'a> Advancing<'a> {
    pub(super) fn then(&mut self, current: &Current<'a>, answer: Answer, then: Value) -> Go {
        let why = match answer.step {
            Step::Exit { why, .. } => why,
            _ => String::new(),
        };
        self.taken(&current.id, current.kind, "done", why, answer.changed);
        let (kind, option) = chosen(&then);
        let known = self.flow.catalog.get(kind).filter(|(_, spec)| spec.tool != Tool::No);
        let known = known.map(|(kind, _)| kind);
        // Where the author has put an action of this type, the author's options count.
        if let Some(next) = current.place.next
            && known.is_some()
            && known == self.flow.places.get(next as usize).map(|place| place.kind)
        {
            return Go::To(Some(next));
        }
        let depth = self.depth();
        let fault = match from_model(self.flow.catalog, kind, option) {
            Err(why) => Some(why),
            Ok((kind, ..)) if known.is_none() => Some(format!("`{kind}` is no tool")),
            Ok(_) if limits::size(&then) > limits::ONE_VALUE => {
                Some(format!("the options of `{kind}` are too large"))
            }
            Ok(_) if depth >= limits::DEPTH => {
                Some(format!("{depth} frames lie on each other already"))
            }
            Ok(_) => None,
        };
        if let Some(why) = fault {
            let kind = known.map_or_else(|| kind.to_owned().into(), Into::into);
            let kind: std::borrow::Cow<'static, str> = kind;
            self.taken(&then_id(current.place), kind, "failed", why.as_str(), Vec::new());
            return self.route(current.place, "failed", &why);
        }
        if let Some(strand) = self.strand() {
            let at = strand.frames.last().map_or(0, |frame| frame.at);
            strand.frames.push(Frame::then(at, then));
        }
        Go::Again
    }
}
