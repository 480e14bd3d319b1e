//! One method a state: what each input does to it.

use std::time::Duration;

use agent::config::Interruption;

use super::{Asked, Input, Kind, Line, Making, Moment, Opening, Output, State, Turns, Why};
use crate::said::{is_talk, join, same};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Voice for this long pauses a reply; whether it cuts it shows later.
const PAUSE_AFTER: Duration = ms(60);
/// How long a guess is waited for to become sure, from the silence on and from its last change on.
const GUESS: (Duration, Duration) = (ms(1_200), ms(600));
/// Voice without words is a noise when no words come for so long after it.
const NOISE: Duration = ms(2_500);
/// Voice that goes on without new words is not the caller's (a television, a crowd).
const NO_NEW_WORDS: Duration = ms(6_000);
/// Nobody is listened to for longer.
const LONGEST_TURN: Duration = ms(60_000);
/// The caller said something that was not understood, and waits: he is asked soon.
const UNCLEAR: Duration = ms(4_000);
/// So much voice was meant to be understood.
const MEANT: Duration = ms(500);
/// Keys are one entry while they follow each other within this.
const KEYS: Duration = ms(2_000);
/// Words without a voice that come so soon after a question belong to it.
const LATE: Duration = ms(2_000);
/// Words that come so shortly before a reply ends answer it.
const JUST_NOW: Duration = ms(1_000);
/// Silence of ours for this long is filled, and then again after the longer time.
const FILLER: (Duration, Duration) = (ms(3_000), ms(8_000));
/// Without any sign of life a reply is given up: no vendor's time limit reaches this.
const STUCK: Duration = ms(30_000);
/// Sound gives a sign of life with every mark.
const SILENCED: Duration = ms(8_000);
/// The last words: how long without a sign of life, and how long at all.
const LAST_WORDS: (Duration, Duration) = (ms(5_000), ms(15_000));

impl Making {
    fn new(now: Moment, kind: Kind) -> Self {
        Self {
            kind,
            until: now + STUCK,
            filler: Some(now + FILLER.0),
            said: false,
            complete: false,
        }
    }
}

impl Turns {
    /// When the state goes on by itself.
    pub(super) fn state_deadline(&self) -> Option<Moment> {
        let confirmed = self.ear.speaking().map(|since| since + self.manner.start);
        let over_us = self.over_us();
        let cut = over_us.map(|since| since + self.manner.start);
        match &self.state {
            State::Waiting | State::Over => None,
            State::Listening => Some(confirmed.map_or(self.idle_at, |at| at.min(self.idle_at))),
            State::Hearing { since } if self.said.no_words() => {
                Some(self.idle_at.max(*since + self.manner.start))
            }
            State::Hearing { since } => {
                Some((self.said.at + NO_NEW_WORDS).min(*since + LONGEST_TURN))
            }
            State::Settling { since } => Some(self.settled_at(*since)),
            State::Keying { until } => Some(*until),
            State::Thinking(making) => {
                [Some(making.until), making.filler, cut].into_iter().flatten().min()
            }
            State::Speaking { making, paused } => {
                let pause = over_us.filter(|_| !paused).map(|since| since + PAUSE_AFTER);
                let resume = self.ear.gap_over().filter(|_| *paused);
                [Some(making.until), cut, pause, resume].into_iter().flatten().min()
            }
            State::Closing { until, at_most, .. } => Some(*until.min(at_most)),
        }
    }

    /// When the caller's silence ends his turn.
    fn settled_at(&self, since: Moment) -> Moment {
        if self.said.no_words() {
            since + NOISE
        } else if self.said.partial.is_empty() {
            since + self.manner.stop
        } else {
            (since + self.manner.stop).max(since + GUESS.0).max(self.said.at + GUESS.1)
        }
    }

