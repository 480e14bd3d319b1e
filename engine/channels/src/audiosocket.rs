//! AudioSocket: Asterisk's plain TCP protocol for sound.
//!
//! Asterisk connects and says which call it is: `AudioSocket(<uuid>,host:port)` in its dialplan.
//! Each message is a kind, a length of two bytes (big endian) and a payload. Sound is 16-bit
//! little endian, and its kind is its rate. Asterisk plays what comes at once, so that we send
//! 20 ms every 20 ms; while its channel is silent it sends nothing, so that our clock counts.
//!
//! The protocol names no number and proves nothing: every call is for [`Settings::number`], and
//! only addresses of [`Settings::allow`] are listened to.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use audio::resample::Resampler;
use audio::{FRAME_MS, Frame, Rate};
use call::{Arrival, Control, HangupCause, Inbound, Switchboard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::pace::Pace;
use crate::rim::Rim;
use crate::sip::Net;

/// The channel's file name.
pub const CHANNEL: &str = "audiosocket";

/// Kinds of messages.
const HANGUP: u8 = 0x00;
const NAME: u8 = 0x01;
const DIGIT: u8 = 0x03;
const SOUND: u8 = 0x10;
const ERROR: u8 = 0xFF;
/// The rates of the kinds from [`SOUND`] on.
const RATES: [Rate; 9] = [8_000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000];

/// From the connection to the call's name: Asterisk sends it at once.
const NAMED: Duration = Duration::from_secs(5);
/// From its name to the first sound, by which we know the rate; then it is 8 kHz.
const FIRST: Duration = Duration::from_millis(500);
/// How long one write may take before the far side counts as gone.
const WRITE: Duration = Duration::from_secs(5);
/// Sound of the far side that waits for our clock, in milliseconds; then the oldest is dropped.
const AHEAD_MS: usize = 200;

/// What AudioSocket needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where Asterisk connects to.
    pub listen: SocketAddr,
    /// The number whose flow takes the calls.
    pub number: String,
    /// Who may connect.
    pub allow: Vec<Net>,
}

/// A listener for Asterisk.
pub struct AudioSocket {
    listener: TcpListener,
    settings: Settings,
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    kind: u8,
    payload: Vec<u8>,
}

impl AudioSocket {
    /// Takes the port.
    ///
    /// # Errors
    /// Names the address that cannot be listened on.
    pub async fn open(settings: Settings) -> Result<Self, String> {
        let at = settings.listen;
        let listener = TcpListener::bind(at).await;
        let listener = listener
            .map_err(|error| format!("audiosocket: {at} cannot be listened on: {error}"))?;
        Ok(Self { listener, settings })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.settings.listen)
    }

    /// Serves as long as it is polled. From `stop` on, new calls are sent away.
    pub async fn serve(self, switchboard: Arc<dyn Switchboard>, stop: CancellationToken) {
        let number: Arc<str> = self.settings.number.into();
        loop {
            let (stream, from) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "audiosocket: nobody can connect");
                    tokio::time::sleep(WRITE).await;
                    continue;
                }
            };
            let known = self.settings.allow.iter().any(|net| net.holds(from.ip()));
            if !known || stop.is_cancelled() {
                tracing::info!(%from, "audiosocket: a connection that is not taken");
                continue;
            }
            let (switchboard, number) = (Arc::clone(&switchboard), Arc::clone(&number));
            // It ends with its socket.
            tokio::spawn(async move {
                if let Err(error) = arrive(stream, from.ip(), &number, switchboard).await {
                    tracing::info!(%from, %error, "audiosocket: a call that did not begin");
                }
            });
        }
    }
}

async fn arrive(
    stream: TcpStream,
    from: IpAddr,
    number: &str,
    switchboard: Arc<dyn Switchboard>,
) -> io::Result<()> {
    // 20 ms of sound shall not wait for more of it.
    stream.set_nodelay(true)?;
    let (mut reading, mut writing) = stream.into_split();
    let malformed = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let name =
        timeout(NAMED, read(&mut reading)).await.map_err(|_| malformed("no name came"))??;
    let id = (name.kind == NAME).then_some(name.payload.as_slice());
    let id = id.and_then(|id| Uuid::from_slice(id).ok());
    let id = id.ok_or_else(|| malformed("no name came first"))?;
    if !switchboard.answers(number) || !switchboard.admits() {
        return write(&mut writing, HANGUP, &[]).await;
    }
    let (heard, mut messages) = mpsc::channel(64);
    let reader = tokio::spawn(async move {
        while let Ok(message) = read(&mut reading).await {
            if heard.send(message).await.is_err() {
                return;
            }
        }
    });
    let first = timeout(FIRST, messages.recv()).await.ok().flatten();
    let kind = first.as_ref().map(|message| message.kind).filter(|kind| rate_of(*kind).is_some());
    let kind = kind.unwrap_or(SOUND);
    let arrival = Arrival {
        carrier: CHANNEL.into(),
        carrier_id: id.to_string(),
        from: from.to_string(),
        to: number.to_owned(),
    };
    // Speech has nothing above, and half of the world's rates have no whole frames.
    let rate = if rate_of(kind).is_some_and(|wire| wire >= 16_000) { 16_000 } else { 8_000 };
    let (hang_up, hung_up) = mpsc::channel(1);
    let (rim, leg) = Rim::pair(CHANNEL, arrival, rate, Arc::new(Remote { hang_up }));
    tokio::spawn(async move { switchboard.arrive(leg).await });
    let wire = Wire::new(rim, kind, rate);
    wire.live(first, messages, writing, hung_up).await;
    reader.abort();
    Ok(())
}

