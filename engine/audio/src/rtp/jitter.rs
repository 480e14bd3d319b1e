//! Evens out the arrival of packets: puts them in order and gives each when it is due.
//!
//! A packet is due when the fastest packet of the last seconds would have been, and the target
//! later. The target is what all but one in fifty packets need, between 20 and 120 ms: it rises at
//! once when a packet comes too late, and sinks slowly.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Packet, unwrap};

/// The bounds of the target, and where it begins, in microseconds.
const LEAST: i64 = 20_000;
const MOST: i64 = 120_000;
const FIRST: i64 = 40_000;
/// What the target adds to what packets needed, for the grid of the ticks, in microseconds.
const SPARE: i64 = 10_000;
/// How fast the target sinks, in microseconds for each new reckoning.
const SINK: i64 = 5_000;
/// Packets whose delay counts, and after how many it is reckoned anew.
const SEEN: usize = 256;
const RECKONED: usize = 32;
/// The part of packets that shall be in time: 49 of 50.
const IN_TIME: usize = 50;
/// How long the fastest packet counts, in microseconds; at most twice that.
const FLOOR: i64 = 5_000_000;
/// A packet so far off its time begins a new stream, in microseconds.
const JUMP: i64 = 2_000_000;
/// And one so far off in its number.
const LEAP: i64 = 3_000;
/// Packets that wait at most: 2.5 s at 20 ms.
const HELD: usize = 128;
/// Half of a tick: what is due before the middle to the next one is due now.
const HALF: i64 = 10_000;

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// A packet.
    Packet {
        /// Its type.
        payload_type: u8,
        /// What it carries.
        payload: Vec<u8>,
        /// How long ago it was due.
        late: Duration,
    },
    /// Nothing that is due has come. The payload of the packet right after it, if that is here.
    Missing(Option<Vec<u8>>),
    /// The sender pauses: its next sound is here, and is due later.
    Pause,
}

struct Waiting {
    payload_type: u8,
    payload: Vec<u8>,
    /// When it was made, in microseconds of the sender's clock.
    made: i64,
    /// Whether it is sound; else it has a number only.
    sound: bool,
}

/// The packets of one stream that are not due yet.
pub struct Jitter {
    clock: u32,
    waiting: BTreeMap<i64, Waiting>,
    stream: Option<Stream>,
    /// How much later than the fastest packet they are due, in microseconds.
    target: i64,
    delays: Vec<i64>,
    /// Packets so far, by which `delays` is a ring.
    count: usize,
    /// Packets that came too late.
    late: u64,
}

/// What is known of the sender.
struct Stream {
    ssrc: u32,
    /// The highest number and timestamp so far, counted on past their ends.
    sequence: i64,
    timestamp: i64,
    /// The number that is next.
    next: i64,
    /// Where the sound so far ends, in microseconds of the sender's clock.
    end: i64,
    /// The least time on the way: of this stretch, and of the one before; and when it began.
    floor: (i64, i64, i64),
}

impl Jitter {
    /// An empty one for a clock of so many ticks a second.
    pub fn new(clock: u32) -> Self {
        Self {
            clock: clock.max(1),
            waiting: BTreeMap::new(),
            stream: None,
            target: FIRST,
            delays: Vec::new(),
            count: 0,
            late: 0,
        }
    }

    /// How much later than the fastest packet each is due.
    pub fn target(&self) -> Duration {
        Duration::from_micros(self.target.unsigned_abs())
    }

    /// Packets that came too late.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Takes a packet that came at `now`. One that is no `sound` only has its number counted.
    /// True when the stream begins anew.
    pub fn push(&mut self, now: Duration, packet: &Packet, sound: bool) -> bool {
        let now = micros(now);
        let clock = i64::from(self.clock);
        let mut anew = false;
        let stream = match &mut self.stream {
            Some(stream) if stream.ssrc == packet.ssrc => stream,
            _ => {
                anew = true;
                self.waiting.clear();
                self.stream.insert(Stream::new(packet, now, clock))
            }
        };
        let mut sequence = unwrap(stream.sequence, packet.sequence.into(), 16);
        let mut timestamp = unwrap(stream.timestamp, packet.timestamp, 32);
        let mut made = timestamp * 1_000_000 / clock;
        let delay = now - made - stream.floor();
        let jumped = (sound && delay.abs() > JUMP) || (sequence - stream.next).abs() > LEAP;
        if jumped {
            anew = true;
            self.waiting.clear();
            *stream = Stream::new(packet, now, clock);
            (sequence, timestamp) = (stream.sequence, stream.timestamp);
            made = timestamp * 1_000_000 / clock;
        }
        stream.sequence = stream.sequence.max(sequence);
        stream.timestamp = stream.timestamp.max(timestamp);
        if sound {
            stream.passed(now, now - made);
            let delay = now - made - stream.floor();
            if self.delays.len() < SEEN {
                self.delays.push(delay);
            } else {
                self.delays[self.count % SEEN] = delay;
            }
            self.count += 1;
            // What is due now and comes now is just in time.
            if delay > self.target + HALF || sequence < stream.next {
                self.target = (delay + SPARE).clamp(self.target, MOST);
            }
        }
        if sequence < stream.next {
            self.late += 1;
            return anew;
        }
        let Packet { payload_type, .. } = *packet;
        let payload = packet.payload.clone();
        let waiting = Waiting { payload_type, payload, made, sound };
        self.waiting.entry(sequence).or_insert(waiting);
        if self.waiting.len() > HELD {
            self.waiting.pop_first();
        }
        if sound && self.count.is_multiple_of(RECKONED) {
            self.reckon();
        }
        anew
    }

