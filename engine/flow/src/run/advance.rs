//! From action to action until the run waits or ends.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::current::{Answer, Current};
use super::leave::RETRY;
use super::strand::{Frame, Strand, Waiting};
use super::{Activeflow, Advance, Flows};
use crate::action::Pace;
use crate::event::{Event, Medium, Outcome};
use crate::expression::World;
use crate::limits;
use crate::link::Flow;
use crate::step::{Step, Target, Wait};

/// One event on its way through a run.
pub(super) struct Advancing<'a> {
    pub(super) run: &'a mut Activeflow,
    pub(super) flows: Flows<'a>,
    /// The flow where the present strand is.
    pub(super) flow: &'a Flow,
    /// The present strand, by its place among all.
    pub(super) at: usize,
    /// Branches that have yet to begin, by their ids, and where.
    pub(super) ready: VecDeque<(u32, Option<u32>)>,
    /// Bytes that the run holds beside the variables that are seen.
    pub(super) beside: usize,
    pub(super) now: Timestamp,
    pub(super) out: Advance,
    /// Actions entered since the event.
    entered: u32,
}

/// What comes next.
pub(super) enum Go {
    /// Enter the action at this place; `None` = the flow is at its end.
    To(Option<u32>),
    /// Enter the action of the innermost frame, for the first time or again.
    Again,
    /// Nothing: the strand waits or the run has ended.
    Halt,
}

impl<'a> Advancing<'a> {
    pub(super) fn new(run: &'a mut Activeflow, flows: Flows<'a>, now: Timestamp) -> Self {
        Self {
            run,
            flows,
            flow: flows.own(),
            at: 0,
            ready: VecDeque::new(),
            beside: 0,
            now,
            out: Advance::default(),
            entered: 0,
        }
    }

    pub(super) fn take(mut self, event: Event) -> Advance {
        let go = if self.run.outcome.is_some() { self.drop() } else { self.on(event) };
        self.follow(go);
        while let Some((id, to)) = self.ready.pop_front() {
            let Some(at) = self.run.strands.iter().position(|strand| strand.id == id) else {
                continue;
            };
            if self.turn_to(at) {
                self.follow(Go::To(to));
            }
        }
        self.out
    }

    fn on(&mut self, event: Event) -> Go {
        match &event {
            Event::Started => {
                if self.run.entered > 0 {
                    return self.drop();
                }
                self.run.strands.push(Strand::default());
                match self.run.begins() {
                    Ok(()) => Go::To(Some(0)),
                    Err(why) => self.end(Outcome::Limit, why),
                }
            }
            Event::HungUp { cause } => {
                if self.run.medium != Medium::Call {
                    return self.drop();
                }
                let why = format!("the call ended: {}", cause.word());
                self.leave_all("hung_up", &why);
                self.end(Outcome::HungUp, why)
            }
            Event::Stopped { why } => {
                self.leave_all("stopped", why);
                self.end(Outcome::Stopped, why.clone())
            }
            Event::Done { key, .. } | Event::TimedOut { key } => {
                let waits =
                    |strand: &Strand| strand.waiting.as_ref().is_some_and(|w| w.key == *key);
                let Some(at) = self.run.strands.iter().position(waits) else { return self.drop() };
                let again = self.waits_to_retry(at);
                match (again, matches!(event, Event::TimedOut { .. })) {
                    (true, false) => self.drop(),
                    _ if !self.turn_to(at) => Go::Halt,
                    (true, true) => {
                        self.run.strands[at].waiting = None;
                        Go::Again
                    }
                    (false, _) => self.resume(event).unwrap_or_else(|| self.drop()),
                }
            }
            Event::Message { .. } | Event::Signal { .. } | Event::ServiceStopped => {
                self.offer(event)
            }
        }
    }

    /// Brings an event that names no wait to the first strand that takes it.
    fn offer(&mut self, event: Event) -> Go {
        for at in 0..self.run.strands.len() {
            if self.run.strands[at].waiting.is_none() || self.waits_to_retry(at) {
                continue;
            }
            if !self.turn_to(at) {
                return Go::Halt;
            }
            if let Some(go) = self.resume(event.clone()) {
                return go;
            }
            if event == Event::ServiceStopped && self.run.strands[at].is_called() {
                self.run.strands[at].waiting = None;
                return self.back("done", "it was stopped from outside");
            }
        }
        self.drop()
    }

