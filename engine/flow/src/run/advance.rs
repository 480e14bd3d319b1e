//! From action to action until the run waits or ends.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::current::{Answer, Current};
use super::{Activeflow, Advance, Frame, Taken, Waiting};
use crate::action::{Pace, Step, Tool};
use crate::event::{Event, Key, Medium, Outcome};
use crate::expression::World;
use crate::limits;
use crate::link::{Flow, Place, from_model, has_exit};

/// The word for the pause between two tries.
const RETRY: &str = "retry";

/// One event on its way through a run.
pub(super) struct Advancing<'a> {
    pub(super) run: &'a mut Activeflow,
    pub(super) flow: &'a Flow,
    pub(super) now: Timestamp,
    pub(super) out: Advance,
    /// Actions entered since the event.
    entered: u32,
}

/// What comes next.
enum Go {
    /// Enter the action at this place; `None` = the flow is at its end.
    To(Option<u32>),
    /// Enter the action of the innermost frame, for the first time or again.
    Again,
    /// Nothing: the run waits or has ended.
    Halt,
}

impl<'a> Advancing<'a> {
    pub(super) fn new(run: &'a mut Activeflow, flow: &'a Flow, now: Timestamp) -> Self {
        Self { run, flow, now, out: Advance::default(), entered: 0 }
    }

    pub(super) fn take(mut self, event: Event) -> Advance {
        let go = if self.run.outcome.is_some() { self.drop() } else { self.on(event) };
        self.follow(go);
        self.out
    }

    fn on(&mut self, event: Event) -> Go {
        match &event {
            Event::Started => {
                if self.run.entered > 0 {
                    return self.drop();
                }
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
                match self.run.waiting.as_ref().filter(|waiting| waiting.key == *key) {
                    None => self.drop(),
                    Some(waiting) if waiting.what != RETRY => self.resume(event),
                    Some(_) if matches!(event, Event::TimedOut { .. }) => {
                        self.run.waiting = None;
                        Go::Again
                    }
                    Some(_) => self.drop(),
                }
            }
            Event::Message { .. } | Event::Signal { .. } | Event::ServiceStopped => {
                match &self.run.waiting {
                    Some(waiting) if waiting.what != RETRY => self.resume(event),
                    _ => self.drop(),
                }
            }
        }
    }

    fn drop(&mut self) -> Go {
        self.run.dropped += 1;
        self.out.dropped = true;
        Go::Halt
    }

    fn end(&mut self, outcome: Outcome, why: String) -> Go {
        self.run.end(outcome, why);
        Go::Halt
    }

