//! What several states do alike: deadlines, questions, cuts, last words.

use std::time::Duration;

use agent::config::Interruption;

use super::{Asked, Kind, Line, Making, Manner, Moment, Output, State, Turns, Why};
use crate::endpoint::{endpoint_after, is_unfinished};
use crate::said::{is_talk, join, same};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Voice for this long pauses a reply; whether it cuts it shows later.
pub(super) const PAUSE_AFTER: Duration = ms(60);
/// How long a guess is waited for to become sure, from the silence on and from its last change on.
pub(super) const GUESS: (Duration, Duration) = (ms(1_200), ms(600));
/// Voice without words is a noise when no words come for so long after it.
pub(super) const NOISE: Duration = ms(2_500);
/// Voice that goes on without new words is not the caller's (a television, a crowd).
pub(super) const NO_NEW_WORDS: Duration = ms(6_000);
/// Nobody is listened to for longer.
pub(super) const LONGEST_TURN: Duration = ms(60_000);
/// The caller said something that was not understood, and waits: he is asked soon.
pub(super) const UNCLEAR: Duration = ms(4_000);
/// The caller said something, and no recognizer says anything of it, not even that it was nothing:
/// he is asked before his silence has lasted 3 s.
pub(super) const UNHEARD: Duration = ms(2_000);
/// So often in a row; then it was noise, or nobody can help him.
pub(super) const UNHEARD_AT_MOST: u32 = 3;
/// Keys are one entry while they follow each other within this.
pub(super) const KEYS: Duration = ms(2_000);
/// Words without a voice that come so soon after a question belong to it.
pub(super) const LATE: Duration = ms(2_000);
/// Words that come so shortly before a reply ends answer it.
pub(super) const JUST_NOW: Duration = ms(1_000);
/// Silence for this long is filled, so that it never lasts for 3 s: the caller's own counts, too. And
/// if the filler does not sound, again after the longer time.
pub(super) const FILLER: (Duration, Duration) = (ms(2_000), ms(8_000));
/// However long the caller was waited for, an answer has so long before it is filled.
pub(super) const FILLER_AFTER: Duration = ms(600);
/// Without any sign of life a reply is given up: no vendor's time limit reaches this.
pub(super) const STUCK: Duration = ms(30_000);
/// Sound gives a sign of life with every mark.
pub(super) const SILENCED: Duration = ms(8_000);
/// The last words: how long without a sign of life, and how long at all.
pub(super) const LAST_WORDS: (Duration, Duration) = (ms(5_000), ms(15_000));

impl Making {
    /// `since` = when the silence began.
    pub(super) fn new(now: Moment, since: Moment, kind: Kind) -> Self {
        Self {
            kind,
            until: now + STUCK,
            filler: Some((since + FILLER.0).max(now + FILLER_AFTER)),
            said: false,
            complete: false,
        }
    }
}

impl Turns {
    /// When the state goes on by itself.
    pub(super) fn state_deadline(&self) -> Option<Moment> {
        let confirmed = self.ear.speaking().map(|since| since + self.manner.start);
        let (thinking, speaking) = (self.manner.thinking, self.manner.interruption);
        let over_us = self.over_us(speaking);
        let cut = |by| self.over_us(by).map(|since| since + self.manner.start);
        match &self.state {
            State::Waiting | State::Over => None,
            State::Listening => Some(confirmed.map_or(self.idle_at, |at| at.min(self.idle_at))),
            State::Hearing { since } if self.manner.wordless => Some(*since + LONGEST_TURN),
            State::Hearing { since } if self.said.no_words() => {
                Some(self.idle_at.max(*since + NOISE))
            }
            State::Hearing { since } => {
                Some((self.said.at + NO_NEW_WORDS).min(*since + LONGEST_TURN))
            }
            State::Settling { since } => {
                let settled = self.settled_at(*since);
                Some(self.ahead_at(*since).map_or(settled, |ahead| ahead.min(settled)))
            }
            State::Keying { until } => Some(*until),
            State::Thinking(making) => {
                [Some(making.until), making.filler, cut(thinking)].into_iter().flatten().min()
            }
            State::Speaking { making, paused } => {
                let pause = over_us.filter(|_| !paused).map(|since| since + PAUSE_AFTER);
                let resume = self.ear.gap_over().filter(|_| *paused);
                [Some(making.until), cut(speaking), pause, resume].into_iter().flatten().min()
            }
            State::Closing { until, at_most, .. } => Some(*until.min(at_most)),
        }
    }

