//! A socket's end of a leg: what every carrier of sound does between its wire and a call.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use audio::{Frame, Rate};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use call::{Arrival, Control, Inbound, Leg, Outbound};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::stream::Heard;

/// Frames that a call may leave unheard, 1.3 s; what comes then is dropped and counted.
const UNHEARD: usize = 64;

/// Frames on their way to the wire, 1.3 s; then the call waits.
const UNSENT: usize = 64;

/// Keys and marks that are kept for a call that does not listen.
const LATE: usize = 256;

/// How long one write to a socket may take before the far side counts as gone.
const WRITE: Duration = Duration::from_secs(5);

/// How long a close waits for the far side's.
const CLOSE: Duration = Duration::from_secs(2);

/// What one read of a socket may bring, bytes: some messages of 20 ms.
const READ: usize = 4 * 1024;

/// A socket of sound: its messages are small and many. The library's usual buffer is 128 KB for
/// each socket, which every read fills with zeros first.
pub(crate) fn socket(upgrade: WebSocketUpgrade, largest: usize) -> WebSocketUpgrade {
    upgrade.max_message_size(largest).read_buffer_size(READ)
}

/// A socket's end of a leg.
pub(crate) struct Rim {
    inbound: mpsc::Sender<Inbound>,
    /// What the call gives, one by one; see [`Rim::given`].
    pub(crate) outbound: mpsc::Receiver<Outbound>,
    /// What was given behind sound that is on its way together.
    behind: Option<Outbound>,
    rate: Rate,
    carrier: &'static str,
    /// Samples that do not fill a frame yet.
    rest: Vec<i16>,
    /// Keys and marks that did not fit, in order. They are never dropped for sound.
    late: VecDeque<Inbound>,
}

impl Rim {
    /// Both ends of a new leg.
    pub(crate) fn pair(
        carrier: &'static str,
        arrival: Arrival,
        rate: Rate,
        control: Arc<dyn Control>,
    ) -> (Self, Leg) {
        let (inbound, heard) = mpsc::channel(UNHEARD);
        let (given, outbound) = mpsc::channel(UNSENT);
        let rest = Vec::with_capacity(Frame::samples_per_frame(rate));
        let rim =
            Self { inbound, outbound, behind: None, rate, carrier, rest, late: VecDeque::new() };
        (rim, Leg { arrival, rate, inbound: heard, outbound: given, control })
    }

    /// What the call gives, for a far side that takes sound of any length: what waits goes together.
    /// `None` = nobody has the call any more. May be dropped and called again.
    pub(crate) async fn given(&mut self) -> Option<Outbound> {
        let given = match self.behind.take() {
            Some(given) => given,
            None => self.outbound.recv().await?,
        };
        let Outbound::Frame(mut frame) = given else { return Some(given) };
        while self.behind.is_none() {
            match self.outbound.try_recv() {
                Ok(Outbound::Frame(next)) => frame.samples.extend(next.samples),
                Ok(other) => self.behind = Some(other),
                Err(_) => break,
            }
        }
        Some(Outbound::Frame(frame))
    }

    /// Takes in sound of any length; the call gets it in frames of 20 ms.
    pub(crate) fn sound(&mut self, samples: &[i16]) {
        self.rest.extend_from_slice(samples);
        let size = Frame::samples_per_frame(self.rate);
        let whole = self.rest.len() / size * size;
        if whole == 0 {
            return;
        }
        self.catch_up();
        for samples in self.rest[..whole].chunks_exact(size) {
            let frame = Inbound::Frame(Frame { rate: self.rate, samples: samples.to_vec() });
            // A call that does not keep up loses the newest sound: what waits is in order already.
            if !self.late.is_empty() || self.inbound.try_send(frame).is_err() {
                metrics::counter!("voxflow_frames_dropped_total", "at" => self.carrier)
                    .increment(1);
            }
        }
        self.rest.drain(..whole);
    }

    /// What was not played will not be: as after a clear, its marks come back.
    pub(crate) fn return_marks(&mut self, marks: &mut VecDeque<u64>) {
        for id in marks.drain(..) {
            self.tell(Inbound::Mark(id));
        }
    }

    /// A mark comes back. Names that we did not give, or not any more, mean nothing.
    pub(crate) fn marked(&mut self, marks: &mut VecDeque<u64>, name: &str) {
        let id = mark_id(name);
        if let Some(at) = marks.iter().position(|mark| Some(*mark) == id)
            && let Some(id) = marks.remove(at)
        {
            self.tell(Inbound::Mark(id));
        }
    }

    /// Takes in a key or a mark.
    pub(crate) fn tell(&mut self, what: Inbound) {
        self.catch_up();
        if !self.late.is_empty() {
            self.keep(what);
        } else if let Err(mpsc::error::TrySendError::Full(what)) = self.inbound.try_send(what) {
            self.keep(what);
        }
    }

    fn keep(&mut self, what: Inbound) {
        if self.late.len() < LATE {
            self.late.push_back(what);
        } else {
            tracing::warn!(carrier = self.carrier, ?what, "a call does not listen");
        }
    }

