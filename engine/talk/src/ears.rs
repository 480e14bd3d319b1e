//! The caller's words, from whichever recognizer still works.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use agent::ledger::Spent;
use agent::{Bill, Error};
use audio::FRAME_MS;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout_at};

use crate::ear::MEANT;
use crate::failed::failed;
use crate::opening::Opening;
use crate::stt::{Hear, Listening, Stt, Want, Words};

/// A recognizer that does not open within this is replaced.
const OPEN: Duration = Duration::from_secs(3);
/// The same where words wait for it that another can recognize, too.
const OPEN_SOON: Duration = Duration::from_secs(1);
/// What is kept for a recognizer that is slow, or is being opened: 3 s of frames.
const BACKLOG: usize = 150;
/// What is kept of the caller's turn for a recognizer that must be replaced in the middle of it: 8 s.
const RECENT: usize = 400;

/// While nobody speaks, so many frames go to the recognizer together: 100 ms. A fifth of the wake-ups
/// and messages, and none of what counts is later for it.
const TOGETHER: usize = 5;
/// For so long after a voice every frame goes at once: the recognizer waits for silence too. 1 s.
const AFTER_VOICE: u32 = 50;

/// How long after it a recognizer may take to say anything at all.
const ANSWER: Duration = Duration::from_millis(2500);
/// So often in a row it may say nothing.
const MISSED: u32 = 2;
/// One that never said anything is replaced after the first time, where there is another, and sooner:
/// that one must have the time to hear it all again before the caller's silence has lasted 3 s.
const ANSWER_SOON: Duration = Duration::from_millis(1000);

/// What comes of listening.
#[derive(Debug)]
pub(crate) enum Sign {
    /// The recognizer says something.
    Words(Words),
    /// A recognizer failed and is being replaced.
    Trouble(Error),
    /// So did the last one.
    Deaf(Error),
}

/// The recognizers of a call.
pub(crate) struct Ears {
    vendors: Vec<Arc<dyn Stt>>,
    want: Want,
    /// Which one, whether it could be opened, and whether that was the second time since it gave
    /// words.
    at: usize,
    opened: bool,
    again: bool,
    link: Link,
    unheard: Unheard,
    backlog: VecDeque<Hear>,
    /// What the recognizer was given of words that are not sure yet.
    recent: VecDeque<Hear>,
    expected: Option<Option<Vec<String>>>,
    /// Frames since the voice ended; `None` = it goes on.
    quiet_for: Option<u32>,
    /// Frames that the recognizer was given and that are not on the bill.
    given: u64,
    bill: Bill,
}

/// Voice that the recognizer said nothing of.
#[derive(Default)]
struct Unheard {
    /// Frames since the voice began.
    frames: u32,
    /// When it should have said something.
    due: Option<Instant>,
    /// How often in a row it did not.
    missed: u32,
    /// Whether it ever said anything since it was opened.
    spoke: bool,
}

enum Link {
    Opening(Opening<Listening>),
    Open(Listening),
    None,
}

impl Ears {
    /// Begins to open the first recognizer.
    pub(crate) fn new(vendors: Vec<Arc<dyn Stt>>, want: Want) -> Self {
        let mut ears = Self {
            vendors,
            want,
            at: 0,
            opened: false,
            again: false,
            link: Link::None,
            unheard: Unheard::default(),
            backlog: VecDeque::new(),
            recent: VecDeque::new(),
            expected: None,
            quiet_for: Some(AFTER_VOICE),
            given: 0,
            bill: Bill::default(),
        };
        ears.open();
        ears
    }

    fn open(&mut self) {
        self.unheard = Unheard::default();
        let Some(vendor) = self.vendors.get(self.at) else {
            self.link = Link::None;
            return;
        };
        let (vendor, want) = (Arc::clone(vendor), self.want.clone());
        let name = vendor.name();
        let hurry = !self.recent.is_empty() && self.at + 1 < self.vendors.len();
        let limit = if hurry { OPEN_SOON } else { OPEN };
        self.link =
            Link::Opening(Opening::new(name, limit, async move { vendor.open(want).await }));
    }

    /// Gives the recognizer sound or a hint. Never waits: of what does not fit, the oldest sound goes.
    pub(crate) fn hear(&mut self, hear: Hear) {
        if matches!(self.link, Link::None) {
            return;
        }
        match hear {
            Hear::Voice => {
                self.recent.clear();
                self.unheard.frames = 0;
                self.quiet_for = None;
            }
            Hear::Frame(_) => {
                self.unheard.frames += 1;
                self.quiet_for = self.quiet_for.map(|frames| frames.saturating_add(1));
                self.given += 1;
            }
            Hear::Quiet => {
                self.quiet_for = Some(0);
                let heard = u64::from(self.unheard.frames) * u64::from(FRAME_MS);
                if Duration::from_millis(heard) >= MEANT {
                    let patience = if self.is_unproven() { ANSWER_SOON } else { ANSWER };
                    self.unheard.due.get_or_insert(Instant::now() + patience);
                }
            }
            Hear::Expect(_) => {}
        }
        let waits = matches!(hear, Hear::Frame(_))
            && self.quiet_for.is_some_and(|frames| frames > AFTER_VOICE);
        if self.recent.front() == Some(&Hear::Voice) || hear == Hear::Voice {
            if self.recent.len() >= RECENT {
                self.recent.remove(1);
            }
            self.recent.push_back(hear.clone());
        }
        self.backlog.push_back(hear);
        if self.backlog.len() > BACKLOG
            && let Some(oldest) =
                self.backlog.iter().position(|hear| matches!(hear, Hear::Frame(_)))
        {
            self.backlog.remove(oldest);
            metrics::counter!("voxflow_stt_frames_dropped_total").increment(1);
        }
        if !waits || self.backlog.len() >= TOGETHER {
            self.feed();
        }
    }

