//! A model that hears and speaks, in use: the caller's sound on its way to it, the turn that it
//! answers, and what happens when it is lost.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use agent::ledger::Spent;
use agent::{Bill, Error, Item, Tool, ToolCall};
use audio::{FRAME_MS, Frame};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::duplex::{Brief, Conversing, Duplex, Tell, Told};
use crate::failed::failed;
use crate::opening::Opening;
use crate::tts::Voice;
use crate::turn::TurnId;

/// A model that does not open within this is replaced: a voice must have the time to greet before
/// the caller's silence has lasted 3 s.
const OPEN: Duration = Duration::from_millis(2200);
/// And one that gives nothing of its answer within this, or falls silent in the middle for so long.
const SILENT: Duration = Duration::from_secs(6);
/// Fixed words that do not sound within this, or fall silent for so long before their end, are left to
/// a voice: it must have the time to speak before the caller's silence has lasted 3 s.
const WORDS: Duration = Duration::from_millis(1400);
/// Sound before the detector was sure of a voice, frames: 300 ms.
const BEFORE: usize = 15;
/// What is kept of the caller's turn: 20 s.
const KEPT: usize = 1000;
/// Silence after which a voice without a turn was a noise, frames: 2 s.
const NOISE: usize = 100;
/// What waits to be told, at most: more than is kept of a turn.
const WAITING: usize = 1200;

/// What comes of it.
#[derive(Debug)]
pub(crate) enum Sign {
    /// What the caller said before a turn.
    Heard(TurnId, String),
    /// Words of the answer.
    Text(TurnId, String),
    /// Sound of the turn.
    Sound(TurnId, Frame),
    /// The answer is complete: all its words, and the tools that it takes.
    Answered(TurnId, String, Vec<ToolCall>),
    /// Fixed words were all spoken.
    Said(TurnId),
    /// Fixed words are not spoken: somebody else must say them. What comes of them still is dropped.
    Unsaid(TurnId, String, Error),
    /// It failed; [`Both::again`] or another must go on.
    Lost(Error),
}

/// A model that hears and speaks.
pub(crate) struct Both {
    vendor: Arc<dyn Duplex>,
    voice: Voice,
    link: Link,
    /// Whether it has answered since it was opened, and was opened a second time before.
    worked: bool,
    again: bool,
    outbox: VecDeque<Tell>,
    caller: Caller,
    asked: Option<Asked>,
    /// Frames that it was told and that are not on the bill.
    given: u64,
    bill: Bill,
}

enum Link {
    Opening(Opening<Conversing>),
    Open(Conversing),
    None,
}

/// The caller's sound.
#[derive(Default)]
struct Caller {
    /// What came before a voice.
    before: VecDeque<Frame>,
    /// What he said since the last question, once a voice began.
    said: Option<VecDeque<Frame>>,
    /// Frames since he fell silent.
    quiet: Option<usize>,
    /// A reply is under way: what he says is kept until it is over or cut.
    waits: bool,
    /// The question's sound, until something of the answer has come.
    asked: VecDeque<Frame>,
}

/// What the model does now.
struct Asked {
    turn: TurnId,
    /// Something else was wanted than an answer: fixed words.
    said: Option<String>,
    words: String,
    text: String,
    calls: Vec<ToolCall>,
    until: Instant,
    /// When what was given of fixed words will have been heard; `None` = nobody else can say them,
    /// or somebody does.
    heard_until: Option<Instant>,
    /// Somebody else says them.
    handed: bool,
}

impl Both {
    /// Begins to open it.
    pub(crate) fn new(
        vendor: Arc<dyn Duplex>,
        voice: Voice,
        items: Vec<Item>,
        tools: Vec<Tool>,
    ) -> Self {
        let mut both = Self {
            vendor,
            voice,
            link: Link::None,
            worked: false,
            again: false,
            outbox: VecDeque::new(),
            caller: Caller::default(),
            asked: None,
            given: 0,
            bill: Bill::default(),
        };
        both.open(items, tools);
        both
    }

