//! Frames and keys in, packets out: one stream's way from the call to the wire.

use std::collections::VecDeque;

use super::Packet;
use super::event::{self, Event};
use crate::codec::{Codec, Encoder};
use crate::dtmf;
use crate::frame::{FRAME_MS, Frame, Rate};
use crate::resample::Resampler;

/// How loud an event says that it is, in dBm0 below zero.
const VOLUME: u8 = 10;
/// How often the end of an event is told, since each packet may be lost.
const ENDS: usize = 3;

/// What stands for a wait between keys, and how long that is.
const WAIT: char = 'w';
const WAIT_MS: u32 = 500;

/// What was agreed on for what we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speech {
    /// The codec, and its payload type.
    pub codec: Codec,
    /// See `codec`.
    pub payload_type: u8,
    /// Keys as events: their payload type and clock. Without them, keys are sent as tones.
    pub events: Option<(u8, u32)>,
}

/// One stream on its way out. It is asked each 20 ms, and sends each time: silence too, so that
/// the far side and what lies between know that we are there.
pub struct Speaker {
    speech: Speech,
    encoder: Encoder,
    way: Resampler,
    rate: Rate,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    keys: Keys,
}

/// Keys that are to be sent.
#[derive(Default)]
struct Keys {
    waiting: VecDeque<char>,
    /// The event that is being sent, and for how many ticks already.
    event: Option<(u8, u32, u16)>,
    /// Ticks until the next key may begin.
    pause: u32,
    /// Tones that take the place of sound.
    tones: VecDeque<i16>,
    /// Whether the next sound is the first after something else.
    marker: bool,
}

impl Speaker {
    /// A stream for frames of this rate. `random` makes its numbers and its name.
    pub fn new(speech: Speech, rate: Rate, random: u64) -> Self {
        Self {
            speech,
            encoder: speech.codec.encoder(),
            way: Resampler::new(rate, speech.codec.rate()),
            rate,
            sequence: random as u16,
            timestamp: (random >> 32) as u32,
            ssrc: (random >> 16) as u32,
            keys: Keys { marker: true, ..Keys::default() },
        }
    }

    /// The stream's name.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The timestamp that the next sound has.
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Something else was agreed on; the stream keeps its name and its numbers.
    pub fn agree(&mut self, speech: Speech) {
        if speech.codec != self.speech.codec {
            self.encoder = speech.codec.encoder();
            self.way = Resampler::new(self.rate, speech.codec.rate());
        }
        self.speech = speech;
    }

    /// Sends keys, one after the other, in place of the sound; `w` is half a second without one.
    /// What is no key is left out.
    pub fn press(&mut self, keys: &str) {
        let key = |key| if key == WAIT { Some(key) } else { dtmf::key(key) };
        self.keys.waiting.extend(keys.chars().filter_map(key));
    }

    /// Whether keys are still being sent.
    pub fn is_pressing(&self) -> bool {
        let Keys { waiting, event, tones, .. } = &self.keys;
        !waiting.is_empty() || event.is_some() || !tones.is_empty()
    }

    /// The packets of these 20 ms. Without a frame there is silence.
    pub fn tick(&mut self, frame: Option<&Frame>) -> Vec<Packet> {
        let step = self.speech.codec.clock() * FRAME_MS / 1000;
        self.next_key();
        let packets = match (self.keys.event, self.speech.events) {
            (Some((code, began, ticks)), Some((payload_type, clock))) => {
                self.event(code, began, ticks + 1, payload_type, clock)
            }
            _ => vec![self.sound(frame)],
        };
        self.timestamp = self.timestamp.wrapping_add(step);
        packets
    }

    /// These 20 ms nothing is sent: time goes on, and numbers do not.
    pub fn pass(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(self.speech.codec.clock() * FRAME_MS / 1000);
        self.keys.marker = true;
    }

    fn next_key(&mut self) {
        let keys = &mut self.keys;
        if keys.event.is_some() || !keys.tones.is_empty() {
            return;
        }
        if keys.pause > 0 {
            keys.pause -= 1;
            return;
        }
        let Some(key) = keys.waiting.pop_front() else { return };
        if key == WAIT {
            keys.pause = WAIT_MS / FRAME_MS;
            return;
        }
        match (self.speech.events, event::code(key)) {
            (Some(_), Some(code)) => keys.event = Some((code, self.timestamp, 0)),
            _ => keys.tones.extend(dtmf::tones(key.encode_utf8(&mut [0; 4]), self.rate)),
        }
    }

