//! Packets in, frames of 20 ms and keys out: one stream's whole way from the wire to the call.

use std::collections::VecDeque;
use std::time::Duration;

use super::Packet;
use super::event::Heard;
use super::jitter::{Due, Jitter};
use crate::codec::{Codec, Decoder};
use crate::dtmf::Ear;
use crate::frame::{Frame, Rate};
use crate::resample::Resampler;

/// Sound that is later than this is left out where it is quiet, so that the delay sinks again.
const LATE: Duration = Duration::from_millis(30);
/// Sound that is later than this is left out in any case.
const MUCH_LATE: Duration = Duration::from_millis(150);
/// The loudest sample of what counts as quiet.
const QUIET: u16 = 400;
/// Frames that are made up before silence takes over.
const MADE_UP: u32 = 5;

/// What the far side may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Types {
    /// Sound, by payload type.
    pub sound: Vec<(u8, Codec)>,
    /// Keys as events; without one, keys are heard in the sound.
    pub events: Vec<u8>,
}

/// One stream on its way in.
pub struct Listener {
    types: Types,
    rate: Rate,
    jitter: Jitter,
    /// The codec that is being heard, and what brings it to the leg's rate.
    hearing: Option<(Codec, Decoder, Resampler)>,
    /// Samples at the leg's rate that do not fill a frame yet.
    ready: VecDeque<i16>,
    keys: Heard,
    ear: Option<Ear>,
    missing: u32,
}

impl Listener {
    /// Listens for a leg of this rate.
    pub fn new(types: Types, rate: Rate) -> Self {
        let clock = types.sound.first().map_or(8_000, |(_, codec)| codec.clock());
        let ear = types.events.is_empty().then(|| Ear::new(rate));
        Self {
            types,
            rate,
            jitter: Jitter::new(clock),
            hearing: None,
            ready: VecDeque::new(),
            keys: Heard::default(),
            ear,
            missing: 0,
        }
    }

    /// The ticks a second of the sound's timestamps.
    pub fn clock(&self) -> u32 {
        let heard = self.hearing.as_ref().map(|(codec, ..)| *codec);
        heard.or(self.types.sound.first().map(|(_, codec)| *codec)).map_or(8_000, Codec::clock)
    }

    /// What evens out the arrival, for its figures.
    pub fn jitter(&self) -> &Jitter {
        &self.jitter
    }

    /// Other types were agreed on; the stream goes on.
    pub fn agree(&mut self, types: Types) {
        if types.events.is_empty() != self.types.events.is_empty() {
            self.ear = types.events.is_empty().then(|| Ear::new(self.rate));
        }
        self.types = types;
    }

    /// Takes a packet that came at `now`; gives the key that it tells. One of a type that was not
    /// agreed on is dropped.
    pub fn packet(&mut self, now: Duration, packet: &Packet) -> Option<char> {
        let codec = self.codec(packet.payload_type);
        let is_event = self.types.events.contains(&packet.payload_type);
        if let Some(codec) = codec
            && self.hearing.as_ref().is_none_or(|(heard, ..)| *heard != codec)
        {
            if codec.clock() != self.clock() {
                self.jitter = Jitter::new(codec.clock());
            }
            let way = Resampler::new(codec.rate(), self.rate);
            self.hearing = Some((codec, codec.decoder(), way));
        }
        // Comfort noise and what else there may be counts as silence, but has a number.
        if self.jitter.push(now, packet, codec.is_some()) {
            self.keys.reset();
        }
        if is_event { self.keys.hear(packet.timestamp, &packet.payload) } else { None }
    }

