//! The sound of one call: a task that owns its sockets, sends every 20 ms and hears what comes.
//!
//! It listens to the source that the description names, or else to the first that speaks: behind
//! a router that is another one. Once settled it stays, so that nobody else can talk into a call.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use audio::rtp::listen::Listener;
use audio::rtp::rtcp::Reports;
use audio::rtp::speak::Speaker;
use audio::rtp::{Packet, is_rtcp};
use audio::{FRAME_MS, Frame, Rate};
use call::Inbound;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::ports::Sockets;
use super::sdp::Agreed;
use super::srtp::{Key, Shield};
use crate::pace::Pace;
use crate::rim::Rim;

/// The largest packet that is read: more than any network carries.
const LARGEST: usize = 2_048;
/// Ticks between two reports: 5 s, as RFC 3550 says for two parties.
const REPORT: u64 = 250;
/// Packets that are read at once before anything else is looked at.
const BURST: usize = 16;

/// What the call's owner tells its sound.
pub(super) enum Order {
    /// This was agreed on, for the first time or anew.
    Agree(Box<Agreed>),
    /// Sound may be sent and heard.
    Begin,
    /// Keys are to be pressed; told when they are.
    Press(String, oneshot::Sender<()>),
}

/// What the sound tells the call's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The call has sound for the far side, and it was not told to begin.
    Wanted,
    /// Nothing came for too long.
    Silent,
    /// The call has let go of its leg.
    Dropped,
}

/// The sound of a call.
pub(super) struct Media {
    rim: Rim,
    sockets: Sockets,
    rate: Rate,
    /// How long nothing may come.
    silence: Option<Duration>,
    path: Path,
    /// What was agreed on: ways in and out.
    ways: Option<Ways>,
    pace: Pace,
    begun: bool,
    pressed: Vec<oneshot::Sender<()>>,
}

/// Where packets come from and go to.
#[derive(Default)]
struct Path {
    /// As described.
    told: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
    /// As seen.
    seen: Option<SocketAddr>,
    /// When anything came last.
    heard: Option<Instant>,
}

struct Ways {
    listener: Listener,
    speaker: Speaker,
    reports: Reports,
    keys: Option<(Key, Key)>,
    shield: Option<Shield>,
    we_send: bool,
    we_hear: bool,
}

impl Media {
    /// The sound between a leg's rim and its sockets.
    pub(super) fn new(rim: Rim, sockets: Sockets, rate: Rate, silence: Option<Duration>) -> Self {
        Self {
            rim,
            sockets,
            rate,
            silence,
            path: Path::default(),
            ways: None,
            pace: Pace::default(),
            begun: false,
            pressed: Vec::new(),
        }
    }

