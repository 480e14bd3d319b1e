//! One caller: rings, asks, listens to the answer, speaks over every second one.
//!
//! His frames leave by absolute deadlines, 20 ms apart; all times are taken from when a frame
//! really left, so that a load that is late itself is not held against the engine.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::time::sleep_until;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::board::{self, Board};
use super::buffer::Buffer;
use super::carrier::{self, Message, Socket, Writer};
use super::figures::Seen;
use super::server::{START, STOP};
use super::speech::Speech;

const FRAME: Duration = Duration::from_millis(20);
/// A frame that comes this much after the carrier's buffer ran dry is late.
const LATE: Duration = Duration::from_millis(20);
/// The engine stops its sound after so much voice, until it is clear whether it is a barge-in.
const PAUSE: Duration = Duration::from_millis(60);
/// A question that was not answered by then never is.
const PATIENCE: Duration = Duration::from_secs(8);
/// Silence before a question, in frames: the detector has forgotten the one before by then.
pub(super) const REST: u32 = 150;
/// Calls go on for so long when all is measured, so that what they take can be counted.
const LINGER: Duration = Duration::from_millis(500);
/// Questions of a call by which the detector has not settled: it may hear them a frame later.
const UNSETTLED: u32 = 2;
/// An answer is over when nothing sounds for so long.
const OVER: Duration = Duration::from_millis(500);

/// What all callers share.
pub(super) struct Load {
    pub(super) server: SocketAddr,
    pub(super) http: reqwest::Client,
    pub(super) speech: Speech,
    pub(super) board: Board,
    /// What counts is what happens in this time.
    pub(super) measured: Range<Instant>,
    pub(super) seen: Mutex<Seen>,
}

/// How a call went.
pub(super) enum Went {
    /// It was held until the end of the measurement.
    Held,
    /// It was refused at the door.
    Refused,
    /// It was not held, and why.
    Lost(String),
}

