//! We call somebody: by a trunk, or an address itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use call::dialer::{Dialer, NotReached, Progress, Ringing, Wanted};
use call::{Arrival, Destination, Dialled, Leg};
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver};
use rsipstack::dialog::invitation::InviteAsyncResult;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{Header, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::CHANNEL;
use super::agent::Sip;
use super::inbound::{described, ours};
use super::invite::{Begun, Caller, Invitation};
use super::media::{Media, Order};
use super::ports::Sockets;
use super::route::Way;
use super::sdp::{Agreed, Ours};
use super::talk::{Remote, Sound, Talk, session_of};
use crate::rim::Rim;

/// How long a cancelled dial may take to be over.
const FAREWELL: Duration = Duration::from_secs(35);
/// How long somebody may say nothing at all before the next one is tried.
const SILENT: Duration = Duration::from_secs(4);
/// What a call's owner may be asked at once.
const ASKS: usize = 8;

/// Somebody who answered.
pub(super) struct Reached {
    pub(super) dialog: InviteDialog,
    pub(super) states: DialogStateReceiver,
    pub(super) response: Response,
}

impl Reached {
    /// What their answer means for our offer.
    pub(super) fn answer(&self, ours: &Ours) -> Result<Agreed, String> {
        accepted(ours, &self.response).unwrap_or_else(|| Err("no description came".into()))
    }
}

/// Calls somebody and waits for the answer.
pub(super) async fn reach(
    sip: &Sip,
    way: Way,
    caller: Caller,
    words: &str,
    headers: Vec<Header>,
    ring: Duration,
) -> Result<Reached, StatusCode> {
    let mut invitation = Invitation::new(sip, way, caller, words, headers);
    let until = Instant::now() + ring;
    let mut begun = invitation.send(sip).map_err(|_| StatusCode::ServerInternalError)?;
    let ended = loop {
        let Ok(ended) = timeout_at(until, &mut begun.result).await else {
            let _ = begun.dialog.cancel().await;
            let _ = timeout(FAREWELL, begun.result).await;
            return Err(StatusCode::RequestTimeout);
        };
        if !invitation.again(sip, &ended) {
            break ended;
        }
        begun = invitation.send(sip).map_err(|_| StatusCode::ServerInternalError)?;
    };
    match ended {
        Ok(Ok((_, Some(response)))) if response.status_code == StatusCode::OK => {
            Ok(Reached { dialog: begun.dialog, states: begun.states, response })
        }
        Ok(Ok((_, Some(response)))) => Err(response.status_code),
        _ => Err(StatusCode::ServiceUnavailable),
    }
}

/// What an answer with a description means; `None` = it has none.
fn accepted(ours: &Ours, response: &Response) -> Option<Result<Agreed, String>> {
    Some(described(&response.body)?.and_then(|answer| ours.accept(&answer)))
}

#[async_trait]
impl Dialer for Sip {
    fn carrier(&self) -> &'static str {
        CHANNEL
    }

    fn reaches(&self, to: &Destination) -> bool {
        matches!(to.kind.as_str(), "tel" | "sip") && self.target(to).is_ok()
    }

    async fn dial(&self, wanted: Wanted) -> Result<Ringing, NotReached> {
        let failed = |why: &dyn std::fmt::Display| NotReached::failed(why.to_string());
        let room = Arc::clone(&self.room).try_acquire_owned();
        let room = room.map_err(|_| failed(&"there are as many calls as may be"))?;
        let way = self.route(&wanted.to).await?;
        let sockets = self.ports.take().await.map_err(|error| failed(&error))?;
        let mut ours = ours(self, way.peer(), sockets.port);
        let words = ours.offer(way.encrypt);
        let caller = Caller { user: wanted.from.clone(), anonymous: wanted.anonymous };
        let mut invitation = Invitation::new(self, way, caller, &words, Vec::new());
        let begun = invitation.send(self).map_err(|why| failed(&why))?;
        let carrier_id = begun.dialog.id().call_id;
        let (tell, ringing) = Ringing::pair(carrier_id.clone());
        let arrival = Arrival {
            carrier: CHANNEL.into(),
            carrier_id,
            from: wanted.from,
            to: wanted.to.target,
        };
        let dial = Dialing {
            sip: self.this(),
            invitation,
            begun,
            sockets: Some(sockets),
            ours,
            words,
            arrival,
            early_media: wanted.early_media,
            early: None,
        };
        // It ends with the dial, and the call after it by itself.
        tokio::spawn(dial.run(tell, Instant::now() + wanted.ring, room));
        Ok(ringing)
    }
}

/// A dial on its way.
struct Dialing {
    sip: Arc<Sip>,
    invitation: Invitation,
    begun: Begun,
    sockets: Option<Sockets>,
    ours: Ours,
    words: String,
    arrival: Arrival,
    early_media: bool,
    /// The sound that began before the answer, and what its call may ask.
    early: Option<(Sound, mpsc::Receiver<super::talk::Ask>)>,
}