    /// Runs until `orders` are closed; then the call is told that its leg is gone.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>, tell: mpsc::Sender<Said>) {
        let began = Instant::now();
        let mut tick = ticks();
        let (mut count, mut told_silent, mut dropped, mut wanted) = (0u64, false, false, false);
        let (mut bytes, mut report) = (vec![0; LARGEST], vec![0; LARGEST]);
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => self.order(order),
                    None => break,
                },
                _ = tick.tick() => {
                    count += 1;
                    let now = began.elapsed();
                    if self.begun {
                        self.hear(now);
                        self.speak();
                        if count.is_multiple_of(REPORT) {
                            self.report(now).await;
                        }
                        if !told_silent && self.silent() {
                            told_silent = tell.try_send(Said::Silent).is_ok();
                        }
                    }
                }
                came = self.sockets.rtp.recv_from(&mut bytes) => {
                    let mut came = came;
                    for _ in 0..BURST {
                        let Ok((size, from)) = came else { break };
                        self.packet(began.elapsed(), &bytes[..size], from);
                        came = self.sockets.rtp.try_recv_from(&mut bytes);
                    }
                }
                came = self.sockets.rtcp.recv_from(&mut report) => if let Ok((size, from)) = came {
                    self.reported(began.elapsed(), &report[..size], from);
                },
                given = self.rim.outbound.recv(), if !dropped && !self.pace.is_full() => match given {
                    Some(given) => {
                        self.pace.take(given, &mut self.rim);
                        if !self.begun && !wanted {
                            wanted = tell.try_send(Said::Wanted).is_ok();
                        }
                    }
                    None => {
                        dropped = true;
                        let _ = tell.send(Said::Dropped).await;
                    }
                },
            }
        }
        self.farewell(began.elapsed()).await;
        self.rim.gone().await;
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Agree(agreed) => self.agree(*agreed),
            Order::Begin => {
                self.begun = true;
                self.path.heard = Some(Instant::now());
            }
            Order::Press(keys, done) => match &mut self.ways {
                Some(ways) => {
                    ways.speaker.press(&keys);
                    self.pressed.push(done);
                }
                // Whoever waits learns by the drop that nothing was pressed.
                None => drop(done),
            },
        }
    }

    fn agree(&mut self, agreed: Agreed) {
        let Agreed { to, rtcp, speech, types, we_send, we_hear, keys } = agreed;
        if self.path.told != to {
            self.path.seen = None;
        }
        (self.path.told, self.path.rtcp) = (to, rtcp);
        // Sound that was left out is no silence of a line that is dead.
        self.path.heard = Some(Instant::now());
        match &mut self.ways {
            Some(ways) => {
                ways.listener.agree(types);
                ways.speaker.agree(speech);
                // The same keys go on with their counters.
                if ways.keys != keys {
                    (ways.shield, ways.keys) = (shield(keys.as_ref()), keys);
                }
                (ways.we_send, ways.we_hear) = (we_send, we_hear);
            }
            None => {
                let speaker = Speaker::new(speech, self.rate, rand::random());
                let name = format!("{:016x}@voxflow", rand::random::<u64>());
                let reports = Reports::new(speaker.ssrc(), name);
                let listener = Listener::new(types, self.rate);
                let shield = shield(keys.as_ref());
                self.ways =
                    Some(Ways { listener, speaker, reports, keys, shield, we_send, we_hear });
            }
        }
    }

    /// 20 ms for the call.
    fn hear(&mut self, now: Duration) {
        let Some(ways) = &mut self.ways else { return };
        let (frame, keys) = ways.listener.frame(now);
        let frame = if ways.we_hear { frame } else { Frame::silence(self.rate) };
        self.rim.sound(&frame.samples);
        for key in keys {
            self.rim.tell(Inbound::Digit(key));
        }
    }

    /// 20 ms for the far side.
    fn speak(&mut self) {
        let frame = self.pace.tick(&mut self.rim);
        let Some(ways) = &mut self.ways else { return };
        let Some(to) = self.path.seen.or(self.path.told).filter(|_| ways.we_send) else {
            return ways.speaker.pass();
        };
        let packets = ways.speaker.tick(frame.as_ref());
        if !ways.speaker.is_pressing() {
            for done in self.pressed.drain(..) {
                // Whoever waited may be gone.
                let _ = done.send(());
            }
        }
        if ways.keys.is_some() && ways.shield.is_none() {
            // Rather nothing than everything for all to hear.
            return;
        }
        for packet in packets {
            ways.reports.sent(&packet);
            let bytes = packet.write();
            let bytes = match &mut ways.shield {
                Some(shield) => shield.seal(&bytes, false),
                None => Some(bytes),
            };
            if let Some(bytes) = bytes {
                // A network that is away is the matter of the time without any packet.
                let _ = self.sockets.rtp.try_send_to(&bytes, to);
            }
        }
    }

    fn packet(&mut self, now: Duration, bytes: &[u8], from: SocketAddr) {
        if is_rtcp(bytes) {
            return self.reported(now, bytes, from);
        }
        let settled = self.path.seen.is_some_and(|seen| Some(seen) == self.path.told);
        let known = Some(from) == self.path.seen || Some(from) == self.path.told;
        if !known && (settled || self.path.seen.is_some()) {
            return;
        }
        let Some(ways) = &mut self.ways else { return };
        let opened = match &mut ways.shield {
            Some(shield) => shield.open(bytes, false),
            None => Some(bytes.to_vec()),
        };
        let Some(packet) = opened.and_then(|bytes| Packet::read(&bytes)) else { return };
        if !settled {
            self.path.seen = Some(from);
        }
        self.path.heard = Some(Instant::now());
        if let Some(key) = ways.listener.packet(now, &packet) {
            self.rim.tell(Inbound::Digit(key));
        }
        ways.reports.heard(now, &packet, ways.listener.clock());
    }

    fn reported(&mut self, now: Duration, bytes: &[u8], from: SocketAddr) {
        let known = [self.path.told, self.path.rtcp, self.path.seen];
        if !known.iter().flatten().any(|known| known.ip() == from.ip()) {
            return;
        }
        let Some(ways) = &mut self.ways else { return };
        let opened = match &mut ways.shield {
            Some(shield) => shield.open(bytes, true),
            None => Some(bytes.to_vec()),
        };
        if let Some(bytes) = opened {
            self.path.heard = Some(Instant::now());
            ways.reports.read(now, wall(), &bytes);
        }
    }

    async fn report(&mut self, now: Duration) {
        let Some(ways) = &mut self.ways else { return };
        let report = ways.reports.report(now, wall(), ways.speaker.timestamp());
        self.send_report(report).await;
    }

    async fn send_report(&mut self, report: Vec<u8>) {
        let (Some(ways), Some(to)) = (&mut self.ways, self.path.rtcp) else { return };
        let report = match &mut ways.shield {
            Some(shield) => shield.seal(&report, true),
            None => Some(report),
        };
        if let Some(report) = report {
            let _ = self.sockets.rtcp.send_to(&report, to).await;
        }
    }

    /// The last report, and what is known of the line for the operator.
    async fn farewell(&mut self, now: Duration) {
        let Some(ways) = &mut self.ways else { return };
        let bye = ways.reports.bye(now, wall(), ways.speaker.timestamp());
        let (lost, jitter) = ways.reports.losses();
        let late = ways.listener.jitter().late();
        metrics::counter!("voxflow_rtp_lost_total").increment(lost);
        metrics::counter!("voxflow_rtp_late_total").increment(late);
        tracing::debug!(lost, late, jitter, told = ?ways.reports.told(), "the sound of a call");
        self.send_report(bye).await;
    }

    /// Whether the far side should be heard and is not.
    fn silent(&self) -> bool {
        let expected = self.ways.as_ref().is_some_and(|ways| ways.we_hear);
        let late = |heard: Instant| self.silence.is_some_and(|most| heard.elapsed() > most);
        expected && self.path.heard.is_some_and(late)
    }
}

fn shield(keys: Option<&(Key, Key)>) -> Option<Shield> {
    let (ours, theirs) = keys?;
    Shield::new(ours, theirs)
        .inspect_err(|why| tracing::warn!(why, "sound cannot be encrypted"))
        .ok()
}

fn ticks() -> Interval {
    let mut tick = interval(Duration::from_millis(FRAME_MS.into()));
    // A late tick is made up for: timestamps go on with time.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    tick
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