    /// What is next at `now`, when so much sound waits to be played already.
    pub fn take(&mut self, now: Duration, ahead: Duration) -> Due {
        let (now, ahead) = (micros(now), micros(ahead));
        let Some(stream) = &mut self.stream else { return Due::Missing(None) };
        while let Some(first) = self.waiting.first_entry() {
            let (sequence, packet) = (*first.key(), first.get());
            let due = packet.made + stream.floor() + self.target;
            if !packet.sound && sequence == stream.next {
                first.remove();
                stream.next += 1;
                continue;
            }
            if due > now + ahead + HALF {
                return match sequence - stream.next {
                    0 if packet.made > stream.end + HALF => Due::Pause,
                    1 if packet.sound => Due::Missing(Some(packet.payload.clone())),
                    _ => Due::Missing(None),
                };
            }
            let Waiting { payload_type, payload, made, sound } = first.remove();
            stream.next = sequence + 1;
            if !sound {
                continue;
            }
            stream.end = stream.end.max(made);
            let late = Duration::from_micros((now + ahead - due).max(0).unsigned_abs());
            return Due::Packet { payload_type, payload, late };
        }
        Due::Missing(None)
    }

    /// Sound of such a length came from the last packet.
    pub fn played(&mut self, length: Duration) {
        if let Some(stream) = &mut self.stream {
            stream.end += micros(length);
        }
    }

    fn reckon(&mut self) {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let Some(needed) = delays.get(delays.len() - 1 - delays.len() / IN_TIME) else { return };
        let wanted = (needed + SPARE).clamp(LEAST, MOST);
        self.target = wanted.max(self.target - SINK).min(MOST);
    }
}

impl Stream {
    fn new(packet: &Packet, now: i64, clock: i64) -> Self {
        // Room below, so that what comes out of order at the start has a number too.
        let sequence = i64::from(packet.sequence) + (1 << 16);
        let timestamp = i64::from(packet.timestamp) + (1 << 32);
        let made = timestamp * 1_000_000 / clock;
        let floor = (now - made, now - made, now);
        Self { ssrc: packet.ssrc, sequence, timestamp, next: sequence, end: made, floor }
    }

    fn floor(&self) -> i64 {
        self.floor.0.min(self.floor.1)
    }

    /// A packet took so long.
    fn passed(&mut self, now: i64, transit: i64) {
        if now - self.floor.2 > FLOOR {
            self.floor = (transit, self.floor.0, now);
        }
        self.floor.0 = self.floor.0.min(transit);
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn packet(n: u32) -> Packet {
        Packet {
            payload_type: 0,
            sequence: 65_530u16.wrapping_add(n as u16),
            timestamp: u32::MAX.wrapping_sub(500).wrapping_add(n * 160),
            ssrc: 1,
            payload: n.to_be_bytes().to_vec(),
            ..Packet::default()
        }
    }

    /// What is heard when packet `n` comes at `arrivals[n]` ms: one look each 20 ms; a number or
    /// `None` for each look.
    fn heard(arrivals: &[Option<u64>], looks: u64) -> (Vec<Option<u32>>, Jitter) {
        let mut jitter = Jitter::new(8_000);
        let mut heard = Vec::new();
        for look in 0..looks {
            let now = look * 20;
            let mut due: Vec<_> = arrivals
                .iter()
                .enumerate()
                .filter_map(|(n, at)| Some((at.as_ref().copied()?, n)))
                .filter(|(at, _)| *at <= now && (*at + 20 > now || now == 0))
                .collect();
            due.sort_unstable();
            for (at, n) in due {
                jitter.push(ms(at), &packet(n as u32), true);
            }
            heard.push(match jitter.take(ms(now), Duration::ZERO) {
                Due::Packet { payload, .. } => {
                    jitter.played(ms(20));
                    Some(u32::from_be_bytes(payload.try_into().expect("four bytes")))
                }
                Due::Missing(_) | Due::Pause => None,
            });
        }
        (heard, jitter)
    }

    fn numbers(heard: &[Option<u32>]) -> Vec<u32> {
        heard.iter().copied().flatten().collect()
    }

    #[test]
    fn an_even_stream_is_heard_as_it_is_a_little_later() {
        let arrivals: Vec<_> = (0..500).map(|n| Some(n * 20)).collect();
        let (heard, jitter) = heard(&arrivals, 510);
        assert_eq!(numbers(&heard), (0..500).collect::<Vec<_>>());
        assert_eq!(jitter.target(), ms(20));
        assert!(heard[0].is_none() && heard[3].is_some());
    }

    #[test]
    fn thirty_milliseconds_of_jitter_lose_next_to_nothing() {
        let mut seed = 7u64;
        let arrivals: Vec<_> = (0..2_000)
            .map(|n| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                Some(n * 20 + (seed >> 33) % 31)
            })
            .collect();
        let (heard, jitter) = heard(&arrivals, 2_010);
        let heard = numbers(&heard);
        assert!(heard.is_sorted());
        assert!(heard.len() >= 1_990, "{} of 2000", heard.len());
        assert!(jitter.target() <= ms(60), "{:?}", jitter.target());
    }