    fn waits_to_retry(&self, at: usize) -> bool {
        self.run.strands[at].waiting.as_ref().is_some_and(|waiting| waiting.what == RETRY)
    }

    pub(super) fn strand(&mut self) -> Option<&mut Strand> {
        self.run.strands.get_mut(self.at)
    }

    pub(super) fn frame(&mut self) -> Option<&mut Frame> {
        self.strand()?.frames.last_mut()
    }

    /// Whether the action is one that a model chose, which stands nowhere in the flow.
    pub(super) fn is_inline(&mut self) -> bool {
        self.frame().is_some_and(|frame| frame.then.is_some())
    }

    fn drop(&mut self) -> Go {
        self.run.dropped += 1;
        self.out.dropped = true;
        Go::Halt
    }

    pub(super) fn end(&mut self, outcome: Outcome, why: String) -> Go {
        self.run.end(outcome, why);
        self.ready.clear();
        Go::Halt
    }

    fn follow(&mut self, mut go: Go) {
        loop {
            go = match go {
                Go::Halt => return,
                Go::To(to) => self.go(to),
                Go::Again => self.arrive(),
            }
        }
    }

    fn go(&mut self, to: Option<u32>) -> Go {
        let Some(strand) = self.run.strands.get_mut(self.at) else { return Go::Halt };
        let branch = strand.id != 0;
        match to {
            Some(at) if !branch || !strand.ends_at(at) => {
                match strand.frames.last_mut() {
                    Some(frame) => frame.go(at),
                    None => {
                        let frame = Frame { at, attempt: 1, ..Frame::default() };
                        strand.frames.push(frame);
                    }
                }
                self.arrive()
            }
            None if strand.is_called() => self.back("done", ""),
            Some(_) | None if branch => self.over(Ok(())),
            Some(_) | None => self.end(Outcome::Finished, String::new()),
        }
    }

    /// Enters the action of the innermost frame.
    fn arrive(&mut self) -> Go {
        if self.entered >= limits::BETWEEN_WAITS {
            let why = format!("{} actions ran without a wait between them", self.entered);
            return self.end(Outcome::Limit, why);
        }
        if self.run.entered >= limits::IN_A_LIFE {
            return self.end(Outcome::Limit, format!("the run had {} actions", self.run.entered));
        }
        self.entered += 1;
        self.run.entered += 1;
        let visit = self.run.entered;
        let Some(frame) = self.frame() else { return self.lost() };
        if frame.visit == 0 {
            frame.visit = visit;
        }
        frame.asked = 0;
        let (at, first, inline) = (frame.at, frame.attempt == 1, frame.then.is_some());
        let Some(place) = self.flow.places.get(at as usize) else { return self.lost() };
        if let Some(condition) = place.condition.as_ref().filter(|_| first && !inline) {
            let world = World { vars: &self.run.vars, now: self.now, zone: &self.flow.zone };
            match condition.test(world) {
                Ok(true) => {}
                Ok(false) => {
                    let why = format!("`{}` is false", condition.text());
                    self.taken(&place.id, place.kind, "passed_over", why, Vec::new());
                    return Go::To(place.next);
                }
                Err(why) => {
                    let current = self.current();
                    return self.leave(&current, "failed", &why, Vec::new());
                }
            }
        }
        let current = self.current();
        if !current.spec.needs.met_by(self.run.medium) {
            let why = format!("`{}` needs {}", current.kind, current.spec.needs.words());
            return self.leave(&current, "failed", &why, Vec::new());
        }
        let action = match &current.action {
            Ok(action) => action.get(),
            Err(why) => return self.leave(&current, "failed", why, Vec::new()),
        };
        let answer = self.ask(&current, |cx| action.enter(cx));
        if answer.step == Step::Stay {
            let why = "the action stayed without having waited";
            return self.leave(&current, "failed", why, answer.changed);
        }
        self.step(&current, answer)
    }

    fn lost(&mut self) -> Go {
        self.end(Outcome::Failed, "the run is nowhere in its flow".into())
    }