impl Dialing {
    async fn run(
        mut self,
        tell: mpsc::Sender<Progress>,
        until: Instant,
        room: OwnedSemaphorePermit,
    ) {
        let mut rang = false;
        // Until when somebody there must say something, if there is somebody else.
        let mut silent = Some(Instant::now() + SILENT);
        let end = loop {
            let silence = silent.filter(|_| self.invitation.has_more());
            tokio::select! {
                biased;
                () = tell.closed() => break self.cancel(Dialled::Failed).await,
                () = sleep_until(until) => break self.cancel(Dialled::NoAnswer).await,
                result = &mut self.begun.result => {
                    if self.invitation.again(&self.sip, &result) {
                        match self.invitation.send(&self.sip) {
                            Ok(begun) => self.begun = begun,
                            Err(why) => break NotReached::failed(why),
                        }
                        silent = Some(Instant::now() + SILENT);
                        continue;
                    }
                    match self.ended(result) {
                        Ok(response) => return self.answered(response, &tell, room).await,
                        Err(end) => break end,
                    }
                }
                () = sleep_until(silence.unwrap_or(until)), if silence.is_some() => {
                    // Whoever answers so late is hung up on by the stack.
                    self.begun.result.abort();
                    self.invitation.pass_over(&self.sip);
                    match self.invitation.send(&self.sip) {
                        Ok(begun) => self.begun = begun,
                        Err(why) => break NotReached::failed(why),
                    }
                    silent = Some(Instant::now() + SILENT);
                }
                Some(state) = self.begun.states.recv() => {
                    if !matches!(state, DialogState::Calling(_)) {
                        silent = None;
                    }
                    let DialogState::Early(_, response) = state else { continue };
                    if !std::mem::replace(&mut rang, true) {
                        let _ = tell.try_send(Progress::Ringing);
                    }
                    if let Some(leg) = self.early(&response).await {
                        let _ = tell.try_send(Progress::EarlyMedia(leg));
                    }
                }
            }
        };
        let _ = tell.send(Progress::Ended(end)).await;
    }

    /// Calls it off. Whoever picks up at the same moment is hung up on by the stack.
    async fn cancel(&mut self, how: Dialled) -> NotReached {
        if let Err(error) = self.begun.dialog.cancel().await {
            tracing::debug!(%error, "a dial was not cancelled");
        }
        let _ = timeout(FAREWELL, &mut self.begun.result).await;
        self.sip.layer.remove_dialog(&self.begun.dialog.id());
        how.into()
    }

    fn ended(
        &self,
        result: Result<InviteAsyncResult, tokio::task::JoinError>,
    ) -> Result<Response, NotReached> {
        match result {
            Ok(Ok((_, Some(response)))) if response.status_code == StatusCode::OK => Ok(response),
            Ok(Ok((_, Some(response)))) => Err(not_reached(&response)),
            Ok(Ok((_, None))) => Err(NotReached::failed("nobody answered at that address")),
            Ok(Err(error)) => Err(NotReached::failed(error.to_string())),
            Err(error) => Err(NotReached::failed(error.to_string())),
        }
    }

    /// A leg for sound that comes before the answer, once, if anybody wants it.
    async fn early(&mut self, response: &Response) -> Option<Leg> {
        if !self.early_media || self.early.is_some() {
            return None;
        }
        let agreed = accepted(&self.ours, response)?.ok()?;
        let (sound, asked, leg) = self.begin_sound(agreed).await?;
        self.early = Some((sound, asked));
        Some(leg)
    }

    async fn begin_sound(
        &mut self,
        agreed: Agreed,
    ) -> Option<(Sound, mpsc::Receiver<super::talk::Ask>, Leg)> {
        let (asks, asked) = mpsc::channel(ASKS);
        let rate = agreed.speech.codec.rate();
        let control = Arc::new(Remote::new(asks));
        let (rim, leg) = Rim::pair(CHANNEL, self.arrival.clone(), rate, control);
        let sound =
            Sound::start(Media::new(rim, self.sockets.take()?, rate, self.sip.settings.silence));
        sound.order(Order::Agree(Box::new(agreed))).await;
        sound.order(Order::Begin).await;
        Some((sound, asked, leg))
    }

    /// Somebody picked up.
    async fn answered(
        mut self,
        response: Response,
        tell: &mpsc::Sender<Progress>,
        room: OwnedSemaphorePermit,
    ) {
        let agreed = accepted(&self.ours, &response);
        let (leg, sound, asked) = match (self.early.take(), agreed) {
            (Some((sound, asked)), agreed) => {
                // The answer may differ from what came before it, or say nothing new.
                if let Some(Ok(agreed)) = agreed {
                    sound.order(Order::Agree(Box::new(agreed))).await;
                }
                (None, sound, asked)
            }
            (None, Some(Ok(agreed))) => match self.begin_sound(agreed).await {
                Some((sound, asked, leg)) => (Some(leg), sound, asked),
                None => return,
            },
            (None, agreed) => {
                let _ = self.begun.dialog.bye().await;
                self.sip.layer.remove_dialog(&self.begun.dialog.id());
                let why = agreed.map_or(Some("no description came".into()), Result::err);
                let _ =
                    tell.send(Progress::Ended(NotReached::failed(why.unwrap_or_default()))).await;
                return;
            }
        };
        let Self { sip, begun, ours, words, .. } = self;
        let talk = Talk::outbound(sip, begun.dialog, ours, words, session_of(&response));
        // If nobody takes the leg, it is dropped, and its call hangs up.
        let _ = tell.send(Progress::Answered(leg)).await;
        talk.run(begun.states, asked, sound, room).await;
    }
}

/// What a final answer means for whoever dialed.
fn not_reached(response: &Response) -> NotReached {
    let how = match response.status_code.code() {
        486 | 600 => Dialled::Busy,
        408 | 480 | 487 => Dialled::NoAnswer,
        403 | 603 | 607 | 433 => Dialled::Rejected,
        _ => Dialled::Failed,
    };
    let why = match response.status_code.code() {
        401 | 407 => "the trunk does not take our password".into(),
        code => match &response.wire_reason {
            Some(reason) => format!("{code} {reason}"),
            None => response.status_code.to_string(),
        },
    };
    NotReached { how, why }
}
