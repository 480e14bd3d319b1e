//! Sound as vendors carry it: mu-law for telephones, 16-bit little-endian for everybody else.

use audio::g711::Law;
use audio::{Frame, Rate};

/// The rate of telephones, at which nothing is resampled.
pub(crate) const TELEPHONE: Rate = 8000;

/// The rate of a voice for everybody else.
pub(crate) const WIDE: Rate = 16_000;

/// Telephone sound goes as it came: in half the bytes.
pub(crate) fn is_mulaw(rate: Rate) -> bool {
    rate == TELEPHONE
}

/// Bytes of a frame that has this rate.
pub(crate) fn encode(frame: &Frame, rate: Rate) -> Vec<u8> {
    if is_mulaw(rate) { Law::Mu.encode(&frame.samples) } else { linear(&frame.samples) }
}

/// Bytes of frames that have this rate.
pub(crate) fn encoded(frames: &[Frame], rate: Rate) -> Vec<u8> {
    frames.iter().map(|frame| encode(frame, rate)).collect::<Vec<_>>().concat()
}

/// Samples as 16-bit little-endian bytes.
pub(crate) fn linear(samples: &[i16]) -> Vec<u8> {
    samples.iter().map(|sample| sample.to_le_bytes()).collect::<Vec<_>>().into_flattened()
}

/// Reads what a vendor sends at a rate, wherever it was divided: half a sample waits for its other
/// half.
#[derive(Debug)]
pub(crate) struct Samples {
    rate: Rate,
    law: bool,
    half: Option<u8>,
}

impl Samples {
    /// Mu-law at the telephone's rate, else 16 bits.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, law: is_mulaw(rate), half: None }
    }

    /// 16 bits at any rate.
    pub(crate) fn linear(rate: Rate) -> Self {
        Self { rate, law: false, half: None }
    }

    /// The rate.
    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// The whole samples that end in these bytes.
    pub(crate) fn of(&mut self, bytes: &[u8]) -> Vec<i16> {
        if self.law {
            return Law::Mu.decode(bytes);
        }
        let mut samples = Vec::with_capacity(bytes.len() / 2 + 1);
        for &byte in bytes {
            match self.half.take() {
                Some(low) => samples.push(i16::from_le_bytes([low, byte])),
                None => self.half = Some(byte),
            }
        }
        samples
    }

    /// The same, as a frame of any length.
    pub(crate) fn frame(&mut self, bytes: &[u8]) -> Frame {
        Frame { rate: self.rate, samples: self.of(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_whole_wherever_the_bytes_are_divided() {
        let all = linear(&[1, -2, 300, -32768]);
        for cut in 0..all.len() {
            let mut samples = Samples::new(24_000);
            let mut heard = samples.of(&all[..cut]);
            heard.extend(samples.of(&all[cut..]));
            assert_eq!(heard, [1, -2, 300, -32768], "cut at {cut}");
        }
    }

    #[test]
    fn telephones_get_their_own_law() {
        let frame = Frame::silence(TELEPHONE);
        let bytes = encode(&frame, TELEPHONE);
        assert_eq!(bytes, [0xFF; 160]);
        assert_eq!(Samples::new(TELEPHONE).frame(&bytes), frame);
        assert_eq!(encode(&Frame::silence(WIDE), WIDE).len(), 640);
    }
}
