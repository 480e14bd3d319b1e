//! By which exit an action is left, and where that leads.

use std::borrow::Cow;
use std::sync::Arc;

use super::Taken;
use super::advance::{Advancing, Go, chosen, seconds};
use super::current::Current;
use super::strand::Strand;
use crate::event::Outcome;
use crate::link::{OnError, Place, exit_of};

/// The word for the pause between two tries.
pub(super) const RETRY: &str = "retry";

impl<'a> Advancing<'a> {
    /// Leaves the action of the innermost frame by an exit.
    pub(super) fn leave(
        &mut self,
        current: &Current<'a>,
        exit: &str,
        why: &str,
        changed: Vec<String>,
    ) -> Go {
        if self.frame().is_some_and(|frame| frame.split.take().is_some()) {
            self.cancel("the branches are not waited for any more");
        }
        let inline = self.is_inline();
        if let Some(go) = self.retry(current, exit, why) {
            return go;
        }
        let timed = current.place.timeout_s.is_some() && !inline;
        let undeclared;
        let (exit, why) = match exit_of(current.spec, exit, timed) {
            Some(exit) => (exit, why),
            None if exit == "timeout" => ("failed", why),
            None => {
                undeclared = format!("`{}` has no exit `{exit}`: {why}", current.kind);
                ("failed", undeclared.as_str())
            }
        };
        self.taken(&current.id, current.kind, exit, why, changed);
        if !inline {
            return self.route(current.place, exit, why);
        }
        if let Some(strand) = self.strand() {
            strand.frames.pop();
        }
        let exit = if exit == "done" { "done" } else { "failed" };
        self.route(current.place, exit, why)
    }

    /// Another try, if the author wants one and it may help.
    fn retry(&mut self, current: &Current<'a>, exit: &str, why: &str) -> Option<Go> {
        // A timeout leaves open whether it was done, and who opted out said no.
        if matches!(exit, "done" | "timeout" | "opted_out") {
            return None;
        }
        let frame = self.frame().filter(|frame| frame.then.is_none())?;
        let retry = current.place.retry.filter(|retry| frame.attempt <= retry.times)?;
        frame.attempt += 1;
        let why = format!("try {} of {}: {why}", frame.attempt, retry.times + 1);
        self.taken(&current.id, current.kind, RETRY, why, Vec::new());
        if retry.wait_s == 0 {
            return Some(Go::Again);
        }
        Some(self.wait_for(current, RETRY, Some(seconds(retry.wait_s.min(86_400)))))
    }

    /// Where an exit of a place leads. A failure that nothing catches ends what is innermost: the
    /// flow that was called, the branch, the run.
    pub(super) fn route(&mut self, place: &Place, exit: &str, why: &str) -> Go {
        if let Some((_, to)) = place.on.iter().find(|(wired, _)| wired == exit) {
            return Go::To(*to);
        }
        if exit == "done" {
            return Go::To(place.next);
        }
        let on_error = match self.flow.on_error {
            Some(OnError::Next) => return Go::To(place.next),
            Some(OnError::To(to)) => Some(to),
            None => None,
        };
        let Some(strand) = self.strand() else { return Go::Halt };
        let (called, branch) = (strand.is_called(), strand.id != 0);
        if let Some(to) = on_error
            && (called || !branch)
            && let Some(frame) = strand.cursor()
            && !frame.caught
            && to != Some(frame.at)
        {
            frame.caught = true;
            return Go::To(to);
        }
        self.give_up(place, exit, why)
    }

    /// Nothing catches a failure: what runs ends by it.
    pub(super) fn give_up(&mut self, place: &Place, exit: &str, why: &str) -> Go {
        let Some(strand) = self.strand() else { return Go::Halt };
        let (called, branch) = (strand.is_called(), strand.id != 0);
        let colon = if why.is_empty() { "" } else { ": " };
        let why = format!("`{}` ended by `{exit}`{colon}{why}", place.id);
        if called {
            return self.back("failed", &why);
        }
        if branch {
            return self.over(Err(why));
        }
        let outcome = if exit == "timeout" { Outcome::Expired } else { Outcome::Failed };
        self.end(outcome, why)
    }

    pub(super) fn taken(
        &mut self,
        action: &Arc<str>,
        kind: impl Into<Cow<'static, str>>,
        exit: &'static str,
        why: impl Into<Arc<str>>,
        changed: Vec<String>,
    ) {
        let flow = self.run.strands.get(self.at).map_or("", Strand::version).to_owned();
        self.out.taken.push(Taken {
            flow,
            action: Arc::clone(action),
            kind: kind.into(),
            exit: exit.into(),
            why: why.into(),
            at: self.now,
            changed,
            cause: None,
        });
    }

    /// Notes that a strand was taken out of the action where it waits.
    pub(super) fn torn(&mut self, strand: &Strand, exit: &'static str, why: &str) {
        if strand.waiting.is_none() {
            return;
        }
        let Some(place) = strand.place(self.flows) else { return };
        let (mut action, mut kind) = (Arc::clone(&place.id), Cow::Borrowed(place.kind));
        if let Some(then) = strand.frames.last().and_then(|frame| frame.then.as_ref()) {
            (action, kind) = (then_id(place), chosen(then).0.to_owned().into());
        }
        self.out.taken.push(Taken {
            flow: strand.version().to_owned(),
            action,
            kind,
            exit: exit.into(),
            why: why.into(),
            at: self.now,
            changed: Vec::new(),
            cause: None,
        });
    }

    /// Notes that the run was taken out of the actions where it waits.
    pub(super) fn leave_all(&mut self, exit: &'static str, why: &str) {
        let strands = std::mem::take(&mut self.run.strands);
        for strand in &strands {
            self.torn(strand, exit, why);
        }
        self.run.strands = strands;
    }
}

/// How an action is called that runs after the one at a place.
pub(super) fn then_id(place: &Place) -> Arc<str> {
    format!("{}.then", place.id).into()
}
