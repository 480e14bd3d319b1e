//! The task that owns Twilio's end of a leg: it outlives its sockets, for a dial ends the one and
//! brings the caller back on another, and one that is lost is replaced.
//!
//! ```text
//! streaming --a dial ends the stream, or it is lost--> away --the caller's new stream--> streaming
//!     `--Twilio stops the stream, a hangup, nonsense--> gone <--no stream in time--'
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::Message;
use call::{Arrival, Dialled, Inbound, Leg, Outbound, Picked};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::calls::{Claim, Hosted};
use super::control::Remote;
use super::dial::Taker;
use super::media::Stream;
use super::wire::{self, Heard};
use super::{CHANNEL, Doors, Twilio};
use crate::rim::{Beat, Closing, Pulse, Rim, binary, close, malformed, write};

/// The longest that a dial may last: Twilio's own limit for a bridged call is 4 hours, and 10
/// minutes for ringing.
const LONGEST_DIAL: Duration = Duration::from_secs(4 * 3600 + 600 + 60);

/// Marks that may be on their way at once.
const MOST_MARKS: usize = 1024;

/// What happens to a line besides sound.
pub(super) enum Happening {
    /// The call hangs up.
    Hangup,
    /// The call goes on in another process, or shall: Twilio brings it back when its stream is over.
    Released,
    /// The call dials; it waits for the end here.
    Dialing(oneshot::Sender<Dialled>),
    /// Twilio did not take the dial.
    NotDialing,
    /// The dial is over, says Twilio; the caller comes back.
    Dialled(Dialled),
    /// The call is over, says Twilio.
    Gone,
    /// The caller's new stream.
    Back(Box<Stream>),
}

/// Why the caller is elsewhere, or will be: a dial, or a stream that was lost.
struct Absence {
    /// Who waits for the dial's end; `None` = nobody (any more), the caller is on the way back.
    reply: Option<oneshot::Sender<Dialled>>,
    end: Option<Dialled>,
    /// When the caller counts as gone.
    until: Instant,
}

/// What follows a state.
enum Next {
    Stream(Box<Stream>),
    Away,
    /// The end, and the socket that is left to close.
    Gone(Option<(Box<Stream>, Closing)>),
}

struct Line {
    twilio: Arc<Twilio>,
    call: String,
    rim: Rim,
    happenings: mpsc::Receiver<Happening>,
    absence: Option<Absence>,
}

/// Lives a call that came in, from its first stream until it is gone.
pub(super) async fn live(doors: &Doors, arrival: Arrival, stream: Stream) {
    let number = arrival.to.clone();
    let switchboard = Arc::clone(&doors.switchboard);
    lived(doors, arrival, number, None, stream, |leg| async move { switchboard.arrive(leg).await })
        .await;
}

/// Lives a call that another process had, from the stream by which it came back until it is gone.
pub(super) async fn taken_over(
    doors: &Doors,
    arrival: Arrival,
    end: Option<Dialled>,
    stream: Stream,
) {
    let switchboard = Arc::clone(&doors.switchboard);
    let Arrival { from, to, .. } = arrival.clone();
    let number = if switchboard.answers(&to) { to } else { from };
    let give = |leg| async move { switchboard.take_over(leg, end).await };
    lived(doors, arrival, number, None, stream, give).await;
}

/// Lives a call that we dialed, from its first stream until it is gone.
pub(super) async fn dialed(doors: &Doors, taker: Taker, stream: Stream) {
    let (arrival, picked) = (taker.arrival.clone(), taker.picked.clone());
    let number = arrival.from.clone();
    lived(doors, arrival, number, picked, stream, |leg| taker.give(leg)).await;
}

