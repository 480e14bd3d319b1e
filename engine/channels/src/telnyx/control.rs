//! What a call can do with its leg at Telnyx besides sound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use call::{Arrival, Control, Destination, HangupCause, Picked, Unable};
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};

use super::Telnyx;
use super::happening::Happening;

/// What a call can do with its leg besides sound.
pub(super) struct Remote {
    pub(super) telnyx: Arc<Telnyx>,
    pub(super) call: String,
    /// Ours: whom others see calling.
    pub(super) number: String,
    pub(super) tell: mpsc::Sender<Happening>,
    /// `None` = Telnyx was not asked to find out.
    pub(super) picked: Option<watch::Receiver<Option<Picked>>>,
    /// Whether it has sound; a call that is parked waits for this process.
    pub(super) sounds: Arc<AtomicBool>,
    /// Who knows it is Telnyx.
    pub(super) token: String,
}

/// What the leg that Telnyx dials for a transfer is known by, before the token of the caller's.
pub(super) const HANDED: &str = "for ";

impl Remote {
    /// Telnyx takes the call over, with the line `beside` it: until it tells that the two talk.
    async fn hand_over(
        &self,
        action: &str,
        body: serde_json::Value,
        beside: Option<String>,
    ) -> Result<(), Unable> {
        let gone = || Unable::Failed("the caller is gone".into());
        let (reply, bridged) = oneshot::channel();
        let waits = Happening::HandingOver { beside, reply };
        self.tell.send(waits).await.map_err(|_| gone())?;
        self.command(action, body).await?;
        bridged.await.unwrap_or_else(|_| Err(gone()))
    }

    async fn command(&self, action: &str, body: serde_json::Value) -> Result<(), Unable> {
        let rest = self.telnyx.rest.as_ref().ok_or(Unable::Cannot)?;
        rest.command(&self.call, action, body).await.map_err(Unable::Failed)
    }
}

#[async_trait]
impl Control for Remote {
    async fn answer(&self) -> Result<(), String> {
        let (reply, answered) = oneshot::channel();
        let gone = || "the caller is gone".to_owned();
        self.tell.send(Happening::Answer(reply)).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    async fn hangup(&self, cause: HangupCause) -> Result<(), String> {
        // A line that is gone is hung up already.
        let _ = self.tell.send(Happening::Hangup(cause)).await;
        Ok(())
    }

    fn outlives(&self) -> bool {
        // Telnyx tells everybody when a stream is over, and any process can ask for another.
        self.sounds.load(Ordering::Relaxed)
    }

    async fn release(&self) {
        // A line that is gone is let go already.
        let _ = self.tell.send(Happening::Released).await;
    }

    async fn send_digits(&self, digits: &str) -> Result<(), Unable> {
        self.command("send_dtmf", json!({ "digits": digits })).await
    }

    async fn transfer(&self, to: &Destination) -> Result<(), Unable> {
        let state = BASE64_STANDARD.encode(format!("{HANDED}{}", self.token));
        let body =
            json!({ "to": to.target, "from": self.number, "target_leg_client_state": state });
        self.hand_over("transfer", body, None).await
    }

    async fn join(&self, other: &Arrival) -> Result<(), Unable> {
        let body = json!({ "call_control_id": other.carrier_id });
        self.hand_over("bridge", body, Some(other.carrier_id.clone())).await
    }

    async fn picked_up(&self) -> Result<Picked, Unable> {
        let never = || Unable::Failed("nobody told who picked up".into());
        let mut picked = self.picked.clone().ok_or_else(never)?;
        let told = picked.wait_for(Option::is_some).await.map_err(|_| never())?;
        told.ok_or_else(never)
    }
}
