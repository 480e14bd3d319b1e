//! What the conversation's task does with everything that comes in: one method for each source.

use std::sync::Arc;
use std::time::Duration;

use agent::config::Awaits;
use agent::ledger::{Cut, Spent};
use agent::{Config, Error, Floor, Item, Standing};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ahead::Ahead;
use super::detector::Detector;
use super::wordless::StandIn;
use super::{Ended, How, Note, Talk, opening};
use crate::both::Both;
use crate::ears::{self, Ears};
use crate::endpoint::{Awaited, awaited};
use crate::heard::Piece;
use crate::ledger::Open;
use crate::memory::Memory;
use crate::mind::Mind;
use crate::mouth::{self, Mouth, Progress};
use crate::prepared::voice_of;
use crate::sentence::Clauses;
use crate::sound::{Inbound, Outbound};
use crate::stt::{Hear, Want, Words};
use crate::turn::{Input, Line, Manner, Moment, Opening, Output, TurnId, Turns, Why};

/// How often it is told how the conversation stands while somebody speaks.
const STANDS: Duration = Duration::from_secs(1);

/// A conversation under way, and everything that it owns.
pub(super) struct Session<'a> {
    pub(super) config: Arc<Config>,
    notes: mpsc::UnboundedSender<Note>,
    outbound: &'a mpsc::Sender<Outbound>,
    pub(super) start: Instant,
    pub(super) turns: Turns,
    pub(super) detector: Detector,
    pub(super) ears: Ears,
    pub(super) mind: Mind,
    pub(super) mouth: Mouth,
    /// Hears and speaks instead of ears and mouth, and thinks instead of the mind.
    pub(super) both: Option<Both>,
    /// Who stands in for it.
    pub(super) stand_in: Option<StandIn>,
    pub(super) memory: Memory,
    pub(super) reply: Reply,
    pub(super) ahead: Option<Ahead>,
    /// When the recognizer was sure last, and when a question was put last.
    pub(super) sure: Option<Moment>,
    pub(super) asked: Moment,
    /// What was done by who is gone, and is in no ledger yet.
    pub(super) spent: Vec<Spent>,
    state: &'static str,
    /// Who spoke when it was told last how the conversation stands, and when that was.
    stood: (Option<Floor>, Instant),
    pub(super) ending: Ending,
    pub(super) how: Option<How>,
}

/// The reply that is being made.
#[derive(Default)]
pub(super) struct Reply {
    pub(super) turn: TurnId,
    pub(super) clauses: Clauses,
    /// How often the model was asked in this turn already.
    pub(super) round: u32,
    /// Tools of this round that have not answered.
    pub(super) waiting: usize,
    /// Whether the model wants to speak of their answers.
    pub(super) speak: bool,
    /// Whether words of this turn were given to the voice, and are waited for.
    pub(super) spoke: bool,
    /// What it took so far; `None` once that was told.
    pub(super) open: Option<Open>,
    /// A clause that the voice was given before the turn began.
    pub(super) prepared: Option<String>,
}

/// What is known of the conversation's end before it comes.
#[derive(Default)]
pub(super) struct Ending {
    /// What a tool that ended it wants.
    pub(super) tool: Option<How>,
    /// Why a vendor failed last.
    trouble: String,
}

impl Ending {
    fn how(&mut self, why: Why) -> How {
        match why {
            Why::NoInput => How::NoInput,
            Why::Timeout => How::Timeout,
            Why::Ended => self.tool.take().unwrap_or(How::Tool { then: None, stop: false }),
            Why::Failed => How::Failed(std::mem::take(&mut self.trouble)),
        }
    }
}

