//! The codecs of packets of sound: G.711 both laws, G.722, Opus and linear 16 bit, one interface.
//!
//! A [`Codec`] is a name with its rates; [`Encoder`] and [`Decoder`] hold what one stream's
//! direction remembers. What cannot be decoded is no error here: it is a packet that is lost, and
//! [`Decoder::conceal`] stands in for it.

use audio_codec::g722::{G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};
use opus_pure::{Application, MAX_PACKET_BYTES, OpusDecoder, OpusEncoder};

use crate::conceal::Concealer;
use crate::frame::{Frame, Rate};
use crate::g711::Law;

/// The rate at which Opus is used: wideband speech, mono.
const OPUS_RATE: Rate = 16_000;
/// Bits a second of Opus: the middle of what RFC 7587 advises for wideband speech.
const OPUS_BITS: i32 = 24_000;
/// What Opus reckons with being lost, in percent; more makes its repairs larger.
const OPUS_LOSS: i32 = 5;
/// The effort of Opus, 0-10: half of the work for little less quality.
const OPUS_EFFORT: i32 = 5;
/// The longest packet that is decoded, in milliseconds: Opus allows no longer one.
const LONGEST_MS: usize = 120;

/// How sound is written in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 mu-law, 8 kHz, 64 kbit/s.
    Pcmu,
    /// G.711 A-law, 8 kHz, 64 kbit/s.
    Pcma,
    /// G.722, 16 kHz, 64 kbit/s.
    G722,
    /// Opus, RFC 6716, here at 16 kHz and 24 kbit/s.
    Opus,
    /// Linear 16 bit, big endian, RFC 3551, at this rate.
    L16(Rate),
}

impl Codec {
    /// Samples a second of its sound.
    pub const fn rate(self) -> Rate {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::G722 => 16_000,
            Self::Opus => OPUS_RATE,
            Self::L16(rate) => rate,
        }
    }

    /// Ticks a second of its RTP timestamps. G.722 counts 8,000 by an error of RFC 1890 that
    /// became the rule, and Opus always 48,000.
    pub const fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Opus => 48_000,
            Self::L16(rate) => rate,
        }
    }

    /// What writes a stream.
    pub fn encoder(self) -> Encoder {
        Encoder(match self {
            Self::Pcmu => Writing::Law(Law::Mu),
            Self::Pcma => Writing::Law(Law::A),
            Self::G722 => Writing::G722(Box::new(G722Encoder::new())),
            Self::L16(_) => Writing::L16,
            Self::Opus => {
                let mut opus = OpusEncoder::new(OPUS_RATE as i32, 1, Application::Voip)
                    .expect("this rate and one channel are among those that Opus has");
                opus.bitrate_bps = OPUS_BITS;
                opus.complexity = OPUS_EFFORT;
                opus.use_inband_fec = true;
                opus.packet_loss_perc = OPUS_LOSS;
                Writing::Opus(Box::new(opus))
            }
        })
    }

    /// What reads a stream.
    pub fn decoder(self) -> Decoder {
        let reading = match self {
            Self::Pcmu => Reading::Law(Law::Mu),
            Self::Pcma => Reading::Law(Law::A),
            Self::G722 => Reading::G722(Box::new(G722Decoder::new())),
            Self::L16(_) => Reading::L16,
            Self::Opus => Reading::Opus(Box::new(
                OpusDecoder::new(OPUS_RATE as i32, 1)
                    .expect("this rate and one channel are among those that Opus has"),
            )),
        };
        Decoder { reading, concealer: Concealer::new(self.rate()), rate: self.rate() }
    }
}

/// Writes one stream.
pub struct Encoder(Writing);

enum Writing {
    Law(Law),
    G722(Box<G722Encoder>),
    Opus(Box<OpusEncoder>),
    L16,
}

impl Encoder {
    /// One packet's payload: of 20 ms at the codec's rate.
    pub fn encode(&mut self, samples: &[i16]) -> Vec<u8> {
        match &mut self.0 {
            Writing::Law(law) => law.encode(samples),
            Writing::G722(g722) => g722.encode(samples),
            Writing::L16 => {
                samples.iter().map(|s| s.to_be_bytes()).collect::<Vec<_>>().into_flattened()
            }
            Writing::Opus(opus) => {
                let mut packet = vec![0; MAX_PACKET_BYTES];
                // Only a length that Opus does not have is refused; then nothing is said.
                let size = opus.encode_s16(samples, samples.len(), &mut packet).unwrap_or(0);
                packet.truncate(size);
                packet
            }
        }
    }
}

/// Reads one stream.
pub struct Decoder {
    reading: Reading,
    concealer: Concealer,
    rate: Rate,
}

enum Reading {
    Law(Law),
    G722(Box<G722Decoder>),
    Opus(Box<OpusDecoder>),
    L16,
}

