//! Whose turn it is to speak. Pure: what is heard goes in, what to say or stop comes out.
//!
//! ```text
//!   Listening ──voice, words──▶ Hearing ──quiet──▶ Settling ──pause over──▶ Thinking ──sound──▶ Speaking
//!    ▲  ▲  ▲                      ▲  ▲                │ voice                 │  ▲              │  │  │
//!    │  │  └────── no words ──────┼──┼────────────────┴───────────────────────┘  └─ more to say─┘  │  │
//!    │  │                         └──┴───── a barge-in: the reply is cut ───────────────────────────┘  │
//!    │  └─ Keying ◀─ a key                                                                             │
//!    └───────────────────────────────────── all was heard ─────────────────────────────────────────────┘
//!   any of them ── time over, a tool ended it, vendors failed ──▶ Closing ── heard ──▶ Over
//! ```
//!
//! In Hearing and Settling the turn may be likely over before it is: then the model is asked ahead
//! ([`Output::Suppose`]), and what comes of it waits for the commit ([`Output::Ask`] of the same
//! turn) or is thrown away ([`Output::Forget`]).
//!
//! Read on in [`crate::turn`]'s parts: `states` and `replying` (one method a state), `moves` (what several
//! states do alike, and every time limit), `ahead` (what is asked before the turn is over), the
//! tests (scores in virtual time).
//!
//! Invariant: no clock is read here; every input brings its own time.
//! Invariant: a reply is known by its [`TurnId`], and what arrives for an older one is dropped in [`Turns::on`].
//! Invariant: no state has a catch-all arm, so that a new input must be thought through in each.
//! Invariant: whatever the state, [`Turns::deadline`] names a moment at which it goes on by itself,
//! until it is over.

mod ahead;
mod moves;
mod replying;
mod states;
#[cfg(test)]
mod tests;

use std::time::Duration;

use agent::config::Interruption;
use agent::{Config, Floor};

use self::ahead::Ahead;
use crate::ear::{Ear, MEANT};
use crate::endpoint::Awaited;
use crate::said::Said;

/// A turn: the right to speak, and what is said in it. Raised by every question and every cut, so
/// that what comes late is known by comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnId(pub u64);

impl TurnId {
    /// The turn after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Time since the conversation began.
pub type Moment = Duration;

/// How turns are taken: an agent's settings, in the machine's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// What interrupts the agent while it speaks.
    pub interruption: Interruption,
    /// And while it thinks.
    pub thinking: Interruption,
    /// Voice for this long is a turn, or a barge-in.
    pub start: Duration,
    /// Silence for this long ends a turn, if nothing speaks for another.
    pub stop: Duration,
    /// And for no longer than this, whatever is waited for. Not above `stop` = it does not adapt.
    pub stop_at_most: Duration,
    /// Whether the model is asked before the turn is over.
    pub ahead: bool,
    /// Silence for this long asks for a sign of life.
    pub idle: Duration,
    /// The longest conversation.
    pub longest: Duration,
    /// Whether a turn needs no words, since the model hears the caller's sound itself.
    pub wordless: bool,
}

impl Manner {
    /// An agent's manner. Settings that make no sense are brought to the nearest that do.
    pub fn of(config: &Config, longest: Duration) -> Self {
        let seconds = |value: f32, least: f32, most: f32| {
            Duration::from_secs_f32(if value.is_finite() {
                value.clamp(least, most)
            } else {
                least
            })
        };
        Self {
            interruption: config.interruption,
            thinking: config.interruption_thinking.unwrap_or(config.interruption),
            start: seconds(config.vad_config.start_secs, 0.06, 3.0),
            stop: seconds(config.vad_config.stop_secs, 0.1, 5.0),
            stop_at_most: seconds(config.vad_config.max_stop_secs, 0.0, 10.0),
            ahead: config.ask_ahead,
            idle: Duration::from_secs(config.idle_timeout_s.clamp(1, 3600)),
            longest: longest.max(Duration::from_secs(1)),
            wordless: false,
        }
    }
}

