//! One method a state: what each input does to it.

use super::moves::{
    FILLER, LAST_WORDS, LONGEST_TURN, NO_NEW_WORDS, PAUSE_AFTER, SILENCED, STUCK, close,
};
use super::{Asked, Input, Kind, Line, Making, Moment, Opening, Output, State, Turns, Why};
use crate::said::join;

impl Turns {
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
            Input::EndOfTurn if !self.said.no_words() && !self.ear.went_on(now) => {
                self.ask(now, out)
            }
            Input::Digit(key) => self.key(now, key, out),
            Input::Timeout if self.manner.wordless && since + LONGEST_TURN > now => {
                State::Hearing { since }
            }
            Input::Timeout if self.manner.wordless => self.ask(now, out),
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
            Input::Timeout if self.said.no_words() && !self.manner.wordless => {
                self.not_understood(now)
            }
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
                // It will sound soon, and a filler would come after it.
                making.filler = None;
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
            Input::Dry(_) => {
                if paused {
                    out.push(Output::Resume(self.turn));
                }
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
            Input::Start(_) | Input::Failed => {}
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
}
