//! Is somebody speaking: a small neural net over 16 ms of sound at 16 kHz.
//!
//! The net's weights are part of the program and shared; a [`Vad`] holds only its stream's state
//! (about 9 KB). It says what it hears now, frame by frame; how long a voice must be heard before
//! it counts is the turn's business, not the detector's.
//!
//! A line on which nothing is heard for half a second costs nothing: the net sleeps until there is
//! sound, and hears then what came just before it.
//!
//! Known limits: music and ring-back tones count as speech.

use std::collections::VecDeque;

use earshot::Detector;

use crate::frame::{Frame, Rate};
use crate::resample::Resampler;

/// The net's rate.
const RATE: Rate = 16_000;
/// The net's frame: 16 ms.
const FRAME: usize = 256;
/// A voice goes on while the score is at most this much under what started it. Measured: 0.7 to
/// start and 0.5 to go on hear speech in noise without taking the noise for speech.
const SLACK: f32 = 0.2;

/// Sound below this is none, as a mean square: -65 dB of full scale, 40 dB under a usual voice and just
/// over the smallest step of G.711.
const NOTHING: i64 = 18 * 18;
/// Frames without sound after which the net sleeps: half a second.
const AWAKE: u32 = 25;
/// What the net hears of the time before it was woken, in frames: more than its window, which is 64 ms.
const BEFORE: usize = 5;

/// Listens to one stream for voices.
pub struct Vad {
    start: f32,
    keep: f32,
    min_volume: f32,
    up: Resampler,
    detector: Box<Detector>,
    /// Sound at 16 kHz that does not fill a frame of the net yet.
    waiting: Vec<i16>,
    score: f32,
    speech: bool,
    power: i64,
    /// Frames without sound, up to [`AWAKE`].
    empty: u32,
    /// The last of them since the net sleeps.
    before: VecDeque<Vec<i16>>,
}

impl Vad {
    /// A detector for sound of `rate`. `confidence` (0 to 1, usually 0.7) starts a voice;
    /// `min_volume` is how loud one is at least, 0 to 1, even in decibels: 0 is -110 dB of full scale,
    /// 0.6 is -50 dB, 1 is -10 dB or more.
    pub fn new(rate: Rate, confidence: f32, min_volume: f32) -> Self {
        let start = if confidence.is_finite() { confidence.clamp(0.05, 0.99) } else { 0.7 };
        Self {
            start,
            keep: (start - SLACK).max(0.03),
            min_volume,
            up: Resampler::new(rate, RATE),
            detector: Box::new(Detector::default()),
            waiting: Vec::with_capacity(2 * FRAME),
            score: 0.0,
            speech: false,
            power: 0,
            empty: 0,
            before: VecDeque::new(),
        }
    }

    /// Takes the stream's next frame and says whether somebody speaks in it.
    pub fn hear(&mut self, frame: &Frame) -> bool {
        let count = frame.samples.len();
        self.power = frame.power();
        self.empty = if self.power < NOTHING * count as i64 { self.empty + 1 } else { 0 };
        if self.empty > AWAKE {
            self.empty = AWAKE;
            if self.before.len() == BEFORE {
                self.before.pop_front();
            }
            self.before.push_back(frame.samples.clone());
            (self.score, self.speech) = (0.0, false);
            return false;
        }
        for samples in std::mem::take(&mut self.before) {
            self.think(&samples);
        }
        self.think(&frame.samples);
        let enough = if self.speech { self.keep } else { self.start };
        self.speech = self.score >= enough
            && (self.min_volume <= 0.0 || volume(self.power, count) >= self.min_volume);
        self.speech
    }

    /// Gives samples to the net.
    fn think(&mut self, samples: &[i16]) {
        self.waiting.extend(self.up.process(samples));
        let mut fresh: Option<f32> = None;
        let mut used = 0;
        for piece in self.waiting.chunks_exact(FRAME) {
            let score = self.detector.predict_i16(piece);
            fresh = Some(fresh.map_or(score, |best| best.max(score)));
            used += FRAME;
        }
        self.waiting.drain(..used);
        // Frames of the net and of the call do not align: without a fresh score the last one holds.
        self.score = fresh.unwrap_or(self.score);
    }

    /// How sure the net is of the last frame, 0 to 1.
    pub fn score(&self) -> f32 {
        self.score
    }

    /// The power of the last frame: the sum of the squares of its samples.
    pub fn power(&self) -> i64 {
        self.power
    }
}

