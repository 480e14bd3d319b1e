//! Reports on a stream: what we sent, how the far side's packets come, and what it says of ours
//! (RFC 3550, section 6).

use std::time::Duration;

use super::{Packet, is_rtcp, unwrap};

const SENDER: u8 = 200;
const RECEIVER: u8 = 201;
const DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
/// The item of a description that names a participant for good.
const CNAME: u8 = 1;
/// Seconds between 1900, where NTP begins, and 1970.
const SINCE_1900: u64 = 2_208_988_800;

/// What the far side says of our packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// The part that was lost since its last report, 0-1.
    pub lost: f64,
    /// Its jitter, in ticks of our clock.
    pub jitter: u32,
    /// How long a packet takes to it and back.
    pub round_trip: Option<Duration>,
}

/// Both directions of one stream, as reports tell them.
#[derive(Debug)]
pub struct Reports {
    ssrc: u32,
    name: String,
    sent: (u32, u32),
    heard: Option<Source>,
    /// The far side's last sender report: the middle of its NTP time, and when it came.
    stamp: Option<(u32, Duration)>,
    told: Option<Told>,
}

/// How the packets of the far side come.
#[derive(Debug)]
struct Source {
    ssrc: u32,
    first: i64,
    highest: i64,
    count: u64,
    /// Those two at the last report: expected and come.
    reported: (u64, u64),
    /// In ticks, times 16.
    jitter: i64,
    /// When a packet came less when it was made, in ticks.
    transit: i64,
}

impl Reports {
    /// Nothing sent or heard yet. The name tells the far side which streams are one's own.
    pub fn new(ssrc: u32, name: impl Into<String>) -> Self {
        let name: String = name.into();
        let name = name.chars().filter(char::is_ascii).take(255).collect();
        Self { ssrc, name, sent: (0, 0), heard: None, stamp: None, told: None }
    }

    /// A packet left.
    pub fn sent(&mut self, packet: &Packet) {
        self.sent.0 = self.sent.0.wrapping_add(1);
        self.sent.1 = self.sent.1.wrapping_add(packet.payload.len() as u32);
    }

    /// A packet of sound came, of a clock of so many ticks a second.
    pub fn heard(&mut self, now: Duration, packet: &Packet, clock: u32) {
        let ticks = (now.as_micros() as i64).wrapping_mul(clock.into()) / 1_000_000;
        let source = match &mut self.heard {
            Some(source) if source.ssrc == packet.ssrc => source,
            _ => {
                let first = i64::from(packet.sequence) + (1 << 16);
                self.heard.insert(Source {
                    ssrc: packet.ssrc,
                    first,
                    highest: first,
                    count: 0,
                    reported: (0, 0),
                    jitter: 0,
                    transit: ticks - i64::from(packet.timestamp),
                })
            }
        };
        source.highest = source.highest.max(unwrap(source.highest, packet.sequence.into(), 16));
        source.count += 1;
        let transit = unwrap(source.transit, (ticks - i64::from(packet.timestamp)) as u32, 32);
        source.jitter += (transit - source.transit).abs() - (source.jitter + 8) / 16;
        source.transit = transit;
    }

    /// What the far side said last of our packets.
    pub fn told(&self) -> Option<Told> {
        self.told
    }

    /// Packets of the far side that did not come so far, and its jitter in ticks.
    pub fn losses(&self) -> (u64, u32) {
        self.heard.as_ref().map_or((0, 0), |source| {
            (source.expected().saturating_sub(source.count), (source.jitter / 16) as u32)
        })
    }