    /// When the caller's silence ends his turn.
    pub(super) fn settled_at(&self, since: Moment) -> Moment {
        if self.said.no_words() {
            let words = if self.is_unheard() { UNHEARD } else { NOISE };
            return since + if self.manner.wordless { self.manner.stop } else { words };
        }
        let Manner { stop, stop_at_most, .. } = self.manner;
        let over = since + endpoint_after(stop, stop_at_most, self.awaited, &self.said.words());
        if self.said.partial.is_empty() {
            over
        } else {
            over.max(since + GUESS.0).max(self.said.at + GUESS.1)
        }
    }

    /// Whether the recognizer's word counts that the caller has finished: his own words may say
    /// that he has not.
    pub(super) fn may_be_over(&self) -> bool {
        let adapts = self.manner.stop_at_most > self.manner.stop;
        let goes_on = || adapts && is_unfinished(self.awaited, &self.said.words());
        !self.said.no_words() && !goes_on()
    }

    /// Words came without the detector having told of a voice for long enough.
    pub(super) fn caller_speaks(&self, now: Moment) -> State {
        match self.ear.speaking() {
            Some(since) => State::Hearing { since },
            None => State::Settling { since: self.settles_since(now) },
        }
    }

    /// Since when the silence counts: words that no voice belongs to were spoken now.
    pub(super) fn settles_since(&self, now: Moment) -> Moment {
        self.ear.silent().filter(|quiet| now - *quiet <= NOISE).unwrap_or(now)
    }

    /// Since when the caller's turn counts: noise before the first words is no part of it.
    pub(super) fn hears_since(&self, now: Moment, since: Moment) -> Moment {
        if self.said.no_words() { now } else { since }
    }

    pub(super) fn hear_final(&mut self, now: Moment, words: &str) {
        if words.trim().is_empty() {
            self.said.partial.clear();
        } else {
            self.said.sure(now, words);
        }
    }

    pub(super) fn key(&mut self, now: Moment, key: char, out: &mut Vec<Output>) -> State {
        if key == '#' && !self.said.keys.is_empty() {
            return self.ask(now, out);
        }
        self.said.keys.push(key);
        State::Keying { until: now + KEYS }
    }

    /// The caller's turn is over: what he said is put to the model.
    pub(super) fn ask(&mut self, now: Moment, out: &mut Vec<Output>) -> State {
        self.ask_since(now, self.settles_since(now), out)
    }

    /// The same, of a caller who waits since then.
    pub(super) fn ask_since(&mut self, now: Moment, since: Moment, out: &mut Vec<Output>) -> State {
        self.prompted = false;
        self.unheard = 0;
        let head = self.said.finals.clone();
        let words = self.said.take();
        self.commit(&words, out);
        out.push(Output::Ask(self.turn, words.clone()));
        self.asked = Asked { at: now, since, words: Some(words), head };
        State::Thinking(Making::new(now, since, Kind::Reply))
    }

    /// The caller speaks over a reply: it ends here. What he asked before stays asked as long as
    /// he heard nothing of the answer.
    pub(super) fn cut(
        &mut self,
        now: Moment,
        barge_in: Option<Moment>,
        out: &mut Vec<Output>,
    ) -> State {
        out.push(Output::Cut { turn: self.turn, barge_in });
        self.raise(out);
        if let Some(asked) = self.asked.words.take() {
            self.said.finals = join(&asked, &self.said.finals);
            self.said.at = now;
        }
        self.idle_at = now + self.manner.idle;
        self.caller_speaks(now)
    }

    /// Words that belong to the question that is being answered, and came after it was asked.
    pub(super) fn is_late(&self, now: Moment, making: &Making) -> bool {
        making.kind == Kind::Reply
            && now - self.asked.at < LATE
            && self.ear.began() <= self.asked.at
    }

    pub(super) fn late_final(
        &mut self,
        now: Moment,
        making: Making,
        words: &str,
        out: &mut Vec<Output>,
    ) -> State {
        let all = join(&self.asked.head, words);
        match &self.asked.words {
            Some(asked) if !words.trim().is_empty() && !same(&all, asked) => {
                out.push(Output::Cut { turn: self.turn, barge_in: None });
                self.said.finals = all;
                self.ask(now, out)
            }
            Some(_) | None => {
                self.asked.head = all;
                State::Thinking(making)
            }
        }
    }