    fn open(&mut self, items: Vec<Item>, tools: Vec<Tool>) {
        let vendor = Arc::clone(&self.vendor);
        let brief = Brief { items, tools, voice: self.voice.clone() };
        let name = vendor.name();
        self.worked = false;
        self.link =
            Link::Opening(Opening::new(name, OPEN, async move { vendor.open(brief).await }));
    }

    /// Opens it once more after it was lost, if that may help: with all that was said before, and
    /// what is being asked. `false` = somebody else must go on.
    pub(crate) fn again(&mut self, items: Vec<Item>, tools: Vec<Tool>, why: &Error) -> bool {
        self.asked.take_if(|asked| asked.handed);
        if matches!(why, Error::Refused { .. }) || self.again && !self.worked {
            return false;
        }
        self.again = true;
        self.outbox.clear();
        self.open(items, tools);
        if let Some(asked) = &mut self.asked {
            (asked.text, asked.calls) = (String::new(), Vec::new());
            asked.until = Instant::now() + OPEN + SILENT;
            let (turn, words) = (asked.turn, asked.words.clone());
            match asked.said.clone() {
                Some(words) => self.tell(Tell::Say { turn, words }),
                None => {
                    let frames: Vec<Frame> = self.caller.asked.iter().cloned().collect();
                    if !frames.is_empty() {
                        self.tell(Tell::Voice);
                    }
                    frames.into_iter().for_each(|frame| self.tell(Tell::Frame(frame)));
                    self.tell(Tell::Ask { turn, words });
                }
            }
        }
        if !self.caller.waits {
            self.pass_on();
        }
        true
    }

    /// The turn that it was asked for and has not answered.
    pub(crate) fn asked(&self) -> Option<TurnId> {
        self.asked.as_ref().map(|asked| asked.turn)
    }

    /// The fixed words that it is to speak now.
    pub(crate) fn saying(&self) -> Option<String> {
        self.asked.as_ref().and_then(|asked| asked.said.clone())
    }

    /// Whether the caller spoke since the last question.
    pub(crate) fn heard_voice(&self) -> bool {
        self.caller.said.is_some()
    }

    /// 20 ms of the caller's side.
    pub(crate) fn hear(&mut self, frame: &Frame) {
        let caller = &mut self.caller;
        let Some(said) = &mut caller.said else {
            if caller.before.len() >= BEFORE {
                caller.before.pop_front();
            }
            caller.before.push_back(frame.clone());
            return;
        };
        if said.len() >= KEPT {
            said.pop_front();
        }
        said.push_back(frame.clone());
        let waits = caller.waits;
        let noise = caller.quiet.as_mut().is_some_and(|quiet| {
            *quiet += 1;
            *quiet >= NOISE
        });
        if noise {
            (caller.said, caller.quiet) = (None, None);
        }
        match (waits, noise) {
            (true, _) => {}
            (false, true) => self.tell(Tell::Noise),
            (false, false) => self.tell(Tell::Frame(frame.clone())),
        }
    }

    /// The caller begins to speak.
    pub(crate) fn voice(&mut self) {
        self.caller.quiet = None;
        if self.caller.said.is_none() {
            self.caller.said = Some(std::mem::take(&mut self.caller.before));
            if !self.caller.waits {
                self.pass_on();
            }
        }
    }

    /// The caller fell silent.
    pub(crate) fn quiet(&mut self) {
        if self.caller.said.is_some() {
            self.caller.quiet.get_or_insert(0);
        }
    }

    /// Tells what the caller has said so far.
    fn pass_on(&mut self) {
        let Some(said) = self.caller.said.clone() else { return };
        self.tell(Tell::Voice);
        said.into_iter().for_each(|frame| self.tell(Tell::Frame(frame)));
    }

    /// The caller's turn is over.
    pub(crate) fn ask(&mut self, turn: TurnId, words: String) {
        // After a tool it goes on, and what he says meanwhile is his next turn.
        if !self.caller.waits {
            self.caller.asked = self.caller.said.take().unwrap_or_default();
        }
        self.caller.waits = true;
        self.begin(turn, None, words.clone());
        self.tell(Tell::Ask { turn, words });
    }

