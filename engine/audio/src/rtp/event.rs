//! Keys as packets: `telephone-event` of RFC 4733.
//!
//! An event is one timestamp and many packets, each telling how long it lasts so far; the last
//! one, sent three times, says that it is over. [`Heard`] makes one key of them, whichever of them
//! are lost.

/// The event of a key; `None` = it is no key.
pub fn code(key: char) -> Option<u8> {
    Some(match key.to_ascii_uppercase() {
        digit @ '0'..='9' => digit as u8 - b'0',
        '*' => 10,
        '#' => 11,
        letter @ 'A'..='D' => letter as u8 - b'A' + 12,
        _ => return None,
    })
}

/// The key of an event; `None` = it is another sound, such as a flash.
pub fn key(code: u8) -> Option<char> {
    Some(match code {
        0..=9 => char::from(b'0' + code),
        10 => '*',
        11 => '#',
        12..=15 => char::from(b'A' + code - 12),
        _ => return None,
    })
}

/// One packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which, see [`code`].
    pub code: u8,
    /// Whether it is over.
    pub end: bool,
    /// How loud, in dBm0 below zero: 0-63.
    pub volume: u8,
    /// How long it lasts so far, in ticks of the clock.
    pub duration: u16,
}

impl Event {
    /// Reads a payload; `None` = it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [code, flags, high, low, ..] = *bytes else { return None };
        let duration = u16::from_be_bytes([high, low]);
        Some(Self { code, end: flags & 0x80 != 0, volume: flags & 0x3F, duration })
    }

    /// Writes it.
    pub fn write(self) -> Vec<u8> {
        let [high, low] = self.duration.to_be_bytes();
        vec![self.code, u8::from(self.end) << 7 | self.volume & 0x3F, high, low]
    }
}

/// What makes keys of events.
#[derive(Debug, Default)]
pub struct Heard {
    /// The timestamp of the event that was told last.
    last: Option<u32>,
}

impl Heard {
    /// Takes a packet; gives its key when it is the first one of it that came.
    pub fn hear(&mut self, timestamp: u32, payload: &[u8]) -> Option<char> {
        let key = key(Event::read(payload)?.code)?;
        // What comes late belongs to an event that was told already.
        let new = self.last.is_none_or(|last| timestamp.wrapping_sub(last) as i32 > 0);
        new.then(|| {
            self.last = Some(timestamp);
            key
        })
    }

    /// The stream begins anew: its timestamps say nothing about those before.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        let keys: String = (0..16).filter_map(key).collect();
        assert_eq!(keys, "0123456789*#ABCD");
        assert!(keys.chars().enumerate().all(|(at, key)| code(key) == Some(at as u8)));
        assert_eq!((key(16), code('x')), (None, None));
    }

    #[test]
    fn a_payload_is_read_as_it_is_written() {
        let event = Event { code: 11, end: true, volume: 10, duration: 800 };
        assert_eq!(event.write(), [11, 0x8A, 0x03, 0x20]);
        assert_eq!(Event::read(&event.write()), Some(event));
        assert_eq!(Event::read(&[1, 2, 3]), None);
    }

    #[test]
    fn one_key_is_told_once_whatever_is_lost() {
        let packet = |end, duration| Event { code: 5, end, volume: 10, duration }.write();
        for lost in 0..4 {
            let mut heard = Heard::default();
            let all =
                [packet(false, 160), packet(false, 320), packet(true, 480), packet(true, 480)];
            let keys: Vec<_> =
                all[lost..].iter().filter_map(|payload| heard.hear(7_000, payload)).collect();
            assert_eq!(keys, ['5'], "when the first {lost} are lost");
            assert_eq!(heard.hear(9_000, &packet(false, 160)), Some('5'), "pressed again");
            assert_eq!(heard.hear(7_000, &packet(true, 480)), None, "late");
        }
    }
}