    /// Tells the recognizer which phrases make sense now, if that has changed.
    pub(crate) fn expect(&mut self, phrases: Option<Vec<String>>) {
        if self.expected.as_ref() != Some(&phrases) {
            self.expected = Some(phrases.clone());
            self.hear(Hear::Expect(phrases));
        }
    }

    fn feed(&mut self) {
        let Link::Open(listening) = &self.link else { return };
        while let Some(hear) = self.backlog.pop_front() {
            match listening.sound.try_send(hear) {
                Ok(()) => {}
                Err(TrySendError::Full(hear)) => return self.backlog.push_front(hear),
                // Its words say why.
                Err(TrySendError::Closed(_)) => return,
            }
        }
    }

    /// What comes next. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Sign {
        loop {
            let lost = match &mut self.link {
                Link::None => return pending().await,
                Link::Opening(opening) => match opening.done().await {
                    Ok(listening) => {
                        self.link = Link::Open(listening);
                        self.opened = true;
                        self.unheard.due = None;
                        self.feed();
                        continue;
                    }
                    Err(error) => error,
                },
                Link::Open(listening) => match words(listening, self.unheard.due).await {
                    None => {
                        self.unheard.due = None;
                        self.unheard.missed += 1;
                        if self.unheard.missed < MISSED && !self.is_unproven() {
                            continue;
                        }
                        let why = self.unreachable("it says nothing of what it is given");
                        self.charge();
                        // Of silence alone nobody is deaf: what was taken for a voice may have been
                        // music, so they take turns at it.
                        if !self.unheard.spoke {
                            self.at = (self.at + 1) % self.vendors.len().max(1);
                        }
                        return self.replaced(why);
                    }
                    Some(Some(Ok(words))) => {
                        self.again = false;
                        self.unheard = Unheard { spoke: true, ..Unheard::default() };
                        if matches!(words, Words::Final(_)) {
                            // With its room: most of a call nobody speaks to us.
                            self.recent = VecDeque::new();
                        }
                        return Sign::Words(words);
                    }
                    Some(Some(Err(error))) => error,
                    Some(None) => self.unreachable("the recognizer closed its stream"),
                },
            };
            return self.lost(lost);
        }
    }

    fn unreachable(&self, why: &str) -> Error {
        Error::Unreachable { vendor: self.name(), why: why.into() }
    }

    fn name(&self) -> &'static str {
        self.vendors.get(self.at).map_or("stt", |vendor| vendor.name())
    }

    /// What recognizers did since this was asked last.
    pub(crate) fn spent(&mut self) -> Vec<Spent> {
        self.charge();
        self.bill.take()
    }

    /// Whether it never said anything, and there is another that might.
    fn is_unproven(&self) -> bool {
        !self.unheard.spoke && self.vendors.len() > 1
    }

    /// Puts what the recognizer was given on the bill.
    fn charge(&mut self) {
        let given = std::mem::take(&mut self.given) * u64::from(FRAME_MS);
        if given > 0 {
            let name = self.name();
            self.bill.of("stt", name).heard_ms += given;
        }
    }

    /// Goes on with the same recognizer once, if it was open; else with the next one. After the
    /// last one nobody listens.
    fn lost(&mut self, why: Error) -> Sign {
        self.charge();
        if self.opened && !self.again && !matches!(why, Error::Refused { .. }) {
            self.again = true;
        } else {
            (self.at, self.again) = (self.at + 1, false);
        }
        self.replaced(why)
    }

    /// From now on the recognizer listens whose turn it is.
    fn replaced(&mut self, why: Error) -> Sign {
        failed("stt", &why);
        self.opened = false;
        self.open();
        // The words of the turn that was under way are recognized anew.
        let hint = self.expected.clone().map(Hear::Expect);
        self.backlog = hint.into_iter().chain(self.recent.iter().cloned()).collect();
        if matches!(self.link, Link::None) { Sign::Deaf(why) } else { Sign::Trouble(why) }
    }
}

/// What a recognizer says next; `None` = it was due and nothing came.
async fn words(
    listening: &mut Listening,
    due: Option<Instant>,
) -> Option<Option<Result<Words, Error>>> {
    match due {
        Some(due) => timeout_at(due, listening.words.recv()).await.ok(),
        None => Some(listening.words.recv().await),
    }
}
