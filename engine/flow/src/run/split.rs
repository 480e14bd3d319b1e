//! Branches: several ways on, side by side, until all or the first are over.

use super::advance::{Advancing, Go, seconds};
use super::current::Current;
use super::strand::Strand;
use crate::event::{Deed, Medium};
use crate::limits;
use crate::step::{Split, Step, Until};

/// The word for waiting for branches.
const WHAT: &str = "branches";

impl<'a> Advancing<'a> {
    /// Branches off. The branches begin when this strand has come to rest.
    pub(super) fn split(
        &mut self,
        current: &Current<'a>,
        split: &Split,
        changed: Vec<String>,
    ) -> Go {
        let mut ways = Vec::with_capacity(split.branches.len());
        for target in &split.branches {
            match self.find(current, target) {
                Some(to) => ways.push(to),
                None => {
                    let why = format!("no action has the id `{}`", target.0);
                    return self.leave(current, "failed", &why, changed);
                }
            }
        }
        let (branches, depth) = (self.run.strands.len() - 1 + ways.len(), self.depth());
        if branches > limits::BRANCHES || depth >= limits::DEPTH {
            let why = format!(
                "the run would have {branches} branches, {depth} deep; it has at most {}, {} deep",
                limits::BRANCHES,
                limits::DEPTH
            );
            return self.leave(current, "failed", &why, changed);
        }
        let newest = self.run.strands.iter().map(|strand| strand.id).max().unwrap_or_default();
        let Some(strand) = self.strand() else { return Go::Halt };
        let new: Vec<_> = (newest + 1..)
            .take(ways.len())
            .map(|id| strand.branch(id, current.place.next))
            .collect();
        if let Some(frame) = strand.frames.last_mut() {
            frame.split = Some(split.until);
        }
        // Nearer to the front than what was split off before, so that the order stays that of the
        // document however deep it goes.
        for (strand, to) in new.iter().zip(ways).rev() {
            self.ready.push_front((strand.id, to));
        }
        self.run.strands.extend(new);
        match current.place.timeout_s {
            Some(limit) => self.wait_for(current, WHAT, Some(seconds(limit))),
            None => Go::Halt,
        }
    }

    /// The present strand, a branch, has come to its end.
    pub(super) fn over(&mut self, fate: Result<(), String>) -> Go {
        let of = self.run.strands.remove(self.at).of;
        let strands = &mut self.run.strands;
        let left = strands.iter().any(|other| other.id != 0 && other.of == of);
        let Some(at) = strands.iter().position(|other| other.id == of) else { return Go::Halt };
        let until = strands[at].frames.last().and_then(|frame| frame.split).unwrap_or_default();
        let decided = match (until, &fate) {
            (Until::All, Err(_)) | (Until::First, Ok(())) => true,
            (Until::All, Ok(())) | (Until::First, Err(_)) => !left,
        };
        if !decided || !self.turn_to(at) {
            return Go::Halt;
        }
        self.run.strands[at].waiting = None;
        let current = self.current();
        match fate {
            Ok(()) => self.leave(&current, "done", "", Vec::new()),
            Err(why) => self.leave(&current, "failed", &why, Vec::new()),
        }
    }

    /// Ends the branches of the present strand. What answers their waits comes too late.
    pub(super) fn cancel(&mut self, why: &str) {
        let Some(strand) = self.strand() else { return };
        let mut gone = vec![strand.id];
        let all = std::mem::take(&mut self.run.strands).into_iter();
        let (cancelled, kept): (Vec<_>, _) = all.partition(|strand| {
            // A branch stands behind the strand that it belongs to.
            let goes = strand.id != 0 && gone.contains(&strand.of);
            if goes {
                gone.push(strand.id);
            }
            goes
        });
        self.run.strands = kept;
        for strand in &cancelled {
            self.torn(strand, "cancelled", why);
        }
        self.ready.retain(|(id, _)| !cancelled.iter().any(|strand| strand.id == *id));
        self.run.forget();
        self.beside = self.run.beside();
        let busy = |strand: &Strand| {
            strand.waiting.is_some() && strand.frames.last().is_some_and(|frame| frame.asked > 0)
        };
        // A call does one thing at a time: what it does for nobody ends.
        if self.run.medium == Medium::Call && cancelled.iter().any(busy) {
            let current = self.current();
            self.ask(&current, |cx| {
                cx.ask(Deed::StopService);
                Step::Stay
            });
        }
    }
}
