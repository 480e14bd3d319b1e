//! One method a state: what each input does to it. Here are those in which the caller speaks or may
//! speak; `replying` has the others.

use super::moves::{KEYS, LONGEST_TURN, NO_NEW_WORDS, NOISE};
use super::{Asked, Input, Kind, Line, Making, Moment, Opening, Output, State, Turns, Why};

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
                        self.raise(out);
                        self.asked = Asked { at: now, since: now, ..Asked::default() };
                        out.push(Output::Ask(self.turn, String::new()));
                        State::Thinking(Making::new(now, now, Kind::Unasked))
                    }
                    Opening::Listen => State::Listening,
                }
            }
            Input::Voice
            | Input::Quiet
            | Input::Partial(_)
            | Input::Final(_)
            | Input::EndOfTurn => State::Waiting,
            Input::LikelyEnd | Input::GoesOn | Input::Unanswered => State::Waiting,
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
            Input::LikelyEnd | Input::GoesOn | Input::Unanswered => State::Listening,
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
            Input::EndOfTurn if self.may_be_over() && !self.ear.went_on(now) => self.ask(now, out),
            Input::LikelyEnd => {
                self.suppose(out);
                State::Hearing { since }
            }
            Input::GoesOn | Input::Unanswered => {
                self.unsuppose(&input, out);
                State::Hearing { since }
            }
            Input::Digit(key) => self.key(now, key, out),
            Input::Timeout if self.manner.wordless && since + LONGEST_TURN > now => {
                State::Hearing { since }
            }
            Input::Timeout if self.manner.wordless => self.ask(now, out),
            // Who begins to speak just then is not asked whether he is there.
            Input::Timeout if self.said.no_words() && self.idle_at.max(since + NOISE) <= now => {
                self.idle(now, out)
            }
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
            Input::EndOfTurn if self.may_be_over() => self.ask(now, out),
            Input::LikelyEnd => {
                self.suppose(out);
                State::Settling { since }
            }
            Input::GoesOn | Input::Unanswered => {
                self.unsuppose(&input, out);
                State::Settling { since }
            }
            Input::Digit(key) => self.key(now, key, out),
            Input::Timeout if self.settled_at(since) > now => {
                if self.ahead_at(since).is_some_and(|at| at <= now) {
                    self.suppose(out);
                }
                State::Settling { since }
            }
            Input::Timeout if self.said.no_words() && !self.manner.wordless => {
                self.not_heard(now, out)
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
            Input::Timeout if until <= now => self.ask_since(now, until - KEYS, out),
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
            Input::LikelyEnd | Input::GoesOn | Input::Unanswered => State::Keying { until },
            Input::Start(_) | Input::Reply(..) | Input::Working(_) | Input::ReplyDone(_) => {
                State::Keying { until }
            }
            Input::Sounding(_) | Input::Dry(_) | Input::Played(_) | Input::Failed => {
                State::Keying { until }
            }
        }
    }
}
