//! Sound files: RIFF WAVE, read and written.
//!
//! Lengths in a file are not believed: programs that write to a pipe (espeak-ng, sox) put zero or
//! a huge number there. What is missing is missing; what is there is read.

use crate::frame::{Frame, Rate};
use crate::g711::Law;

/// How samples are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// 16-bit linear.
    Pcm16,
    /// 8-bit linear, unsigned.
    Pcm8,
    /// 8-bit G.711.
    Law(Law),
}

/// What a file says about its sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How samples are written down.
    pub coding: Coding,
    /// Samples per second of each channel.
    pub rate: Rate,
    /// 1 or more.
    pub channels: u16,
    /// Bytes of sound that the file claims to have; `None` = it does not know.
    pub length: Option<usize>,
    /// Where the sound begins.
    pub start: usize,
}

/// The sound of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wav {
    /// Samples per second of each channel.
    pub rate: Rate,
    /// 1 or more.
    pub channels: u16,
    /// The samples; with several channels one of each in turn.
    pub samples: Vec<i16>,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not begin as a WAVE file does.
    #[error("it is no WAVE file: it begins with {0:?}, not with RIFF....WAVE")]
    NotWave(String),
    /// The file ends too early.
    #[error("it ends before its `{0}` part")]
    Short(&'static str),
    /// The way in which samples are written is not one that we read.
    #[error(
        "its samples are written as format {format} with {bits} bits; linear 8 or 16 bits, mu-law and A-law can be read"
    )]
    Coding {
        /// WAVE's number of the format.
        format: u16,
        /// Bits of a sample.
        bits: u16,
    },
    /// No such rate or number of channels can be.
    #[error(
        "it claims {channels} channels at {rate} samples per second; 1 to 8 at 4000 to 192000 can be read"
    )]
    Shape {
        /// Channels.
        channels: u16,
        /// Samples per second.
        rate: Rate,
    },
}