    /// Fixed words shall be spoken: as a turn, or in the middle of one. `helped` = somebody else can
    /// say them.
    pub(crate) fn say(&mut self, turn: TurnId, words: &str, helped: bool) {
        self.caller.waits = true;
        self.begin(turn, Some(words.to_owned()), String::new());
        if let Some(asked) = &mut self.asked {
            asked.heard_until = helped.then(Instant::now);
        }
        self.tell(Tell::Say { turn, words: words.to_owned() });
    }

    fn begin(&mut self, turn: TurnId, said: Option<String>, words: String) {
        self.bill.of("duplex", self.vendor.name()).requests += 1;
        let opening = matches!(self.link, Link::Opening(_));
        let until = Instant::now() + SILENT + if opening { OPEN } else { Duration::ZERO };
        let (text, calls) = (String::new(), Vec::new());
        let (heard_until, handed) = (None, false);
        self.asked = Some(Asked { turn, said, words, text, calls, until, heard_until, handed });
    }

    /// What a tool answered.
    pub(crate) fn result(&mut self, call: &str, text: &str) {
        self.tell(Tell::Result { call: call.to_owned(), text: text.to_owned() });
    }

    /// The turn is over, and so much of its sound was heard; `cut` = before its end.
    pub(crate) fn settle(&mut self, turn: TurnId, heard: u64, cut: bool) {
        if cut {
            self.outbox.retain(|tell| match tell {
                Tell::Say { turn: of, .. } => *of != turn,
                Tell::Voice | Tell::Frame(_) | Tell::Noise | Tell::Ask { .. } => true,
                Tell::Result { .. } | Tell::Cut { .. } => true,
            });
            self.tell(Tell::Cut { turn, heard });
        }
        self.asked = None;
        if std::mem::take(&mut self.caller.waits) {
            self.pass_on();
        }
    }

    fn tell(&mut self, tell: Tell) {
        if self.outbox.len() >= WAITING
            && let Some(oldest) = self.outbox.iter().position(|tell| matches!(tell, Tell::Frame(_)))
        {
            self.outbox.remove(oldest);
            metrics::counter!("voxflow_stt_frames_dropped_total").increment(1);
        }
        self.outbox.push_back(tell);
        self.feed();
    }

    fn feed(&mut self) {
        let Link::Open(conversing) = &self.link else { return };
        while let Some(tell) = self.outbox.pop_front() {
            let sound = matches!(tell, Tell::Frame(_));
            match conversing.tell.try_send(tell) {
                Ok(()) => self.given += u64::from(sound),
                // Its words say why, if it is gone.
                Err(TrySendError::Full(tell) | TrySendError::Closed(tell)) => {
                    return self.outbox.push_front(tell);
                }
            }
        }
    }

    /// What it did since this was asked last.
    pub(crate) fn spent(&mut self) -> Vec<Spent> {
        let given = std::mem::take(&mut self.given) * u64::from(FRAME_MS);
        if given > 0 {
            self.bill.of("duplex", self.vendor.name()).heard_ms += given;
        }
        self.bill.take()
    }