/// How a conversation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The agent says its greeting.
    Greet,
    /// The model speaks unasked.
    Ask,
    /// The agent waits for the caller.
    Listen,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The conversation begins.
    Start(Opening),
    /// The detector hears a voice from now on.
    Voice,
    /// The detector hears none from now on.
    Quiet,
    /// The recognizer guesses; replaces the guess before.
    Partial(String),
    /// The recognizer is sure. Empty = nothing was said.
    Final(String),
    /// The recognizer says that the caller has finished.
    EndOfTurn,
    /// The recognizer says that he may have finished.
    LikelyEnd,
    /// He goes on after all, or what was supposed is out of date.
    GoesOn,
    /// Nobody could answer what was supposed: it is left until it is asked.
    Unanswered,
    /// A key was pressed.
    Digit(char),
    /// A piece of the reply, ready to be spoken.
    Reply(TurnId, String),
    /// The reply is being worked on: a tool, another vendor.
    Working(TurnId),
    /// The reply's text is complete.
    ReplyDone(TurnId),
    /// Sound of the turn is heard: its first frame, and again with every mark.
    Sounding(TurnId),
    /// All sound that came of the turn was heard, and more may come.
    Dry(TurnId),
    /// All sound of the turn was heard.
    Played(TurnId),
    /// A tool ended the conversation: what the agent still says is its goodbye. A barge-in does not
    /// undo it.
    Ends,
    /// No vendor is left that could go on.
    Failed,
    /// Time has passed; needed when nothing else comes by [`Turns::deadline`].
    Timeout,
}

/// Words that need no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The agent's first words.
    Greeting,
    /// An answer takes its time. Part of a turn; every other line is one by itself.
    Filler,
    /// Is somebody there?
    IdlePrompt,
    /// The longest time is over.
    Goodbye,
    /// No vendor is left that could go on.
    Apology,
}

/// Why a conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The caller stayed silent.
    NoInput,
    /// The longest time is over.
    Timeout,
    /// A tool ended it.
    Ended,
    /// No vendor is left that could go on.
    Failed,
}

/// What follows from it, to be done at once and in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Tell the recognizer that the caller begins to speak.
    TellVoice,
    /// Tell the recognizer that the caller fell silent.
    TellQuiet,
    /// The turn may be over soon, and then it will be this that is asked: find out what the answer
    /// would be. Nothing of it may be heard, remembered or done.
    Suppose(TurnId, String),
    /// What was supposed is not so: it is thrown away.
    Forget(TurnId),
    /// Put this to the model; empty = let it speak unasked. What was asked before and not
    /// answered is part of it. If it was supposed, the turn is that of the supposition.
    Ask(TurnId, String),
    /// The caller said this rather than what was asked; the question itself stands.
    Amend(TurnId, String),
    /// Speak a piece of the reply.
    Say(TurnId, String),
    /// The turn's text is complete.
    Done(TurnId),
    /// Speak fixed words. But for [`Line::Filler`] they are the whole turn.
    Speak(TurnId, Line),
    /// Stop the sound, and keep what was not heard.
    Pause(TurnId),
    /// Go on with the sound.
    Resume(TurnId),
    /// The turn is over: its model, voice and sound are dropped; what was heard of it stays.
    Cut {
        /// Which turn.
        turn: TurnId,
        /// For a barge-in by voice or words over sound: since when the caller speaks.
        barge_in: Option<Moment>,
    },
    /// The conversation is over.
    Finish(Why),
}

/// How far the conversation is.
#[derive(Debug)]
enum State {
    /// Not begun.
    Waiting,
    /// Nobody speaks; short noises change nothing.
    Listening,
    /// The caller speaks.
    Hearing { since: Moment },
    /// The caller fell silent, perhaps for a breath.
    Settling { since: Moment },
    /// The caller presses keys.
    Keying { until: Moment },
    /// A reply is being made; nothing of it sounds now.
    Thinking(Making),
    /// A reply sounds.
    Speaking { making: Making, paused: bool },
    /// The last words sound, and nothing interrupts them.
    Closing { why: Why, until: Moment, at_most: Moment },
    /// It is over.
    Over,
}

/// A reply being made.
#[derive(Clone, Copy, Debug)]
struct Making {
    kind: Kind,
    /// Without a sign of life until then it is given up.
    until: Moment,
    /// When silence becomes too long.
    filler: Option<Moment>,
    /// Something was given to be spoken.
    said: bool,
    /// The text is complete.
    complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of the model, to the caller's words.
    Reply,
    /// Not an answer to anything: a greeting, a prompt.
    Unasked,
}

/// The question that is being answered.
#[derive(Debug, Default)]
struct Asked {
    at: Moment,
    /// Since when the caller waits for it.
    since: Moment,
    /// The words, as long as nothing was heard of the reply.
    words: Option<String>,
    /// Those of them that will not change.
    head: String,
}

/// The machine.
#[derive(Debug)]
pub struct Turns {
    manner: Manner,
    turn: TurnId,
    state: State,
    ear: Ear,
    said: Said,
    ahead: Ahead,
    awaited: Awaited,
    asked: Asked,
    /// When the caller's silence has lasted too long.
    idle_at: Moment,
    /// Whether he was asked for a sign of life already.
    prompted: bool,
    /// How often in a row he was since no recognizer said anything of what he said.
    unheard: u32,
    /// When the longest time is over.
    ends_at: Option<Moment>,
}

