//! The states in which the agent speaks, or is about to: what each input does to them.

use agent::config::Interruption;

use super::moves::{FILLER, LAST_WORDS, PAUSE_AFTER, SILENCED, STUCK, close};
use super::{Input, Line, Making, Moment, Output, State, Turns, Why};
use crate::said::join;

impl Turns {
    pub(super) fn thinking(
        &mut self,
        now: Moment,
        mut making: Making,
        input: Input,
        out: &mut Vec<Output>,
    ) -> State {
        let by = self.manner.thinking;
        match input {
            Input::Partial(words) => {
                if self.is_late(now, &making) {
                    return State::Thinking(making);
                }
                if !words.trim().is_empty() {
                    self.said.partial(now, &words);
                }
                if self.words_cut(by) {
                    return self.cut(now, None, out);
                }
            }
            Input::Final(words) => {
                if self.is_late(now, &making) {
                    return self.late_final(now, making, &words, out);
                }
                self.hear_final(now, &words);
                if self.words_cut(by) {
                    return self.cut(now, None, out);
                }
            }
            Input::Digit(key) if by != Interruption::None => {
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
                making.said = true;
                self.asked.words = None;
                return State::Speaking { making, paused: false };
            }
            Input::Played(_) => return self.listen(now),
            Input::Ends if !making.said => return self.finish(Why::Ended, out),
            Input::Ends => return close(now, Why::Ended),
            Input::Timeout if self.confirmed(now, by) => return self.cut(now, None, out),
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
            Input::LikelyEnd
            | Input::GoesOn
            | Input::Unanswered
            | Input::Start(_)
            | Input::Dry(_)
            | Input::Failed => {}
        }
        State::Thinking(making)
    }

    pub(super) fn speaking(
        &mut self,
        now: Moment,
        mut making: Making,
        mut paused: bool,
        input: Input,
        out: &mut Vec<Output>,
    ) -> State {
        let by = self.manner.interruption;
        match input {
            Input::Partial(words) => {
                if !words.trim().is_empty() && !self.is_late(now, &making) {
                    self.said.partial(now, &words);
                    if self.words_cut(by) {
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
                    if self.words_cut(by) {
                        return self.cut(now, self.ear.speaking().or(Some(now)), out);
                    }
                }
            }
            Input::Digit(key) if by != Interruption::None => {
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
            Input::Timeout if self.confirmed(now, by) => {
                return self.cut(now, self.ear.speaking(), out);
            }
            Input::Timeout if making.until <= now => {
                out.push(Output::Cut { turn: self.turn, barge_in: None });
                self.raise(out);
                return self.listen(now);
            }
            Input::Timeout if paused && self.ear.gap_over().is_some_and(|at| at <= now) => {
                paused = false;
                making.until = now + SILENCED;
                out.push(Output::Resume(self.turn));
            }
            Input::Timeout
                if !paused && self.over_us(by).is_some_and(|since| since + PAUSE_AFTER <= now) =>
            {
                paused = true;
                out.push(Output::Pause(self.turn));
            }
            Input::Voice | Input::Quiet | Input::EndOfTurn | Input::Timeout => {}
            Input::LikelyEnd
            | Input::GoesOn
            | Input::Unanswered
            | Input::Start(_)
            | Input::Failed => {}
        }
        State::Speaking { making, paused }
    }

    pub(super) fn closing(
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
            Input::LikelyEnd | Input::GoesOn | Input::Unanswered => same,
            Input::Digit(_) | Input::Working(_) | Input::Dry(_) | Input::Ends => same,
            Input::Start(_) | Input::Failed | Input::Timeout => same,
        }
    }
}