/// A call's sound between its leg and the socket.
struct Wire {
    rim: Rim,
    kind: u8,
    pace: Pace,
    /// Sound that came, at the leg's rate, until our clock takes it.
    ready: VecDeque<i16>,
    rate: Rate,
    inward: (u8, Resampler),
    outward: Resampler,
}

impl Wire {
    fn new(rim: Rim, kind: u8, rate: Rate) -> Self {
        let wire = rate_of(kind).unwrap_or(8_000);
        Self {
            rim,
            kind,
            pace: Pace::default(),
            ready: VecDeque::new(),
            rate,
            inward: (kind, Resampler::new(wire, rate)),
            outward: Resampler::new(rate, wire),
        }
    }

    async fn live(
        mut self,
        first: Option<Message>,
        mut messages: mpsc::Receiver<Message>,
        mut writing: OwnedWriteHalf,
        mut hung_up: mpsc::Receiver<()>,
    ) {
        let mut tick = interval(Duration::from_millis(FRAME_MS.into()));
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut over = first.is_some_and(|first| self.message(&first));
        while !over {
            let full = self.pace.is_full();
            over = tokio::select! {
                biased;
                _ = tick.tick() => self.tick(&mut writing).await.is_err(),
                _ = hung_up.recv() => {
                    let _ = write(&mut writing, HANGUP, &[]).await;
                    true
                }
                message = messages.recv() => match message {
                    Some(message) => self.message(&message),
                    None => true,
                },
                given = self.rim.outbound.recv(), if !full => match given {
                    Some(given) => {
                        self.pace.take(given, &mut self.rim);
                        false
                    }
                    // The call has let go of its leg.
                    None => {
                        let _ = write(&mut writing, HANGUP, &[]).await;
                        true
                    }
                },
            };
        }
        self.rim.gone().await;
    }

    /// Takes a message in; true when the call is over.
    fn message(&mut self, message: &Message) -> bool {
        match message.kind {
            HANGUP => return true,
            ERROR => {
                tracing::info!(code = ?message.payload.first(), "audiosocket: Asterisk has an error");
                return true;
            }
            DIGIT => {
                let key = message.payload.first().map(|byte| char::from(*byte));
                if let Some(key) = key.and_then(audio::dtmf::key) {
                    self.rim.tell(Inbound::Digit(key));
                }
            }
            kind => {
                if let Some(wire) = rate_of(kind) {
                    if self.inward.0 != kind {
                        self.inward = (kind, Resampler::new(wire, self.rate));
                    }
                    let pairs = message.payload.chunks_exact(2);
                    let samples: Vec<i16> =
                        pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
                    self.ready.extend(self.inward.1.process(&samples));
                    let most = self.rate as usize * AHEAD_MS / 1000;
                    let surplus = self.ready.len().saturating_sub(most);
                    self.ready.drain(..surplus);
                }
            }
        }
        false
    }

    /// 20 ms both ways. Where nothing came, there is silence.
    async fn tick(&mut self, writing: &mut OwnedWriteHalf) -> io::Result<()> {
        let size = Frame::samples_per_frame(self.rate);
        if self.ready.len() >= size {
            let samples: Vec<i16> = self.ready.drain(..size).collect();
            self.rim.sound(&samples);
        } else {
            self.rim.sound(&Frame::silence(self.rate).samples);
        }
        let frame = self.pace.tick(&mut self.rim);
        let mut samples = frame.unwrap_or_else(|| Frame::silence(self.rate)).samples;
        samples.resize(size, 0);
        let bytes: Vec<u8> =
            self.outward.process(&samples).iter().flat_map(|sample| sample.to_le_bytes()).collect();
        write(writing, self.kind, &bytes).await
    }
}

fn rate_of(kind: u8) -> Option<Rate> {
    RATES.get(usize::from(kind.checked_sub(SOUND)?)).copied()
}

async fn read(reading: &mut OwnedReadHalf) -> io::Result<Message> {
    let mut head = [0; 3];
    reading.read_exact(&mut head).await?;
    let mut payload = vec![0; u16::from_be_bytes([head[1], head[2]]).into()];
    reading.read_exact(&mut payload).await?;
    Ok(Message { kind: head[0], payload })
}

async fn write(writing: &mut OwnedWriteHalf, kind: u8, payload: &[u8]) -> io::Result<()> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut message = vec![kind, length[0], length[1]];
    message.extend(&payload[..payload.len().min(u16::MAX.into())]);
    match timeout(WRITE, writing.write_all(&message)).await {
        Ok(written) => written,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// What a call can do with its leg besides sound.
struct Remote {
    hang_up: mpsc::Sender<()>,
}

#[async_trait]
impl Control for Remote {
    async fn answer(&self) -> Result<(), String> {
        // Its dialplan answered before it brought the call here.
        Ok(())
    }

    async fn hangup(&self, _: HangupCause) -> Result<(), String> {
        // Who is gone has hung up already.
        let _ = self.hang_up.send(()).await;
        Ok(())
    }
}
