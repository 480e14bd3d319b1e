//! What the conversation's task does with a model that hears and speaks by itself, and who stands
//! in for it when it is lost.

use std::sync::Arc;

use agent::Error;

use super::Note;
use super::running::Session;
use crate::both::Sign;
use crate::ears::Ears;
use crate::memory::FILLER;
use crate::mind::Thought;
use crate::stt::{Stt, Want};
use crate::tts::Tts;
use crate::turn::{Input, TurnId};

/// Who hears and speaks when the model that does both is lost. Nothing of it is opened before.
pub(super) struct StandIn {
    pub(super) stt: Vec<Arc<dyn Stt>>,
    pub(super) tts: Vec<Arc<dyn Tts>>,
    pub(super) want: Want,
}

impl Session<'_> {
    pub(super) fn converses(&mut self, sign: Sign) {
        match sign {
            Sign::Heard(turn, words) => {
                let words = words.trim();
                if !words.is_empty() && self.memory.written(turn, words) {
                    self.note(Note::Caller(words.to_owned()));
                }
            }
            Sign::Text(turn, text) => self.thinks(Thought::Text(turn, text)),
            Sign::Sound(turn, frame) => {
                // Its words may come later than it; that something is said is known now.
                let now = self.start.elapsed();
                self.reply.open.iter_mut().for_each(|open| open.token(now));
                self.turn(Input::Reply(turn, String::new()));
                self.mouth.give(turn, frame);
                self.tick();
            }
            Sign::Answered(turn, text, calls) => {
                self.thinks(Thought::Answered(turn, text, calls));
                self.tick();
            }
            Sign::Said(turn) => {
                // A filler is no turn of its own: the tools still work, or the answer comes.
                if self.reply.waiting == 0 {
                    self.mouth.end(turn);
                    self.tick();
                }
            }
            Sign::Unsaid(turn, words, error) => {
                self.trouble(&error);
                self.mouth.instead(turn, &words);
            }
            Sign::Lost(error) => self.lost(error),
        }
    }

    /// An answer takes its time.
    pub(super) fn fill(&mut self, turn: TurnId) {
        let filler = &self.config.filler;
        match &mut self.both {
            None => self.mouth.say(turn, FILLER, filler),
            // Whether a model is stalled that lets the caller wait there is no time to find out.
            Some(_) if self.mouth.has_voice() => self.mouth.aside(turn, FILLER, filler),
            Some(both) if both.asked().is_none() => {
                self.mouth.say(turn, FILLER, filler);
                both.say(turn, filler, false);
            }
            // While it thinks it cannot be told to say something else.
            Some(_) => {}
        }
    }

    /// The model that hears and speaks is lost: it goes on once more, or others stand in.
    fn lost(&mut self, error: Error) {
        self.trouble(&error);
        let (items, tools) = (self.mind.shown(self.memory.items()), self.mind.tools());
        let Some(both) = &mut self.both else { return };
        if both.again(items, tools, &error) {
            return self.turn(Input::Working(self.reply.turn));
        }
        let (asked, saying) = (both.asked(), both.saying());
        self.spent.extend(both.spent());
        self.both = None;
        let Some(StandIn { stt, tts, want }) = self.stand_in.take() else { return };
        if stt.is_empty() || tts.is_empty() {
            return self.turn(Input::Failed);
        }
        self.turns.need_words();
        self.ears = Ears::new(stt, want);
        self.mouth.speak_by(tts);
        match (asked, saying) {
            // A filler is no longer worth its time.
            (Some(_), Some(_)) if self.reply.waiting > 0 => {}
            (Some(turn), Some(words)) => {
                self.mouth.begin(turn);
                self.mouth.say(turn, 0, &words);
                self.mouth.end(turn);
            }
            (Some(turn), None) => {
                self.turn(Input::Working(turn));
                self.ask_mind(true);
            }
            (None, _) => {}
        }
    }
}
