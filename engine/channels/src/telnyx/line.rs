//! The task that owns Telnyx's end of a leg, from its ringing to its end.
//!
//! ```text
//! parked --the flow picks up--> asked --Telnyx opens the stream--> streaming --a hangup--> gone
//!         a call that we dial --^    ^--the stream is lost: another is asked for--'
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use audio::Rate;
use axum::body::Bytes;
use axum::extract::ws::Message;
use call::{Arrival, HangupCause, Inbound, Leg, NotReached, Outbound, Picked, Progress};
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::calls::Hosted;
use super::control::Remote;
use super::happening::{Handing, Happening};
use super::media::Stream;
use super::wire::{self, Heard};
use super::{CHANNEL, Doors, Telnyx, voice};
use crate::rim::{Beat, Closing, Pulse, Rim, binary, close, malformed, write};

/// The rate of our legs.
pub(super) const RATE: Rate = 8000;

/// Marks that may be on their way at once.
const MOST_MARKS: usize = 1024;

/// Whoever dials, and the leg until it is theirs.
pub(super) struct Dialing {
    pub(super) tell: mpsc::Sender<Progress>,
    pub(super) leg: Option<Leg>,
}

/// What follows a state.
enum Next {
    Stream(Box<Stream>),
    Wait,
    /// The end, and the socket that is left to close.
    Gone(Option<(Box<Stream>, Closing)>),
}

pub(super) struct Line {
    telnyx: Arc<Telnyx>,
    call: String,
    token: String,
    rim: Rim,
    happenings: mpsc::Receiver<Happening>,
    /// Whether Telnyx was asked for a stream.
    pub(super) asked: bool,
    /// Whether somebody has picked up, here or there.
    pub(super) answered: bool,
    pub(super) answering: Vec<oneshot::Sender<Result<(), String>>>,
    pub(super) dialing: Option<Dialing>,
    handing: Handing,
    picked: watch::Sender<Option<Picked>>,
    sounds: Arc<AtomicBool>,
    /// Sound that was given before there was a stream.
    held: Option<Outbound>,
    /// When the line is given up if nothing comes.
    pub(super) until: Option<Instant>,
}

/// Hosts a call that comes in.
pub(super) fn arrive(doors: &Arc<Doors>, arrival: Arrival) {
    let telnyx = Arc::clone(&doors.telnyx);
    let (tell, happenings) = mpsc::channel(16);
    let mut hosted = Hosted::new(&telnyx.calls, tell.clone());
    let token = token();
    if !hosted.name(&arrival.carrier_id) || !hosted.name(&token) {
        return tracing::warn!(call = arrival.carrier_id, "a call that is here already");
    }
    let number = arrival.to.clone();
    let (line, leg) = Line::new(telnyx, arrival, number, token, tell, happenings, None);
    let switchboard = Arc::clone(&doors.switchboard);
    // It ends by itself once its leg tells that the caller is gone.
    tokio::spawn(async move { switchboard.arrive(leg).await });
    tokio::spawn(line.live(hosted));
}