impl<'a> Session<'a> {
    pub(super) fn begin(talk: Talk, outbound: &'a mpsc::Sender<Outbound>) -> Self {
        let Talk { id, config, history, tools, vendors, rate, duration, prepared, notes, .. } =
            talk;
        let start = Instant::now();
        let mut troubles = Vec::new();
        let stt = vendors.stt(&config).unwrap_or_else(|error| none(error, &mut troubles));
        let tts = vendors.tts(&config).unwrap_or_else(|error| none(error, &mut troubles));
        let llms = vendors.llm(&config).unwrap_or_else(|error| none(error, &mut troubles));
        let opening = opening(&config, &history);
        let duplex = vendors.duplex(&config).unwrap_or_else(|error| {
            troubles.push(error);
            None
        });
        let unable = stt.is_empty() || tts.is_empty() || llms.is_empty();
        let likely_ends = config.ask_ahead;
        let want = Want { rate, language: config.stt_language.clone(), likely_ends };
        let voice = voice_of(&config, rate);
        let greets = opening == Opening::Greet && duplex.is_none();
        let prepared = prepared.filter(|prepared| greets && prepared.fits(&config, &voice, &tts));
        let manner = Manner { wordless: duplex.is_some(), ..Manner::of(&config, duration) };
        let mind = Mind::new(llms, tools, Arc::clone(&config), id);
        let mut stand_in = None;
        let (both, ears, mouth) = match duplex {
            Some(vendor) => {
                let both = Both::new(vendor, voice.clone(), mind.shown(&history), mind.tools());
                let mouth = Mouth::given(tts.clone(), voice, start);
                stand_in = Some(StandIn { stt, tts, want: want.clone() });
                (Some(both), Ears::new(Vec::new(), want), mouth)
            }
            None => (None, Ears::new(stt, want), Mouth::new(tts, voice, start, prepared)),
        };
        let unable = unable && both.is_none();
        let mut session = Self {
            turns: Turns::new(manner),
            detector: Detector::new(rate, &config),
            ears,
            mind,
            mouth,
            both,
            stand_in,
            memory: Memory::new(history, config.history_tokens),
            reply: Reply::default(),
            ahead: None,
            sure: None,
            asked: Moment::ZERO,
            spent: Vec::new(),
            state: "",
            stood: (None, start),
            ending: Ending::default(),
            how: None,
            config,
            notes,
            outbound,
            start,
        };
        for error in troubles {
            session.trouble(&error);
        }
        session.await_answer(&session.memory.last_said());
        session.expect(None);
        session.turn(Input::Start(opening));
        if unable {
            session.turn(Input::Failed);
        }
        session
    }

    pub(super) fn end(mut self, how: How) -> Ended {
        self.give_up_ahead("wrong");
        let floor = self.turns.floor();
        self.settle(Some(self.cut(None)));
        self.account_for_rest();
        self.stands(floor);
        Ended { how, history: self.memory.into_items() }
    }

    pub(super) fn note(&self, note: Note) {
        // Nobody may want to know; the conversation goes on.
        let _ = self.notes.send(note);
    }

    pub(super) fn trouble(&mut self, error: &Error) {
        tracing::warn!(%error, "a vendor failed");
        self.ending.trouble = error.to_string();
        self.note(Note::Trouble(error.to_string()));
    }

    /// Tells the turn machine, and does what follows.
    pub(super) fn turn(&mut self, input: Input) {
        let now = self.start.elapsed();
        for output in self.turns.on(now, input) {
            self.act(now, output);
        }
        if self.state != self.turns.state() {
            self.state = self.turns.state();
            self.note(Note::State(self.state));
        }
        let (floor, (before, at)) = (self.turns.floor(), self.stood);
        let goes_on = matches!(floor, Floor::Caller | Floor::Speaking);
        if before != Some(floor) || goes_on && at.elapsed() >= STANDS {
            self.stands(floor);
        }
    }

    /// Tells how the conversation stands.
    pub(super) fn stands(&mut self, floor: Floor) {
        self.stood = (Some(floor), Instant::now());
        let words = if floor == Floor::Caller { self.turns.unasked() } else { String::new() };
        let items = self.memory.with(&self.mouth.heard());
        self.note(Note::Standing(Standing { items, floor, words }));
    }