    /// A report for the far side. `wall` is the time since 1970, `timestamp` what our next sound
    /// has.
    pub fn report(&mut self, now: Duration, wall: Duration, timestamp: u32) -> Vec<u8> {
        let block = self.block(now);
        let mut body = self.ssrc.to_be_bytes().to_vec();
        let kind = if self.sent.0 > 0 {
            let seconds = wall.as_secs().wrapping_add(SINCE_1900) as u32;
            let fraction = (u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000;
            for word in [seconds, fraction as u32, timestamp, self.sent.0, self.sent.1] {
                body.extend(word.to_be_bytes());
            }
            SENDER
        } else {
            RECEIVER
        };
        let blocks = u8::from(block.is_some());
        body.extend(block.into_iter().flatten());
        let mut report = part(kind, blocks, body);
        let mut name = self.ssrc.to_be_bytes().to_vec();
        name.extend([CNAME, self.name.len() as u8]);
        name.extend(self.name.bytes());
        // At least one zero ends the list of items.
        name.extend(std::iter::repeat_n(0, 4 - name.len() % 4));
        report.extend(part(DESCRIPTION, 1, name));
        report
    }

    /// The same, and that nothing comes after it.
    pub fn bye(&mut self, now: Duration, wall: Duration, timestamp: u32) -> Vec<u8> {
        let mut report = self.report(now, wall, timestamp);
        report.extend(part(BYE, 1, self.ssrc.to_be_bytes().to_vec()));
        report
    }

    /// Takes the far side's reports. What is none of it is passed over.
    pub fn read(&mut self, now: Duration, wall: Duration, mut bytes: &[u8]) {
        while is_rtcp(bytes) {
            let words = usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) + 1;
            let Some((part, rest)) = bytes.split_at_checked(words * 4) else { return };
            bytes = rest;
            let word = |at: usize| {
                part.get(at..at + 4)
                    .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
            };
            let blocks = match part[1] {
                SENDER => {
                    if let (Some(seconds), Some(fraction)) = (word(8), word(12)) {
                        self.stamp = Some((seconds << 16 | fraction >> 16, now));
                    }
                    28
                }
                RECEIVER => 8,
                _ => continue,
            };
            for block in 0..usize::from(part[0] & 0x1F) {
                let at = blocks + block * 24;
                let (Some(ssrc), Some(lost), Some(jitter)) =
                    (word(at), word(at + 4), word(at + 12))
                else {
                    break;
                };
                if ssrc == self.ssrc {
                    let trip = self.round_trip(wall, word(at + 16), word(at + 20));
                    let lost = f64::from(lost >> 24) / 256.0;
                    self.told = Some(Told { lost, jitter, round_trip: trip });
                }
            }
        }
    }

    fn round_trip(
        &self,
        wall: Duration,
        stamp: Option<u32>,
        waited: Option<u32>,
    ) -> Option<Duration> {
        let (stamp, waited) = (stamp.filter(|stamp| *stamp != 0)?, waited?);
        let trip = middle(wall).wrapping_sub(stamp).wrapping_sub(waited);
        // A clock that was set meanwhile makes it negative or absurd.
        (trip < 60 << 16).then(|| Duration::from_micros((u64::from(trip) * 1_000_000) >> 16))
    }

    fn block(&mut self, now: Duration) -> Option<Vec<u8>> {
        let source = self.heard.as_mut()?;
        let expected = source.expected();
        let (lately, came) = (expected - source.reported.0, source.count - source.reported.1);
        source.reported = (expected, source.count);
        let lost = lately.saturating_sub(came) * 256 / lately.max(1);
        let all = (expected as i64 - source.count as i64).clamp(-0x80_0000, 0x7F_FFFF);
        let (stamp, waited) = self.stamp.map_or((0, 0), |(stamp, at)| {
            (stamp, (now.saturating_sub(at).as_micros() << 16).div_euclid(1_000_000) as u32)
        });
        let words = [
            source.ssrc,
            (lost.min(255) as u32) << 24 | (all as u32 & 0xFF_FFFF),
            source.highest as u32 - (1 << 16),
            (source.jitter / 16) as u32,
            stamp,
            waited,
        ];
        Some(words.iter().flat_map(|word| word.to_be_bytes()).collect())
    }
}

impl Source {
    fn expected(&self) -> u64 {
        (self.highest - self.first + 1).unsigned_abs()
    }
}

