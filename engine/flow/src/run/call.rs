//! Flows that call flows, and whose variables they see.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Activeflow;
use super::advance::{Advancing, Go};
use super::current::Current;
use super::strand::{Called, Frame};
use crate::event::{Outcome, Vars};
use crate::limits;
use crate::link::{Flow, is_given};
use crate::step::{Call, Step};
use crate::text;

impl<'a> Advancing<'a> {
    /// Enters another flow.
    pub(super) fn call(&mut self, current: &Current<'a>, call: Call, changed: Vec<String>) -> Go {
        let (flow, visit) = match (self.flows.get(&call.version), self.frame()) {
            (Some(flow), Some(frame)) if frame.then.is_none() => (flow, frame.visit),
            _ => {
                let why = format!("the flow version {} is not at hand", call.version);
                return self.leave(current, "failed", &why, changed);
            }
        };
        if let Some(why) = self.refused(flow, &call) {
            return self.leave(current, "failed", &why, changed);
        }
        let Call { version, arguments, results, isolated } = call;
        let (scope, mut before) = if isolated { (visit, Vars::new()) } else { (0, Vars::new()) };
        if isolated {
            self.run.load(scope);
        } else {
            for name in arguments.keys() {
                let old = self.run.vars.get(name).cloned();
                before.insert(name.clone(), old.unwrap_or(Value::Null));
            }
        }
        self.run.vars.extend(arguments);
        for (name, default) in &flow.variables {
            self.run.vars.entry(name.clone()).or_insert_with(|| default.clone());
        }
        if let Some(strand) = self.strand() {
            strand.frames.push(Frame::called(Called { version, scope, results, before }));
        }
        self.flow = flow;
        self.beside = self.run.beside();
        Go::To(Some(0))
    }

    /// Why a flow cannot be entered, if so.
    fn refused(&self, flow: &Flow, call: &Call) -> Option<String> {
        let depth = self.depth();
        if depth >= limits::DEPTH {
            return Some(format!("{depth} flows have called each other already"));
        }
        let misfit = flow.places.iter().find(|place| !place.spec.needs.met_by(self.run.medium));
        if let Some(place) = misfit {
            let needs = place.spec.needs.words();
            return Some(format!("`{}` in the flow `{}` needs {needs}", place.id, flow.name));
        }
        let large = limits::refuse_all(&call.arguments);
        if large.is_some() {
            return large;
        }
        let new = limits::size_of(&call.arguments) + limits::size_of(&flow.variables);
        let all = new + limits::size_of(&self.run.vars) + self.beside;
        (all > limits::ALL_VARIABLES).then(|| {
            let most = limits::ALL_VARIABLES;
            format!("with its variables the run would hold {all} bytes; it has at most {most}")
        })
    }

    /// Leaves the innermost flow that was called, and the action that called it by an exit.
    pub(super) fn back(&mut self, exit: &str, why: &str) -> Go {
        let Some(strand) = self.strand() else { return Go::Halt };
        let (mut called, mut split) = (None, false);
        while called.is_none()
            && let Some(frame) = strand.frames.pop()
        {
            split |= frame.split.is_some();
            called = frame.called;
        }
        let Some(Called { scope, results, before, .. }) = called.map(|called| *called) else {
            // Nothing was called; where that could be asked for, it is asked first.
            return self.end(Outcome::Failed, "no flow was called".into());
        };
        if split {
            self.cancel("the flow that they were in is over");
        }
        let brought: BTreeMap<String, Value> = results
            .into_iter()
            .filter_map(|(ours, its)| Some((ours, text::lookup(&self.run.vars, &its)?.clone())))
            .collect();
        for (name, value) in before {
            match value {
                Value::Null => self.run.vars.remove(&name),
                value => self.run.vars.insert(name, value),
            };
        }
        if !self.turn_to(self.at) {
            return Go::Halt;
        }
        if scope != 0 {
            self.run.aside.remove(&scope);
            self.beside = self.run.beside();
        }
        let current = self.current();
        let answer = self.ask(&current, |cx| {
            for (name, value) in brought {
                cx.set(&name, value);
            }
            Step::exit(exit, why)
        });
        self.step(&current, answer)
    }

    /// How many flows and actions of models lie on each other in the present strand, and in those
    /// that it branched off.
    pub(super) fn depth(&self) -> usize {
        let strands = &self.run.strands;
        let (mut at, mut depth) = (self.at, 0);
        while let Some(strand) = strands.get(at) {
            depth += strand.frames.len();
            if strand.id == 0 {
                break;
            }
            // A branch stands behind the strand that it belongs to.
            match strands[..at].iter().position(|other| other.id == strand.of) {
                Some(of) => at = of,
                None => break,
            }
        }
        depth
    }
}

impl Activeflow {
    /// Changes over to the variables of a scope. Those that come from outside are everybody's.
    pub(super) fn load(&mut self, scope: u64) {
        if self.scope == scope {
            return;
        }
        let vars = std::mem::take(&mut self.vars);
        let (given, own) = vars.into_iter().partition(|(name, _)| is_given(name));
        self.vars = given;
        self.aside.insert(self.scope, own);
        self.vars.extend(self.aside.remove(&scope).unwrap_or_default());
        self.scope = scope;
    }

    /// Bytes of the variables that are not seen now.
    pub(super) fn beside(&self) -> usize {
        let aside: usize = self.aside.values().map(limits::size_of).sum();
        let frames = self.strands.iter().flat_map(|strand| &strand.frames);
        let called = frames.filter_map(|frame| frame.called.as_deref());
        aside + called.map(|called| limits::size_of(&called.before)).sum::<usize>()
    }

    /// Forgets the variables of scopes that nothing needs any more.
    pub(super) fn forget(&mut self) {
        let strands = &self.strands;
        self.aside.retain(|scope, _| {
            *scope == 0 || strands.iter().any(|strand| strand.scopes().any(|used| used == *scope))
        });
    }
}
