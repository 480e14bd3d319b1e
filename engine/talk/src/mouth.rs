//! The agent's voice, from whichever vendor still works, and its way to the caller's ear.

mod early;
mod given;
mod turn;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use agent::ledger::Spent;
use agent::{Bill, Error};
use audio::Frame;
use audio::playout::{Next, Playout};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use self::turn::Turn;
use crate::heard::Piece;
use crate::ledger::Sounded;
use crate::opening::Opening;
use crate::prepared::Prepared;
use crate::sound::Outbound;
use crate::tts::{Say, Speaking, Spoken, Tts, Voice};
use crate::turn::{Moment, TurnId};

/// A voice that is not opened, or gives no sound for what it was told to say, within this is replaced.
const SOUND: Duration = Duration::from_secs(4);

/// What comes of speaking.
#[derive(Debug)]
pub(crate) enum Sign {
    /// Sound came, or its end.
    Sound,
    /// A voice failed and is being replaced.
    Trouble(Error),
    /// So did the last one.
    Mute(Error),
}

/// How far the sound of a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing new.
    None,
    /// It is heard.
    Sounding,
    /// All that came was heard, and more may come.
    Dry,
    /// All was heard.
    Over,
}

/// The voices of a call.
pub(crate) struct Mouth {
    vendors: Vec<Arc<dyn Tts>>,
    voice: Voice,
    link: Link,
    /// Which one, and whether it gave sound and was opened a second time since.
    at: usize,
    worked: bool,
    again: bool,
    outbox: VecDeque<Say>,
    start: Instant,
    turn: Turn,
    playout: Playout,
    /// The far end must be cleared before it is given anything else.
    clear: bool,
    /// The sound comes from whoever makes the words: no voice is told them.
    given: bool,
    /// What was prepared, or held, may be heard, and nobody knows yet.
    released: bool,
    /// Since when nothing sounds that should.
    silent: Instant,
    /// What the voice was told before there was a turn.
    told: Option<(TurnId, String)>,
    bill: Bill,
}

enum Link {
    Opening(Opening<Speaking>),
    Open(Speaking),
    /// Opened when there is something to say.
    Closed,
}

impl Mouth {
    /// Begins to open the first voice, unless one was told already what to say.
    pub(crate) fn new(
        vendors: Vec<Arc<dyn Tts>>,
        voice: Voice,
        start: Instant,
        prepared: Option<Prepared>,
    ) -> Self {
        let playout = Playout::new(voice.rate);
        let mut turn = Turn::new(TurnId::default());
        turn.over = true;
        let mut mouth = Self {
            vendors,
            voice,
            link: Link::Closed,
            at: 0,
            worked: false,
            again: false,
            outbox: VecDeque::new(),
            start,
            turn,
            playout,
            clear: false,
            given: false,
            released: false,
            silent: start,
            told: None,
            bill: Bill::default(),
        };
        match prepared {
            None => mouth.open(),
            Some(prepared) => {
                mouth.told = Some(prepared.told());
                let name = mouth.name();
                mouth.link = Link::Opening(Opening::new(name, SOUND, prepared.speaking()));
            }
        }
        mouth
    }

    /// A mouth whose sound is given to it by [`Mouth::give`]; the voices are opened only for
    /// [`Mouth::aside`].
    pub(crate) fn given(vendors: Vec<Arc<dyn Tts>>, voice: Voice, start: Instant) -> Self {
        Self { given: true, vendors, ..Self::new(Vec::new(), voice, start, None) }
    }

    /// From now on voices speak: who gave the sound is gone. What is said of the turn stays.
    pub(crate) fn speak_by(&mut self, vendors: Vec<Arc<dyn Tts>>) {
        (self.vendors, self.given) = (vendors, false);
        if self.turn.voiced && !self.turn.over {
            // A voice speaks already.
            return;
        }
        self.at = 0;
        self.turn.resampler = None;
        self.open();
    }

    /// Sound of the turn, from whoever makes its words.
    pub(crate) fn give(&mut self, turn: TurnId, frame: Frame) {
        self.take(Spoken::Sound(turn, frame));
    }

