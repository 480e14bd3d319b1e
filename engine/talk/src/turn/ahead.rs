//! Asking ahead: on a likely end of the caller's turn his words are put to the model, so that the
//! answer is there when the turn is over.
//!
//! Invariant: what was asked ahead is either asked (the same words, the same turn) or forgotten.
//! Invariant: a supposition has a turn of its own that is above every turn before it, and no turn
//! after it has the same.

use std::time::Duration;

use super::{Input, Moment, Output, State, TurnId, Turns};
use crate::said::same;

/// The first silence is enough (the detector itself needs about 100 ms to be sure of one); for each
/// time that the turn was not over it must be so much longer.
const LONGER: Duration = Duration::from_millis(80);
/// So often is not supposed any more.
const NEVER: u32 = 1_000;
/// A guess that has not changed for so long is likely right.
const STABLE: Duration = Duration::from_millis(40);
/// Of what was said after a guess that is older than this when silence begins, it knows nothing.
const FRESH: Duration = Duration::from_millis(500);

/// What was asked before the caller's turn was over.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The highest turn so far, wanted or not.
    last: TurnId,
    /// What is supposed now.
    supposed: Option<Supposed>,
    /// How often it was otherwise in this turn of the caller.
    wrong: u32,
    /// How often of these only a guess at the words was wrong: that says nothing of words that the
    /// recognizer is sure of.
    guessed: u32,
}

/// Words that are likely all, and the turn as which they were asked.
#[derive(Debug)]
struct Supposed {
    turn: TurnId,
    words: String,
    /// Whether the recognizer was not sure of them.
    guess: bool,
}

impl Turns {
    /// Another turn. What was asked ahead is not wanted any more.
    pub(super) fn raise(&mut self, out: &mut Vec<Output>) {
        self.forget(out);
        self.turn = self.fresh();
    }

    fn fresh(&mut self) -> TurnId {
        self.ahead.last = self.ahead.last.next();
        self.ahead.last
    }

    /// When a silence makes it likely that the caller has finished, unless that is supposed already.
    pub(super) fn ahead_at(&self, since: Moment) -> Option<Moment> {
        if !self.may_suppose() {
            return None;
        }
        let guess = !self.said.partial.is_empty();
        if guess && self.said.at + FRESH < since {
            return None;
        }
        let wrong = if guess { self.ahead.wrong } else { self.ahead.wrong - self.ahead.guessed };
        let quiet = since + LONGER * wrong;
        let stable = if guess { STABLE } else { Duration::ZERO };
        let at = quiet.max(self.said.at + stable);
        // The guess may take longer to become sure; a turn that is over soon is worth no guess.
        (at < self.settled_at(since)).then_some(at)
    }

    fn may_suppose(&self) -> bool {
        self.manner.ahead
            && !self.manner.wordless
            && self.ahead.supposed.is_none()
            && self.ahead.wrong < NEVER
            && self.said.keys.is_empty()
            && self.may_be_over()
    }

    /// The caller has likely finished: what would the answer be?
    pub(super) fn suppose(&mut self, out: &mut Vec<Output>) {
        if self.may_suppose() {
            let (turn, words) = (self.fresh(), self.said.words());
            out.push(Output::Suppose(turn, words.clone()));
            let guess = !self.said.partial.is_empty();
            self.ahead.supposed = Some(Supposed { turn, words, guess });
        }
    }

    /// It was otherwise, or came to nothing.
    pub(super) fn unsuppose(&mut self, why: &Input, out: &mut Vec<Output>) {
        self.forget(out);
        if *why == Input::Unanswered {
            (self.ahead.wrong, self.ahead.guessed) = (NEVER, 0);
        }
    }

    /// It was otherwise.
    pub(super) fn forget(&mut self, out: &mut Vec<Output>) {
        if let Some(Supposed { turn, guess, .. }) = self.ahead.supposed.take() {
            self.ahead.wrong += 1;
            self.ahead.guessed += u32::from(guess);
            out.push(Output::Forget(turn));
        }
    }

    /// Throws away what was supposed once the caller's words are no longer those.
    pub(super) fn review(&mut self, out: &mut Vec<Output>) {
        let Some(Supposed { words, .. }) = &self.ahead.supposed else { return };
        let holds = match self.state {
            State::Hearing { .. } | State::Settling { .. } => same(words, &self.said.words()),
            State::Waiting | State::Listening | State::Keying { .. } => false,
            State::Thinking(_) | State::Speaking { .. } => false,
            State::Closing { .. } | State::Over => false,
        };
        if !holds {
            self.forget(out);
        }
    }

    /// The turn that these words are asked as: the supposed one, if they are what was supposed.
    pub(super) fn commit(&mut self, words: &str, out: &mut Vec<Output>) {
        match self.ahead.supposed.take_if(|supposed| same(&supposed.words, words)) {
            Some(supposed) => self.turn = supposed.turn,
            None => self.raise(out),
        }
        (self.ahead.wrong, self.ahead.guessed) = (0, 0);
    }
}
