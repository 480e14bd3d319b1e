//! What is recognized at once: from voice to quiet, made loud and given the hiss that the model is
//! used to. Pure.

use std::collections::VecDeque;

use audio::resample::Resampler;
use audio::{Frame, Rate};
use talk::Hear;

/// The rate of the model's training.
pub(super) const RATE: Rate = 16_000;

/// Kept from before voice was detected, in milliseconds: the detector is late by nature.
const BEFORE: usize = 300;

/// The longest utterance, in milliseconds.
const LONGEST: usize = 15_000;

/// How loud an utterance is made. The model expects speech as near as a headset's.
const PEAK: f32 = 16_000.0;

/// More would only raise noise.
const MOST_GAIN: f32 = 40.0;

/// The hiss: its mean power as samples. Sound of a telephone has nothing above 4 kHz, where the
/// model, trained at 16 kHz, expects at least a room. Measured with 22 phrases by 6 voices at
/// 8 kHz: without 24 % are understood, with 10 72 %, with 60 to 100 95 %.
const HISS: f32 = 80.0;

/// Sound from voice to quiet, at [`RATE`].
#[derive(Debug, PartialEq)]
pub(super) struct Utterance {
    pub(super) samples: Vec<i16>,
}

/// Cuts a stream of sound into utterances.
pub(super) struct Utterances {
    resampler: Resampler,
    before: VecDeque<i16>,
    /// The utterance that goes on.
    voice: Option<Vec<i16>>,
}

impl Utterances {
    pub(super) fn new(rate: Rate) -> Self {
        Self { resampler: Resampler::new(rate, RATE), before: VecDeque::new(), voice: None }
    }

    /// Takes what comes and gives an utterance when it is complete.
    pub(super) fn on(&mut self, hear: Hear) -> Option<Utterance> {
        match hear {
            Hear::Frame(frame) => return self.frame(&frame),
            Hear::Voice => {
                let before = &mut self.before;
                self.voice.get_or_insert_with(|| before.drain(..).collect());
            }
            Hear::Quiet => return self.voice.take().map(prepare),
            Hear::Expect(_) => {}
        }
        None
    }

    fn frame(&mut self, frame: &Frame) -> Option<Utterance> {
        let samples = self.resampler.process(&frame.samples);
        if let Some(voice) = &mut self.voice {
            voice.extend(samples);
            if voice.len() > at_rate(LONGEST) {
                return self.voice.take().map(prepare);
            }
            return None;
        }
        self.before.extend(samples);
        let over = self.before.len().saturating_sub(at_rate(BEFORE));
        self.before.drain(..over);
        None
    }
}

fn at_rate(millis: usize) -> usize {
    RATE as usize / 1000 * millis
}

fn prepare(mut samples: Vec<i16>) -> Utterance {
    let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let gain = (PEAK / f32::from(peak.max(1))).min(MOST_GAIN);
    let mut hiss = Hiss(0x2545_F491_4F6C_DD1D);
    for sample in &mut samples {
        // The cast keeps to the range of samples.
        *sample = (f32::from(*sample) * gain + hiss.next() * HISS) as i16;
    }
    Utterance { samples }
}

/// White noise of mean power 1, the same for every utterance.
struct Hiss(u64);

impl Hiss {
    fn next(&mut self) -> f32 {
        // The sum of four even numbers is near enough to a bell.
        let mut sum = 0.0;
        for _ in 0..4 {
            // xorshift64: what it does is of no importance, only that it sounds like nothing.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            sum += (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        }
        sum * 0.866
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn loud(millis: usize, level: i16) -> Hear {
        Hear::Frame(Frame { rate: 8000, samples: vec![level; 8 * millis] })
    }

    #[test]
    fn an_utterance_has_what_came_shortly_before_the_voice() {
        let mut utterances = Utterances::new(8000);
        for _ in 0..100 {
            assert_eq!(utterances.on(loud(20, 0)), None);
        }
        assert_eq!(utterances.on(Hear::Voice), None);
        for _ in 0..50 {
            assert_eq!(utterances.on(loud(20, 1000)), None);
        }
        let utterance = utterances.on(Hear::Quiet).unwrap();
        assert_eq!(utterance.samples.len(), at_rate(1300));
        let peak = utterance.samples.iter().max().unwrap();
        assert!((15_500..20_000).contains(peak), "made loud: {peak}");
        assert!(utterance.samples[..1000].iter().any(|sample| *sample != 0), "no hiss");
        assert_eq!(utterances.on(Hear::Quiet), None);
    }

    #[test]
    fn it_ends_even_when_the_caller_does_not() {
        let mut utterances = Utterances::new(8000);
        utterances.on(Hear::Voice);
        let ended = (0..1000).find(|_| utterances.on(loud(20, 1000)).is_some());
        assert_eq!(ended, Some(750));
    }

    #[test]
    fn hiss_is_even_and_of_power_one() {
        let mut hiss = Hiss(1);
        let samples: Vec<f32> = (0..100_000).map(|_| hiss.next()).collect();
        let mean = samples.iter().sum::<f32>() / samples.len() as f32;
        let power =
            samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32;
        assert!(mean.abs() < 0.02 && (power - 1.0).abs() < 0.02, "{mean} {power}");
    }
}
