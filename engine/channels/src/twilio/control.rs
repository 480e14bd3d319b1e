//! What a call can do with its leg at Twilio besides sound.

use std::sync::Arc;

use async_trait::async_trait;
use call::{Arrival, Control, Destination, Dial, Dialled, HangupCause, Picked, Unable};
use tokio::sync::{mpsc, oneshot, watch};

use super::line::Happening;
use super::{Twilio, twiml};

/// What a call can do with its leg besides sound.
pub(super) struct Remote {
    pub(super) twilio: Arc<Twilio>,
    pub(super) call: String,
    /// Ours: whom others see calling.
    pub(super) number: String,
    pub(super) tell: mpsc::Sender<Happening>,
    /// `None` = Twilio was not asked to find out.
    pub(super) picked: Option<watch::Receiver<Option<Picked>>>,
}

#[async_trait]
impl Control for Remote {
    async fn answer(&self) -> Result<(), String> {
        // The stream has answered it.
        Ok(())
    }

    async fn hangup(&self, _: HangupCause) -> Result<(), String> {
        self.twilio.complete(&self.call).await;
        // A line that is gone is hung up already.
        let _ = self.tell.send(Happening::Hangup).await;
        Ok(())
    }

    fn outlives(&self) -> bool {
        // Twilio asks at another address when the stream is over, or the dial.
        true
    }

    async fn release(&self) {
        // A line that is gone is let go already.
        let _ = self.tell.send(Happening::Released).await;
    }

    fn bridges(&self) -> bool {
        true
    }

    async fn connect(&self, dial: Dial) -> Result<Dialled, String> {
        let Some(rest) = &self.twilio.rest else {
            return Err(
                "without TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN nobody can be dialed".into()
            );
        };
        let caller = dial.source.as_ref().map_or(self.number.as_str(), |source| &source.target);
        let twiml = twiml::dial(&dial, caller, &self.twilio.here("/dialed"))?;
        let (reply, end) = oneshot::channel();
        let gone = "the caller is gone";
        self.tell.send(Happening::Dialing(reply)).await.map_err(|_| gone)?;
        if let Err(why) = rest.redirect(&self.call, &twiml).await {
            let _ = self.tell.send(Happening::NotDialing).await;
            return Err(why);
        }
        end.await.map_err(|_| gone.into())
    }

    async fn transfer(&self, to: &Destination) -> Result<(), Unable> {
        let rest = self.twilio.rest.as_ref().ok_or(Unable::Cannot)?;
        let twiml = twiml::hand_over(to, &self.number).map_err(Unable::Failed)?;
        rest.redirect(&self.call, &twiml).await.map_err(Unable::Failed)?;
        // From here on the call is Twilio's alone; a line that is gone knows it.
        let _ = self.tell.send(Happening::Gone).await;
        Ok(())
    }

    async fn join(&self, other: &Arrival) -> Result<(), Unable> {
        let rest = self.twilio.rest.as_ref().ok_or(Unable::Cannot)?;
        let twiml = twiml::meet(&format!("voxflow {}", self.call));
        // Whoever is called first waits there, so that the caller never waits alone.
        rest.redirect(&other.carrier_id, &twiml).await.map_err(Unable::Failed)?;
        if let Some(line) = self.twilio.calls.line(&other.carrier_id) {
            let _ = line.send(Happening::Gone).await;
        }
        if let Err(why) = rest.redirect(&self.call, &twiml).await {
            self.twilio.complete(&other.carrier_id).await;
            return Err(Unable::Failed(why));
        }
        let _ = self.tell.send(Happening::Gone).await;
        Ok(())
    }

    async fn picked_up(&self) -> Result<Picked, Unable> {
        let never = || Unable::Failed("nobody told who picked up".into());
        let mut picked = self.picked.clone().ok_or_else(never)?;
        let told = picked.wait_for(Option::is_some).await.map_err(|_| never())?;
        told.ok_or_else(never)
    }
}
