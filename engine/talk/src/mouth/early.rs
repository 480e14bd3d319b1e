//! What is made sound of before its turn has begun, or beside those who give its sound, and how long
//! a voice is waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::{Link, Mouth, SOUND};
use crate::tts::Say;
use crate::turn::TurnId;

/// Where another voice can take over, the silence that the caller hears is what counts: the next one
/// must have the time to end it before it has lasted 3 s.
const SILENCE: Duration = Duration::from_millis(2200);
/// But no voice is replaced sooner than this after it was told to speak.
const SOON: Duration = Duration::from_millis(600);

impl Mouth {
    /// Makes sound of a turn's first clause, which nobody hears before [`Mouth::release`].
    pub(crate) fn prepare(&mut self, turn: TurnId, text: &str) {
        self.begin(turn);
        self.turn.waits = true;
        self.silent = Instant::now();
        self.playout.hold(self.now());
        self.say(turn, 0, text);
    }

    /// The turn that was prepared begins.
    pub(crate) fn release(&mut self) {
        self.turn.waits = false;
        self.playout.go_on(self.now());
        self.released = true;
    }

    /// The turn that was prepared does not come.
    pub(crate) fn forget(&mut self, turn: TurnId) {
        if turn == self.turn.id && self.turn.waits {
            let clear = self.clear;
            self.cut();
            // Nothing of it was sent.
            self.clear = clear;
        }
    }

    /// Speaks a clause by a voice of ours, in a turn whose sound is given: whoever gives it keeps
    /// silent for too long.
    pub(crate) fn aside(&mut self, turn: TurnId, tag: u32, text: &str) {
        let fits = turn == self.turn.id && !self.turn.complete && !text.trim().is_empty();
        if !fits || !self.has_voice() {
            return;
        }
        self.turn.heard.said(tag, text);
        self.tell_aside(text.to_owned());
    }

    fn tell_aside(&mut self, text: String) {
        self.turn.owed = Some(Instant::now());
        self.turn.aside = Some(text.clone());
        self.tell(Say::Text(self.turn.id, text));
    }

    /// The voice is lost that was told something aside: the next one says it.
    pub(super) fn aside_again(&mut self) {
        (self.link, self.at) = (Link::Closed, self.at + 1);
        self.turn.owed = None;
        if let Some(text) = self.turn.aside.take()
            && self.has_voice()
            && !self.turn.over
        {
            self.tell_aside(text);
        }
    }

    /// Speaks all of a turn by a voice of ours: whoever should give its sound does not.
    pub(crate) fn instead(&mut self, turn: TurnId, words: &str) {
        if !self.has_voice() || turn != self.turn.id || self.turn.complete {
            return;
        }
        (self.turn.voiced, self.turn.complete) = (true, true);
        let now = self.now();
        self.turn.sounded.told.get_or_insert(now);
        self.turn.owed = Some(Instant::now());
        self.tell(Say::Text(turn, words.to_owned()));
        self.tell(Say::End(turn));
    }

    /// Whether there is a voice of ours.
    pub(crate) fn has_voice(&self) -> bool {
        self.at < self.vendors.len()
    }

    /// Until when the voice must give sound; `None` = it owes none.
    pub(super) fn patience(&self) -> Option<Instant> {
        let owed = self.turn.owed?;
        let usual = owed + SOUND;
        let alone = self.at + 1 >= self.vendors.len();
        Some(if alone { usual } else { usual.min((owed + SOON).max(self.silent + SILENCE)) })
    }

    /// Whether the caller has heard nothing for so long that only another voice may be in time.
    pub(super) fn is_late(&self) -> bool {
        self.turn.owed.is_some() && Instant::now() + SOON > self.silent + SILENCE
    }
}
