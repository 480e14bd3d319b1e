//! Hides lost sound: goes on with the last period of the voice, fading, and blends into what
//! comes after it.
//!
//! As ITU-T G.711, Appendix I, does it in outline: the period is where the last sound is most like
//! itself a little earlier. After 60 ms nothing is left but silence, since a voice that stands
//! still for longer sounds like a machine.

use std::collections::VecDeque;

use crate::frame::Rate;

/// The shortest and the longest period of a voice, in milliseconds: 400 Hz to 66 Hz.
const PERIODS_MS: (usize, usize) = (2, 15);
/// How much sound is compared, in milliseconds.
const COMPARED_MS: usize = 20;
/// How long the last sound goes on at its full height, then until it is silent, in milliseconds.
const FULL_MS: usize = 10;
const FADED_MS: usize = 60;
/// How long the made sound overlaps with the next true one, in milliseconds.
const BLEND_MS: usize = 5;

/// The end of a stream's sound, and what is made up after it.
pub(crate) struct Concealer {
    a_ms: usize,
    /// The last sound, true or made up, as much as a period and its comparison need.
    last: VecDeque<i16>,
    /// Samples that were made up since the last true ones.
    made: usize,
    /// The last period, and where in it the next sample is.
    period: Vec<i16>,
}

impl Concealer {
    pub(crate) fn new(rate: Rate) -> Self {
        let a_ms = (rate / 1000).max(1) as usize;
        Self { a_ms, last: VecDeque::new(), made: 0, period: Vec::new() }
    }

    /// Takes true sound; gives it back with its beginning blended, if some was made up before.
    pub(crate) fn heard(&mut self, mut samples: Vec<i16>) -> Vec<i16> {
        if self.made > 0 && !samples.is_empty() {
            let blend = (BLEND_MS * self.a_ms).min(samples.len());
            for (at, sample) in samples[..blend].iter_mut().enumerate() {
                let (made, share) = (self.next(), at as i32 + 1);
                let whole = blend as i32 + 1;
                let sum = i32::from(*sample) * share + i32::from(made) * (whole - share);
                *sample = (sum / whole) as i16;
            }
            self.made = 0;
        }
        self.keep(&samples);
        samples
    }

    /// So many samples in place of those that are lost.
    pub(crate) fn conceal(&mut self, size: usize) -> Vec<i16> {
        if self.made == 0 {
            self.find_period();
        }
        (0..size).map(|_| self.next()).collect()
    }

    fn keep(&mut self, samples: &[i16]) {
        let most = (PERIODS_MS.1 + COMPARED_MS) * self.a_ms;
        self.last.extend(&samples[samples.len().saturating_sub(most)..]);
        let surplus = self.last.len().saturating_sub(most);
        self.last.drain(..surplus);
    }

    /// The next sample that is made up.
    fn next(&mut self) -> i16 {
        let (full, faded) = (FULL_MS * self.a_ms, FADED_MS * self.a_ms);
        let at = self.made;
        self.made += 1;
        if self.period.is_empty() || at >= faded {
            return 0;
        }
        let sample = i32::from(self.period[at % self.period.len()]);
        let height = faded - at.max(full);
        (sample * height as i32 / (faded - full) as i32) as i16
    }

    /// Where the end of the sound is most like itself a period earlier.
    fn find_period(&mut self) {
        let last = self.last.make_contiguous();
        let (shortest, longest) = (PERIODS_MS.0 * self.a_ms, PERIODS_MS.1 * self.a_ms);
        let compared = COMPARED_MS * self.a_ms;
        self.period.clear();
        if last.len() < longest + compared {
            return;
        }
        let end = &last[last.len() - compared..];
        // Every second sample at 8 kHz, every fourth at 16: enough to tell periods apart.
        let step = (self.a_ms / 4).max(1);
        let (mut best, mut likest) = (shortest, f64::MIN);
        for lag in (shortest..=longest).step_by((self.a_ms / 8).max(1)) {
            let from = last.len() - compared - lag;
            let before = &last[from..from + compared];
            let (mut product, mut energy) = (0f64, 1f64);
            for (a, b) in end.iter().zip(before).step_by(step) {
                product += f64::from(*a) * f64::from(*b);
                energy += f64::from(*b) * f64::from(*b);
            }
            let likeness = product / energy.sqrt();
            if likeness > likest {
                (best, likest) = (lag, likeness);
            }
        }
        self.period.extend_from_slice(&last[last.len() - best..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: Rate, from: usize, samples: usize) -> Vec<i16> {
        let turn = std::f64::consts::TAU * 200.0 / f64::from(rate);
        (from..from + samples).map(|at| (9_000.0 * (turn * at as f64).sin()) as i16).collect()
    }

    #[test]
    fn a_gap_in_a_steady_sound_is_hardly_heard() {
        for rate in [8_000, 16_000] {
            let frame = (rate / 50) as usize;
            let mut concealer = Concealer::new(rate);
            let mut sound = concealer.heard(tone(rate, 0, 3 * frame));
            sound.extend(concealer.conceal(frame));
            sound.extend(concealer.heard(tone(rate, 4 * frame, frame)));
            let steepest = |sound: &[i16]| sound.windows(2).map(|w| w[0].abs_diff(w[1])).max();
            let (usual, now) = (steepest(&tone(rate, 0, 3 * frame)), steepest(&sound));
            // No step at any border that the tone itself does not have.
            assert!(now <= usual.map(|steepest| steepest * 3 / 2), "{now:?} after {usual:?}");
            let off = |at: usize| sound[at].abs_diff(tone(rate, at, 1)[0]);
            assert!((3 * frame..3 * frame + frame / 2).all(|at| off(at) < 1_500));
        }
    }

    #[test]
    fn a_long_gap_fades_into_silence() {
        let mut concealer = Concealer::new(8_000);
        concealer.heard(tone(8_000, 0, 800));
        let made: Vec<i16> = (0..5).flat_map(|_| concealer.conceal(160)).collect();
        let loudest = |part: &[i16]| part.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(loudest(&made[..160]) > Some(8_000));
        assert!(loudest(&made[320..480]) < Some(5_000));
        assert_eq!(loudest(&made[480..]), Some(0));
    }

    #[test]
    fn before_any_sound_there_is_silence() {
        let mut concealer = Concealer::new(8_000);
        assert_eq!(concealer.conceal(3), [0, 0, 0]);
        assert_eq!(concealer.heard(vec![60; 60])[59], 60);
    }
}
