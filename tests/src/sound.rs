//! Sound for tests, 8 kHz: mu-law as G.711 writes it down, tones, and speech by espeak-ng.

use std::f64::consts::TAU;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Samples in 20 ms.
pub const FRAME: usize = 160;
/// Silence in mu-law.
pub const SILENCE: u8 = 0xFF;

/// A sample as mu-law (ITU-T G.711: bias 33 of 14 bits, inverted).
pub fn to_mulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs()).min(32_635) + 0x84;
    let exponent = 31 - (magnitude >> 7).leading_zeros() as i32;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0F;
    !(sign | ((exponent as u8) << 4) | mantissa as u8)
}

/// Mu-law as a sample.
pub fn from_mulaw(byte: u8) -> i16 {
    let byte = !byte;
    let exponent = i32::from((byte >> 4) & 7);
    let magnitude = (((i32::from(byte & 0x0F) << 3) + 0x84) << exponent) - 0x84;
    (if byte & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

/// A tone of 440 Hz that lasts so many milliseconds, at a rate.
pub fn tone(ms: usize, rate: usize) -> Vec<i16> {
    (0..ms * rate / 1000)
        .map(|i| ((i as f64 * TAU * 440.0 / rate as f64).sin() * 8000.0) as i16)
        .collect()
}

/// Mu-law of samples.
pub fn mulaw(samples: &[i16]) -> Vec<u8> {
    samples.iter().copied().map(to_mulaw).collect()
}

/// Root mean square of samples: about 5600 for [`tone`], 0 for silence.
pub fn loudness(samples: impl IntoIterator<Item = i16>) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0_f64);
    for sample in samples {
        sum += f64::from(sample).powi(2);
        n += 1.0;
    }
    (sum / n.max(1.0)).sqrt()
}

/// Whether mu-law holds something that can be heard.
pub fn audible(bytes: &[u8]) -> bool {
    loudness(bytes.iter().copied().map(from_mulaw)) > 300.0
}

/// A sentence as espeak-ng speaks it, 8 kHz.
///
/// # Panics
/// Without espeak-ng.
pub fn speech(words: &str) -> Vec<i16> {
    let mut child = Command::new("espeak-ng")
        .args(["-v", "en-us", "-s", "150", "--stdin", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("espeak-ng is installed by tests/run.sh");
    child.stdin.take().unwrap().write_all(words.as_bytes()).unwrap();
    let wav = child.wait_with_output().unwrap().stdout;
    let rate = u32::from_le_bytes(wav[24..28].try_into().unwrap());
    let samples: Vec<i16> =
        wav[44..].as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
    to_8k(&samples, f64::from(rate))
}

/// Brings samples to 8 kHz: averages over what falls into each new sample. Good enough for ears
/// that are machines.
fn to_8k(samples: &[i16], rate: f64) -> Vec<i16> {
    let step = rate / 8000.0;
    (0..(samples.len() as f64 / step) as usize)
        .map(|i| {
            let from = (i as f64 * step) as usize;
            let to = (((i + 1) as f64 * step) as usize).clamp(from + 1, samples.len());
            let sum: i32 = samples[from..to].iter().map(|s| i32::from(*s)).sum();
            (sum / (to - from) as i32) as i16
        })
        .collect()
}

/// Samples between so many milliseconds of silence.
pub fn padded(before_ms: usize, samples: &[i16], after_ms: usize) -> Vec<i16> {
    let mut all = vec![0; before_ms * 8];
    all.extend_from_slice(samples);
    all.resize(all.len() + after_ms * 8, 0);
    all
}

/// Writes 16-bit mono samples of a rate as a wav file.
///
/// # Panics
/// When the file cannot be written.
pub fn write_wav(path: &Path, samples: &[i16], rate: u32) {
    write_channels(path, samples, rate, 1);
}

/// The same of several channels, whose samples take turns.
///
/// # Panics
/// When the file cannot be written.
pub fn write_channels(path: &Path, samples: &[i16], rate: u32, channels: u16) {
    let bytes = samples.len() as u32 * 2;
    let mut wav = Vec::with_capacity(44 + samples.len() * 2);
    wav.extend(b"RIFF");
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    for field in [1_u16, channels] {
        wav.extend(field.to_le_bytes());
    }
    wav.extend(rate.to_le_bytes());
    wav.extend((rate * 2 * u32::from(channels)).to_le_bytes());
    for field in [2 * channels, 16] {
        wav.extend(field.to_le_bytes());
    }
    wav.extend(b"data");
    wav.extend(bytes.to_le_bytes());
    wav.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    std::fs::write(path, wav).unwrap();
}

/// What a telephone has written down as wav, brought to 16 kHz; of several channels the first.
///
/// # Panics
/// When it is none.
pub fn recorded(wav: &[u8]) -> Vec<i16> {
    let channels = usize::from(u16::from_le_bytes(wav[22..24].try_into().unwrap()));
    let rate = u32::from_le_bytes(wav[24..28].try_into().unwrap()) as usize;
    let data = &wav[44.min(wav.len())..];
    let all = data.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair));
    let one: Vec<i16> = all.step_by(channels).collect();
    // By straight lines: good enough for ears that are machines.
    let at = |n: usize| i32::from(one.get(n).copied().unwrap_or(0));
    (0..one.len() * 16_000 / rate)
        .map(|n| {
            let (whole, part) = (n * rate / 16_000, (n * rate % 16_000) as i32);
            (at(whole) + (at(whole + 1) - at(whole)) * part / 16_000) as i16
        })
        .collect()
}

/// Which of these sentences are spoken in samples of 16 kHz, in order, as pocketsphinx hears it.
///
/// # Panics
/// Without pocketsphinx.
pub fn understood(samples: &[i16], sentences: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (grammar, wav) = (folder.path().join("sentences.gram"), folder.path().join("heard.wav"));
    let text = format!("#JSGF V1.0;\ngrammar g;\npublic <s> = {};\n", sentences.join(" | "));
    std::fs::write(&grammar, text).unwrap();
    write_wav(&wav, samples, 16_000);
    let heard = Command::new("pocketsphinx_continuous")
        .args(["-logfn", "/dev/null", "-jsgf"])
        .arg(&grammar)
        .arg("-infile")
        .arg(&wav)
        .output()
        .expect("pocketsphinx is installed by tests/run.sh");
    let heard = String::from_utf8(heard.stdout).unwrap();
    heard.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of the G.711 table, and there and back within a step.
    #[test]
    fn mulaw_is_the_table() {
        assert_eq!((to_mulaw(0), to_mulaw(32_767), to_mulaw(-32_768)), (0xFF, 0x80, 0x00));
        assert_eq!((from_mulaw(0xFF), from_mulaw(0x80), from_mulaw(0x00)), (0, 32_124, -32_124));
        for sample in (-32_000..32_000).step_by(77) {
            let back = i32::from(from_mulaw(to_mulaw(sample)));
            assert!(
                (back - i32::from(sample)).abs() <= 16 + i32::from(sample).abs() / 16,
                "{sample} -> {back}"
            );
        }
    }

    #[test]
    fn a_tone_is_heard_and_silence_is_not() {
        assert!(audible(&mulaw(&tone(20, 8000))));
        assert!(!audible(&[SILENCE; FRAME]));
    }
}
