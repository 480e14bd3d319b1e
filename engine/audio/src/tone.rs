//! Tones of the network: the one before a message is left, and the one while it rings.

use std::f32::consts::TAU;

use crate::frame::Rate;

/// The tone before a message is left: 1 kHz for a quarter of a second at -12 dB, with soft ends.
pub fn beep(rate: Rate) -> Vec<i16> {
    let length = rate / 4;
    sound(rate, length, |time| (TAU * 1000.0 * time).sin() * 8192.0)
}

/// Ringing as a caller hears it, to be repeated: 440 and 480 Hz for 2 s, silence for 4 s, each at
/// -19 dBm0 (the precise tone plan of North America; ITU-T E.180 lists it).
pub fn ringback(rate: Rate) -> Vec<i16> {
    // A sine of full scale is 3.14 dBm0.
    const LEVEL: f32 = 2561.0;
    let ring = |time: f32| ((TAU * 440.0 * time).sin() + (TAU * 480.0 * time).sin()) * LEVEL;
    let mut ringing = sound(rate, rate * 2, ring);
    ringing.resize(rate as usize * 6, 0);
    ringing
}

/// So many samples of a wave, with ends of 10 ms that do not click.
fn sound(rate: Rate, length: u32, wave: impl Fn(f32) -> f32) -> Vec<i16> {
    let soft = (rate / 100).max(1);
    let sample = |n: u32| {
        let gain = n.min(length - n).min(soft) as f32 / soft as f32;
        (wave(n as f32 / rate as f32) * gain) as i16
    };
    (0..length).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ringing_is_two_seconds_of_tone_and_four_of_silence() {
        for rate in [8_000, 16_000] {
            let ringing = ringback(rate);
            assert_eq!(ringing.len(), rate as usize * 6);
            let loud = |part: &[i16]| part.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
            let second = rate as usize;
            assert!((4500..=5122).contains(&loud(&ringing[..2 * second])), "at {rate}");
            assert_eq!(loud(&ringing[2 * second..]), 0);
            // No click where the tone begins and ends.
            assert!(loud(&ringing[..8]) < 400 && loud(&ringing[2 * second - 8..2 * second]) < 400);
        }
    }

    #[test]
    fn the_beep_is_short() {
        assert_eq!(beep(8_000).len(), 2_000);
    }
}
