//! One party's sound and control in a call, whatever carries it.

use std::sync::Arc;

use async_trait::async_trait;
use audio::Rate;
use flow::{Destination, HangupCause};
use talk::{Inbound, Outbound};
use tokio::sync::mpsc;

/// A caller's leg.
pub struct Leg {
    /// Who calls whom.
    pub arrival: Arrival,
    /// The rate of its sound.
    pub rate: Rate,
    /// What comes from the caller. Ends with [`Inbound::Gone`].
    pub inbound: mpsc::Receiver<Inbound>,
    /// What goes to the caller.
    pub outbound: mpsc::Sender<Outbound>,
    /// What can be done with the leg besides sound.
    pub control: Arc<dyn Control>,
}

/// Who calls whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The carrier's file name: `twilio`, `browser`.
    pub carrier: String,
    /// The carrier's id of the call.
    pub carrier_id: String,
    /// Who calls, as the carrier tells it; may be hidden.
    pub from: String,
    /// The number that was dialed.
    pub to: String,
}

/// What can be done with a leg besides sound. Each method returns when it is done.
#[async_trait]
pub trait Control: Send + Sync {
    /// Picks up. A leg that is answered already has nothing to do.
    async fn answer(&self) -> Result<(), String>;

    /// Ends the leg; [`Inbound::Gone`] follows.
    async fn hangup(&self, cause: HangupCause) -> Result<(), String>;

    /// Whether the carrier dials and bridges for its legs by itself ([`Control::connect`]).
    /// Otherwise the call does so, by a [`crate::Dialer`].
    fn bridges(&self) -> bool {
        false
    }

    /// Dials others and bridges the caller to the first that answers; returns when that is over.
    /// The leg gives no sound meanwhile, and goes on afterwards unless it is gone. It is asked of a
    /// leg that [`Control::bridges`], and of others when no dialer reaches the destinations.
    async fn connect(&self, _: Dial) -> Result<Dialled, String> {
        Err("no carrier is configured that can dial this".into())
    }

    /// Presses keys towards the far side: `0`-`9`, `*`, `#`, `A`-`D`, `w` for half a second of
    /// silence. Where the carrier cannot, the call gives them as tones in the sound.
    async fn send_digits(&self, _: &str) -> Result<(), Unable> {
        Err(Unable::Cannot)
    }

    /// Whether the carrier keeps the caller on the line when this process lets go of the leg, and
    /// brings the call back to whichever process is there ([`Control::release`]).
    fn outlives(&self) -> bool {
        false
    }

    /// Lets go of the leg without ending the call; [`Inbound::Gone`] follows. It is asked of a leg
    /// that [`Control::outlives`], and of one that another process has.
    async fn release(&self) {}

    /// Hands the call over to somebody else, unseen; [`Inbound::Gone`] follows when it is taken.
    async fn transfer(&self, _: &Destination) -> Result<(), Unable> {
        Err(Unable::Cannot)
    }

    /// Joins the far side with that of another leg of this carrier, which is answered;
    /// [`Inbound::Gone`] follows on both when it is taken, unless the other one is dropped first.
    async fn join(&self, _: &Arrival) -> Result<(), Unable> {
        Err(Unable::Cannot)
    }

    /// Who picked up a leg that we dialed, once the carrier knows. The leg must have been dialed
    /// with [`crate::Wanted::detect_machine`].
    async fn picked_up(&self) -> Result<Picked, Unable> {
        Err(Unable::Cannot)
    }
}

/// Why a carrier did not do something with a leg.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unable {
    /// It cannot do that with any leg.
    #[error("this carrier cannot do it")]
    Cannot,
    /// It could not do it now.
    #[error("{0}")]
    Failed(String),
}

/// Who picked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picked {
    /// Somebody.
    Human,
    /// An answering machine, or a fax.
    Machine,
    /// The carrier could not tell.
    Unknown,
}

/// Whom to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// All at once.
    pub destinations: Vec<Destination>,
    /// Whom they see calling; `None` = the number that was dialed.
    pub source: Option<Destination>,
    /// How long it may ring.
    pub ring: std::time::Duration,
    /// Whether the caller hears the far side before it picks up.
    pub early_media: bool,
    /// Whether nobody may see who calls; a carrier that cannot hide it refuses.
    pub anonymous: bool,
    /// A sound file that the caller hears until somebody picks up, in place of ringing.
    pub music: Option<String>,
    /// What the far side is told before the caller is put through.
    pub announce: Option<String>,
    /// Keys by which the caller ends the conversation with the far side.
    pub end_on: String,
}

impl Dial {
    /// Whether it wants what a carrier that bridges by itself does not do.
    pub(crate) fn needs_us(&self) -> bool {
        self.music.is_some() || self.announce.is_some() || !self.end_on.is_empty()
    }
}

/// How a dial ended: the exits of `connect_call`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// They talked, and the far side hung up.
    AnsweredAndDone,
    /// The line was taken.
    Busy,
    /// Nobody picked up.
    NoAnswer,
    /// It was refused.
    Rejected,
    /// It could not be dialed.
    Failed,
}

impl Dialled {
    /// The exit of `connect_call`.
    pub fn exit(self) -> &'static str {
        match self {
            Self::AnsweredAndDone => "done",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }

    /// In words, for the history of a run.
    pub fn words(self) -> &'static str {
        match self {
            Self::AnsweredAndDone => "",
            Self::Busy => "the line was taken",
            Self::NoAnswer => "nobody picked up",
            Self::Rejected => "the call was refused",
            Self::Failed => "it could not be dialed",
        }
    }
}