/// How loud so many samples are whose power this is.
fn volume(power: i64, count: usize) -> f32 {
    let mean = power as f64 / count.max(1) as f64;
    let decibels = 10.0 * (mean / f64::from(i16::MAX).powi(2)).max(1e-12).log10();
    (((decibels + 110.0) / 100.0) as f32).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    /// A vowel: the pulses of a voice, shaped by a mouth (three resonances), swelling like syllables.
    fn vowel(rate: Rate, millis: u32) -> Vec<i16> {
        let count = (rate * millis / 1000) as usize;
        let mut sound = vec![0.0_f64; count];
        let mut phase = 0.0;
        for (n, sample) in sound.iter_mut().enumerate() {
            let time = n as f64 / f64::from(rate);
            phase += (120.0 + 15.0 * (2.0 * PI * 2.0 * time).sin()) / f64::from(rate);
            if phase >= 1.0 {
                phase -= 1.0;
                *sample = 1.0;
            }
        }
        for (hertz, width) in [(700.0, 90.0), (1220.0, 110.0), (2600.0, 170.0)] {
            let r = (-PI * width / f64::from(rate)).exp();
            let (a, b) = (2.0 * r * (2.0 * PI * hertz / f64::from(rate)).cos(), -r * r);
            let (mut one, mut two) = (0.0, 0.0);
            for sample in &mut sound {
                let out = *sample + a * one + b * two;
                (two, one) = (one, out);
                *sample = out;
            }
        }
        let loudest = sound.iter().fold(1e-9_f64, |max, s| max.max(s.abs()));
        let swell = |n: usize| 0.55 - 0.45 * (2.0 * PI * 4.0 * n as f64 / f64::from(rate)).cos();
        sound.iter().enumerate().map(|(n, s)| (s / loudest * 12_000.0 * swell(n)) as i16).collect()
    }

    /// Steady noise, always the same.
    fn noise(rate: Rate, millis: u32, level: i32) -> Vec<i16> {
        let mut seed: u32 = 1;
        (0..rate * millis / 1000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (((seed >> 16) as i32 - 32_768) * level / 32_768) as i16
            })
            .collect()
    }

    /// The part of frames in which a voice was heard.
    fn heard(vad: &mut Vad, rate: Rate, sound: &[i16]) -> f64 {
        let frames: Vec<bool> = sound
            .chunks_exact(Frame::samples_per_frame(rate))
            .map(|samples| vad.hear(&Frame { rate, samples: samples.to_vec() }))
            .collect();
        frames.iter().filter(|speech| **speech).count() as f64 / frames.len() as f64
    }

    #[test]
    fn a_voice_is_heard_at_every_rate_of_a_leg() {
        for rate in [8_000, 16_000, 48_000] {
            let mut vad = Vad::new(rate, 0.7, 0.0);
            assert_eq!(heard(&mut vad, rate, &vec![0; rate as usize]), 0.0);
            let part = heard(&mut vad, rate, &vowel(rate, 1500));
            assert!(part > 0.45, "{rate}: {part}");
            assert!(
                !vad.hear(&Frame::silence(rate))
                    || heard(&mut vad, rate, &vec![0; rate as usize]) < 0.2
            );
        }
    }

    #[test]
    fn after_silence_a_voice_is_heard_as_soon_as_by_a_net_that_never_sleeps() {
        let hum = |count: usize| (0..count).map(|n| if n % 2 == 0 { 25 } else { -25 }).collect();
        let begins = |silence: Vec<i16>| {
            let sound = [silence, vowel(8_000, 1_500)].concat();
            let mut vad = Vad::new(8_000, 0.7, 0.0);
            let mut frames = sound.chunks_exact(160);
            frames.position(|samples| vad.hear(&Frame { rate: 8_000, samples: samples.to_vec() }))
        };
        // It sleeps in the first, and hears in the second what is too loud for that.
        let (slept, awake) = (begins(vec![0; 24_000]), begins(hum(24_000)));
        assert!(slept.is_some() && slept <= awake, "{slept:?} {awake:?}");
    }

    #[test]
    fn noise_is_no_voice() {
        for level in [100, 1_000, 3_000] {
            let part = heard(&mut Vad::new(8_000, 0.7, 0.0), 8_000, &noise(8_000, 3_000, level));
            assert!(part < 0.05, "{level}: {part}");
        }
    }

    #[test]
    fn a_quiet_voice_can_be_left_out() {
        let quiet: Vec<i16> = vowel(8_000, 1_500).iter().map(|s| s / 4).collect();
        assert!(heard(&mut Vad::new(8_000, 0.7, 0.0), 8_000, &quiet) > 0.2);
        assert_eq!(heard(&mut Vad::new(8_000, 0.7, 0.95), 8_000, &quiet), 0.0);
    }

    #[test]
    fn volume_is_even_in_decibels() {
        let volume = |samples: &[i16]| {
            let frame = Frame { rate: RATE, samples: samples.to_vec() };
            volume(frame.power(), samples.len())
        };
        assert_eq!(volume(&[]), 0.0);
        assert_eq!(volume(&[0; 160]), 0.0);
        assert!((volume(&[104; 160]) - 0.6).abs() < 0.01);
        assert_eq!(volume(&[30_000; 160]), 1.0);
    }
}
