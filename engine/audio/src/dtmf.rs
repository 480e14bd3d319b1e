//! Keys as sound: the pairs of tones of ITU-T Q.23, made and heard by the limits of Q.24.
//!
//! [`tones`] makes them, [`Ear`] hears them: every 5 ms it looks at the last 20 ms, takes the
//! strongest tone of each group, and knows each one's frequency by how far its phase has turned
//! since. A key counts once it has stood for 30 ms.

use std::f64::consts::TAU;

use crate::frame::Rate;

/// The rows of a keypad, in Hz.
const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
/// The columns.
const HIGH: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// Which key lies where.
const KEYS: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// The amplitude of a tone of 0 dBm0: a sine of full scale is 3.14 dBm0 in G.711.
const ZERO_DBM0: f64 = 22_826.0;
/// How loud each group is made, in dBm0. Lines damp the higher one more.
const MADE: (f64, f64) = (-9.0, -7.0);
/// How long a key is made to sound, and how long the pause after it, in milliseconds. Q.24 wants
/// 40 of each; lines are worse than that.
pub const TONE_MS: u32 = 100;
/// The pause after a key, in milliseconds.
pub const GAP_MS: u32 = 100;
/// The edges of a tone, so that none clicks, in milliseconds.
const EDGE_MS: u32 = 3;

/// The key that a character stands for, in either case; `None` = it is no key.
pub fn key(character: char) -> Option<char> {
    let key = character.to_ascii_uppercase();
    place(key).map(|_| key)
}

fn place(key: char) -> Option<(usize, usize)> {
    let of = |row: &[char; 4]| row.iter().position(|candidate| *candidate == key);
    KEYS.iter().enumerate().find_map(|(row, keys)| Some((row, of(keys)?)))
}

/// The sound of keys, each [`TONE_MS`] long with [`GAP_MS`] after it. What is no key is silence of
/// the same length.
pub fn tones(keys: &str, rate: Rate) -> Vec<i16> {
    keys.chars().flat_map(|key| tone(key, rate, TONE_MS, GAP_MS)).collect()
}

/// The sound of one key: so many milliseconds of it, and so many of silence.
pub fn tone(key: char, rate: Rate, tone_ms: u32, gap_ms: u32) -> Vec<i16> {
    let samples = |ms: u32| (u64::from(rate) * u64::from(ms) / 1000) as usize;
    let (long, edge) = (samples(tone_ms), samples(EDGE_MS).max(1) as f64);
    let mut sound = vec![0; long + samples(gap_ms)];
    let Some((row, column)) = place(key.to_ascii_uppercase()) else { return sound };
    let amplitude = |dbm0: f64| ZERO_DBM0 * 10f64.powf(dbm0 / 20.0);
    let (low, high) = (amplitude(MADE.0), amplitude(MADE.1));
    for (at, sample) in sound[..long].iter_mut().enumerate() {
        let time = at as f64 / f64::from(rate);
        let slope = (at.min(long - 1 - at) as f64 / edge).min(1.0);
        let sum = low * (TAU * LOW[row] * time).sin() + high * (TAU * HIGH[column] * time).sin();
        *sample = (sum * slope) as i16;
    }
    sound
}

/// Milliseconds between two looks.
const HOP_MS: u32 = 5;
/// Hops in what a look sees.
const SEEN: usize = 4;
/// Looks that a key must stand: 30 ms. Q.24 wants 40 ms heard and 23 ms (AT&T) or less not.
const STANDS: usize = 6;
/// Looks without it after which the same key is a new one: 20 ms. Q.24 wants 40 ms heard as a
/// pause, and a break of 10 ms passed over.
const ENDS: usize = 4;
/// The weakest tone that counts, in dBm0. Q.24 wants -25 heard (AT&T), -55 not.
const WEAKEST: f64 = -34.0;
/// How much stronger than the low tone the high one may be, as a ratio of powers: 4 dB and some.
const TWIST: f64 = 3.2;
/// How much stronger than the high tone the low one may be: 8 dB and some.
const REVERSE_TWIST: f64 = 8.0;
/// How far off its frequency a tone may be. Q.24 wants 1.5 % heard and 3.5 % not.
const OFF: f64 = 0.025;
/// How much of all that sounds the two tones must be. Speech has more than two.
const SHARE: f64 = 0.62;

/// Hears keys in sound.
pub struct Ear {
    rate: Rate,
    /// The last samples, as many as a look sees, then those of the hop that is not full.
    kept: Vec<f32>,
    hop: usize,
    window: Vec<f32>,
    /// `e` to the power of each tone's turn, for each sample of the window.
    waves: Vec<[(f32, f32); 8]>,
    /// The phases of the last look.
    phases: [f64; 8],
    /// The key that stands, its power at each look so far, whether it was told.
    standing: Option<(char, Vec<f64>, bool)>,
    /// Looks since it was last seen.
    missed: usize,
}