    fn catch_up(&mut self) {
        while let Some(what) = self.late.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(what)) = self.inbound.try_send(what) {
                self.late.push_front(what);
                return;
            }
        }
    }

    /// Tells the call that the caller is gone. A call that does not listen learns it by the
    /// channel's end.
    pub(crate) async fn gone(mut self) {
        self.outbound.close();
        let last = async {
            for what in self.late {
                self.inbound.send(what).await?;
            }
            self.inbound.send(Inbound::Gone).await
        };
        let _ = timeout(WRITE, last).await;
    }
}

/// What a [`Pulse`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// A ping is due.
    Ping,
    /// The far side is lost: two pings without an answer, or a stream without sound.
    Lost,
}

/// Whether a socket's far side is there.
pub(crate) struct Pulse {
    every: Duration,
    silence: Duration,
    ping_at: Instant,
    seen: Instant,
    sounded: Instant,
    /// It goes off at the earliest of these; that they move on is seen only then.
    alarm: Pin<Box<Sleep>>,
}

impl Pulse {
    /// Of a far side that is there now: a ping `every` so often, and no longer `silence` than this.
    pub(crate) fn new(every: Duration, silence: Duration) -> Self {
        let now = Instant::now();
        let alarm = Box::pin(sleep_until(now));
        Self { every, silence, ping_at: now + every, seen: now, sounded: now, alarm }
    }

    /// Something came.
    pub(crate) fn seen(&mut self) {
        self.seen = Instant::now();
    }

    /// Sound came, or what stands for it.
    pub(crate) fn sounded(&mut self) {
        self.sounded = self.seen;
    }

    /// Waits for what is next. May be dropped and called again.
    pub(crate) async fn beat(&mut self) -> Beat {
        loop {
            let now = Instant::now();
            let lost = (self.sounded + self.silence).min(self.seen + self.every * 5 / 2);
            if now >= lost {
                return Beat::Lost;
            }
            if now >= self.ping_at {
                self.ping_at = now + self.every;
                return Beat::Ping;
            }
            let due = lost.min(self.ping_at);
            if self.alarm.is_elapsed() || due < self.alarm.deadline() {
                self.alarm.as_mut().reset(due);
            }
            self.alarm.as_mut().await;
        }
    }
}

/// Writes to a socket. An error means that the far side is gone.
pub(crate) async fn write(socket: &mut WebSocket, message: Message) -> Result<(), String> {
    match timeout(WRITE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the far side does not read".into()),
    }
}

/// Why a socket is closed from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// By RFC 6455, section 7.4.
    pub(crate) code: u16,
    /// In words, for the far side's log; at most 123 bytes.
    pub(crate) reason: &'static str,
}

impl Closing {
    /// All is said.
    pub(crate) const fn normal() -> Self {
        Self { code: close_code::NORMAL, reason: "the call is over" }
    }

    /// The far side did what it must not.
    pub(crate) const fn policy(reason: &'static str) -> Self {
        Self { code: close_code::POLICY, reason }
    }

    /// The far side sent a kind of data that we do not take.
    pub(crate) const fn unsupported(reason: &'static str) -> Self {
        Self { code: close_code::UNSUPPORTED, reason }
    }
}

/// The number of a mark that we named `m` and that number.
fn mark_id(name: &str) -> Option<u64> {
    name.strip_prefix('m')?.parse().ok()
}

/// What is done about a message that cannot be read.
pub(crate) fn malformed(channel: &'static str, why: &'static str) -> Closing {
    metrics::counter!("voxflow_malformed_messages_total", "channel" => channel).increment(1);
    Closing::policy(why)
}

/// What is done about a binary message on a socket of texts.
pub(crate) fn binary(channel: &'static str) -> Closing {
    metrics::counter!("voxflow_malformed_messages_total", "channel" => channel).increment(1);
    Closing::unsupported("only JSON texts are taken")
}

/// How a media stream begins: nothing but what we do not need comes before.
///
/// # Errors
/// Why the socket is to be closed.
pub(crate) async fn started<Start, Sound>(
    socket: &mut WebSocket,
    channel: &'static str,
    read: impl Fn(&str) -> Result<Heard<Start, Sound>, &'static str>,
) -> Result<Start, Closing> {
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Text(text) => match read(&text) {
                Ok(Heard::Start(start)) => return Ok(start),
                Ok(Heard::Other) => {}
                Ok(_) => return Err(Closing::policy("no start came first")),
                Err(why) => return Err(malformed(channel, why)),
            },
            Message::Binary(_) => return Err(binary(channel)),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => break,
        }
    }
    Err(Closing::normal())
}

/// Closes a socket and waits a moment for the far side to do so too: dropping it with unread data
/// would reset the connection, and the reason would be lost.
pub(crate) async fn close(mut socket: WebSocket, closing: Closing) {
    let frame = CloseFrame { code: closing.code, reason: closing.reason.into() };
    if write(&mut socket, Message::Close(Some(frame))).await.is_ok() {
        let _ = timeout(CLOSE, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marks_that_we_named_have_a_number() {
        assert_eq!(mark_id("m7"), Some(7));
        assert_eq!(mark_id("resp-7"), None);
        assert_eq!(mark_id("7"), None);
    }
}
