//! What a call may ask of its leg besides sound: it is asked of the task that owns it.

use async_trait::async_trait;
use call::leg::Unable;
use call::{Arrival, Control, Destination, HangupCause};
use tokio::sync::{mpsc, oneshot};

/// What a call wishes of its leg.
pub(in crate::sip) enum Ask {
    Answer(oneshot::Sender<Result<(), String>>),
    Hangup(HangupCause),
    Press(String, oneshot::Sender<Result<(), Unable>>),
    Transfer(Destination, oneshot::Sender<Result<(), Unable>>),
    /// The far side is to take our place in the call with this id.
    Join(String, oneshot::Sender<Result<(), Unable>>),
}

/// What a call can do with its leg besides sound.
pub(in crate::sip) struct Remote {
    asks: mpsc::Sender<Ask>,
}

impl Remote {
    pub(in crate::sip) fn new(asks: mpsc::Sender<Ask>) -> Self {
        Self { asks }
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answered) = oneshot::channel();
        self.asks.send(ask(reply)).await.ok()?;
        answered.await.ok()
    }
}

/// What is said of a call that is over.
pub(super) fn gone() -> Unable {
    Unable::Failed("the far side is gone".into())
}

#[async_trait]
impl Control for Remote {
    async fn answer(&self) -> Result<(), String> {
        self.ask(Ask::Answer).await.unwrap_or_else(|| Err(gone().to_string()))
    }

    async fn hangup(&self, cause: HangupCause) -> Result<(), String> {
        // Who is gone has hung up already.
        let _ = self.asks.send(Ask::Hangup(cause)).await;
        Ok(())
    }

    async fn send_digits(&self, digits: &str) -> Result<(), Unable> {
        let pressed = self.ask(|reply| Ask::Press(digits.into(), reply)).await;
        pressed.unwrap_or_else(|| Err(gone()))
    }

    async fn transfer(&self, to: &Destination) -> Result<(), Unable> {
        let taken = self.ask(|reply| Ask::Transfer(to.clone(), reply)).await;
        taken.unwrap_or_else(|| Err(gone()))
    }

    async fn join(&self, other: &Arrival) -> Result<(), Unable> {
        let taken = self.ask(|reply| Ask::Join(other.carrier_id.clone(), reply)).await;
        taken.unwrap_or_else(|| Err(gone()))
    }
}