    fn act(&mut self, now: Moment, output: Output) {
        match output {
            Output::TellVoice => {
                self.ears.hear(Hear::Voice);
                self.both.iter_mut().for_each(Both::voice);
            }
            Output::TellQuiet => {
                self.ears.hear(Hear::Quiet);
                self.both.iter_mut().for_each(Both::quiet);
            }
            Output::Suppose(turn, words) => self.suppose(turn, &words),
            Output::Forget(_) => self.give_up_ahead("wrong"),
            Output::Ask(turn, words) => {
                let voice = self.both.as_ref().is_some_and(Both::heard_voice);
                if voice {
                    self.memory.ask_unwritten(turn);
                }
                let fresh = self.memory.ask(&words);
                if !fresh.is_empty() {
                    self.note(Note::Caller(fresh));
                }
                self.account(None);
                let open = self.opens(now, voice || !words.is_empty());
                self.mouth.silent_since(self.turns.waits_since());
                if !self.commit(turn, &open) {
                    self.mouth.begin(turn);
                    self.reply = Reply { turn, open: Some(open), ..Reply::default() };
                    self.ask(words);
                }
            }
            Output::Amend(_, words) => self.memory.amend(&words),
            Output::Say(turn, words) => {
                self.reply.spoke = true;
                if self.reply.prepared.take().as_ref() != Some(&words) {
                    self.mouth.say(turn, self.reply.round, &words);
                }
            }
            Output::Done(turn) => {
                self.mouth.end(turn);
                self.expect(Some(self.mouth.said()));
            }
            Output::Speak(turn, Line::Filler) => self.fill(turn),
            Output::Speak(turn, line) => self.line(turn, line),
            Output::Pause(_) => {
                self.mouth.hold();
                self.mouth.cleared(self.outbound);
            }
            Output::Resume(_) => self.mouth.go_on(),
            Output::Cut { barge_in, .. } => {
                self.mind.drop_answer();
                let after = barge_in.map(|since| now.saturating_sub(since));
                self.settle(Some(self.cut(after)));
                if let Some(after) = after {
                    metrics::histogram!("voxflow_barge_in_seconds").record(after.as_secs_f64());
                    self.note(Note::BargeIn(after.as_millis() as u64));
                }
            }
            Output::Finish(why) => self.how = Some(self.ending.how(why)),
        }
    }

    fn line(&mut self, turn: TurnId, line: Line) {
        self.account(None);
        let (kind, text) = match line {
            Line::Greeting => ("greeting", &self.config.greeting),
            Line::Filler => ("filler", &self.config.filler),
            Line::IdlePrompt => ("idle_prompt", &self.config.idle_prompt),
            Line::Goodbye => ("goodbye", &self.config.goodbye),
            Line::Apology => ("apology", &self.config.fallback),
        };
        if line == Line::Apology {
            self.mouth.try_again();
        }
        let open = Some(Open::new(kind, self.start.elapsed()));
        self.reply = Reply { turn, open, ..Reply::default() };
        self.mouth.begin(turn);
        self.mouth.silent_since(self.turns.waits_since());
        self.mouth.say(turn, 0, text);
        match &mut self.both {
            // The end comes with the last of its sound.
            Some(both) => both.say(turn, text, self.mouth.has_voice()),
            None => self.mouth.end(turn),
        }
        self.expect(Some(self.mouth.said()));
    }

    /// Puts what was said to the model; `words` are those that it could not hear by itself.
    pub(super) fn ask(&mut self, words: String) {
        let now = self.start.elapsed();
        self.reply.open.iter_mut().for_each(|open| open.asks(now));
        self.reply.waiting = 0;
        self.reply.speak = false;
        if let Some(both) = &mut self.both {
            return both.ask(self.reply.turn, words);
        }
        self.ask_mind(!words.is_empty() || self.reply.round > 0 && !self.reply.spoke);
    }

    pub(super) fn ask_mind(&mut self, must_speak: bool) {
        self.mind.ask(self.reply.turn, self.memory.items(), self.reply.round, must_speak);
    }

    /// The turn is over, perhaps before its end: what was heard of it is remembered.
    fn settle(&mut self, cut: Option<Cut>) {
        if let Some(both) = &mut self.both {
            both.settle(self.reply.turn, self.mouth.played(), cut.is_some());
        }
        self.account(cut);
        self.await_answer(&text_of_all(&self.mouth.said()));
        let heard = self.mouth.cut();
        self.mouth.cleared(self.outbound);
        let words = self.memory.settle(&heard);
        if !words.is_empty() {
            self.note(Note::Agent(words));
        }
        self.expect(None);
    }