    fn event(
        &mut self,
        code: u8,
        began: u32,
        ticks: u16,
        payload_type: u8,
        clock: u32,
    ) -> Vec<Packet> {
        let last = u32::from(ticks) * FRAME_MS >= dtmf::TONE_MS;
        let duration = (clock * FRAME_MS / 1000 * u32::from(ticks)).min(u16::MAX.into()) as u16;
        let event = Event { code, end: last, volume: VOLUME, duration };
        self.keys.event = (!last).then_some((code, began, ticks));
        if last {
            self.keys.pause = dtmf::GAP_MS / FRAME_MS;
            self.keys.marker = true;
        }
        let times = if last { ENDS } else { 1 };
        (0..times).map(|_| self.packet(payload_type, ticks == 1, began, event.write())).collect()
    }

    fn sound(&mut self, frame: Option<&Frame>) -> Packet {
        let size = Frame::samples_per_frame(self.rate);
        let mut samples = match frame {
            _ if !self.keys.tones.is_empty() => {
                let most = self.keys.tones.len().min(size);
                self.keys.tones.drain(..most).collect()
            }
            Some(frame) => frame.samples.clone(),
            None => Vec::new(),
        };
        samples.resize(size, 0);
        let payload = self.encoder.encode(&self.way.process(&samples));
        let marker = std::mem::take(&mut self.keys.marker);
        self.packet(self.speech.payload_type, marker, self.timestamp, payload)
    }

    fn packet(
        &mut self,
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        payload: Vec<u8>,
    ) -> Packet {
        let Self { sequence, ssrc, .. } = *self;
        self.sequence = sequence.wrapping_add(1);
        Packet { payload_type, marker, sequence, timestamp, ssrc, payload }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rtp::listen::{Listener, Types};

    fn speech(codec: Codec, events: Option<(u8, u32)>) -> Speech {
        Speech { codec, payload_type: 0, events }
    }

    #[test]
    fn numbers_and_timestamps_go_on_whatever_is_sent() {
        let mut speaker = Speaker::new(speech(Codec::Opus, None), 16_000, u64::MAX);
        let packets: Vec<_> = (0..5).flat_map(|_| speaker.tick(None)).collect();
        assert_eq!(packets.iter().map(|p| p.sequence).collect::<Vec<_>>(), [65_535, 0, 1, 2, 3]);
        assert_eq!(packets[1].timestamp, u32::MAX.wrapping_add(960));
        assert_eq!(
            packets.iter().map(|p| p.marker).collect::<Vec<_>>(),
            [true, false, false, false, false]
        );
        let name = speaker.ssrc();
        speaker.pass();
        let next = speaker.tick(None).remove(0);
        let gap = next.timestamp.wrapping_sub(packets[4].timestamp);
        assert_eq!((next.sequence, gap, next.marker), (4, 1_920, true));
        speaker.agree(speech(Codec::Pcmu, None));
        let next = speaker.tick(None).remove(0);
        assert_eq!((next.ssrc, next.sequence, next.payload.len()), (name, 5, 160));
    }

    #[test]
    fn a_key_is_one_timestamp_and_three_ends() {
        let mut speaker = Speaker::new(speech(Codec::Pcmu, Some((101, 8_000))), 8_000, 0);
        speaker.press("5x");
        assert!(speaker.is_pressing());
        let packets: Vec<_> = (0..5).flat_map(|_| speaker.tick(None)).collect();
        assert_eq!(packets.len(), 7);
        assert!(packets.iter().all(|packet| (packet.payload_type, packet.timestamp) == (101, 0)));
        let events: Vec<_> =
            packets.iter().filter_map(|packet| Event::read(&packet.payload)).collect();
        assert_eq!(
            events.iter().map(|e| e.duration).collect::<Vec<_>>(),
            [160, 320, 480, 640, 800, 800, 800]
        );
        assert_eq!(events.iter().filter(|event| event.end).count(), 3);
        assert_eq!(packets.iter().filter(|packet| packet.marker).count(), 1);
        let sound = speaker.tick(None).remove(0);
        assert_eq!((sound.payload_type, sound.timestamp, sound.marker), (0, 800, true));
        assert!(!speaker.is_pressing());
    }

    #[test]
    fn keys_are_heard_as_they_were_pressed_with_and_without_events() {
        for events in [Some((101, 8_000)), None] {
            let mut speaker = Speaker::new(speech(Codec::Pcmu, events), 8_000, 3);
            let types = Types {
                sound: vec![(0, Codec::Pcmu)],
                events: events.iter().map(|e| e.0).collect(),
            };
            let mut listener = Listener::new(types, 8_000);
            speaker.press("1122w#*0D");
            let mut keys = String::new();
            for tick in 0..145 {
                let now = Duration::from_millis(tick * 20);
                for packet in speaker.tick(None) {
                    keys.extend(listener.packet(now, &packet));
                }
                keys.extend(listener.frame(now).1);
            }
            assert_eq!(keys, "1122#*0D", "{events:?}");
            assert!(!speaker.is_pressing());
        }
    }
}