    /// The next 20 ms, for the tick at `now`; and the keys that were heard in them.
    pub fn frame(&mut self, now: Duration) -> (Frame, Vec<char>) {
        let size = Frame::samples_per_frame(self.rate);
        while self.ready.len() < size {
            let ahead = self.ready.len() as u64 * 1_000_000 / u64::from(self.rate);
            let due = self.jitter.take(now, Duration::from_micros(ahead));
            let sound = match due {
                Due::Packet { payload_type, payload, late } => {
                    self.decoded(payload_type, &payload, late)
                }
                Due::Missing(next) => self.made_up(next.as_deref()),
                Due::Pause => Frame::silence(self.rate).samples,
            };
            self.ready.extend(sound);
        }
        let samples: Vec<i16> = self.ready.drain(..size).collect();
        let keys = self.ear.as_mut().map(|ear| ear.hear(&samples)).unwrap_or_default();
        (Frame { rate: self.rate, samples }, keys)
    }

    fn codec(&self, payload_type: u8) -> Option<Codec> {
        self.types.sound.iter().find(|(known, _)| *known == payload_type).map(|(_, codec)| *codec)
    }

    /// The sound of a packet; nothing when it is left out.
    fn decoded(&mut self, payload_type: u8, payload: &[u8], late: Duration) -> Vec<i16> {
        let of = self.codec(payload_type);
        // Packets that were waiting when the codec changed are of no use any more.
        let Some((codec, decoder, way)) = &mut self.hearing else { return Vec::new() };
        if of != Some(*codec) {
            return Vec::new();
        }
        let sound = decoder.decode(payload);
        if !sound.is_empty() {
            self.missing = 0;
        }
        let length = sound.len() as u64 * 1_000_000 / u64::from(codec.rate());
        self.jitter.played(Duration::from_micros(length));
        let quiet = || sound.iter().all(|sample| sample.unsigned_abs() < QUIET);
        if late > MUCH_LATE || (late > LATE && quiet()) {
            return Vec::new();
        }
        way.process(&sound)
    }