impl Ear {
    /// An ear for a stream of sound.
    pub fn new(rate: Rate) -> Self {
        let hop = (rate * HOP_MS / 1000).max(1) as usize;
        let size = hop * SEEN;
        let window = (0..size)
            .map(|at| (0.5 - 0.5 * (TAU * (at as f64 + 0.5) / size as f64).cos()) as f32)
            .collect();
        let waves = (0..size)
            .map(|at| {
                std::array::from_fn(|tone| {
                    let turn = TAU * frequency(tone) * at as f64 / f64::from(rate);
                    (turn.cos() as f32, turn.sin() as f32)
                })
            })
            .collect();
        let kept = vec![0.0; size - hop];
        Self { rate, kept, hop, window, waves, phases: [0.0; 8], standing: None, missed: 0 }
    }

    /// Takes the next samples; gives the keys that became certain in them.
    pub fn hear(&mut self, samples: &[i16]) -> Vec<char> {
        let mut keys = Vec::new();
        self.kept.extend(samples.iter().map(|sample| f32::from(*sample)));
        let size = self.window.len();
        let mut at = 0;
        while at + size <= self.kept.len() {
            let seen = self.look(at);
            keys.extend(self.judge(seen));
            at += self.hop;
        }
        self.kept.drain(..at);
        keys
    }

    /// The key in the window that begins there, and its power.
    fn look(&mut self, at: usize) -> Option<(char, f64)> {
        let size = self.window.len();
        let seen: Vec<f32> =
            self.kept[at..at + size].iter().zip(&self.window).map(|(s, w)| s * w).collect();
        let all: f64 = seen.iter().map(|sample| f64::from(sample * sample)).sum();
        // The mean of the window is 1/2, of its square 3/8.
        let power = all / (0.375 * size as f64);
        let weakest = ZERO_DBM0.powi(2) / 2.0 * 10f64.powf(WEAKEST / 10.0);
        if power < weakest {
            return None;
        }
        let mut sums = [(0f32, 0f32); 8];
        for (sample, waves) in seen.iter().zip(&self.waves) {
            for (sum, wave) in sums.iter_mut().zip(waves) {
                sum.0 += sample * wave.0;
                sum.1 -= sample * wave.1;
            }
        }
        let before = self.phases;
        let of = |(re, im): (f32, f32)| {
            (f64::from(re).powi(2) + f64::from(im).powi(2)) / (size as f64 / 2.0).powi(2) * 2.0
        };
        let powers: [f64; 8] = std::array::from_fn(|tone| of(sums[tone]));
        self.phases =
            std::array::from_fn(|tone| f64::from(sums[tone].1).atan2(sums[tone].0.into()));
        let (row, column) = (strongest(&powers[..4]), strongest(&powers[4..]));
        let (low, high) = (powers[row], powers[4 + column]);
        let fits = low >= weakest
            && high >= weakest
            && high <= low * TWIST
            && low <= high * REVERSE_TWIST
            && low + high >= power * SHARE
            && self.in_tune(row, before[row])
            && self.in_tune(4 + column, before[4 + column]);
        fits.then_some((KEYS[row][column], low + high))
    }

    /// Whether a tone has its frequency, by how its phase turned since the last look.
    fn in_tune(&self, tone: usize, before: f64) -> bool {
        let step = self.hop as f64 / f64::from(self.rate);
        let turned = self.phases[tone] - before - TAU * frequency(tone) * step;
        let turned = turned - TAU * (turned / TAU).round();
        (turned / TAU / step).abs() <= frequency(tone) * OFF
    }

    fn judge(&mut self, seen: Option<(char, f64)>) -> Option<char> {
        if let Some((key, powers, told)) = &mut self.standing {
            let strongest = powers.iter().copied().fold(0.0, f64::max);
            match seen {
                // An edge of the tone, or a break in it, is seen as less than half of its height.
                Some((same, power)) if same == *key && power * 4.0 >= strongest => {
                    self.missed = 0;
                    if *told {
                        return None;
                    }
                    powers.push(power);
                    let strongest = strongest.max(power);
                    let full = powers.iter().filter(|power| **power * 4.0 >= strongest).count();
                    *told = full >= STANDS;
                    return told.then_some(*key);
                }
                Some(_) | None => {
                    self.missed += 1;
                    if *told && self.missed < ENDS {
                        return None;
                    }
                }
            }
        }
        self.missed = 0;
        self.standing = seen.map(|(key, power)| (key, vec![power], false));
        None
    }
}

fn frequency(tone: usize) -> f64 {
    if tone < 4 { LOW[tone] } else { HIGH[tone - 4] }
}