async fn lived<Give>(
    doors: &Doors,
    arrival: Arrival,
    number: String,
    picked: Option<watch::Receiver<Option<Picked>>>,
    stream: Stream,
    give: impl FnOnce(Leg) -> Give,
) where
    Give: Future<Output = ()> + Send + 'static,
{
    let twilio = Arc::clone(&doors.twilio);
    let call = arrival.carrier_id.clone();
    let (tell, happenings) = mpsc::channel(8);
    let Some(hosted) = Hosted::take(&twilio, &call, tell.clone()) else {
        return close(stream.socket, Closing::policy("the call has a stream already")).await;
    };
    let control = Remote { twilio: Arc::clone(&twilio), call: call.clone(), number, tell, picked };
    let (rim, leg) = Rim::pair(CHANNEL, arrival, 8000, Arc::new(control));
    // It ends by itself once its leg tells that the caller is gone.
    tokio::spawn(give(leg));
    let mut line = Line { twilio, call, rim, happenings, absence: None };
    let mut next = Next::Stream(Box::new(stream));
    let left = loop {
        next = match next {
            Next::Stream(stream) => line.streaming(stream).await,
            Next::Away => line.away().await,
            Next::Gone(left) => break left,
        };
    };
    let Line { rim, absence, .. } = line;
    // Before its stream is closed: Twilio asks then whether the call goes on.
    drop(hosted);
    // The call learns of it at once, while the socket's farewell takes its time.
    tokio::join!(rim.gone(), async {
        if let Some((stream, closing)) = left {
            close(stream.socket, closing).await;
        }
    });
    // Only now: whoever waits for a dial shall hear of the caller first.
    drop(absence);
}