    /// The agent said this: what is the caller asked for?
    fn await_answer(&mut self, said: &str) {
        self.turns.awaits(match (self.config.awaits, awaited(said)) {
            (Awaits::Question, _) if said.is_empty() => return,
            (Awaits::Question, awaited) => awaited,
            (Awaits::Anything, _) => Awaited::Anything,
            (Awaits::YesNo, _) => Awaited::YesNo,
            (Awaits::Digits, awaited @ Awaited::Digits(_)) => awaited,
            (Awaits::Digits, _) => Awaited::Digits(None),
            (Awaits::Name | Awaits::Address, _) => Awaited::Name,
        });
    }

    /// Tells the recognizer which phrases make sense now, or will when all of this is said.
    fn expect(&mut self, saying: Option<Vec<Piece>>) {
        let saying =
            saying.map(|pieces| Item::Assistant { text: text_of_all(&pieces), calls: Vec::new() });
        self.ears.expect(self.mind.expects(self.memory.items(), saying));
    }

    pub(super) fn inward(&mut self, inward: Inbound) {
        match inward {
            Inbound::Frame(frame) => {
                let change = self.detector.hear(self.start.elapsed(), &frame);
                // The recognizer has the sound before it is told what it means.
                self.both.iter_mut().for_each(|both| both.hear(&frame));
                self.ears.hear(Hear::Frame(frame));
                if let Some(change) = change {
                    self.turn(change);
                }
            }
            Inbound::Digit(key) => self.turn(Input::Digit(key)),
            Inbound::Mark(mark) => {
                self.mouth.marked(mark);
                self.tick();
            }
            Inbound::Gone => self.how = Some(How::Gone),
        }
    }

    pub(super) fn hears(&mut self, sign: ears::Sign) {
        match sign {
            ears::Sign::Words(Words::Started) => {}
            ears::Sign::Words(Words::Partial(words)) => self.turn(Input::Partial(words)),
            ears::Sign::Words(Words::Final(words)) => {
                if !words.trim().is_empty() {
                    self.is_sure();
                }
                self.turn(Input::Final(words));
            }
            ears::Sign::Words(Words::EndOfTurn) => self.turn(Input::EndOfTurn),
            ears::Sign::Words(Words::LikelyEnd) => self.turn(Input::LikelyEnd),
            ears::Sign::Words(Words::GoesOn) => self.turn(Input::GoesOn),
            ears::Sign::Trouble(error) => self.trouble(&error),
            ears::Sign::Deaf(error) => {
                self.trouble(&error);
                self.turn(Input::Failed);
            }
        }
    }

    pub(super) fn speaks(&mut self, sign: mouth::Sign) {
        match sign {
            mouth::Sign::Sound => self.tick(),
            mouth::Sign::Trouble(error) => self.trouble(&error),
            mouth::Sign::Mute(error) if self.ahead.is_some() => {
                // All try once more when it counts.
                self.trouble(&error);
                self.give_up_ahead("failed");
                self.mouth.try_again();
                self.turn(Input::Unanswered);
            }
            mouth::Sign::Mute(error) => {
                self.trouble(&error);
                self.turn(Input::Failed);
            }
        }
    }

    /// Sends what is due, and tells the machine how far the sound is.
    pub(super) fn tick(&mut self) {
        let (turn, progress) = self.mouth.tick(self.outbound);
        match progress {
            Progress::None => {}
            Progress::Sounding => self.turn(Input::Sounding(turn)),
            Progress::Dry => self.turn(Input::Dry(turn)),
            Progress::Over => {
                self.settle(None);
                self.turn(Input::Played(turn));
            }
        }
    }
}

/// A vendor list that could not be made.
fn none<T>(error: Error, troubles: &mut Vec<Error>) -> Vec<T> {
    troubles.push(error);
    Vec::new()
}

/// The words of a turn.
fn text_of_all(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>().join(" ")
}
