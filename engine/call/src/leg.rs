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

    /// Dials others and bridges the caller to the first that answers; returns when that is over.
    /// The leg gives no sound meanwhile, and goes on afterwards unless it is gone.
    async fn connect(&self, dial: Dial) -> Result<Dialled, String>;
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
