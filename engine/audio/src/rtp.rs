//! Sound in packets: RTP (RFC 3550, 3551), keys as events (RFC 4733), and reports (RTCP).
//!
//! Read in this order: [`Packet`] (one packet) → [`jitter`] (evens out their arrival) → [`event`]
//! (keys) → [`listen`] (packets in, 20 ms frames and keys out) → [`speak`] (frames and keys in,
//! packets out) → [`rtcp`] (how well it goes).
//!
//! Invariant: times come in as values, counted from any one moment; nothing here reads a clock.
//! Invariant: a packet is bytes from anywhere; none of them panics or grows anything without end.

pub mod event;
pub mod jitter;
pub mod listen;
pub mod rtcp;
pub mod speak;

/// The version of RTP, in the upper two bits of each packet.
const VERSION: u8 = 2;
/// A header without contributing sources and extensions.
const HEADER: usize = 12;

/// One packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Which codec or event: 0-127.
    pub payload_type: u8,
    /// Whether a burst of sound, or an event, begins here.
    pub marker: bool,
    /// Counts packets; wraps around.
    pub sequence: u16,
    /// Counts the codec's clock; wraps around.
    pub timestamp: u32,
    /// Which stream.
    pub ssrc: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Reads a packet; `None` = it is none, or is RTCP, which shares the port when that is agreed.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER || bytes[0] >> 6 != VERSION || is_rtcp(bytes) {
            return None;
        }
        let word = |at: usize| {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut begin = HEADER + usize::from(bytes[0] & 0x0F) * 4;
        if bytes[0] & 0x10 != 0 {
            let words = bytes.get(begin + 2..begin + 4)?;
            begin += 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4;
        }
        let mut end = bytes.len();
        if bytes[0] & 0x20 != 0 {
            let padding = usize::from(bytes[end - 1]);
            if padding == 0 {
                return None;
            }
            end = end.checked_sub(padding)?;
        }
        Some(Self {
            payload_type: bytes[1] & 0x7F,
            marker: bytes[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
            timestamp: word(4),
            ssrc: word(8),
            payload: bytes.get(begin..end)?.to_vec(),
        })
    }

    /// Writes it.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.payload.len());
        bytes.push(VERSION << 6);
        bytes.push(u8::from(self.marker) << 7 | (self.payload_type & 0x7F));
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }
}

/// Whether a packet on a shared port is RTCP (RFC 5761, section 4): 64-95 are no types of RTP.
pub fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.len() >= 8 && bytes[0] >> 6 == VERSION && matches!(bytes[1], 192..=223)
}

/// A counter that wraps around, made one that does not: near the last value, whichever way.
pub(crate) fn unwrap(last: i64, value: u32, bits: u32) -> i64 {
    let size = 1i64 << bits;
    let near = i64::from(value) - last.rem_euclid(size);
    last + (near + size / 2).rem_euclid(size) - size / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sources_extensions_and_padding_are_passed_over() {
        // Version 2 with padding, extension and one source; marker; type 8.
        let mut bytes = vec![0xB1, 0x88, 0x12, 0x34, 0, 0, 0, 160, 0, 0, 0, 7];
        bytes.extend([0, 0, 0, 9]);
        bytes.extend([0xBE, 0xDE, 0, 1, 1, 2, 3, 4]);
        bytes.extend([0xD5, 0xD5, 0, 2]);
        let packet = Packet::read(&bytes).expect("a packet");
        assert_eq!(packet.payload, [0xD5, 0xD5]);
        assert_eq!((packet.payload_type, packet.marker, packet.sequence), (8, true, 0x1234));
        assert_eq!((packet.timestamp, packet.ssrc), (160, 7));
    }

    #[test]
    fn what_is_no_packet_is_none() {
        assert_eq!(Packet::read(&[0x80; 11]), None);
        assert_eq!(Packet::read(&[0x40; 20]), None, "version 1");
        assert_eq!(Packet::read(&[0x80, 200, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]), None, "RTCP");
    }

    #[test]
    fn counters_go_on_past_their_end_and_back() {
        assert_eq!(unwrap(65_535, 0, 16), 65_536);
        assert_eq!(unwrap(65_536, 65_535, 16), 65_535);
        assert_eq!(unwrap(i64::from(u32::MAX), 159, 32), i64::from(u32::MAX) + 160);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            payload_type in (0u8..128).prop_filter("RTCP's", |t| !(64..96).contains(t)),
            marker: bool, sequence: u16, timestamp: u32, ssrc: u32,
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let packet = Packet { payload_type, marker, sequence, timestamp, ssrc, payload };
            prop_assert_eq!(Packet::read(&packet.write()), Some(packet));
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), first in 0x80u8..=0xBF) {
            let _ = Packet::read(&bytes);
            let mut likely = bytes;
            if let Some(byte) = likely.first_mut() {
                *byte = first;
            }
            let _ = Packet::read(&likely);
        }
    }
}