    /// How much of the turn's sound was heard, milliseconds.
    pub(crate) fn played(&self) -> u64 {
        self.playout.heard(self.now())
    }

    fn open(&mut self) {
        let Some(vendor) = self.vendors.get(self.at) else {
            self.link = Link::Closed;
            return;
        };
        let (vendor, voice) = (Arc::clone(vendor), self.voice.clone());
        let name = vendor.name();
        self.link =
            Link::Opening(Opening::new(name, SOUND, async move { vendor.open(voice).await }));
    }

    fn now(&self) -> Moment {
        self.start.elapsed()
    }

    fn name(&self) -> &'static str {
        self.vendors.get(self.at).map_or("tts", |vendor| vendor.name())
    }

    /// A turn begins; what is left of the one before is forgotten.
    pub(crate) fn begin(&mut self, turn: TurnId) {
        self.turn = Turn::new(turn);
        self.playout.begin(turn.0);
        self.again = false;
    }

    /// Nothing has sounded that should since then, or since the last sound.
    pub(crate) fn silent_since(&mut self, since: Moment) {
        self.silent = self.silent.max(self.start + since);
    }

    /// Voices that failed may try once more: only an apology is left to be said.
    pub(crate) fn try_again(&mut self) {
        if self.at >= self.vendors.len() {
            self.at = 0;
            self.worked = false;
        }
    }

    /// Speaks a clause. `tag` comes back with what was heard of it.
    pub(crate) fn say(&mut self, turn: TurnId, tag: u32, text: &str) {
        if turn != self.turn.id || self.turn.complete || text.trim().is_empty() {
            return;
        }
        self.turn.said = true;
        self.turn.heard.said(tag, text);
        if self.given {
            return;
        }
        let now = self.now();
        self.turn.sounded.told.get_or_insert(now);
        self.turn.owed.get_or_insert(Instant::now());
        match &self.told {
            Some((own, words)) if *own == turn && words == text => {
                let name = self.name();
                self.bill.of("tts", name).characters += text.chars().count() as u64;
            }
            Some(_) | None => self.tell(Say::Text(turn, text.to_owned())),
        }
    }

    /// The turn's text is complete.
    pub(crate) fn end(&mut self, turn: TurnId) {
        if turn != self.turn.id || self.turn.complete {
            return;
        }
        self.turn.complete = true;
        if self.turn.said && !self.given {
            self.turn.owed = Some(Instant::now());
            if self.told.take_if(|(own, _)| *own == turn).is_none() {
                self.tell(Say::End(turn));
            }
        } else {
            self.finish();
        }
    }

    /// Stops the sound for good, and gives what was heard of the turn.
    pub(crate) fn cut(&mut self) -> Vec<Piece> {
        let now = self.now();
        let heard = self.heard();
        if !self.turn.over {
            self.clear = true;
            self.playout.clear(now);
            self.outbox.retain(|say| matches!(say, Say::Cut(_)));
            if self.turn.said && (!self.given || self.turn.voiced) {
                self.outbox.push_back(Say::Cut(self.turn.id));
                self.feed();
            }
        }
        self.turn = Turn::new(self.turn.id);
        self.turn.complete = true;
        self.turn.over = true;
        heard
    }

    /// What was heard of the turn so far.
    pub(crate) fn heard(&self) -> Vec<Piece> {
        self.turn.heard.after(self.playout.heard(self.now()))
    }

    /// All that the turn has said, heard or not.
    pub(crate) fn said(&self) -> Vec<Piece> {
        self.turn.heard.all()
    }

    /// Stops the sound where it is.
    pub(crate) fn hold(&mut self) {
        self.clear = true;
        self.playout.hold(self.now());
    }

    /// Goes on after [`Mouth::hold`].
    pub(crate) fn go_on(&mut self) {
        self.playout.go_on(self.now());
        self.released = true;
    }

    /// A mark came back from the leg.
    pub(crate) fn marked(&mut self, mark: u64) {
        let now = self.now();
        if self.playout.marked(now, mark) {
            self.turn.sounded.mark.get_or_insert(now);
        }
    }

    /// When what happened to the sound of a turn, if it is the one that is being spoken.
    pub(crate) fn sounded(&self, turn: TurnId) -> Sounded {
        if turn == self.turn.id { self.turn.sounded } else { Sounded::default() }
    }

    /// What voices did since this was asked last.
    pub(crate) fn spent(&mut self) -> Vec<Spent> {
        self.bill.take()
    }

    /// Whether [`Mouth::tick`] has anything to do.
    pub(crate) fn is_busy(&self) -> bool {
        self.clear || !self.turn.over || !self.outbox.is_empty()
    }

    /// Sends what is due to the leg, and tells how far the turn is. Never waits: what does not fit
    /// into the leg's channel stays here.
    pub(crate) fn tick(&mut self, outbound: &mpsc::Sender<Outbound>) -> (TurnId, Progress) {
        self.feed();
        let now = self.now();
        if !self.playout.is_silent(now) {
            self.silent = Instant::now();
        }
        let mut sounding = false;
        if !self.cleared(outbound) || self.turn.waits {
            return (self.turn.id, Progress::None);
        }
        while let Some(next) = self.playout.next(now) {
            let is_frame = matches!(next, Next::Frame(_));
            let sent = outbound.try_send(match next {
                Next::Frame(frame) => Outbound::Frame(frame),
                Next::Mark(mark) => Outbound::Mark(mark),
            });
            match sent {
                Err(TrySendError::Full(Outbound::Frame(frame))) => {
                    self.playout.refused(Next::Frame(frame));
                    break;
                }
                Err(TrySendError::Full(Outbound::Mark(mark))) => {
                    self.playout.refused(Next::Mark(mark));
                    break;
                }
                Ok(()) | Err(_) => sounding |= !is_frame || self.turn.told != Progress::Sounding,
            }
        }
        (self.turn.id, self.progress(now, sounding))
    }

    /// Clears the far end if that is due; `false` = the leg's channel has no room for it yet.
    pub(crate) fn cleared(&mut self, outbound: &mpsc::Sender<Outbound>) -> bool {
        // A leg that is gone says so on its other side.
        self.clear =
            self.clear && matches!(outbound.try_send(Outbound::Clear), Err(TrySendError::Full(_)));
        !self.clear
    }

    fn progress(&mut self, now: Moment, sounding: bool) -> Progress {
        if self.turn.over {
            return Progress::None;
        }
        if self.playout.is_over(now) {
            self.turn.over = true;
            return Progress::Over;
        }
        if sounding {
            self.turn.told = Progress::Sounding;
            self.turn.sounded.frame.get_or_insert(now);
            return Progress::Sounding;
        }
        if self.turn.told == Progress::Sounding
            && !self.turn.complete
            && self.playout.is_silent(now)
        {
            self.turn.told = Progress::Dry;
            return Progress::Dry;
        }
        Progress::None
    }

    fn tell(&mut self, say: Say) {
        if self.at >= self.vendors.len() {
            return self.finish();
        }
        self.outbox.push_back(say);
        if matches!(self.link, Link::Closed) {
            self.open();
        }
        self.feed();
    }

    fn feed(&mut self) {
        let Link::Open(speaking) = &self.link else { return };
        let name = self.name();
        while let Some(say) = self.outbox.pop_front() {
            let characters = match &say {
                Say::Text(_, text) => text.chars().count() as u64,
                Say::End(_) | Say::Cut(_) => 0,
            };
            match speaking.say.try_send(say) {
                Ok(()) if characters > 0 => self.bill.of("tts", name).characters += characters,
                Ok(()) => {}
                Err(TrySendError::Full(say) | TrySendError::Closed(say)) => {
                    return self.outbox.push_front(say);
                }
            }
        }
    }

    /// All sound of the turn has come.
    fn finish(&mut self) {
        if let Some(mut resampler) = self.turn.resampler.take() {
            self.playout.push(self.turn.id.0, &resampler.finish());
        }
        self.playout.complete();
        self.turn.heard.complete();
        self.turn.complete = true;
        self.turn.owed = None;
    }
}