    /// Brings an event to the action that waits; `None` when it is not for it.
    fn resume(&mut self, event: Event) -> Option<Go> {
        let current = self.current();
        let action = match &current.action {
            Ok(action) => action.get(),
            Err(why) => {
                self.strand()?.waiting = None;
                return Some(self.leave(&current, "failed", why, Vec::new()));
            }
        };
        let answer = self.ask(&current, |cx| action.resume(&event, cx));
        if answer.step == Step::Stay {
            return None;
        }
        let strand = self.strand()?;
        strand.waiting = None;
        let done = matches!(&answer.step, Step::Next)
            || matches!(&answer.step, Step::Exit { exit, .. } if exit == "done");
        if done
            && matches!(action.pace(), Pace::Waits | Pace::WaitsForEver)
            && let Some(frame) = strand.cursor()
        {
            frame.caught = false;
        }
        Some(match event {
            Event::Done { then: Some(then), .. } if done => self.then(&current, answer, then),
            _ => self.step(&current, answer),
        })
    }

    pub(super) fn step(&mut self, current: &Current<'a>, answer: Answer) -> Go {
        let Answer { step, changed } = answer;
        match step {
            Step::Next => self.leave(current, "done", "", changed),
            Step::Exit { exit, why } => self.leave(current, &exit, &why, changed),
            Step::Jump(target) => self.jump(current, &target, changed),
            Step::Wait(wait) => self.wait(current, &wait),
            Step::Stay => Go::Halt,
            Step::Call(call) => self.call(current, *call, changed),
            Step::Split(split) => self.split(current, &split, changed),
            Step::Return => {
                self.taken(&current.id, current.kind, "done", "", changed);
                self.back("done", "it stopped itself")
            }
            Step::End(outcome) => {
                self.taken(&current.id, current.kind, "ended", "", changed);
                self.end(outcome, String::new())
            }
        }
    }

    fn jump(&mut self, current: &Current<'a>, target: &Target, changed: Vec<String>) -> Go {
        match self.find(current, target) {
            Some(to) => {
                let why = Arc::clone(&target.0);
                self.taken(&current.id, current.kind, "jump", why, changed);
                Go::To(to)
            }
            None => {
                let why = format!("no action has the id `{}`", target.0);
                self.taken(&current.id, current.kind, "failed", why.as_str(), changed);
                self.give_up(current.place, "failed", &why)
            }
        }
    }

    /// Where a target leads, `None` inside = the end.
    pub(super) fn find(&mut self, current: &Current<'a>, target: &Target) -> Option<Option<u32>> {
        if self.is_inline() {
            return None;
        }
        match self.flow.ids.get(&*target.0) {
            Some(to) => Some(Some(*to)),
            None => self.flow.reserved(&target.0, current.place),
        }
    }

    fn wait(&mut self, current: &Current<'a>, wait: &Wait) -> Go {
        let limit = if self.is_inline() { None } else { current.place.timeout_s };
        let own = wait.at_most.and_then(|most| SignedDuration::try_from(most).ok());
        let shorter = match (own, limit.map(seconds)) {
            (Some(own), Some(limit)) => Some(own.min(limit)),
            (own, limit) => own.or(limit),
        };
        self.wait_for(current, wait.what, shorter)
    }

    pub(super) fn wait_for(
        &mut self,
        current: &Current<'a>,
        what: &str,
        at_most: Option<SignedDuration>,
    ) -> Go {
        let until = at_most.map(|wait| self.now.saturating_add(wait).unwrap_or(Timestamp::MAX));
        let key = self.naming(current).key(0);
        if let Some(strand) = self.strand() {
            strand.waiting = Some(Waiting { key, what: what.into(), until });
        }
        Go::Halt
    }

    /// Makes a strand the present one.
    pub(super) fn turn_to(&mut self, at: usize) -> bool {
        self.at = at;
        let strand = &self.run.strands[at];
        let Some(flow) = self.flows.get(strand.version()) else {
            let why = format!("the flow version {} is not at hand", strand.version());
            self.end(Outcome::Failed, why);
            return false;
        };
        self.flow = flow;
        let scope = strand.scope();
        self.run.load(scope);
        self.beside = self.run.beside();
        true
    }
}

/// As a duration; more than a life is as long as one.
pub(super) fn seconds(s: u64) -> SignedDuration {
    SignedDuration::from_secs(s.min(i64::MAX as u64) as i64)
}

/// What was chosen as `then`, by its type and its options.
pub(super) fn chosen(then: &Value) -> (&str, &Value) {
    let kind = then.get("type").and_then(Value::as_str).unwrap_or_default();
    (kind, then.get("option").unwrap_or(&Value::Null))
}