/// 128 random bits: who knows them is Telnyx.
pub(super) fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl Line {
    pub(super) fn new(
        telnyx: Arc<Telnyx>,
        arrival: Arrival,
        number: String,
        token: String,
        tell: mpsc::Sender<Happening>,
        happenings: mpsc::Receiver<Happening>,
        dialed: Option<(Dialing, bool)>,
    ) -> (Self, Leg) {
        let (picked, who) = watch::channel(None);
        let sounds = Arc::new(AtomicBool::new(false));
        let call = arrival.carrier_id.clone();
        let (dialing, detects) =
            dialed.map_or((None, false), |(dialing, detects)| (Some(dialing), detects));
        let control = Remote {
            telnyx: Arc::clone(&telnyx),
            call: call.clone(),
            number,
            tell,
            picked: detects.then_some(who),
            sounds: Arc::clone(&sounds),
            token: token.clone(),
        };
        let (rim, leg) = Rim::pair(CHANNEL, arrival, RATE, Arc::new(control));
        let line = Self {
            telnyx,
            call,
            token,
            rim,
            happenings,
            asked: dialing.is_some(),
            answered: false,
            answering: Vec::new(),
            dialing,
            handing: Handing::default(),
            picked,
            sounds,
            held: None,
            until: None,
        };
        (line, leg)
    }

    pub(super) async fn live(mut self, hosted: Hosted) {
        let mut next = Next::Wait;
        let left = loop {
            next = match next {
                Next::Stream(stream) => self.streaming(stream).await,
                Next::Wait => self.waiting().await,
                Next::Gone(left) => break left,
            };
        };
        drop(hosted);
        // The call learns of it at once, while the socket's farewell takes its time.
        tokio::join!(self.rim.gone(), async {
            if let Some((stream, closing)) = left {
                close(stream.socket, closing).await;
            }
        });
    }

    /// While there is no stream.
    async fn waiting(&mut self) -> Next {
        loop {
            let until = self.until;
            tokio::select! {
                biased;
                happening = self.happenings.recv() => match happening {
                    Some(Happening::Stream { call, stream }) if self.is_mine(&call) => {
                        return Next::Stream(stream);
                    }
                    happening => if self.happens(happening).await {
                        return Next::Gone(None);
                    },
                },
                () = unwanted(&self.dialing) => {
                    self.end(HangupCause::Cancelled).await;
                    return Next::Gone(None);
                }
                given = self.rim.given(), if !self.asked => match given {
                    // Whoever is spoken to has been answered.
                    Some(Outbound::Frame(frame)) => {
                        self.held = Some(Outbound::Frame(frame));
                        if let Err(why) = self.pick_up().await {
                            tracing::warn!(call = self.call, why, "a call could not be answered");
                            return Next::Gone(None);
                        }
                    }
                    // There was nothing to be heard before it.
                    Some(Outbound::Mark(id)) => self.rim.tell(Inbound::Mark(id)),
                    Some(Outbound::Clear) => {}
                    None => {
                        self.end(HangupCause::Normal).await;
                        return Next::Gone(None);
                    }
                },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    tracing::warn!(call = self.call, "nothing came of a call in time");
                    self.over(NotReached::failed("Telnyx told nothing more of the call")).await;
                    self.end(HangupCause::Failed).await;
                    return Next::Gone(None);
                }
            }
        }
    }

    /// While the caller's sound comes and goes.
    async fn streaming(&mut self, mut stream: Box<Stream>) -> Next {
        let limits = self.telnyx.limits;
        let mut pulse = Pulse::new(limits.ping, limits.silence);
        let mut marks = VecDeque::new();
        self.begun().await;
        loop {
            tokio::select! {
                biased;
                happening = self.happenings.recv() => match happening {
                    Some(Happening::Stream { call, stream: new }) if self.is_mine(&call) => {
                        self.rim.return_marks(&mut marks);
                        return Next::Stream(new);
                    }
                    happening => if self.happens(happening).await {
                        return Next::Gone(Some((stream, Closing::normal())));
                    },
                },
                () = unwanted(&self.dialing) => {
                    self.end(HangupCause::Cancelled).await;
                    return Next::Gone(Some((stream, Closing::normal())));
                }
                given = given(&mut self.held, &mut self.rim) => {
                    let text = match given {
                        Some(Outbound::Frame(frame)) => wire::media(&frame.samples),
                        Some(Outbound::Mark(id)) => {
                            if marks.len() >= MOST_MARKS {
                                marks.pop_front();
                            }
                            marks.push_back(id);
                            wire::mark(id)
                        }
                        Some(Outbound::Clear) => wire::CLEAR.into(),
                        None => {
                            // Whoever had the call has dropped it.
                            self.end(HangupCause::Normal).await;
                            return Next::Gone(Some((stream, Closing::normal())));
                        }
                    };
                    if let Err(why) = write(&mut stream.socket, Message::Text(text.into())).await {
                        return self.lost(&mut marks, &why).await;
                    }
                }
                message = stream.socket.recv() => {
                    pulse.seen();
                    let closing = match message {
                        Some(Ok(Message::Text(text))) => {
                            pulse.sounded();
                            match wire::read(&text) {
                                Ok(Heard::Sound((number, bytes))) => {
                                    let samples = stream.hear(number, bytes);
                                    self.rim.sound(&samples);
                                    continue;
                                }
                                Ok(Heard::Digit(key)) => {
                                    self.rim.tell(Inbound::Digit(key));
                                    continue;
                                }
                                Ok(Heard::Mark(name)) => {
                                    self.rim.marked(&mut marks, &name);
                                    continue;
                                }
                                Ok(Heard::Error(why)) => {
                                    tracing::warn!(call = self.call, why, "Telnyx refuses our sound");
                                    continue;
                                }
                                Ok(Heard::Other) => continue,
                                Ok(Heard::Stop) => Closing::normal(),
                                Ok(Heard::Start(_)) => Closing::policy("a second start"),
                                Err(why) => malformed(CHANNEL, why),
                            }
                        }
                        Some(Ok(Message::Binary(_))) => binary(CHANNEL),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                        Some(Ok(Message::Close(_))) | None => {
                            return self.lost(&mut marks, "it was closed").await;
                        }
                        Some(Err(error)) => return self.lost(&mut marks, &error.to_string()).await,
                    };
                    // The end of the stream is not the end of the call.
                    self.over(NotReached::failed("the stream ended")).await;
                    self.end(HangupCause::Normal).await;
                    return Next::Gone(Some((stream, closing)));
                }
                beat = pulse.beat() => {
                    if beat == Beat::Lost {
                        return self.lost(&mut marks, "it fell silent").await;
                    }
                    let ping = Message::Ping(Bytes::new());
                    if let Err(why) = write(&mut stream.socket, ping).await {
                        return self.lost(&mut marks, &why).await;
                    }
                }
            }
        }
    }

    /// What happens in any state; whether it is the end.
    async fn happens(&mut self, happening: Option<Happening>) -> bool {
        match happening {
            Some(Happening::Answer(reply)) => match self.pick_up().await {
                Ok(()) if self.until.is_none() => drop(reply.send(Ok(()))),
                Ok(()) => self.answering.push(reply),
                Err(why) => drop(reply.send(Err(why))),
            },
            None | Some(Happening::Released) => return true,
            Some(Happening::Hangup(cause)) => {
                self.end(cause).await;
                return true;
            }
            Some(Happening::Over(end)) => {
                self.over(end).await;
                return true;
            }
            Some(Happening::NoStream(why)) => {
                tracing::warn!(call = self.call, why, "no stream");
                self.over(NotReached::failed(why)).await;
                self.end(HangupCause::Failed).await;
                return true;
            }
            Some(Happening::Ringing) => {
                if let Some(Dialing { tell, .. }) = &self.dialing {
                    let _ = tell.send(Progress::Ringing).await;
                }
            }
            Some(Happening::Answered) => self.answered().await,
            Some(Happening::HandingOver { beside, reply }) => self.handing.begin(beside, reply),
            Some(Happening::NotTaken(end)) => self.handing.failed(end.why),
            Some(Happening::Bridged) => return self.handing.done(&self.telnyx.calls).await,
            Some(Happening::Picked(who)) => drop(self.picked.send(Some(who))),
            Some(Happening::Stream { .. }) => {
                tracing::warn!(call = self.call, "a stream of another call brought our token");
            }
        }
        false
    }

    fn is_mine(&self, call: &str) -> bool {
        call.is_empty() || call == self.call
    }

    /// Lets Telnyx answer and open a stream, once.
    async fn pick_up(&mut self) -> Result<(), String> {
        if self.asked {
            return Ok(());
        }
        let Some(rest) = &self.telnyx.rest else { return Err("TELNYX_API_KEY is not set".into()) };
        rest.command(&self.call, "answer", self.telnyx.stream(&self.token)).await?;
        self.asked = true;
        self.answered = true;
        self.until = Some(Instant::now() + self.telnyx.limits.stream);
        Ok(())
    }

    /// Somebody over there picked up. Whoever dials gets the leg with its first sound.
    async fn answered(&mut self) {
        self.answered = true;
        match &self.dialing {
            Some(Dialing { leg: None, tell }) => {
                let _ = tell.send(Progress::Answered(None)).await;
                self.dialing = None;
            }
            Some(Dialing { leg: Some(_), .. }) => {
                self.until = Some(Instant::now() + self.telnyx.limits.stream);
            }
            None => {}
        }
    }

    /// The stream is there: whoever waits for it may go on.
    async fn begun(&mut self) {
        self.until = None;
        self.sounds.store(true, Ordering::Relaxed);
        for reply in self.answering.drain(..) {
            let _ = reply.send(Ok(()));
        }
        if let Some(dialing) = &mut self.dialing
            && let Some(leg) = dialing.leg.take()
        {
            let (last, progress) = if self.answered {
                (true, Progress::Answered(Some(leg)))
            } else {
                (false, Progress::EarlyMedia(leg))
            };
            let _ = dialing.tell.send(progress).await;
            if last {
                self.dialing = None;
            }
        }
    }

    /// The call is over; who dials is told why nobody was reached.
    async fn over(&mut self, end: NotReached) {
        for reply in self.answering.drain(..) {
            let _ = reply.send(Err(end.why.clone()));
        }
        if let Some(Dialing { tell, .. }) = self.dialing.take() {
            let _ = tell.send(Progress::Ended(end)).await;
        }
    }

    /// Ends the call at Telnyx: one that is still parked is turned away.
    async fn end(&self, cause: HangupCause) {
        let (action, body) = if self.asked {
            ("hangup", json!({}))
        } else {
            ("reject", json!({ "cause": voice::rejection(cause) }))
        };
        if let Some(rest) = &self.telnyx.rest
            && let Err(why) = rest.command(&self.call, action, body).await
        {
            tracing::warn!(call = self.call, why, "a call could not be ended");
        }
    }

    /// The stream ended and Telnyx did not say that the call did: another one is asked for.
    async fn lost(&mut self, marks: &mut VecDeque<u64>, why: &str) -> Next {
        self.rim.return_marks(marks);
        // The webhook of a call that is over may just have come.
        tracing::warn!(call = self.call, why, "a media stream was lost");
        metrics::counter!("voxflow_streams_lost_total").increment(1);
        let Some(rest) = &self.telnyx.rest else { return Next::Gone(None) };
        // A process that was frozen wakes up here: nothing of the call is its own any more.
        if let Some(switchboard) = self.telnyx.switchboard.get()
            && switchboard.is_taken(CHANNEL, &self.call).await
        {
            return Next::Gone(None);
        }
        let body = self.telnyx.stream(&self.token);
        if let Err(why) = rest.command(&self.call, "streaming_start", body).await {
            tracing::warn!(call = self.call, why, "a stream could not be asked for");
            self.over(NotReached::failed(why)).await;
            return Next::Gone(None);
        }
        self.until = Some(Instant::now() + self.telnyx.limits.lost);
        Next::Wait
    }
}

/// What the call gives next, beginning with what it gave before there was a stream.
async fn given(held: &mut Option<Outbound>, rim: &mut Rim) -> Option<Outbound> {
    match held.take() {
        Some(held) => Some(held),
        None => rim.given().await,
    }
}

/// Until whoever dials does not want the leg any more; forever without a dial.
async fn unwanted(dialing: &Option<Dialing>) {
    match dialing {
        Some(Dialing { tell, .. }) => tell.closed().await,
        None => std::future::pending().await,
    }
}