impl Decoder {
    /// The sound of one packet, at the codec's rate; nothing when it is no packet of the codec.
    pub fn decode(&mut self, payload: &[u8]) -> Vec<i16> {
        let longest = self.rate as usize * LONGEST_MS / 1000;
        let samples = match &mut self.reading {
            Reading::Law(law) => law.decode(&payload[..payload.len().min(longest)]),
            Reading::G722(g722) => g722.decode(&payload[..payload.len().min(longest / 2)]),
            Reading::L16 => payload
                .chunks_exact(2)
                .take(longest)
                .map(|pair| i16::from_be_bytes([pair[0], pair[1]]))
                .collect(),
            Reading::Opus(opus) if !payload.is_empty() => {
                let mut samples = vec![0; longest];
                let size = opus.decode_s16(payload, longest, &mut samples).unwrap_or(0);
                samples.truncate(size);
                // Opus hides its own losses, and their ends.
                return samples;
            }
            Reading::Opus(_) => Vec::new(),
        };
        self.concealer.heard(samples)
    }

    /// 20 ms in place of sound that did not come. `next` is the packet right after it, where that
    /// is here already: Opus may carry a copy of what was lost in it.
    pub fn conceal(&mut self, next: Option<&[u8]>) -> Vec<i16> {
        let size = Frame::samples_per_frame(self.rate);
        let Reading::Opus(opus) = &mut self.reading else { return self.concealer.conceal(size) };
        let mut samples = vec![0; size];
        let made = match next {
            Some(next) if !next.is_empty() => opus.decode_fec_s16(next, size, &mut samples),
            Some(_) | None => opus.decode_s16(&[], size, &mut samples),
        };
        let made = made.unwrap_or(0);
        samples[made.min(size)..].fill(0);
        samples
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Codec; 6] =
        [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus, Codec::L16(8_000), Codec::L16(16_000)];

    fn tone(rate: Rate, frames: usize) -> Vec<i16> {
        let turn = std::f64::consts::TAU * 440.0 / f64::from(rate);
        let samples = Frame::samples_per_frame(rate) * frames;
        (0..samples).map(|at| (8_000.0 * (turn * at as f64).sin()) as i16).collect()
    }

    /// How much louder the tone is than what else a stream holds, in dB, wherever the tone's phase
    /// lies after the codec's delay.
    fn clean(rate: Rate, sound: &[i16]) -> f64 {
        let turn = std::f64::consts::TAU * 440.0 / f64::from(rate);
        let (mut re, mut im, mut all) = (0.0, 0.0, 0.0);
        for (at, sample) in sound.iter().enumerate() {
            let (sample, phase) = (f64::from(*sample), turn * at as f64);
            re += sample * phase.cos();
            im += sample * phase.sin();
            all += sample * sample;
        }
        let tone = (re * re + im * im) * 2.0 / sound.len() as f64;
        10.0 * (tone / (all - tone).max(1.0)).log10()
    }

    #[test]
    fn a_tone_comes_through_every_codec() {
        for (codec, least) in ALL.into_iter().zip([30.0, 30.0, 30.0, 15.0, 60.0, 60.0]) {
            let (mut encoder, mut decoder) = (codec.encoder(), codec.decoder());
            let sound = tone(codec.rate(), 50);
            let mut heard = Vec::new();
            for frame in sound.chunks(Frame::samples_per_frame(codec.rate())) {
                let samples = decoder.decode(&encoder.encode(frame));
                assert_eq!(samples.len(), frame.len(), "{codec:?} keeps the length");
                heard.extend(samples);
            }
            // The first 100 ms are what adaptive codecs need to settle.
            let settled = &heard[heard.len() / 10..];
            let clean = clean(codec.rate(), settled);
            assert!(clean > least, "{codec:?}: {clean:.1} dB");
        }
    }

    #[test]
    fn payloads_have_the_size_that_their_clock_says() {
        for (codec, size) in [(Codec::Pcmu, 160), (Codec::Pcma, 160), (Codec::G722, 160)] {
            assert_eq!(codec.encoder().encode(&tone(codec.rate(), 1)).len(), size);
            assert_eq!(codec.clock(), 8_000);
        }
        assert_eq!(Codec::L16(16_000).encoder().encode(&[0x0102, -2]), [1, 2, 0xFF, 0xFE]);
        assert!(Codec::Opus.encoder().encode(&tone(16_000, 1)).len() < 120);
    }

    #[test]
    fn a_lost_packet_of_opus_comes_back_from_the_one_after_it() {
        let (mut encoder, mut decoder) = (Codec::Opus.encoder(), Codec::Opus.decoder());
        let sound = tone(16_000, 40);
        let packets: Vec<_> = sound.chunks(320).map(|frame| encoder.encode(frame)).collect();
        packets[..30].iter().for_each(|packet| drop(decoder.decode(packet)));
        let back = decoder.conceal(Some(&packets[31]));
        assert_eq!(back.len(), 320);
        let loudest = back.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(loudest > Some(2_000), "{loudest:?}");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_survived(
            packets in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..300)), 0..12)
        ) {
            for codec in ALL {
                let mut decoder = codec.decoder();
                for packet in &packets {
                    match packet {
                        Some(packet) => {
                            let most = codec.rate() as usize * LONGEST_MS / 1000;
                            prop_assert!(decoder.decode(packet).len() <= most);
                        }
                        None => {
                            let size = Frame::samples_per_frame(codec.rate());
                            prop_assert_eq!(decoder.conceal(None).len(), size);
                        }
                    }
                }
            }
        }
    }
}