fn strongest(powers: &[f64]) -> usize {
    let at =
        |best: usize, (at, power): (usize, &f64)| if *power > powers[best] { at } else { best };
    powers.iter().enumerate().fold(0, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711::Law;

    const ALL: &str = "1234567890*#ABCD";

    /// Two tones, each with its level in dBm0 and how far it is off its frequency.
    fn pair(key: char, rate: Rate, ms: u32, levels: (f64, f64), off: f64) -> Vec<i16> {
        let (row, column) = place(key).expect("a key");
        let amplitude = |dbm0: f64| ZERO_DBM0 * 10f64.powf(dbm0 / 20.0);
        (0..rate * ms / 1000)
            .map(|at| {
                let time = f64::from(at) / f64::from(rate) * TAU * (1.0 + off);
                let low = amplitude(levels.0) * (time * LOW[row]).sin();
                (low + amplitude(levels.1) * (time * HIGH[column]).sin()) as i16
            })
            .collect()
    }

    fn silence(rate: Rate, ms: u32) -> Vec<i16> {
        vec![0; (rate * ms / 1000) as usize]
    }

    fn heard(rate: Rate, sound: &[i16]) -> String {
        let mut ear = Ear::new(rate);
        let mut keys = String::new();
        // Pieces of odd lengths, and what a codec leaves of them.
        for piece in sound.chunks(137) {
            keys.extend(ear.hear(&Law::Mu.decode(&Law::Mu.encode(piece))));
        }
        keys.extend(ear.hear(&silence(rate, 100)));
        keys
    }

    #[test]
    fn what_is_made_is_heard_at_every_rate() {
        for rate in [8_000, 16_000, 24_000, 48_000] {
            assert_eq!(heard(rate, &tones(ALL, rate)), ALL, "at {rate} Hz");
        }
        assert_eq!(heard(8_000, &tones("11223344", 8_000)), "11223344");
        assert_eq!(key('d'), Some('D'));
        assert_eq!(key('x'), None);
    }

    #[test]
    fn made_tones_stay_in_range_and_end_in_silence() {
        let sound = tone('5', 8_000, 100, 50);
        assert_eq!(sound.len(), 1_200);
        assert!(sound[800..].iter().all(|sample| *sample == 0));
        assert!(sound.iter().all(|sample| sample.unsigned_abs() < 20_000));
        assert!(tone('x', 8_000, 100, 50).iter().all(|sample| *sample == 0));
    }

    #[test]
    fn forty_milliseconds_are_a_key_and_twenty_three_are_none() {
        for key in ALL.chars() {
            // Wherever the tone lies between two looks.
            for shift in 0..40 {
                let at = vec![0; shift];
                let sound = |ms| [at.clone(), pair(key, 8_000, ms, (-9.0, -7.0), 0.0)].concat();
                assert_eq!(heard(8_000, &sound(40)), key.to_string(), "40 ms of {key}, {shift}");
                assert_eq!(heard(8_000, &sound(23)), "", "23 ms of {key}, {shift}");
            }
        }
    }

    #[test]
    fn a_pause_of_forty_milliseconds_parts_and_a_break_of_ten_does_not() {
        for key in ALL.chars() {
            let tone = |ms| pair(key, 8_000, ms, (-9.0, -7.0), 0.0);
            let parted = [tone(50), silence(8_000, 40), tone(50)].concat();
            assert_eq!(heard(8_000, &parted), format!("{key}{key}"));
            let broken = [tone(60), silence(8_000, 10), tone(60)].concat();
            assert_eq!(heard(8_000, &broken), key.to_string());
        }
    }

    #[test]
    fn a_tone_may_be_off_by_one_and_a_half_percent_but_not_by_three_and_a_half() {
        for key in ALL.chars() {
            for off in [-0.015, 0.015] {
                let sound = pair(key, 8_000, 60, (-9.0, -7.0), off);
                assert_eq!(heard(8_000, &sound), key.to_string(), "{key} off by {off}");
            }
            for off in [-0.035, 0.035] {
                assert_eq!(heard(8_000, &pair(key, 8_000, 100, (-9.0, -7.0), off)), "", "{key}");
            }
        }
    }

    #[test]
    fn levels_are_those_of_lines() {
        for key in ALL.chars() {
            for levels in [(-3.0, -3.0), (-25.0, -25.0), (-14.0, -10.0), (-10.0, -18.0)] {
                let sound = pair(key, 8_000, 60, levels, 0.0);
                assert_eq!(heard(8_000, &sound), key.to_string(), "{key} at {levels:?}");
            }
            for levels in [(-45.0, -45.0), (-16.0, -6.0), (-6.0, -18.0), (-9.0, -60.0)] {
                assert_eq!(heard(8_000, &pair(key, 8_000, 100, levels, 0.0)), "", "at {levels:?}");
            }
        }
    }

    #[test]
    fn noise_fifteen_db_below_does_not_hide_a_key_and_is_none_itself() {
        let mut seed = 1u32;
        let mut noise = |dbm0: f64| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let even = f64::from(seed >> 8) / f64::from(1u32 << 23) - 1.0;
            // An even spread of this height has the power of a sine of 0 dBm0.
            (even * ZERO_DBM0 * 1.5f64.sqrt() * 10f64.powf(dbm0 / 20.0)) as i16
        };
        for key in ALL.chars() {
            let mut sound = silence(8_000, 60);
            sound.extend(pair(key, 8_000, 60, (-12.0, -12.0), 0.0));
            sound.extend(silence(8_000, 60));
            sound.iter_mut().for_each(|sample| *sample += noise(-27.0));
            assert_eq!(heard(8_000, &sound), key.to_string());
        }
        let alone: Vec<i16> = (0..8_000 * 60).map(|_| noise(-10.0)).collect();
        assert_eq!(heard(8_000, &alone), "");
    }
}