    pub(super) fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match (input, state) {
            (_, State::Over) => State::Over,
            (Input::Failed, State::Closing { why, .. }) => self.finish(why, out),
            (Input::Failed, state) => {
                self.state = state;
                return self.last_words(now, Line::Apology, Why::Failed, out);
            }
            (input, State::Waiting) => self.waiting(now, input, out),
            (input, State::Listening) => self.listening(now, input, out),
            (input, State::Hearing { since }) => self.hearing(now, since, input, out),
            (input, State::Settling { since }) => self.settling(now, since, input, out),
            (input, State::Keying { until }) => self.keying(now, until, input, out),
            (input, State::Thinking(making)) => self.thinking(now, making, input, out),
            (input, State::Speaking { making, paused }) => {
                self.speaking(now, making, paused, input, out)
            }
            (input, State::Closing { why, until, at_most }) => {
                self.closing(now, why, until, at_most, input, out)
            }
        };
    }

    fn waiting(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) -> State {
        match input {
            Input::Start(opening) => {
                self.ends_at = Some(now + self.manner.longest);
                self.idle_at = now + self.manner.idle;
                match opening {
                    Opening::Greet => self.line(now, Line::Greeting, out),
                    Opening::Ask => {
                        self.turn = self.turn.next();
                        self.asked = Asked { at: now, ..Asked::default() };
                        out.push(Output::Ask(self.turn, String::new()));
                        State::Thinking(Making::new(now, Kind::Unasked))
                    }
                    Opening::Listen => State::Listening,
                }
            }
            Input::Voice
            | Input::Quiet
            | Input::Partial(_)
            | Input::Final(_)
            | Input::EndOfTurn => State::Waiting,
            Input::Digit(_) | Input::Reply(..) | Input::Working(_) | Input::ReplyDone(_) => {
                State::Waiting
            }
            Input::Sounding(_) | Input::Dry(_) | Input::Played(_) | Input::Ends => State::Waiting,
            Input::Failed | Input::Timeout => State::Waiting,
        }
    }

    fn listening(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) -> State {
        match input {
            Input::Partial(words) | Input::Final(words) if words.trim().is_empty() => {
                State::Listening
            }
            Input::Partial(words) => {
                self.said.partial(now, &words);
                self.caller_speaks(now)
            }
            Input::Final(words) => {
                self.said.sure(now, &words);
                self.caller_speaks(now)
            }
            Input::Digit(key) => self.key(now, key, out),
            Input::Timeout => match self.ear.speaking() {
                Some(since) if since + self.manner.start <= now => State::Hearing { since },
                Some(_) | None if self.idle_at <= now => self.idle(now, out),
                Some(_) | None => State::Listening,
            },
            Input::Ends => self.finish(Why::Ended, out),
            Input::Voice | Input::Quiet | Input::EndOfTurn | Input::Start(_) => State::Listening,
            Input::Reply(..) | Input::Working(_) | Input::ReplyDone(_) => State::Listening,
            Input::Sounding(_) | Input::Dry(_) | Input::Played(_) | Input::Failed => {
                State::Listening
            }
        }
    }

    fn hearing(
        &mut self,
        now: Moment,
        since: Moment,
        input: Input,
        out: &mut Vec<Output>,
    ) -> State {
        match input {
            Input::Quiet => State::Settling { since: now },
            Input::Partial(words) => {
                let since = self.hears_since(now, since);
                if !words.trim().is_empty() {
                    self.said.partial(now, &words);
                }
                State::Hearing { since }
            }
            Input::Final(words) => {
                let since = self.hears_since(now, since);
                self.hear_final(now, &words);
                State::Hearing { since }
            }
            Input::EndOfTurn if !self.said.no_words() => self.ask(now, out),
            Input::Digit(key) => self.key(now, key, out),
            Input::Timeout if self.said.no_words() && self.idle_at <= now => self.idle(now, out),
            Input::Timeout if self.said.no_words() => State::Hearing { since },
            Input::Timeout if self.said.at + NO_NEW_WORDS <= now || since + LONGEST_TURN <= now => {
                self.ask(now, out)
            }
            Input::Ends => self.finish(Why::Ended, out),
            Input::Voice | Input::EndOfTurn | Input::Timeout | Input::Start(_) => {
                State::Hearing { since }
            }
            Input::Reply(..) | Input::Working(_) | Input::ReplyDone(_) => State::Hearing { since },
            Input::Sounding(_) | Input::Dry(_) | Input::Played(_) | Input::Failed => {
                State::Hearing { since }
            }
        }
    }

    fn settling(
        &mut self,
        now: Moment,
        since: Moment,
        input: Input,
        out: &mut Vec<Output>,
    ) -> State {
        match input {
            Input::Voice => State::Hearing { since: now },
            Input::Partial(words) => {
                if !words.trim().is_empty() {
                    self.said.partial(now, &words);
                }
                State::Settling { since: self.settles_since(now) }
            }
            Input::Final(words) => {
                self.hear_final(now, &words);
                if self.said.no_words() {
                    return self.not_understood(now);
                }
                State::Settling { since: self.settles_since(now) }
            }
            Input::EndOfTurn if !self.said.no_words() => self.ask(now, out),
            Input::Digit(key) => self.key(now, key, out),
            Input::Timeout if self.settled_at(since) > now => State::Settling { since },
            Input::Timeout if self.said.no_words() => self.not_understood(now),
            Input::Timeout => self.ask(now, out),
            Input::Ends => self.finish(Why::Ended, out),
            Input::Quiet | Input::EndOfTurn | Input::Start(_) => State::Settling { since },
            Input::Reply(..) | Input::Working(_) | Input::ReplyDone(_) => State::Settling { since },
            Input::Sounding(_) | Input::Dry(_) | Input::Played(_) | Input::Failed => {
                State::Settling { since }
            }
        }
    }

    fn keying(&mut self, now: Moment, until: Moment, input: Input, out: &mut Vec<Output>) -> State {
        match input {
            Input::Digit(key) => self.key(now, key, out),
            Input::Timeout if until <= now => self.ask(now, out),
            Input::Partial(words) => {
                self.said.partial(now, &words);
                State::Keying { until }
            }
            Input::Final(words) => {
                self.hear_final(now, &words);
                State::Keying { until }
            }
            Input::Ends => self.finish(Why::Ended, out),
            Input::Voice | Input::Quiet | Input::EndOfTurn | Input::Timeout => {
                State::Keying { until }
            }
            Input::Start(_) | Input::Reply(..) | Input::Working(_) | Input::ReplyDone(_) => {
                State::Keying { until }
            }
            Input::Sounding(_) | Input::Dry(_) | Input::Played(_) | Input::Failed => {
                State::Keying { until }
            }
        }
    }

    fn thinking(
        &mut self,
        now: Moment,
        mut making: Making,
        input: Input,
        out: &mut Vec<Output>,
    ) -> State {
        match input {
            Input::Partial(words) => {
                if self.is_late(now, &making) {
                    return State::Thinking(making);
                }
                if !words.trim().is_empty() {
                    self.said.partial(now, &words);
                }
                if self.words_cut() {
                    return self.cut(now, None, out);
                }
            }
            Input::Final(words) => {
                if self.is_late(now, &making) {
                    return self.late_final(now, making, &words, out);
                }
                self.hear_final(now, &words);
                if self.words_cut() {
                    return self.cut(now, None, out);
                }
            }
            Input::Digit(key) if self.keys_cut() => {
                self.cut(now, None, out);
                return self.key(now, key, out);
            }
            Input::Digit(key) => self.said.keys.push(key),
            Input::Reply(turn, words) => {
                making.said = true;
                making.until = now + STUCK;
                out.push(Output::Say(turn, words));
            }
            Input::Working(_) => making.until = now + STUCK,
            Input::ReplyDone(turn) => {
                making.complete = true;
                making.filler = None;
                making.until = now + STUCK;
                out.push(Output::Done(turn));
                if !making.said {
                    return self.listen(now);
                }
            }
            Input::Sounding(_) => {
                making.until = now + SILENCED;
                self.asked.words = None;
                return State::Speaking { making, paused: false };
            }
            Input::Played(_) => return self.listen(now),
            Input::Ends if !making.said => return self.finish(Why::Ended, out),
            Input::Ends => return close(now, Why::Ended),
            Input::Timeout if self.confirmed(now) => return self.cut(now, None, out),
            Input::Timeout if making.until <= now => {
                self.state = State::Thinking(making);
                self.last_words(now, Line::Apology, Why::Failed, out);
                return std::mem::replace(&mut self.state, State::Over);
            }
            Input::Timeout if making.filler.is_some_and(|at| at <= now) => {
                making.filler = Some(now + FILLER.1);
                making.said = true;
                out.push(Output::Speak(self.turn, Line::Filler));
            }
            Input::Voice | Input::Quiet | Input::EndOfTurn | Input::Timeout => {}
            Input::Start(_) | Input::Dry(_) | Input::Failed => {}
        }
        State::Thinking(making)
    }

    fn speaking(
        &mut self,
        now: Moment,
        mut making: Making,
        mut paused: bool,
        input: Input,
        out: &mut Vec<Output>,
    ) -> State {
        match input {
            Input::Partial(words) => {
                if !words.trim().is_empty() && !self.is_late(now, &making) {
                    self.said.partial(now, &words);
                    if self.words_cut() {
                        return self.cut(now, self.ear.speaking().or(Some(now)), out);
                    }
                }
            }
            Input::Final(words) => {
                if self.is_late(now, &making) {
                    let all = join(&self.asked.head, &words);
                    if !words.trim().is_empty() {
                        out.push(Output::Amend(self.turn, all.clone()));
                        self.asked.head = all;
                    }
                } else {
                    self.hear_final(now, &words);
                    if self.words_cut() {
                        return self.cut(now, self.ear.speaking().or(Some(now)), out);
                    }
                }
            }
            Input::Digit(key) if self.keys_cut() => {
                self.cut(now, None, out);
                return self.key(now, key, out);
            }
            Input::Digit(key) => self.said.keys.push(key),
            Input::Reply(turn, words) => out.push(Output::Say(turn, words)),
            Input::Working(_) => {}
            Input::ReplyDone(turn) => {
                making.complete = true;
                out.push(Output::Done(turn));
            }
            Input::Sounding(_) => making.until = now + SILENCED,
            Input::Dry(_) if !paused => {
                making.until = now + STUCK;
                making.filler = (!making.complete).then_some(now + FILLER.0);
                return State::Thinking(making);
            }
            Input::Played(_) => return self.listen(now),
            Input::Ends => {
                if paused {
                    out.push(Output::Resume(self.turn));
                }
                return close(now, Why::Ended);
            }
            Input::Timeout if self.confirmed(now) => {
                return self.cut(now, self.ear.speaking(), out);
            }
            Input::Timeout if making.until <= now => {
                out.push(Output::Cut { turn: self.turn, barge_in: None });
                self.turn = self.turn.next();
                return self.listen(now);
            }
            Input::Timeout if paused && self.ear.gap_over().is_some_and(|at| at <= now) => {
                paused = false;
                making.until = now + SILENCED;
                out.push(Output::Resume(self.turn));
            }
            Input::Timeout
                if !paused && self.over_us().is_some_and(|since| since + PAUSE_AFTER <= now) =>
            {
                paused = true;
                out.push(Output::Pause(self.turn));
            }
            Input::Voice | Input::Quiet | Input::EndOfTurn | Input::Timeout => {}
            Input::Start(_) | Input::Dry(_) | Input::Failed => {}
        }
        State::Speaking { making, paused }
    }

    fn closing(
        &mut self,
        now: Moment,
        why: Why,
        until: Moment,
        at_most: Moment,
        input: Input,
        out: &mut Vec<Output>,
    ) -> State {
        let same = State::Closing { why, until, at_most };
        match input {
            Input::Reply(turn, words) => {
                out.push(Output::Say(turn, words));
                same
            }
            Input::ReplyDone(turn) => {
                out.push(Output::Done(turn));
                same
            }
            Input::Sounding(_) => State::Closing { why, until: now + LAST_WORDS.0, at_most },
            Input::Played(_) => self.finish(why, out),
            Input::Timeout if until.min(at_most) <= now => self.finish(why, out),
            Input::Voice
            | Input::Quiet
            | Input::Partial(_)
            | Input::Final(_)
            | Input::EndOfTurn => same,
            Input::Digit(_) | Input::Working(_) | Input::Dry(_) | Input::Ends => same,
            Input::Start(_) | Input::Failed | Input::Timeout => same,
        }
    }

    /// Words came without the detector having told of a voice for long enough.
    fn caller_speaks(&self, now: Moment) -> State {
        match self.ear.speaking() {
            Some(since) => State::Hearing { since },
            None => State::Settling { since: self.settles_since(now) },
        }
    }

    /// Since when the silence counts: words that no voice belongs to were spoken now.
    fn settles_since(&self, now: Moment) -> Moment {
        self.ear.silent().filter(|quiet| now - *quiet <= NOISE).unwrap_or(now)
    }

    /// Since when the caller's turn counts: noise before the first words is no part of it.
    fn hears_since(&self, now: Moment, since: Moment) -> Moment {
        if self.said.no_words() { now } else { since }
    }

    fn hear_final(&mut self, now: Moment, words: &str) {
        if words.trim().is_empty() {
            self.said.partial.clear();
        } else {
            self.said.sure(now, words);
        }
    }

    fn key(&mut self, now: Moment, key: char, out: &mut Vec<Output>) -> State {
        if key == '#' && !self.said.keys.is_empty() {
            return self.ask(now, out);
        }
        self.said.keys.push(key);
        State::Keying { until: now + KEYS }
    }

    /// The caller's turn is over: what he said is put to the model.
    fn ask(&mut self, now: Moment, out: &mut Vec<Output>) -> State {
        self.turn = self.turn.next();
        self.prompted = false;
        let head = self.said.finals.clone();
        let words = self.said.take();
        out.push(Output::Ask(self.turn, words.clone()));
        self.asked = Asked { at: now, words: Some(words), head };
        State::Thinking(Making::new(now, Kind::Reply))
    }

    /// The caller speaks over a reply: it ends here. What he asked before stays asked as long as
    /// he heard nothing of the answer.
    fn cut(&mut self, now: Moment, barge_in: Option<Moment>, out: &mut Vec<Output>) -> State {
        out.push(Output::Cut { turn: self.turn, barge_in });
        self.turn = self.turn.next();
        if let Some(asked) = self.asked.words.take() {
            self.said.finals = join(&asked, &self.said.finals);
            self.said.at = now;
        }
        self.idle_at = now + self.manner.idle;
        self.caller_speaks(now)
    }

    /// Words that belong to the question that is being answered, and came after it was asked.
    fn is_late(&self, now: Moment, making: &Making) -> bool {
        making.kind == Kind::Reply
            && now - self.asked.at < LATE
            && self.ear.began() <= self.asked.at
    }

    fn late_final(
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
    fn not_understood(&mut self, now: Moment) -> State {
        let meant =
            self.ear.silent().is_some_and(|quiet| quiet - self.ear.began().min(quiet) >= MEANT);
        if meant && !self.prompted {
            self.idle_at = self.idle_at.min(now + UNCLEAR);
        }
        State::Listening
    }

    /// Nobody replies any more: the caller's turn.
    fn listen(&mut self, now: Moment) -> State {
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

    fn idle(&mut self, now: Moment, out: &mut Vec<Output>) -> State {
        if std::mem::replace(&mut self.prompted, true) {
            return self.finish(Why::NoInput, out);
        }
        self.line(now, Line::IdlePrompt, out)
    }

    /// Fixed words as a turn of their own.
    fn line(&mut self, now: Moment, line: Line, out: &mut Vec<Output>) -> State {
        self.turn = self.turn.next();
        self.asked = Asked { at: now, ..Asked::default() };
        out.push(Output::Speak(self.turn, line));
        State::Thinking(Making {
            filler: None,
            said: true,
            complete: true,
            ..Making::new(now, Kind::Unasked)
        })
    }

    /// Whatever is going on ends, with these words.
    pub(super) fn last_words(&mut self, now: Moment, line: Line, why: Why, out: &mut Vec<Output>) {
        if matches!(self.state, State::Thinking(_) | State::Speaking { .. }) {
            out.push(Output::Cut { turn: self.turn, barge_in: None });
        }
        self.turn = self.turn.next();
        out.push(Output::Speak(self.turn, line));
        self.state = close(now, why);
    }

    fn finish(&mut self, why: Why, out: &mut Vec<Output>) -> State {
        out.push(Output::Finish(why));
        State::Over
    }

    /// Since when the caller speaks over us, where voice is what interrupts. A voice that went on
    /// when its turn was taken (a television) does not.
    fn over_us(&self) -> Option<Moment> {
        let counts = self.manner.interruption == Interruption::Any;
        self.ear.speaking().filter(|since| counts && *since > self.asked.at)
    }

    fn confirmed(&self, now: Moment) -> bool {
        self.over_us().is_some_and(|since| since + self.manner.start <= now)
    }

    fn words_cut(&self) -> bool {
        matches!(self.manner.interruption, Interruption::Any | Interruption::Words)
            && is_talk(&self.said.words())
    }

    fn keys_cut(&self) -> bool {
        self.manner.interruption != Interruption::None
    }
}

/// The last words are on their way.
fn close(now: Moment, why: Why) -> State {
    State::Closing { why, until: now + LAST_WORDS.0, at_most: now + LAST_WORDS.1 }
}