impl Line {
    /// While the caller's sound comes and goes.
    async fn streaming(&mut self, mut stream: Box<Stream>) -> Next {
        let limits = self.twilio.settings.limits;
        let mut pulse = Pulse::new(limits.ping, limits.silence);
        let mut marks = VecDeque::new();
        let closing = loop {
            tokio::select! {
                biased;
                happening = self.happenings.recv() => match happening {
                    None | Some(Happening::Hangup | Happening::Gone | Happening::Released) => {
                        return Next::Gone(Some((stream, Closing::normal())));
                    }
                    Some(Happening::Back(new)) => {
                        self.rim.return_marks(&mut marks);
                        self.dialled();
                        // The old one is of no use, and its end must not hold up the new one.
                        drop(stream);
                        return Next::Stream(new);
                    }
                    Some(Happening::NotDialing) => self.absence = None,
                    Some(Happening::Dialing(reply)) => self.dialing(reply),
                    Some(Happening::Dialled(end)) => self.ended(end),
                },
                given = self.rim.given() => {
                    let Some(given) = given else {
                        // Whoever had the call has dropped it.
                        self.complete().await;
                        return Next::Gone(Some((stream, Closing::normal())));
                    };
                    let text = match given {
                        Outbound::Frame(frame) => stream.writer.media(&frame.samples),
                        Outbound::Mark(id) => {
                            if marks.len() >= MOST_MARKS {
                                marks.pop_front();
                            }
                            marks.push_back(id);
                            stream.writer.mark(id)
                        }
                        Outbound::Clear => stream.writer.clear(),
                    };
                    if let Err(why) = write(&mut stream.socket, Message::Text(text.into())).await {
                        return self.lost(&mut marks, &why);
                    }
                }
                message = stream.socket.recv() => {
                    pulse.seen();
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            pulse.sounded();
                            match wire::read(&text) {
                                Ok(Heard::Sound(samples)) => self.rim.sound(&samples),
                                Ok(Heard::Digit(key)) => self.rim.tell(Inbound::Digit(key)),
                                Ok(Heard::Mark(name)) => self.rim.marked(&mut marks, &name),
                                Ok(Heard::Stop) => break Closing::normal(),
                                // It tells of no errors.
                                Ok(Heard::Other | Heard::Error(_)) => {}
                                Ok(Heard::Start(_)) => break Closing::policy("a second start"),
                                Err(why) => break malformed(CHANNEL, why),
                            }
                        }
                        Some(Ok(Message::Binary(_))) => break binary(CHANNEL),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_))) | None => {
                            return self.lost(&mut marks, "it was closed");
                        }
                        Some(Err(error)) => return self.lost(&mut marks, &error.to_string()),
                    }
                }
                () = given_up(&mut self.absence) => self.take_back().await,
                beat = pulse.beat() => {
                    if beat == Beat::Lost {
                        return self.lost(&mut marks, "it fell silent");
                    }
                    let ping = Message::Ping(Bytes::new());
                    if let Err(why) = write(&mut stream.socket, ping).await {
                        return self.lost(&mut marks, &why);
                    }
                }
            }
        };
        if self.absence.is_none() {
            return Next::Gone(Some((stream, closing)));
        }
        self.rim.return_marks(&mut marks);
        Next::Away
    }

    /// While the caller hears others, or nobody.
    async fn away(&mut self) -> Next {
        loop {
            let Some(absence) = &self.absence else { return Next::Gone(None) };
            let until = absence.until;
            // A call that does not wait for a dial's end speaks to a caller who is on the way back:
            // that waits.
            let unheard = absence.reply.is_some();
            tokio::select! {
                biased;
                happening = self.happenings.recv() => match happening {
                    None | Some(Happening::Hangup | Happening::Gone | Happening::Released) => {
                        return Next::Gone(None);
                    }
                    Some(Happening::NotDialing) => {
                        self.expect_back(self.twilio.settings.limits.lost);
                    }
                    Some(Happening::Dialing(reply)) => self.dialing(reply),
                    Some(Happening::Dialled(end)) => self.ended(end),
                    Some(Happening::Back(stream)) => {
                        self.dialled();
                        return Next::Stream(stream);
                    }
                },
                given = self.rim.given(), if unheard => match given {
                    // Nobody hears it, and nobody shall wait for that.
                    Some(Outbound::Mark(id)) => self.rim.tell(Inbound::Mark(id)),
                    Some(Outbound::Frame(_) | Outbound::Clear) => {}
                    None => {
                        self.complete().await;
                        return Next::Gone(None);
                    }
                },
                () = given_up(&mut self.absence) => self.take_back().await,
                () = sleep_until(until) => {
                    tracing::warn!(call = self.call, "a caller did not come back");
                    return Next::Gone(None);
                }
            }
        }
    }

    /// The stream ended and Twilio did not say that the call did: it asks for a new one.
    fn lost(&mut self, marks: &mut VecDeque<u64>, why: &str) -> Next {
        if self.absence.is_none() {
            tracing::warn!(call = self.call, why, "a media stream was lost");
            metrics::counter!("voxflow_streams_lost_total").increment(1);
            self.expect_back(self.twilio.settings.limits.lost);
        }
        self.rim.return_marks(marks);
        Next::Away
    }

    fn expect_back(&mut self, within: Duration) {
        let until = Instant::now() + within;
        self.absence = Some(Absence { reply: None, end: None, until });
    }

    fn dialing(&mut self, reply: oneshot::Sender<Dialled>) {
        let until = Instant::now() + LONGEST_DIAL;
        self.absence = Some(Absence { reply: Some(reply), end: None, until });
    }

    /// Twilio says how the dial ended; the caller's stream follows.
    fn ended(&mut self, end: Dialled) {
        if let Some(absence) = &mut self.absence {
            absence.end = Some(end);
            absence.until = Instant::now() + self.twilio.settings.limits.back;
        }
    }

    /// The caller is back: whoever dialed may go on.
    fn dialled(&mut self) {
        if let Some(Absence { reply: Some(reply), end, .. }) = self.absence.take() {
            let _ = reply.send(end.unwrap_or(Dialled::Failed));
        }
    }

    /// Whoever dialed does not wait any more: asks Twilio for the caller.
    async fn take_back(&mut self) {
        self.expect_back(self.twilio.settings.limits.back);
        let answer = self.twilio.stream(Claim::Back(self.call.clone()));
        if let Some(rest) = &self.twilio.rest
            && let Err(why) = rest.redirect(&self.call, &answer).await
        {
            tracing::warn!(call = self.call, why, "a dial could not be taken back");
        }
    }

    async fn complete(&self) {
        self.twilio.complete(&self.call).await;
    }
}

/// Until whoever dialed stops waiting; forever without a dial.
async fn given_up(absence: &mut Option<Absence>) {
    match absence {
        Some(Absence { reply: Some(reply), .. }) => reply.closed().await,
        _ => std::future::pending().await,
    }
}

impl Twilio {
    /// Ends a call at Twilio. Without credentials closing its stream must do: Twilio is told to
    /// hang up when it asks what comes then.
    pub(super) async fn complete(&self, call: &str) {
        if let Some(rest) = &self.rest
            && let Err(why) = rest.complete(call).await
        {
            tracing::warn!(call, why, "a call could not be ended by REST; its stream is closed");
        }
    }
}