    fn follow(&mut self, mut go: Go) {
        loop {
            go = match go {
                Go::Halt => return,
                Go::To(None) => self.end(Outcome::Finished, String::new()),
                Go::To(Some(at)) => {
                    let frame = Frame { at, visit: 0, attempt: 1, asked: 0, then: None };
                    match self.run.frames.last_mut() {
                        Some(top) => *top = frame,
                        None => self.run.frames.push(frame),
                    }
                    self.arrive()
                }
                Go::Again => self.arrive(),
            }
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
        let Some(frame) = self.run.frames.last_mut() else {
            return self.end(Outcome::Failed, "the run is nowhere in its flow".into());
        };
        if frame.visit == 0 {
            frame.visit = visit;
        }
        frame.asked = 0;
        let (first, inline) = (frame.attempt == 1, frame.then.is_some());
        let Some(place) = self.flow.places.get(frame.at as usize) else {
            return self.end(Outcome::Failed, "the run is nowhere in its flow".into());
        };
        if let Some(condition) = place.condition.as_ref().filter(|_| first && !inline) {
            let world = World { vars: &self.run.vars, now: self.now, zone: &self.flow.zone };
            match condition.test(world) {
                Ok(true) => {}
                Ok(false) => {
                    let why = format!("`{}` is false", condition.text());
                    self.taken(&place.id, place.kind, "passed_over", &why, Vec::new());
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

    /// Brings an event to the action that waits.
    fn resume(&mut self, event: Event) -> Go {
        let current = self.current();
        let action = match &current.action {
            Ok(action) => action.get(),
            Err(why) => {
                self.run.waiting = None;
                return self.leave(&current, "failed", why, Vec::new());
            }
        };
        let answer = self.ask(&current, |cx| action.resume(&event, cx));
        if answer.step == Step::Stay {
            return self.drop();
        }
        self.run.waiting = None;
        let then = match event {
            Event::Done { then: Some(then), .. } => Some(then),
            _ => None,
        };
        let done = matches!(&answer.step, Step::Next)
            || matches!(&answer.step, Step::Exit { exit, .. } if exit == "done");
        if done && matches!(action.pace(), Pace::Waits | Pace::WaitsForEver) {
            self.run.caught = false;
        }
        match then.filter(|_| done) {
            Some(then) => self.then(&current, answer, then),
            None => self.step(&current, answer),
        }
    }

    /// Runs an action that a model chose, before the flow goes on.
    fn then(&mut self, current: &Current<'a>, answer: Answer, then: Value) -> Go {
        let why = match answer.step {
            Step::Exit { why, .. } => why,
            _ => String::new(),
        };
        self.taken(&current.id, current.kind, "done", &why, answer.changed);
        let kind = then.get("type").and_then(Value::as_str).unwrap_or_default();
        let known = self.flow.catalog.get(kind).filter(|(_, spec)| spec.tool != Tool::No);
        let known = known.map(|(kind, _)| kind);
        // Where the author has put an action of this type, the author's options count.
        if let Some(next) = current.place.next
            && known.is_some()
            && known == self.flow.places.get(next as usize).map(|place| place.kind)
        {
            return Go::To(Some(next));
        }
        let option = then.get("option").unwrap_or(&Value::Null);
        let fault = match from_model(self.flow.catalog, kind, option) {
            Err(why) => Some(why),
            Ok((kind, ..)) if known.is_none() => Some(format!("`{kind}` is no tool")),
            Ok(_) if limits::size(&then) > limits::ONE_VALUE => {
                Some(format!("the options of `{kind}` are too large"))
            }
            Ok(_) if self.run.frames.len() >= limits::DEPTH => {
                Some(format!("{} frames lie on each other already", self.run.frames.len()))
            }
            Ok(_) => None,
        };
        let at = self.run.frames.last().map_or(0, |frame| frame.at);
        if let Some(why) = fault {
            let id = format!("{}.then", current.id);
            self.taken(&id, kind, "failed", &why, Vec::new());
            return self.route(current.place, "failed", &why);
        }
        self.run.frames.push(Frame { at, visit: 0, attempt: 1, asked: 0, then: Some(then) });
        Go::Again
    }

    fn step(&mut self, current: &Current<'a>, answer: Answer) -> Go {
        let Answer { step, changed } = answer;
        match step {
            Step::Next => self.leave(current, "done", "", changed),
            Step::Exit { exit, why } => self.leave(current, &exit, &why, changed),
            Step::Jump(target) => {
                let inline = self.run.frames.last().is_some_and(|frame| frame.then.is_some());
                match self.flow.ids.get(&target.0).copied().filter(|_| !inline) {
                    Some(to) => {
                        let why = format!("to `{}`", target.0);
                        self.taken(&current.id, current.kind, "jump", &why, changed);
                        Go::To(Some(to))
                    }
                    None => match self.flow.reserved(&target.0, current.place) {
                        Some(to) if !inline => {
                            self.taken(&current.id, current.kind, "jump", &target.0, changed);
                            Go::To(to)
                        }
                        _ => {
                            let why = format!("no action has the id `{}`", target.0);
                            self.leave(current, "failed", &why, changed)
                        }
                    },
                }
            }
            Step::Wait(wait) => {
                let limit = match self.run.frames.last() {
                    Some(frame) if frame.then.is_none() => current.place.timeout_s,
                    _ => None,
                };
                let own = wait.at_most.and_then(|most| SignedDuration::try_from(most).ok());
                let limit = limit.map(|s| SignedDuration::from_secs(s.min(i64::MAX as u64) as i64));
                let shorter = match (own, limit) {
                    (Some(own), Some(limit)) => Some(own.min(limit)),
                    (own, limit) => own.or(limit),
                };
                let until =
                    shorter.map(|wait| self.now.saturating_add(wait).unwrap_or(Timestamp::MAX));
                let key = self.key(&current.id);
                self.run.waiting = Some(Waiting { key, what: wait.what.into(), until });
                Go::Halt
            }
            Step::Stay => Go::Halt,
            Step::End(outcome) => {
                self.taken(&current.id, current.kind, "ended", "", changed);
                self.end(outcome, String::new())
            }
        }
    }

    /// Leaves the action of the innermost frame by an exit.
    fn leave(&mut self, current: &Current<'a>, exit: &str, why: &str, changed: Vec<String>) -> Go {
        let Some(frame) = self.run.frames.last() else { return Go::Halt };
        let inline = frame.then.is_some();
        let timed = current.place.timeout_s.is_some() && !inline;
        if let Some(go) = self.retry(current, exit, why) {
            return go;
        }
        let undeclared;
        let (exit, why) = match has_exit(current.spec, exit, timed) {
            true => (exit, why),
            false if exit == "timeout" => ("failed", why),
            false => {
                undeclared = format!("`{}` has no exit `{exit}`: {why}", current.kind);
                ("failed", undeclared.as_str())
            }
        };
        self.taken(&current.id, current.kind, exit, why, changed);
        if !inline {
            return self.route(current.place, exit, why);
        }
        self.run.frames.pop();
        let exit = if exit == "done" { "done" } else { "failed" };
        self.route(current.place, exit, why)
    }

    /// Another try, if the author wants one and it may help.
    fn retry(&mut self, current: &Current<'a>, exit: &str, why: &str) -> Option<Go> {
        // A timeout leaves open whether it was done, and who opted out said no.
        if matches!(exit, "done" | "timeout" | "opted_out") {
            return None;
        }
        let frame = self.run.frames.last_mut().filter(|frame| frame.then.is_none())?;
        let retry = current.place.retry.filter(|retry| frame.attempt <= retry.times)?;
        frame.attempt += 1;
        let attempt = frame.attempt;
        let why = format!("try {attempt} of {}: {why}", retry.times + 1);
        self.taken(&current.id, current.kind, RETRY, &why, Vec::new());
        if retry.wait_s == 0 {
            return Some(Go::Again);
        }
        let wait = SignedDuration::from_secs(retry.wait_s.min(86_400) as i64);
        let until = self.now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let key = self.key(&current.id);
        self.run.waiting = Some(Waiting { key, what: RETRY.into(), until: Some(until) });
        Some(Go::Halt)
    }

    /// Where an exit of a place leads.
    fn route(&mut self, place: &Place, exit: &str, why: &str) -> Go {
        if let Some((_, to)) = place.on.iter().find(|(wired, _)| wired == exit) {
            return Go::To(*to);
        }
        if exit == "done" {
            return Go::To(place.next);
        }
        let at = self.run.frames.last().map(|frame| frame.at);
        if let Some(to) = self.flow.on_error
            && !self.run.caught
            && (to.is_none() || to != at)
        {
            self.run.caught = true;
            return Go::To(to);
        }
        let outcome = if exit == "timeout" { Outcome::Expired } else { Outcome::Failed };
        let colon = if why.is_empty() { "" } else { ": " };
        self.end(outcome, format!("`{}` ended by `{exit}`{colon}{why}", place.id))
    }

    pub(super) fn key(&self, action: &str) -> Key {
        let (visit, attempt) =
            self.run.frames.last().map_or((0, 0), |frame| (frame.visit, frame.attempt));
        Key(format!("{}/{action}/{visit}/{attempt}", self.run.id))
    }

    fn taken(&mut self, action: &str, kind: &str, exit: &str, why: &str, changed: Vec<String>) {
        self.out.taken.push(Taken {
            action: action.into(),
            kind: kind.into(),
            exit: exit.into(),
            why: why.into(),
            at: self.now,
            changed,
            cause: None,
        });
    }

    /// Notes that the run was taken out of the action where it waits.
    fn leave_all(&mut self, exit: &str, why: &str) {
        if self.run.waiting.is_some() {
            let Current { id, kind, .. } = self.current();
            self.taken(&id, kind, exit, why, Vec::new());
        }
    }
}