impl Turns {
    /// A conversation that has not begun.
    pub fn new(manner: Manner) -> Self {
        Self {
            manner,
            turn: TurnId::default(),
            state: State::Waiting,
            ear: Ear::default(),
            said: Said::default(),
            ahead: Ahead::default(),
            awaited: Awaited::default(),
            asked: Asked::default(),
            idle_at: Moment::ZERO,
            prompted: false,
            unheard: 0,
            ends_at: None,
        }
    }

    /// The turn that counts; what belongs to another is not wanted any more.
    pub fn turn(&self) -> TurnId {
        self.turn
    }

    /// From now on a turn needs words: who heard its sound is gone.
    pub fn need_words(&mut self) {
        self.manner.wordless = false;
    }

    /// From now on the caller is asked for this.
    pub fn awaits(&mut self, awaited: Awaited) {
        self.awaited = awaited;
    }

    /// `listening`, `thinking` or `speaking`.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Waiting | State::Listening | State::Hearing { .. } => "listening",
            State::Settling { .. } | State::Keying { .. } => "listening",
            State::Thinking(_) => "thinking",
            State::Speaking { .. } | State::Closing { .. } | State::Over => "speaking",
        }
    }

    /// Who speaks, or is about to.
    pub fn floor(&self) -> Floor {
        match self.state {
            State::Waiting | State::Listening => Floor::Free,
            State::Hearing { .. } | State::Settling { .. } | State::Keying { .. } => Floor::Caller,
            State::Thinking(_) => Floor::Thinking,
            State::Speaking { .. } | State::Closing { .. } | State::Over => Floor::Speaking,
        }
    }

    /// Since when the caller hears nothing and waits for the turn that counts.
    pub fn waits_since(&self) -> Moment {
        self.asked.since
    }

    /// What the caller has said since the last question, words and keys.
    pub fn unasked(&self) -> String {
        self.said.clone().take()
    }

    /// When to bring [`Input::Timeout`], unless something else comes first. `None` before the
    /// beginning and after the end.
    pub fn deadline(&self) -> Option<Moment> {
        let ends_at = self.ends_at?;
        let hush = self.ear.hush_at(self.hush());
        let end = (!self.is_closing()).then_some(ends_at);
        let own = self.state_deadline()?;
        [hush, end].into_iter().flatten().chain([own]).min()
    }

    /// Takes one input and returns what follows from it, and from the time that has passed.
    pub fn on(&mut self, now: Moment, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.pass(now, &mut out);
        if matches!(self.state, State::Over) {
            return out;
        }
        let of_turn = match &input {
            Input::Reply(turn, _)
            | Input::Working(turn)
            | Input::ReplyDone(turn)
            | Input::Sounding(turn) => Some(*turn),
            Input::Dry(turn) | Input::Played(turn) => Some(*turn),
            Input::Start(_) | Input::Voice | Input::Quiet | Input::Partial(_) | Input::Final(_) => {
                None
            }
            Input::EndOfTurn | Input::LikelyEnd | Input::GoesOn | Input::Digit(_) => None,
            Input::Unanswered | Input::Ends | Input::Failed | Input::Timeout => None,
        };
        if of_turn.is_some_and(|turn| turn != self.turn) {
            return out;
        }
        if input == Input::Voice && self.ear.voice(now) {
            out.push(Output::TellVoice);
        }
        if input == Input::Quiet {
            self.ear.quiet(now);
            self.said.meant |= self.ear.spoke_for() >= MEANT;
        }
        self.step(now, input, &mut out);
        self.review(&mut out);
        self.pass(now, &mut out);
        out
    }

    /// Does what is due by now.
    fn pass(&mut self, now: Moment, out: &mut Vec<Output>) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            if self.ear.hush_at(self.hush()).is_some_and(|at| at <= now) {
                self.ear.hushed(now);
                out.push(Output::TellQuiet);
            } else if !self.is_closing() && self.ends_at.is_some_and(|at| at <= now) {
                self.last_words(now, Line::Goodbye, Why::Timeout, out);
            } else {
                self.step(now, Input::Timeout, out);
                self.review(out);
            }
        }
    }

    /// How long a silence is before the recognizer is told of it: before the turn can end, so that
    /// one that works by utterance has its answer by then.
    fn hush(&self) -> Duration {
        self.manner.stop * 7 / 10
    }

    fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing { .. } | State::Over)
    }
}