    #[test]
    fn what_comes_out_of_order_is_put_in_order() {
        let arrivals: Vec<_> =
            (0..100).map(|n| Some(if n % 5 == 2 { n * 20 + 25 } else { n * 20 })).collect();
        let (heard, _) = heard(&arrivals, 110);
        assert_eq!(numbers(&heard), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_lost_packet_is_missed_at_its_time_and_the_next_is_shown() {
        let mut jitter = Jitter::new(8_000);
        for n in [0, 1, 3, 4] {
            jitter.push(ms(u64::from(n) * 20), &packet(n), true);
        }
        let mut take = |at| jitter.take(ms(at), Duration::ZERO);
        assert!(matches!(take(40), Due::Packet { .. }));
        assert!(matches!(take(60), Due::Packet { .. }));
        assert_eq!(take(80), Due::Missing(Some(3u32.to_be_bytes().to_vec())));
        assert!(matches!(take(100), Due::Packet { payload, .. } if payload == 3u32.to_be_bytes()));
    }

    #[test]
    fn a_pause_of_the_sender_is_no_loss() {
        let mut jitter = Jitter::new(8_000);
        jitter.push(ms(0), &packet(0), true);
        assert!(matches!(jitter.take(ms(40), Duration::ZERO), Due::Packet { .. }));
        jitter.played(ms(20));
        // The same numbers, a second later by the clock.
        let later = Packet { timestamp: packet(1).timestamp.wrapping_add(8_000), ..packet(1) };
        jitter.push(ms(1_020), &later, true);
        assert_eq!(jitter.take(ms(1_020), Duration::ZERO), Due::Pause);
        assert!(matches!(jitter.take(ms(1_060), Duration::ZERO), Due::Packet { .. }));
    }

    #[test]
    fn another_source_and_a_jump_begin_anew() {
        let mut jitter = Jitter::new(8_000);
        assert!(jitter.push(ms(0), &packet(0), true));
        assert!(!jitter.push(ms(20), &packet(1), true));
        assert!(jitter.push(ms(40), &Packet { ssrc: 2, ..packet(2) }, true));
        let jump = Packet { ssrc: 2, timestamp: 1_000_000, ..packet(3) };
        assert!(jitter.push(ms(60), &jump, true));
        assert!(matches!(jitter.take(ms(120), Duration::ZERO), Due::Packet { .. }));
        assert_eq!(jitter.take(ms(140), Duration::ZERO), Due::Missing(None));
    }

    proptest! {
        /// Whatever comes whenever: nothing is heard twice or out of order, nothing panics, and
        /// nothing grows.
        #[test]
        fn order_holds(packets in prop::collection::vec((0u32..400, 0u64..60, any::<bool>()), 0..400)) {
            let mut jitter = Jitter::new(8_000);
            let (mut now, mut last) = (0, None);
            for (n, wait, sound) in packets {
                now += wait;
                if jitter.push(ms(now), &packet(n), sound) {
                    last = None;
                }
                prop_assert!(jitter.waiting.len() <= HELD);
                prop_assert!(jitter.target() >= ms(20) && jitter.target() <= ms(120));
                if let Due::Packet { payload, .. } = jitter.take(ms(now), Duration::ZERO) {
                    let n = u32::from_be_bytes(payload.try_into().expect("four bytes"));
                    prop_assert!(last.is_none_or(|last| last < n), "{n} after {last:?}");
                    last = Some(n);
                }
            }
        }

        /// Any packet at all.
        #[test]
        fn rubbish_is_survived(packets in prop::collection::vec((any::<u16>(), any::<u32>(), 0u32..2, 0u64..9_000), 0..100)) {
            let mut jitter = Jitter::new(8_000);
            let mut now = 0;
            for (sequence, timestamp, ssrc, wait) in packets {
                now += wait;
                let packet = Packet { sequence, timestamp, ssrc, ..Packet::default() };
                jitter.push(ms(now), &packet, true);
                jitter.take(ms(now), Duration::ZERO);
            }
        }
    }
}
