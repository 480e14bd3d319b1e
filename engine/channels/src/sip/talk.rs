//! One call: the task in which the stack's events, the call's wishes and the sound's news meet.
//!
//! ```text
//!   ringing ──sound──▶ early (183) ──answer──▶ live ──BYE, silence, time──▶ over
//! ```
//! What the call may ask for is `remote`; what another person's phone asks for (to hand the call on)
//! is `moved`, what keeps it alive `confirmed`, and what becomes of it when another takes its place, `replaced`.

mod confirmed;
mod moved;
mod remote;
mod replaced;

use std::sync::Arc;
use std::time::Duration;

use call::HangupCause;
use call::leg::Unable;
use rsipstack::dialog::DialogId;
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver, TransactionHandle};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{Header, Method, Request, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::agent::{Sip, abilities};
use super::inbound::{described, header, too_short};
use super::media::{Media, Order, Said};
use super::replaces::Place;
use super::sdp::{Agreed, Ours, Theirs};
use super::timer::{Session, Side, least};

use confirmed::UNCONFIRMED;
pub(super) use confirmed::session_of;
use remote::gone;
pub(super) use remote::{Ask, Remote};

/// How long the far side may take to hand a call over.
const TRANSFER: Duration = Duration::from_secs(40);
/// What the sound may be told at once, and what it tells.
const ORDERS: usize = 16;
/// Why the sound's end ends a call, in a header for the far side's log.
const SILENT: &str = "SIP;cause=408;text=\"no sound came\"";

/// The sound of a call, running.
pub(super) struct Sound {
    orders: mpsc::Sender<Order>,
    said: mpsc::Receiver<Said>,
}

impl Sound {
    /// Starts it; it ends with this handle.
    pub(super) fn start(media: Media) -> Self {
        let (orders, ordered) = mpsc::channel(ORDERS);
        let (tell, said) = mpsc::channel(ORDERS);
        tokio::spawn(media.run(ordered, tell));
        Self { orders, said }
    }

    pub(super) async fn order(&self, order: Order) {
        // It ends only with us.
        let _ = self.orders.send(order).await;
    }
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ringing,
    Early,
    Live,
}

/// What came of something that took its time.
enum Done {
    Referred(Result<(), String>),
    Moved(Box<Result<moved::Moved, StatusCode>>),
    /// What was answered in this dialog when we confirmed the session.
    Confirmed(DialogId, Option<(Box<Theirs>, Option<Session>)>),
}

/// One call.
pub(super) struct Talk {
    sip: Arc<Sip>,
    dialog: InviteDialog,
    ours: Ours,
    /// What we described last.
    words: String,
    /// What is agreed on before the sound begins.
    agreed: Option<Agreed>,
    stage: Stage,
    session: Option<Session>,
    going: Going,
}

/// What is under way.
struct Going {
    tell: mpsc::Sender<Done>,
    /// When the session was confirmed last.
    confirmed: Instant,
    /// Our offer went out in an answer; theirs comes in the ACK.
    ack_answers: bool,
    transfer: Option<(oneshot::Sender<Result<(), Unable>>, Instant)>,
    /// Whom the far side shall be asked to go on with, once it has confirmed our answer.
    refer_to: Option<String>,
    moving: bool,
}

/// Whether the call goes on.
#[derive(PartialEq, Eq)]
enum Next {
    On,
    Over,
}

impl Talk {
    /// A call that came to us and rings. `agreed`: our answer to its offer, if it brought one.
    pub(super) fn inbound(
        sip: Arc<Sip>,
        dialog: InviteDialog,
        mut ours: Ours,
        agreed: Option<(String, Agreed)>,
        session: Option<Session>,
    ) -> Self {
        let (words, agreed) = match agreed {
            Some((words, agreed)) => (words, Some(agreed)),
            None => (ours.offer(false), None),
        };
        Self::new(sip, dialog, ours, words, agreed, Stage::Ringing, session)
    }

    /// A call that we placed and somebody answered.
    pub(super) fn outbound(
        sip: Arc<Sip>,
        dialog: InviteDialog,
        ours: Ours,
        words: String,
        session: Option<Session>,
    ) -> Self {
        Self::new(sip, dialog, ours, words, None, Stage::Live, session)
    }

    fn new(
        sip: Arc<Sip>,
        dialog: InviteDialog,
        ours: Ours,
        words: String,
        agreed: Option<Agreed>,
        stage: Stage,
        session: Option<Session>,
    ) -> Self {
        // Replaced by `run`, which has the other end.
        let tell = mpsc::channel(1).0;
        let confirmed = Instant::now();
        let going = Going {
            tell,
            confirmed,
            ack_answers: false,
            transfer: None,
            refer_to: None,
            moving: false,
        };
        Self { sip, dialog, ours, words, agreed, stage, session, going }
    }

    /// Lives the call until it is over.
    pub(super) async fn run(
        mut self,
        mut states: DialogStateReceiver,
        mut asks: mpsc::Receiver<Ask>,
        mut sound: Sound,
        room: OwnedSemaphorePermit,
    ) {
        let (tell, mut done) = mpsc::channel(ORDERS);
        self.going.tell = tell;
        let (tell, mut newcomers) = mpsc::channel(1);
        let mut place = Place::take(&self.sip, self.dialog.id(), tell);
        if let Some(agreed) = self.agreed.take() {
            sound.order(Order::Agree(Box::new(agreed))).await;
        }
        if self.stage == Stage::Ringing
            && let Err(error) = self.dialog.ringing(Some(abilities()), None)
        {
            tracing::debug!(%error, "a call that cannot ring");
        }
        loop {
            let due = self.due();
            let next = tokio::select! {
                biased;
                state = states.recv() => match state {
                    Some(state) => self.state(state, &sound).await,
                    None => Next::Over,
                },
                what = done.recv() => match what {
                    Some(Done::Moved(moved)) => match *moved {
                        Ok(moved) => {
                            states = self.move_to(moved, states, &sound).await;
                            place.move_to(self.dialog.id());
                            Next::On
                        }
                        Err(status) => self.not_moved(status),
                    },
                    Some(what) => self.done(what, &sound).await,
                    None => Next::Over,
                },
                Some(newcomer) = newcomers.recv() => {
                    if let Some(new) = self.replaced(newcomer, &sound).await {
                        states = new;
                        place.move_to(self.dialog.id());
                    }
                    Next::On
                }
                Some(ask) = asks.recv() => self.ask(ask, &sound).await,
                Some(said) = sound.said.recv() => self.said(said, &sound).await,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.due_now().await
                }
            };
            if next == Next::Over {
                break;
            }
        }
        if let Some((reply, _)) = self.going.transfer.take() {
            // They hung up in the middle of it: the call was taken from us.
            let _ = reply.send(Ok(()));
        }
        self.sip.layer.remove_dialog(&self.dialog.id());
        drop((sound, room));
    }

    /// The stack tells what became of the call.
    async fn state(&mut self, state: DialogState, sound: &Sound) -> Next {
        match state {
            DialogState::Terminated(_, reason) => {
                tracing::debug!(?reason, "a call over SIP ended");
                return Next::Over;
            }
            DialogState::Updated(_, request, handle) => self.updated(&request, handle, sound).await,
            DialogState::Info(_, request, handle) => {
                // Keys as messages are for lines without events; both at once would be two keys.
                let _ = request;
                let _ = handle.reply(StatusCode::OK).await;
            }
            DialogState::Options(_, _, handle) => {
                let _ = handle.respond(StatusCode::OK, Some(abilities()), None).await;
            }
            DialogState::Notify(_, request, handle) => {
                let _ = handle.reply(StatusCode::OK).await;
                return self.notified(&request);
            }
            DialogState::Refer(_, request, handle) => self.referred(&request, handle).await,
            DialogState::Message(_, _, handle) | DialogState::Publish(_, _, handle) => {
                let _ = handle.reply(StatusCode::MethodNotAllowed).await;
            }
            DialogState::Confirmed(..) => {
                self.refer();
                if std::mem::take(&mut self.going.ack_answers) {
                    let ack = self.dialog.last_remote_ack();
                    let answer = ack.and_then(|ack| described(&ack.body));
                    return self.answered_by(answer.and_then(Result::ok), sound).await;
                }
            }
            DialogState::Calling(_)
            | DialogState::Trying(_)
            | DialogState::Early(..)
            | DialogState::WaitAck(..) => {}
        }
        Next::On
    }

    /// Their answer to our offer came, or none.
    async fn answered_by(&mut self, answer: Option<Theirs>, sound: &Sound) -> Next {
        match answer.map(|answer| self.ours.accept(&answer)) {
            Some(Ok(agreed)) => {
                sound.order(Order::Agree(Box::new(agreed))).await;
                Next::On
            }
            Some(Err(why)) => {
                tracing::info!(why, "there is no sound in common");
                self.bye("SIP;cause=488;text=\"no sound in common\"")
            }
            None => self.bye("SIP;cause=400;text=\"no description came\""),
        }
    }

    /// A re-INVITE or an UPDATE.
    async fn updated(&mut self, request: &Request, handle: TransactionHandle, sound: &Sound) {
        let mut headers = abilities();
        if let Some(session) = header(request, "session-expires") {
            let session = Session::read(&session, Side::Answering);
            let least = least(self.sip.settings.session);
            if session.is_some_and(|session| session.too_short(least)) {
                let (status, headers) = too_short(least);
                let _ = handle.respond(status, Some(headers), None).await;
                return;
            }
            self.session = session.or(self.session);
        }
        self.going.confirmed = Instant::now();
        if let Some(session) = self.session {
            headers.push(Header::SessionExpires(session.header(Side::Answering).into()));
        }
        headers.push(Header::ContentType("application/sdp".into()));
        let answer = match described(&request.body) {
            Some(offer) => offer.and_then(|offer| self.ours.answer(&offer)),
            // An UPDATE without a word on sound confirms; a re-INVITE wants our offer.
            None if request.method == Method::Invite => {
                self.going.ack_answers = true;
                let offer = self.ours.offer(false);
                let _ =
                    handle.respond(StatusCode::OK, Some(headers), Some(offer.into_bytes())).await;
                return;
            }
            None => {
                headers.pop();
                let _ = handle.respond(StatusCode::OK, Some(headers), None).await;
                return;
            }
        };
        match answer {
            Ok((words, agreed)) => {
                self.words.clone_from(&words);
                let _ =
                    handle.respond(StatusCode::OK, Some(headers), Some(words.into_bytes())).await;
                sound.order(Order::Agree(Box::new(agreed))).await;
            }
            Err(why) => {
                tracing::info!(why, "a change of sound that we cannot take");
                let _ = handle.reply(StatusCode::NotAcceptableHere).await;
            }
        }
    }

    /// The call wishes something.
    async fn ask(&mut self, ask: Ask, sound: &Sound) -> Next {
        match ask {
            Ask::Answer(reply) => {
                let _ = reply.send(self.answer(sound).await);
            }
            Ask::Hangup(cause) => return self.hang_up(cause),
            Ask::Press(keys, reply) => {
                let (told, pressed) = oneshot::channel();
                sound.order(Order::Press(keys, told)).await;
                tokio::spawn(async move {
                    let pressed = pressed.await.map_err(|_| gone());
                    let _ = reply.send(pressed);
                });
            }
            Ask::Transfer(to, reply) => self.transfer(&to, reply),
            Ask::Join(call, reply) => self.join(&call, reply),
        }
        Next::On
    }

    async fn answer(&mut self, sound: &Sound) -> Result<(), String> {
        if self.stage == Stage::Live {
            return Ok(());
        }
        let headers = answer(self.session);
        // Without an offer of theirs ours goes out now, and the ACK brings their answer.
        self.going.ack_answers = self.dialog.initial_request().body.is_empty();
        let body = self.words.clone().into_bytes();
        self.dialog.accept(Some(headers), Some(body)).map_err(|error| error.to_string())?;
        self.stage = Stage::Live;
        self.going.confirmed = Instant::now();
        sound.order(Order::Begin).await;
        Ok(())
    }

    /// The sound tells something.
    async fn said(&mut self, said: Said, sound: &Sound) -> Next {
        match said {
            Said::Wanted if self.stage == Stage::Ringing => {
                // Sound before the answer needs an agreement, and that their offer.
                if !self.dialog.initial_request().body.is_empty() {
                    let sdp = Header::ContentType("application/sdp".into());
                    let body = self.words.clone().into_bytes();
                    if self.dialog.ringing(Some(vec![sdp]), Some(body)).is_ok() {
                        self.stage = Stage::Early;
                        sound.order(Order::Begin).await;
                    }
                }
                Next::On
            }
            Said::Wanted => Next::On,
            Said::Silent => {
                tracing::info!("no sound came from the far side; hanging up");
                self.bye(SILENT)
            }
            Said::Dropped => self.hang_up(HangupCause::Normal),
        }
    }

    /// Ends the call, as it is now.
    fn hang_up(&mut self, cause: HangupCause) -> Next {
        if self.stage == Stage::Live {
            return self.bye("Q.850;cause=16;text=\"normal call clearing\"");
        }
        let status = match cause {
            HangupCause::Busy => StatusCode::BusyHere,
            HangupCause::Rejected => StatusCode::Decline,
            HangupCause::Failed => StatusCode::ServerInternalError,
            HangupCause::Normal
            | HangupCause::NoAnswer
            | HangupCause::Cancelled
            | HangupCause::Timeout => StatusCode::TemporarilyUnavailable,
        };
        if let Err(error) = self.dialog.reject(Some(status), None) {
            tracing::debug!(%error, "a call was not refused");
        }
        Next::Over
    }

    /// Says goodbye; whatever comes back, the call is over.
    fn bye(&mut self, reason: &'static str) -> Next {
        let dialog = self.dialog.clone();
        tokio::spawn(async move {
            let headers = vec![Header::Reason(reason.into())];
            if let Err(error) = dialog.bye_with_headers(Some(headers)).await {
                tracing::debug!(%error, "a BYE was not taken");
            }
        });
        Next::Over
    }

    async fn done(&mut self, done: Done, sound: &Sound) -> Next {
        match done {
            // Another took its place meanwhile.
            Done::Confirmed(dialog, _) if dialog != self.dialog.id() => Next::On,
            Done::Confirmed(_, Some((answer, session))) => {
                self.session = session.or(self.session);
                self.answered_by(Some(*answer), sound).await
            }
            Done::Confirmed(_, None) => self.bye(UNCONFIRMED),
            Done::Referred(Ok(())) | Done::Moved(_) => Next::On,
            Done::Referred(Err(why)) => {
                if let Some((reply, _)) = self.going.transfer.take() {
                    let _ = reply.send(Err(Unable::Failed(why)));
                }
                Next::On
            }
        }
    }
}

/// The headers of our answer to an INVITE.
fn answer(session: Option<Session>) -> Vec<Header> {
    let mut headers = abilities();
    headers.push(Header::ContentType("application/sdp".into()));
    if let Some(session) = session {
        headers.push(Header::SessionExpires(session.header(Side::Answering).into()));
        if !session.ours() {
            headers.push(Header::Require("timer".into()));
        }
    }
    headers
}