    async fn next(&mut self) -> Sign {
        loop {
            let due = self.asked.as_ref().and_then(|asked| asked.heard_until);
            let due = due.map(|heard_until| heard_until + WORDS);
            tokio::select! {
                biased;
                sign = self.comes() => return sign,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some(sign) = self.hand_over() {
                        return sign;
                    }
                }
            }
        }
    }

    /// Leaves fixed words to somebody else, if it is time to.
    fn hand_over(&mut self) -> Option<Sign> {
        let vendor = self.vendor.name();
        let late = |at: Instant| at + WORDS <= Instant::now();
        let asked = self.asked.as_mut().filter(|asked| asked.heard_until.is_some_and(late))?;
        (asked.heard_until, asked.handed) = (None, true);
        let error =
            Error::Unreachable { vendor, why: "it does not say what it was told to".into() };
        failed("duplex", &error);
        Some(Sign::Unsaid(asked.turn, asked.said.clone()?, error))
    }

    async fn comes(&mut self) -> Sign {
        loop {
            self.feed();
            let until = self.asked.as_ref().map(|asked| asked.until);
            let name = self.vendor.name();
            let lost = match &mut self.link {
                Link::None => return pending().await,
                Link::Opening(opening) => match opening.done().await {
                    Ok(conversing) => {
                        self.link = Link::Open(conversing);
                        continue;
                    }
                    Err(error) => {
                        // The caller has waited long enough for it.
                        self.again |= opening.is_late();
                        error
                    }
                },
                Link::Open(conversing) => match told(conversing, until, name).await {
                    Ok(told) => match self.take(told) {
                        Some(sign) => return sign,
                        None => continue,
                    },
                    Err(error) => error,
                },
            };
            failed("duplex", &lost);
            self.link = Link::None;
            return Sign::Lost(lost);
        }
    }

    /// What is told of the turn that counts.
    fn take(&mut self, told: Told) -> Option<Sign> {
        let of = match &told {
            Told::Heard(turn, words) => return Some(Sign::Heard(*turn, words.clone())),
            Told::Text(turn, _) | Told::Sound(turn, _) | Told::Call(turn, _) => *turn,
            Told::End(turn, _) | Told::Said(turn) => *turn,
        };
        let asked = self.asked.as_mut().filter(|asked| asked.turn == of)?;
        // A filler's end is not that of the answer after it.
        let fits = match &told {
            Told::End(..) | Told::Text(..) => asked.said.is_none(),
            Told::Said(_) => asked.said.is_some(),
            Told::Heard(..) | Told::Sound(..) | Told::Call(..) => true,
        };
        if !fits {
            return None;
        }
        asked.until = Instant::now() + SILENT;
        if asked.handed {
            if matches!(told, Told::Said(_)) {
                self.asked = None;
            }
            return None;
        }
        match told {
            Told::Heard(..) => None,
            Told::Text(turn, text) => {
                asked.text.push_str(&text);
                Some(Sign::Text(turn, text))
            }
            Told::Sound(turn, frame) => {
                self.bill.of("duplex", self.vendor.name()).spoke_ms += frame.millis();
                if let Some(heard_until) = &mut asked.heard_until {
                    let from = Instant::now().max(*heard_until);
                    *heard_until = from + Duration::from_millis(frame.millis());
                }
                self.worked = true;
                self.caller.asked.clear();
                Some(Sign::Sound(turn, frame))
            }
            Told::Call(_, call) => {
                asked.calls.push(call);
                None
            }
            Told::End(turn, usage) => {
                metrics::counter!("voxflow_llm_tokens_total", "direction" => "input")
                    .increment(usage.input);
                metrics::counter!("voxflow_llm_tokens_total", "direction" => "output")
                    .increment(usage.output);
                let row = self.bill.of("duplex", self.vendor.name());
                row.input_tokens += usage.input;
                row.output_tokens += usage.output;
                let Asked { text, calls, .. } = self.asked.take()?;
                self.worked = true;
                Some(Sign::Answered(turn, text, calls))
            }
            Told::Said(turn) => {
                self.asked = None;
                Some(Sign::Said(turn))
            }
        }
    }
}

/// What comes next of it, if there is one. May be dropped and called again.
pub(crate) async fn next(both: &mut Option<Both>) -> Sign {
    match both {
        Some(both) => both.next().await,
        None => pending().await,
    }
}

async fn told(
    conversing: &mut Conversing,
    until: Option<Instant>,
    vendor: &'static str,
) -> Result<Told, Error> {
    let unreachable = |why: &str| Error::Unreachable { vendor, why: why.into() };
    let came = match until {
        Some(until) => timeout_at(until, conversing.told.recv())
            .await
            .map_err(|_| unreachable("it kept silent for too long"))?,
        None => conversing.told.recv().await,
    };
    came.unwrap_or_else(|| Err(unreachable("it closed the conversation")))
}
