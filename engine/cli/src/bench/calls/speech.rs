//! A question as it sounds: a voice made of pulses and resonances, and when the engine's detector
//! hears it begin and end.
//!
//! Invariant: the detector hears every question alike, however its frames fall (they and the
//! detector's are of different lengths), except for the first two of a call. [`Speech::new`]
//! makes sure of it.

use std::f64::consts::TAU;

use audio::g711::Law;
use audio::vad::Vad;
use audio::{FRAME_MS, Frame, Rate};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

const RATE: Rate = 8000;
/// Frames of a question: 1.6 s.
const FRAMES: usize = 80;
/// The longest that the detector may hear a voice that is over, in frames.
const AFTER: usize = 20;
/// Silence before and behind the voice within those frames, milliseconds.
const LEAD_MS: usize = 13;
const TAIL_MS: usize = 17;

/// Five vowels and what they sound like: three resonances each, and how wide those are.
const VOWELS: [[f64; 3]; 6] = [
    [730.0, 1090.0, 2440.0],
    [530.0, 1840.0, 2480.0],
    [570.0, 840.0, 2410.0],
    [300.0, 870.0, 2240.0],
    [660.0, 1720.0, 2410.0],
    [270.0, 2290.0, 3010.0],
];
const WIDTHS: [f64; 3] = [80.0, 100.0, 140.0];
/// How long a vowel lasts, seconds; in its second half it becomes the next.
const VOWEL_S: f64 = 0.18;
/// The voice's pitch and how far it moves, its syllables in a second and how deep they are.
const PITCH: (f64, f64) = (219.0, 36.0);
const SYLLABLES: (f64, f64) = (3.72, 0.613);
const TILT: f64 = 0.463;
const ATTACK_S: f64 = 0.0218;
const LEVEL: f64 = 9285.0;

/// A question, ready to be sent.
pub(super) struct Speech {
    frames: Vec<String>,
    silence: String,
    lags: Lags,
}

/// Frames from a question's first to the one by which the detector hears it begin, and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lags {
    pub(super) voice: usize,
    pub(super) quiet: usize,
}

impl Speech {
    /// Makes it, with these many frames of silence before each question at least.
    ///
    /// # Errors
    /// The detector does not hear it, or not always alike.
    pub(super) fn new(rest: u32) -> Result<Self, String> {
        let bytes = Law::Mu.encode(&question());
        let size = Frame::samples_per_frame(RATE);
        let silent = vec![Law::Mu.silence(); size];
        let lags = lags(&bytes, &silent, rest as usize)?;
        Ok(Self {
            frames: bytes.chunks(size).map(|frame| BASE64_STANDARD.encode(frame)).collect(),
            silence: BASE64_STANDARD.encode(&silent),
            lags,
        })
    }

    /// A frame of it, in base64; behind its end, silence.
    pub(super) fn frame(&self, at: usize) -> &str {
        self.frames.get(at).unwrap_or(&self.silence)
    }

    pub(super) fn silence(&self) -> &str {
        &self.silence
    }

    /// Frames of the question.
    pub(super) fn frames(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn lags(&self) -> Lags {
        self.lags
    }
}

/// When a detector like the engine's hears the question, after silences of different lengths.
fn lags(question: &[u8], silent: &[u8], rest: usize) -> Result<Lags, String> {
    let mut vad = Vad::new(RATE, 0.7, 0.0);
    let mut hear = |bytes: &[u8]| vad.hear(&Frame { rate: RATE, samples: Law::Mu.decode(bytes) });
    let mut known: Option<Lags> = None;
    let size = silent.len();
    for (n, more) in [0, 0, 0, 1, 1, 1, 7, 10, 33, 40, 51, 61, 102, 251].into_iter().enumerate() {
        if (AFTER..rest + more).any(|_| hear(silent)) {
            return Err("the detector hears a voice in silence".into());
        }
        let after = std::iter::repeat_n(silent, AFTER);
        let heard: Vec<bool> = question.chunks(size).chain(after).map(&mut hear).collect();
        let edges = heard.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let voice = heard.iter().position(|voice| *voice).unwrap_or_default() + 1;
        let quiet = heard.iter().rposition(|voice| *voice).unwrap_or_default() + 2;
        if edges != 2 || quiet <= question.len() / size {
            return Err("the detector does not hear the question as one voice".into());
        }
        let lags = Lags { voice, quiet };
        // A detector that has heard little yet is another one; nobody measures by it.
        if n > 1 && *known.get_or_insert(lags) != lags {
            return Err(format!("the detector hears the question not always alike: {lags:?}"));
        }
    }
    known.ok_or_else(|| "the detector was not asked".into())
}

fn question() -> Vec<i16> {
    let samples = |ms: usize| ms * RATE as usize / 1000;
    let all = samples(FRAMES * FRAME_MS as usize);
    let mut sound = vec![0.0; samples(LEAD_MS)];
    sound.extend(voice(all - samples(LEAD_MS) - samples(TAIL_MS)));
    sound.resize(all, 0.0);
    let loudest = sound.iter().fold(1e-9_f64, |most, sample| most.max(sample.abs()));
    sound.iter().map(|sample| (sample / loudest * LEVEL) as i16).collect()
}

/// Pulses of a throat, shaped by a mouth that moves from vowel to vowel.
fn voice(samples: usize) -> Vec<f64> {
    let rate = f64::from(RATE);
    let (mut phase, mut throat) = (0.0, 0.0);
    let mut mouth = [[0.0_f64; 2]; 3];
    let mut shape = |n: usize| {
        let time = n as f64 / rate;
        phase += (PITCH.0 + PITCH.1 * (TAU * 0.7 * time).sin()) / rate;
        throat *= TILT;
        if phase >= 1.0 {
            phase -= 1.0;
            throat += 1.0;
        }
        let place = time / VOWEL_S;
        let (this, next) = (place as usize % VOWELS.len(), (place as usize + 1) % VOWELS.len());
        let moved = (place.fract() * 2.0 - 1.0).max(0.0);
        let mut sound = throat;
        for (formant, [one, two]) in mouth.iter_mut().enumerate() {
            let hertz = VOWELS[this][formant] * (1.0 - moved) + VOWELS[next][formant] * moved;
            let r = (-TAU / 2.0 * WIDTHS[formant] / rate).exp();
            let (a, b) = (2.0 * r * (TAU * hertz / rate).cos(), -r * r);
            sound = sound * (1.0 - a - b) + a * *one + b * *two;
            (*two, *one) = (*one, sound);
        }
        let swell = 0.5 - 0.5 * (TAU * time * SYLLABLES.0).cos();
        sound * (1.0 - SYLLABLES.1 + SYLLABLES.1 * swell) * (time / ATTACK_S).min(1.0)
    };
    (0..samples).map(&mut shape).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_detector_hears_every_question_alike_and_soon() {
        let speech = Speech::new(super::super::caller::REST).unwrap();
        let Lags { voice, quiet } = speech.lags();
        assert!(voice <= 5, "{voice} frames until a voice is heard");
        assert!((81..=86).contains(&quiet), "{quiet} frames until it is over");
        assert_eq!(speech.frames(), FRAMES);
        assert_eq!(speech.frame(FRAMES), speech.silence());
    }
}