    fn made_up(&mut self, next: Option<&[u8]>) -> Vec<i16> {
        self.missing = self.missing.saturating_add(1);
        match &mut self.hearing {
            Some((_, decoder, way)) if self.missing <= MADE_UP => {
                way.process(&decoder.conceal(next))
            }
            _ => Frame::silence(self.rate).samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dtmf;
    use crate::rtp::event::Event;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn types(codec: Codec) -> Types {
        Types { sound: vec![(0, codec)], events: vec![101] }
    }

    /// Packets of a codec that carry these samples, 20 ms each.
    fn packets(codec: Codec, sound: &[i16]) -> Vec<Packet> {
        let mut encoder = codec.encoder();
        sound
            .chunks_exact(Frame::samples_per_frame(codec.rate()))
            .enumerate()
            .map(|(n, frame)| Packet {
                sequence: n as u16,
                timestamp: n as u32 * codec.clock() / 50,
                payload: encoder.encode(frame),
                ..Packet::default()
            })
            .collect()
    }

    fn loudness(sound: &[i16]) -> f64 {
        let sum: f64 = sound.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        (sum / sound.len().max(1) as f64).sqrt()
    }

    #[test]
    fn every_codec_is_heard_at_the_rate_of_the_leg() {
        for codec in [Codec::Pcmu, Codec::G722, Codec::Opus, Codec::L16(16_000)] {
            for rate in [8_000, 16_000] {
                let sound = dtmf::tone('5', codec.rate(), 1_000, 0);
                let mut listener = Listener::new(types(codec), rate);
                let mut heard = Vec::new();
                for (n, packet) in packets(codec, &sound).iter().enumerate() {
                    let now = ms(n as u64 * 20);
                    assert_eq!(listener.packet(now, packet), None);
                    let (frame, _) = listener.frame(now);
                    assert_eq!(frame.samples.len(), Frame::samples_per_frame(rate));
                    heard.extend(frame.samples);
                }
                let at = loudness(&heard[heard.len() / 2..]);
                let before = loudness(&sound);
                assert!((0.7..1.3).contains(&(at / before)), "{codec:?} at {rate}: {at} {before}");
            }
        }
    }

    #[test]
    fn packets_of_any_length_become_frames_of_20_ms() {
        for length in [80, 160, 240, 480] {
            let mut listener = Listener::new(types(Codec::Pcmu), 8_000);
            let loud = Codec::Pcmu.encoder().encode(&vec![9_000; length]);
            let (mut sent, mut loud_frames) = (0, 0);
            for tick in 0..200u64 {
                while sent * length as u64 <= tick * 160 {
                    let packet = Packet {
                        sequence: sent as u16,
                        timestamp: (sent * length as u64) as u32,
                        payload: loud.clone(),
                        ..Packet::default()
                    };
                    listener.packet(ms(sent * length as u64 / 8), &packet);
                    sent += 1;
                }
                let (frame, _) = listener.frame(ms(tick * 20));
                loud_frames += usize::from(loudness(&frame.samples) > 8_000.0);
            }
            assert!(loud_frames > 190, "{length}: {loud_frames} of 200");
        }
    }

    #[test]
    fn a_key_is_told_once_and_the_sound_goes_on() {
        let mut listener = Listener::new(types(Codec::Pcmu), 8_000);
        let sound = packets(Codec::Pcmu, &vec![9_000; 160 * 40]);
        let mut keys = String::new();
        let mut loud = 0;
        for (n, packet) in sound.iter().enumerate() {
            let now = ms(n as u64 * 20);
            // From the 10th to the 14th packet, events take the place of sound.
            let packet = if (10..15).contains(&n) {
                let event =
                    Event { code: 5, end: n == 14, volume: 10, duration: (n as u16 - 9) * 160 };
                let timestamp = sound[10].timestamp;
                Packet { payload_type: 101, timestamp, payload: event.write(), ..packet.clone() }
            } else {
                packet.clone()
            };
            keys.extend(listener.packet(now, &packet));
            let (frame, heard) = listener.frame(now);
            assert!(heard.is_empty());
            loud += usize::from(loudness(&frame.samples) > 8_000.0);
        }
        assert_eq!(keys, "5");
        assert!((30..=36).contains(&loud), "{loud}");
    }

    #[test]
    fn without_events_keys_are_heard_in_the_sound() {
        let only = Types { sound: vec![(0, Codec::Pcmu)], events: Vec::new() };
        let mut listener = Listener::new(only, 8_000);
        let mut keys = String::new();
        let sound = dtmf::tones("42#", 8_000);
        for (n, packet) in packets(Codec::Pcmu, &sound).iter().enumerate() {
            listener.packet(ms(n as u64 * 20), packet);
            keys.extend(listener.frame(ms(n as u64 * 20)).1);
        }
        assert_eq!(keys, "42#");
    }

    #[test]
    fn a_hundred_packets_with_holes_keep_their_time() {
        let mut listener = Listener::new(types(Codec::Pcmu), 8_000);
        let mut loud = 0;
        for (n, packet) in
            packets(Codec::Pcmu, &dtmf::tone('1', 8_000, 2_000, 0)).iter().enumerate()
        {
            let now = ms(n as u64 * 20);
            if n % 10 != 9 {
                listener.packet(now, packet);
            }
            loud += usize::from(loudness(&listener.frame(now).0.samples) > 5_000.0);
        }
        assert!(loud >= 96, "what is lost is made up: {loud} of 100");
    }

    proptest! {
        #[test]
        fn whatever_comes_every_tick_has_its_frame(
            packets in prop::collection::vec(
                (0u8..128, any::<u16>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..200)), 0..60)
        ) {
            let all = Types { sound: vec![(0, Codec::Pcmu), (9, Codec::G722), (111, Codec::Opus)], events: vec![101] };
            let mut listener = Listener::new(all, 16_000);
            for (tick, (payload_type, sequence, timestamp, payload)) in packets.into_iter().enumerate() {
                let packet = Packet { payload_type, sequence, timestamp, payload, ..Packet::default() };
                listener.packet(ms(tick as u64 * 7), &packet);
                prop_assert_eq!(listener.frame(ms(tick as u64 * 20)).0.samples.len(), 320);
            }
        }
    }
}
