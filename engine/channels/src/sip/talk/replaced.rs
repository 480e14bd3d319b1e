//! Somebody takes the far side's place: the sound goes on with them, and the old one is let go.

use rsipstack::dialog::dialog::DialogStateReceiver;
use rsipstack::sip::{Header, StatusCode};
use tokio::time::Instant;

use call::leg::Unable;

use super::{Order, Sound, Stage, Talk, answer};
use crate::sip::inbound::described;
use crate::sip::replaces::Newcomer;

/// What the old one's log says.
const REPLACED: &str = "SIP;cause=200;text=\"somebody else took the call\"";

impl Talk {
    /// Goes on with the newcomer, if that can be; then what the stack tells of them.
    pub(super) async fn replaced(
        &mut self,
        newcomer: Newcomer,
        sound: &Sound,
    ) -> Option<DialogStateReceiver> {
        let refusal = match self.stage {
            // It was not we who called (RFC 3891, section 3).
            Stage::Ringing | Stage::Early => Some(StatusCode::CallTransactionDoesNotExist),
            Stage::Live if newcomer.early_only => Some(StatusCode::BusyHere),
            Stage::Live if self.going.moving => Some(StatusCode::RequestPending),
            Stage::Live => None,
        };
        if let Some(status) = refusal {
            newcomer.refuse(&self.sip, status);
            return None;
        }
        let agreed = match described(&newcomer.dialog.initial_request().body) {
            None => Ok((self.ours.offer(false), None)),
            Some(offer) => offer
                .and_then(|offer| self.ours.answer(&offer))
                .map(|(words, agreed)| (words, Some(agreed))),
        };
        let (words, agreed) = match agreed {
            Ok(agreed) => agreed,
            Err(why) => {
                tracing::info!(why, "somebody whose sound we cannot take wants to take a place");
                newcomer.refuse(&self.sip, StatusCode::NotAcceptableHere);
                return None;
            }
        };
        let headers = answer(newcomer.session);
        if let Err(error) = newcomer.dialog.accept(Some(headers), Some(words.clone().into_bytes()))
        {
            tracing::debug!(%error, "a newcomer is gone already");
            self.sip.layer.remove_dialog(&newcomer.dialog.id());
            return None;
        }
        let Newcomer { dialog, states, session, .. } = newcomer;
        let old = std::mem::replace(&mut self.dialog, dialog);
        (self.words, self.session) = (words, session);
        self.going.confirmed = Instant::now();
        // Without an offer of theirs ours went out, and the ACK brings their answer.
        self.going.ack_answers = agreed.is_none();
        if let Some(agreed) = agreed {
            sound.order(Order::Agree(Box::new(agreed))).await;
        }
        self.going.refer_to = None;
        if let Some((reply, _)) = self.going.transfer.take() {
            let _ = reply.send(Err(Unable::Failed("somebody else took the call".into())));
        }
        let sip = std::sync::Arc::clone(&self.sip);
        tokio::spawn(async move {
            if let Err(error) =
                old.bye_with_headers(Some(vec![Header::Reason(REPLACED.into())])).await
            {
                tracing::debug!(%error, "a BYE was not taken");
            }
            sip.layer.remove_dialog(&old.id());
        });
        Some(states)
    }
}