/// Reads the head of a file, or of as much of it as has come; `None` = more is needed.
///
/// # Errors
/// Names what is wrong with the file.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, Error> {
    let begin = &bytes[..bytes.len().min(12)];
    let fits = |at: usize, want: &[u8]| {
        begin.get(at..).unwrap_or_default().iter().zip(want).all(|(a, b)| a == b)
    };
    if !fits(0, b"RIFF") || !fits(8, b"WAVE") {
        return Err(Error::NotWave(String::from_utf8_lossy(begin).into_owned()));
    }
    let mut at = 12;
    let mut format: Option<(Coding, Rate, u16)> = None;
    while let (Some(name), Some(length)) = (bytes.get(at..at + 4), number(bytes, at + 4)) {
        let body = at + 8;
        match (name, format) {
            (b"fmt ", _) => {
                let Some(part) =
                    bytes.get(body..).and_then(|rest| rest.get(..(length as usize).clamp(16, 40)))
                else {
                    return Ok(None);
                };
                format = Some(read_format(part)?);
            }
            (b"data", Some((coding, rate, channels))) => {
                let length = (length != 0 && length < 0x7FFF_0000).then_some(length as usize);
                return Ok(Some(Head { coding, rate, channels, length, start: body }));
            }
            (b"data", None) => return Err(Error::Short("fmt ")),
            _ => {}
        }
        // Parts begin at even places.
        at = body.saturating_add(length as usize).saturating_add(length as usize & 1);
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Reads a whole file.
///
/// # Errors
/// Names what is wrong with the file.
pub fn read(bytes: &[u8]) -> Result<Wav, Error> {
    let head = head(bytes)?.ok_or(Error::Short("data"))?;
    let sound = &bytes[head.start..];
    let sound = &sound[..head.length.map_or(sound.len(), |length| length.min(sound.len()))];
    Ok(Wav { rate: head.rate, channels: head.channels, samples: decode(head.coding, sound) })
}

impl Coding {
    const fn bytes(self) -> u16 {
        match self {
            Self::Pcm16 => 2,
            Self::Pcm8 | Self::Law(_) => 1,
        }
    }

    const fn number(self) -> u16 {
        match self {
            Self::Pcm16 | Self::Pcm8 => 1,
            Self::Law(Law::A) => 6,
            Self::Law(Law::Mu) => 7,
        }
    }
}

/// Samples of a file's bytes. Half a sample at the end is left out.
pub fn decode(coding: Coding, bytes: &[u8]) -> Vec<i16> {
    match coding {
        Coding::Pcm16 => {
            bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
        }
        Coding::Pcm8 => bytes.iter().map(|byte| (i16::from(*byte) - 128) * 256).collect(),
        Coding::Law(law) => law.decode(bytes),
    }
}

impl Wav {
    /// All channels mixed into one.
    pub fn mono(&self) -> Frame {
        let channels = usize::from(self.channels.max(1));
        let mix = |each: &[i16]| {
            (each.iter().map(|s| i32::from(*s)).sum::<i32>() / channels as i32) as i16
        };
        Frame { rate: self.rate, samples: self.samples.chunks_exact(channels).map(mix).collect() }
    }

    /// Two sounds side by side: left and right, the shorter one followed by silence.
    pub fn stereo(rate: Rate, left: &[i16], right: &[i16]) -> Self {
        let length = left.len().max(right.len());
        let at = |side: &[i16], n: usize| side.get(n).copied().unwrap_or(0);
        let samples = (0..length).flat_map(|n| [at(left, n), at(right, n)]).collect();
        Self { rate, channels: 2, samples }
    }

    /// The bytes of a file.
    pub fn write(&self, coding: Coding) -> Vec<u8> {
        let data: Vec<u8> = match coding {
            Coding::Pcm16 => self.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
            Coding::Pcm8 => self.samples.iter().map(|sample| ((sample >> 8) + 128) as u8).collect(),
            Coding::Law(law) => law.encode(&self.samples),
        };
        let width = coding.bytes() * self.channels;
        // Every coding but the linear ones must name the (empty) extension and count its samples.
        let extra = usize::from(coding.number() != 1) * 14;
        let mut file = Vec::with_capacity(44 + extra + data.len() + 1);
        let put = |file: &mut Vec<u8>, number: usize| file.extend((number as u32).to_le_bytes());
        file.extend(b"RIFF");
        put(&mut file, 36 + extra + data.len() + (data.len() & 1));
        file.extend(b"WAVEfmt ");
        put(&mut file, if extra == 0 { 16 } else { 18 });
        file.extend(coding.number().to_le_bytes());
        file.extend(self.channels.to_le_bytes());
        put(&mut file, self.rate as usize);
        put(&mut file, self.rate as usize * usize::from(width));
        file.extend(width.to_le_bytes());
        file.extend((coding.bytes() * 8).to_le_bytes());
        if extra != 0 {
            file.extend([0, 0]);
            file.extend(b"fact");
            put(&mut file, 4);
            put(&mut file, self.samples.len() / usize::from(self.channels.max(1)));
        }
        file.extend(b"data");
        put(&mut file, data.len());
        file.extend(&data);
        file.extend(std::iter::repeat_n(0, data.len() & 1));
        file
    }
}

impl From<Frame> for Wav {
    fn from(frame: Frame) -> Self {
        Self { rate: frame.rate, channels: 1, samples: frame.samples }
    }
}

/// `part` has at least 16 bytes.
fn read_format(part: &[u8]) -> Result<(Coding, Rate, u16), Error> {
    let short =
        |at: usize| part.get(at..at + 2).map_or(0, |pair| u16::from_le_bytes([pair[0], pair[1]]));
    // The extensible format names the real one in its tail.
    let format = if short(0) == 0xFFFE { short(24) } else { short(0) };
    let (channels, rate, bits) = (short(2), number(part, 4).unwrap_or(0), short(14));
    let coding = match (format, bits) {
        (1, 16) => Coding::Pcm16,
        (1, 8) => Coding::Pcm8,
        (6, 8) => Coding::Law(Law::A),
        (7, 8) => Coding::Law(Law::Mu),
        _ => return Err(Error::Coding { format, bits }),
    };
    if !(1..=8).contains(&channels) || !(4_000..=192_000).contains(&rate) {
        return Err(Error::Shape { channels, rate });
    }
    Ok((coding, rate, channels))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.get(..4)?;
    Some(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wav() -> Wav {
        Wav { rate: 8_000, channels: 1, samples: vec![0, 1_000, -1_000, 30_000, -30_000] }
    }

    #[test]
    fn what_is_written_is_read() {
        for coding in [Coding::Pcm16, Coding::Pcm8, Coding::Law(Law::Mu), Coding::Law(Law::A)] {
            let back = read(&wav().write(coding)).unwrap();
            assert_eq!((back.rate, back.channels, back.samples.len()), (8_000, 1, 5), "{coding:?}");
            for (a, b) in wav().samples.iter().zip(&back.samples) {
                assert!(
                    (i32::from(*a) - i32::from(*b)).abs() < 1_000,
                    "{coding:?}: {a} became {b}"
                );
            }
        }
        assert_eq!(read(&wav().write(Coding::Pcm16)).unwrap(), wav());
    }

    #[test]
    fn fake_lengths_are_not_believed() {
        let file = wav().write(Coding::Pcm16);
        for fake in [0, 0x7FFF_F000, u32::MAX, 4_000] {
            let mut file = file.clone();
            file[4..8].copy_from_slice(&fake.to_le_bytes());
            file[40..44].copy_from_slice(&fake.to_le_bytes());
            assert_eq!(read(&file).unwrap(), wav(), "{fake}");
        }
    }

    #[test]
    fn parts_that_we_do_not_know_are_passed_over() {
        let mut file = wav().write(Coding::Pcm16);
        file.splice(12..12, *b"LIST\x03\0\0\0abc\0");
        assert_eq!(read(&file).unwrap(), wav());
    }

    #[test]
    fn a_head_that_is_still_coming_is_waited_for() {
        let file = wav().write(Coding::Law(Law::Mu));
        let complete = head(&file).unwrap().unwrap();
        for length in 0..complete.start {
            assert_eq!(head(&file[..length]), Ok(None), "{length}");
        }
        assert_eq!(head(&file[..complete.start]), Ok(Some(complete)));
    }

    #[test]
    fn faults_are_named() {
        let says = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(says(b"<html>").contains("no WAVE file"));
        assert!(says(b"").contains("ends before"));
        assert!(says(&wav().write(Coding::Pcm16)[..30]).contains("ends before"));
        let mut float = wav().write(Coding::Pcm16);
        float[20] = 3;
        assert!(says(&float).contains("format 3 with 16 bits"));
        let mut fast = wav().write(Coding::Pcm16);
        fast[24..28].copy_from_slice(&1_000_000_u32.to_le_bytes());
        assert!(says(&fast).contains("1000000"));
    }

    #[test]
    fn no_bytes_make_it_fall() {
        let file = wav().write(Coding::Pcm16);
        for at in 0..file.len() {
            for byte in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut broken = file.clone();
                broken[at] = byte;
                let _ = read(&broken);
                let _ = read(&broken[..at]);
            }
        }
    }

    #[test]
    fn two_sides_become_one() {
        let stereo = Wav::stereo(8_000, &[100, 200, 300], &[300]);
        assert_eq!(stereo.samples, [100, 300, 200, 0, 300, 0]);
        assert_eq!(read(&stereo.write(Coding::Pcm16)).unwrap().mono().samples, [200, 100, 150]);
    }
}