/// The middle 32 bits of the NTP time.
fn middle(wall: Duration) -> u32 {
    let seconds = wall.as_secs().wrapping_add(SINCE_1900) as u32;
    let fraction = ((u64::from(wall.subsec_nanos()) << 16) / 1_000_000_000) as u32;
    seconds << 16 | fraction
}

fn part(kind: u8, count: u8, body: Vec<u8>) -> Vec<u8> {
    let words = (body.len() / 4) as u16;
    let mut part = vec![0x80 | count, kind];
    part.extend(words.to_be_bytes());
    part.extend(body);
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn packet(ssrc: u32, n: u16) -> Packet {
        Packet {
            sequence: n.wrapping_add(65_500),
            timestamp: u32::from(n) * 160,
            ssrc,
            payload: vec![0; 160],
            ..Packet::default()
        }
    }

    #[test]
    fn losses_and_the_round_trip_come_back_to_the_sender() {
        let (mut ours, mut theirs) = (Reports::new(1, "us"), Reports::new(2, "them"));
        for n in 0..100 {
            ours.sent(&packet(1, n));
            // One in four is lost, and none is late.
            if n % 4 != 3 {
                theirs.heard(ms(u64::from(n) * 20), &packet(1, n), 8_000);
            }
        }
        let wall = Duration::from_secs(1_700_000_000);
        theirs.read(ms(2_000), wall, &ours.report(ms(2_000), wall, 16_000));
        // They answer half a second later; it is 80 ms on the way.
        let answer = theirs.report(ms(2_500), wall + ms(500), 0);
        ours.read(ms(2_580), wall + ms(580), &answer);
        let told = ours.told().expect("they told");
        assert!((told.lost - 0.25).abs() < 0.02, "{told:?}");
        assert_eq!(told.jitter, 0);
        let trip = told.round_trip.expect("known");
        assert!(trip.abs_diff(ms(80)) < ms(1), "{trip:?}");
        assert_eq!(theirs.losses(), (24, 0));
    }

    #[test]
    fn jitter_is_what_the_standard_says() {
        let mut reports = Reports::new(1, "us");
        for n in 0..1_000 {
            let late = if n % 2 == 0 { 0 } else { 10 };
            reports.heard(ms(u64::from(n) * 20 + late), &packet(2, n), 8_000);
        }
        let (lost, jitter) = reports.losses();
        assert_eq!(lost, 0);
        assert!((70..=80).contains(&jitter), "10 ms are 80 ticks: {jitter}");
    }

    #[test]
    fn a_report_has_the_parts_of_the_standard() {
        let mut reports = Reports::new(0x0102_0304, "abc");
        let empty = reports.report(ms(0), ms(0), 0);
        assert_eq!(empty[..8], [0x80, 201, 0, 1, 1, 2, 3, 4]);
        reports.sent(&packet(1, 0));
        let bytes = reports.bye(ms(0), ms(0), 7);
        assert_eq!(bytes[..4], [0x80, 200, 0, 6]);
        assert_eq!(bytes[28..32], [0x81, 202, 0, 3]);
        assert_eq!(bytes[32..44], [1, 2, 3, 4, 1, 3, b'a', b'b', b'c', 0, 0, 0]);
        assert_eq!(bytes[44..], [0x81, 203, 0, 1, 1, 2, 3, 4]);
        assert!(is_rtcp(&bytes));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 199u8..205) {
            let mut reports = Reports::new(1, "us");
            reports.read(ms(1), ms(1), &bytes);
            let mut likely = bytes;
            for (at, byte) in [0x81, kind, 0, 12].into_iter().enumerate() {
                if let Some(place) = likely.get_mut(at) {
                    *place = byte;
                }
            }
            reports.read(ms(1), ms(1), &likely);
            reports.heard(ms(1), &packet(9, 3), 8_000);
            reports.report(ms(2), ms(2), 0);
        }
    }
}
