//! What the conversation's task writes down of each turn, and when it tells it.

use std::time::Duration;

use agent::Ledger;
use agent::ledger::{Cut, Spent};

use super::Note;
use super::running::Session;
use crate::both::Both;
use crate::ledger::{Asked, Open, count};
use crate::turn::Moment;

/// Why the agent speaks: the caller has asked.
pub(super) const ANSWER: &str = "answer";
/// Or nobody has.
const UNASKED: &str = "unasked";
/// Words that the recognizer is sure of so soon after a question belong to it.
const LATE: Duration = Duration::from_secs(2);

impl Session<'_> {
    /// A question is put: what is known of the caller's side of it.
    pub(super) fn opens(&mut self, now: Moment, caller: bool) -> Open {
        let since = std::mem::replace(&mut self.asked, now);
        let mut open = Open::new(if caller { ANSWER } else { UNASKED }, now);
        let sure = self.sure.take();
        if caller {
            let ended = self.detector.ended().filter(|(end, _)| *end > since);
            open.asked =
                Asked { voice_end: ended.map(|(end, _)| end), quiet: ended.map(|e| e.1), sure };
        }
        open
    }

    /// The recognizer is sure of something.
    pub(super) fn is_sure(&mut self) {
        let now = self.start.elapsed();
        match &mut self.reply.open {
            Some(open) if open.asked.sure.is_none() && now < open.decided + LATE => {
                open.asked.sure = open.asked.voice_end.map(|_| now);
            }
            Some(_) | None => self.sure = Some(now),
        }
    }

    /// The turn stops here.
    pub(super) fn cut(&self, barge_in: Option<Duration>) -> Cut {
        let barge_in_ms = barge_in.map(|after| after.as_millis() as u64);
        Cut { heard_ms: self.mouth.played(), barge_in_ms }
    }

    /// The turn is over: what it took is counted and told, once.
    pub(super) fn account(&mut self, cut: Option<Cut>) {
        let Some(open) = self.reply.open.take() else { return };
        let (turn, spent) = (self.reply.turn, self.spent());
        let ledger = open.close(turn, self.mouth.sounded(turn), cut, spent);
        count(&ledger);
        self.note(Note::Turn(Box::new(ledger)));
    }

    /// What was done since the last turn, when no turn comes any more.
    pub(super) fn account_for_rest(&mut self) {
        let spent = self.spent();
        if !spent.is_empty() {
            let from_ms = self.start.elapsed().as_millis() as u64;
            self.note(Note::Turn(Box::new(Ledger { from_ms, spent, ..Ledger::default() })));
        }
    }

    fn spent(&mut self) -> Vec<Spent> {
        let mut spent = std::mem::take(&mut self.spent);
        spent.extend(self.ears.spent());
        spent.extend(self.mind.spent());
        spent.extend(self.mouth.spent());
        spent.extend(self.both.iter_mut().flat_map(Both::spent));
        spent
    }
}