    /// The caller made sounds that nobody understood.
    pub(super) fn not_understood(&mut self, now: Moment) -> State {
        if std::mem::take(&mut self.said.meant) && !self.prompted {
            self.idle_at = self.idle_at.min(now + UNCLEAR);
        }
        State::Listening
    }

    /// Whether he is asked when no recognizer says anything of what he said.
    fn is_unheard(&self) -> bool {
        self.said.meant && self.unheard < UNHEARD_AT_MOST
    }

    /// No recognizer says anything of what the caller said.
    pub(super) fn not_heard(&mut self, now: Moment, out: &mut Vec<Output>) -> State {
        if !self.is_unheard() {
            return self.not_understood(now);
        }
        self.said.meant = false;
        self.unheard += 1;
        self.prompted = true;
        self.line_since(now, self.settles_since(now), Line::IdlePrompt, out)
    }

    /// Nobody replies any more: the caller's turn.
    pub(super) fn listen(&mut self, now: Moment) -> State {
        self.idle_at = now + self.manner.idle;
        self.asked.words = None;
        let just_now = self.said.at + JUST_NOW >= now && self.said.at > Moment::ZERO;
        if !self.said.keys.is_empty() {
            return State::Keying { until: now + KEYS };
        }
        if !self.said.no_words() && (just_now || self.ear.speaking().is_some()) {
            return self.caller_speaks(now);
        }
        self.said.take();
        State::Listening
    }

    pub(super) fn idle(&mut self, now: Moment, out: &mut Vec<Output>) -> State {
        if std::mem::replace(&mut self.prompted, true) {
            return self.finish(Why::NoInput, out);
        }
        self.line(now, Line::IdlePrompt, out)
    }

    /// Fixed words as a turn of their own.
    pub(super) fn line(&mut self, now: Moment, line: Line, out: &mut Vec<Output>) -> State {
        self.line_since(now, now, line, out)
    }

    fn line_since(
        &mut self,
        now: Moment,
        since: Moment,
        line: Line,
        out: &mut Vec<Output>,
    ) -> State {
        self.raise(out);
        self.asked = Asked { at: now, since, ..Asked::default() };
        out.push(Output::Speak(self.turn, line));
        State::Thinking(Making {
            filler: None,
            said: true,
            complete: true,
            ..Making::new(now, since, Kind::Unasked)
        })
    }

    /// Whatever is going on ends, with these words.
    pub(super) fn last_words(&mut self, now: Moment, line: Line, why: Why, out: &mut Vec<Output>) {
        if matches!(self.state, State::Thinking(_) | State::Speaking { .. }) {
            out.push(Output::Cut { turn: self.turn, barge_in: None });
        }
        self.raise(out);
        self.asked.since = match self.state {
            State::Thinking(_) | State::Speaking { .. } => self.asked.since,
            State::Settling { since } => since,
            State::Waiting | State::Listening | State::Hearing { .. } | State::Keying { .. } => now,
            State::Closing { .. } | State::Over => now,
        };
        self.ends_at.get_or_insert(now);
        out.push(Output::Speak(self.turn, line));
        self.state = close(now, why);
    }

    pub(super) fn finish(&mut self, why: Why, out: &mut Vec<Output>) -> State {
        self.forget(out);
        out.push(Output::Finish(why));
        State::Over
    }

    /// Since when the caller speaks over us, where voice is what interrupts. A voice that went on
    /// when its turn was taken (a television) does not.
    pub(super) fn over_us(&self, by: Interruption) -> Option<Moment> {
        let counts = match by {
            Interruption::Any => true,
            // Without words, a voice is all that there is.
            Interruption::Words => self.manner.wordless,
            Interruption::Digits | Interruption::None => false,
        };
        self.ear.speaking().filter(|since| counts && *since > self.asked.at)
    }

    pub(super) fn confirmed(&self, now: Moment, by: Interruption) -> bool {
        self.over_us(by).is_some_and(|since| since + self.manner.start <= now)
    }

    pub(super) fn words_cut(&self, by: Interruption) -> bool {
        matches!(by, Interruption::Any | Interruption::Words) && is_talk(&self.said.words())
    }
}

/// The last words are on their way.
pub(super) fn close(now: Moment, why: Why) -> State {
    State::Closing { why, until: now + LAST_WORDS.0, at_most: now + LAST_WORDS.1 }
}