/// Places a call at a moment, and holds it until the measurement is over.
pub(super) async fn call(load: Arc<Load>, caller: usize, at: Instant) -> Went {
    sleep_until(at.into()).await;
    let id = format!("CA{}", uuid::Uuid::now_v7().simple());
    let rung = carrier::ring(&load.http, load.server, &board::number(caller), &id).await;
    let token = match rung {
        Ok(Some(token)) => token,
        Ok(None) => return Went::Refused,
        Err(why) => return Went::Lost(why),
    };
    let socket = match carrier::connect(load.server).await {
        Ok(socket) => socket,
        Err(why) => return Went::Lost(why),
    };
    let writer = Writer::new(&id);
    // Callers do not decide alike.
    let chance = (caller as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let buffer = Buffer::default();
    let mut caller = Caller {
        load,
        caller,
        socket,
        writer,
        buffer,
        act: Act::Resting(REST),
        turn: None,
        asked: 0,
        speaks_over: caller.is_multiple_of(2),
        chance,
    };
    match caller.hold(&token).await {
        Ok(()) => Went::Held,
        Err(why) => Went::Lost(why),
    }
}

struct Caller {
    load: Arc<Load>,
    caller: usize,
    socket: Socket,
    writer: Writer,
    buffer: Buffer,
    act: Act,
    turn: Option<Turn>,
    /// Questions so far.
    asked: u32,
    /// Whether he spoke, or will speak, over the last answer.
    speaks_over: bool,
    chance: u64,
}

/// What he does.
enum Act {
    /// Says nothing for so many frames, then asks.
    Resting(u32),
    /// Asks; which frame is next.
    Asking(usize),
    /// Waits for the answer since the question's end.
    Waiting(Instant),
    /// Listens to the answer, until its end or until he speaks over it.
    Listening(Option<Instant>),
}

/// A question.
struct Turn {
    /// Frames since it began.
    frames: usize,
    begun: Instant,
    /// When the frame left by which the detector hears a voice, the last of the voice, and the one
    /// by which it hears silence again.
    voice: Option<Instant>,
    end: Option<Instant>,
    quiet: Option<Instant>,
    /// The first and the last `clear`, where the question is a barge-in.
    over: bool,
    cleared: Option<(Instant, Instant)>,
    answered: bool,
}

impl Caller {
    async fn hold(&mut self, token: &str) -> Result<(), String> {
        self.say(Writer::connected()).await?;
        let start = self.writer.start(token);
        self.say(start).await?;
        let mut due = Instant::now();
        let until = self.load.measured.end + LINGER;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(due.into()) => {
                    self.frame(due).await?;
                    due += FRAME;
                    if due >= until {
                        let stop = self.writer.stop();
                        self.say(stop).await?;
                        // The far side may close it at the same time.
                        let _ = self.socket.close(None).await;
                        return Ok(());
                    }
                }
                message = self.socket.next() => match message {
                    Some(Ok(Frame::Text(text))) => self.take(&text)?,
                    Some(Ok(Frame::Close(frame))) => {
                        let why = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                        return Err(format!("the server closed the stream: {why}"));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(format!("the stream broke: {error}")),
                    None => return Err("the stream ended".into()),
                },
            }
        }
    }

    async fn say(&mut self, text: String) -> Result<(), String> {
        let sent = self.socket.send(Frame::text(text)).await;
        sent.map_err(|error| format!("the server does not read: {error}"))
    }

    fn seen(&self, now: Instant, note: impl FnOnce(&mut Seen)) {
        if self.load.measured.contains(&now) {
            note(&mut self.load.seen.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Sends the frame that was due, and everything that is due with it.
    async fn frame(&mut self, due: Instant) -> Result<(), String> {
        let now = Instant::now();
        while let Some(mark) = self.buffer.due(now) {
            let mark = self.writer.mark(&mark);
            self.say(mark).await?;
        }
        self.decide(now);
        let load = Arc::clone(&self.load);
        let speech = &load.speech;
        let sound = match &mut self.act {
            Act::Asking(frame) => {
                *frame += 1;
                speech.frame(*frame - 1)
            }
            Act::Resting(_) | Act::Waiting(_) | Act::Listening(_) => speech.silence(),
        };
        let media = self.writer.media(sound);
        // From here on the engine can have it.
        let now = Instant::now();
        self.say(media).await?;
        if let Some(turn) = &mut self.turn {
            turn.frames += 1;
            let lags = speech.lags();
            for (frames, at) in [
                (lags.voice, &mut turn.voice),
                (speech.frames(), &mut turn.end),
                (lags.quiet, &mut turn.quiet),
            ] {
                if turn.frames == frames {
                    *at = Some(now);
                }
            }
        }
        self.seen(now, |seen| seen.load.add(ms(now - due)));
        Ok(())
    }

    /// What he does from this frame on.
    fn decide(&mut self, now: Instant) {
        match &mut self.act {
            Act::Resting(0) => self.ask(now, false),
            Act::Resting(frames) => *frames -= 1,
            Act::Asking(frame) if *frame == self.load.speech.frames() => {
                self.act = Act::Waiting(now);
            }
            Act::Waiting(since) if now - *since > PATIENCE => {
                self.seen(now, |seen| seen.unanswered += 1);
                self.act = Act::Resting(REST);
            }
            Act::Listening(Some(until)) if *until <= now => {
                let over = !self.buffer.is_silent(now, Duration::ZERO);
                self.ask(now, over);
            }
            Act::Listening(None) if self.buffer.is_silent(now, OVER) => {
                let more = self.random(50) as u32;
                self.act = Act::Resting(20 + more);
            }
            Act::Asking(_) | Act::Waiting(_) | Act::Listening(_) => {}
        }
    }

    fn ask(&mut self, now: Instant, over: bool) {
        let (voice, end, quiet, cleared) = (None, None, None, None);
        self.turn =
            Some(Turn { frames: 0, begun: now, voice, end, quiet, over, cleared, answered: false });
        self.act = Act::Asking(0);
        self.asked += 1;
    }

    fn random(&mut self, below: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % below
    }

    /// Takes a message of the server.
    fn take(&mut self, text: &str) -> Result<(), String> {
        let now = Instant::now();
        let message: Message<'_> = serde_json::from_str(text)
            .map_err(|_| format!("the server said what no carrier reads: {text}"))?;
        match (message.event, message.media, message.mark) {
            ("media", Some(media), _) => self.hear(now, Duration::from_micros(media.bytes() * 125)),
            ("mark", _, Some(mark)) => self.buffer.mark(now, mark.name),
            ("clear", ..) => {
                self.buffer.clear(now);
                self.cleared(now);
            }
            _ => return Err(format!("the server said what no carrier knows: {text}")),
        }
        Ok(())
    }

    fn cleared(&mut self, now: Instant) {
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.over && turn.quiet.is_none()) {
            let first = turn.cleared.map_or(now, |(first, _)| first);
            turn.cleared = Some((first, now));
        }
    }

    fn hear(&mut self, now: Instant, sound: Duration) {
        let begins = match (&self.act, &mut self.turn) {
            (Act::Waiting(_), Some(turn)) if turn.quiet.is_some() && !turn.answered => {
                turn.answered = true;
                true
            }
            (_, Some(turn)) if turn.over && turn.cleared.is_some() && !turn.answered => {
                return self.seen(now, |seen| seen.stray += 1);
            }
            _ => false,
        };
        if begins {
            self.buffer.next_answer();
        }
        let dry = self.buffer.take(now, sound);
        self.seen(now, |seen| {
            let frames = (sound.as_millis() as u64).div_ceil(20);
            seen.frames += frames;
            seen.late += if dry > LATE { frames } else { 0 };
            if !dry.is_zero() {
                seen.dry.add(ms(dry));
            }
        });
        if begins {
            self.answered(now);
            // Late enough that the detector has forgotten the question, early enough that there is
            // an answer left.
            self.speaks_over = !self.speaks_over;
            let at = now + FRAME * REST + Duration::from_millis(self.random(700));
            self.act = Act::Listening(self.speaks_over.then_some(at));
        }
    }

    /// The answer begins: what the turn took, and what of it was the engine's.
    fn answered(&mut self, now: Instant) {
        let stations = self.load.board.take(self.caller);
        let Some(turn) = &self.turn else { return };
        let (Some(end), Some(quiet), Some(voice)) = (turn.end, turn.quiet, turn.voice) else {
            return;
        };
        let settled = self.asked > UNSETTLED;
        self.seen(now, |seen| {
            seen.answer.add(ms(now - end));
            if !settled {
                return;
            }
            if let Some((first, last)) = turn.cleared {
                seen.stopped.add(ms(first - turn.begun));
                seen.stopped_added.add(between(voice + PAUSE, first));
                seen.cut_added.add(between(voice + START, last));
            } else if turn.over {
                seen.incomplete += 1;
            }
            let (Some(asked), Some(sentence), Some(told), Some(sound)) =
                (stations.asked, stations.sentence, stations.told, stations.sound)
            else {
                seen.incomplete += 1;
                return;
            };
            let parts =
                [between(quiet + STOP, asked), between(sentence, told), between(sound, now)];
            seen.asked.add(parts[0]);
            seen.told.add(parts[1]);
            seen.heard.add(parts[2]);
            seen.added.add(parts.iter().sum());
        });
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Milliseconds from one moment to another, which may be before it.
fn between(one: Instant, other: Instant) -> f64 {
    ms(other.saturating_duration_since(one)) - ms(one.saturating_duration_since(other))
}
