//! What is made sound of before its turn has begun, or beside those who give its sound, and how long
//! a voice is waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::{Mouth, SOUND};
use crate::tts::Say;
use crate::turn::TurnId;

/// Where another voice can take over, the caller's silence is what counts: the next one must have
/// the time to end it before it has lasted 3 s.
const SILENCE: Duration = Duration::from_millis(2200);
/// But no voice is replaced sooner than this after it was told to speak.
const SOON: Duration = Duration::from_millis(600);

impl Mouth {
    /// Makes sound of a turn's first clause, which nobody hears before [`Mouth::release`].
    pub(crate) fn prepare(&mut self, turn: TurnId, text: &str) {
        self.begin(turn);
        self.turn.waits = true;
        self.playout.hold(self.now());
        self.say(turn, 0, text);
    }

    /// The turn that was prepared begins.
    pub(crate) fn release(&mut self) {
        self.turn.waits = false;
        self.playout.go_on(self.now());
        self.released = true;
        self.silent = Instant::now();
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
        let voiceless = self.at >= self.vendors.len();
        if voiceless || turn != self.turn.id || self.turn.complete || text.trim().is_empty() {
            return;
        }
        self.turn.heard.said(tag, text);
        self.tell(Say::Text(turn, text.to_owned()));
    }

    /// Until when the voice must give sound; `None` = it owes none.
    pub(super) fn patience(&self) -> Option<Instant> {
        let owed = self.turn.owed?;
        let usual = owed + SOUND;
        let alone = self.at + 1 >= self.vendors.len();
        Some(if alone { usual } else { usual.min((owed + SOON).max(self.silent + SILENCE)) })
    }
}
