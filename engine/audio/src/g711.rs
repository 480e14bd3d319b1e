//! The two laws of telephone sound, mu-law and A-law (ITU-T G.711): 8 bits a sample.

/// A law: how 16-bit samples become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// PCMU, of North America and Japan, and of every media stream.
    Mu,
    /// PCMA, of the rest of the world.
    A,
}

impl Law {
    /// The byte of silence. Zero is not it: zero is the loudest sound there is.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xFF,
            Self::A => 0xD5,
        }
    }

    /// Bytes of samples, one for one.
    pub fn encode(self, samples: &[i16]) -> Vec<u8> {
        match self {
            Self::Mu => samples.iter().map(|sample| encode_mu(*sample)).collect(),
            Self::A => samples.iter().map(|sample| encode_a(*sample)).collect(),
        }
    }

    /// Samples of bytes, one for one.
    pub fn decode(self, bytes: &[u8]) -> Vec<i16> {
        let table = match self {
            Self::Mu => &MU,
            Self::A => &A,
        };
        bytes.iter().map(|byte| table[usize::from(*byte)]).collect()
    }
}

/// What each byte of mu-law sounds like.
static MU: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = decode_mu(byte as u8);
        byte += 1;
    }
    table
};

/// What each byte of A-law sounds like.
static A: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = decode_a(byte as u8);
        byte += 1;
    }
    table
};

/// Added before the logarithm, so that every magnitude has its leading bit in one of 8 places.
const BIAS: i32 = 0x84;

/// The byte of each magnitude with its bias; the three lowest bits never count.
static TO_MU: [u8; 4096] = {
    let mut table = [0; 4096];
    // With its bias no magnitude is below this.
    let mut at = BIAS >> 3;
    while at < 4096 {
        let magnitude = at << 3;
        let exponent = 24 - magnitude.leading_zeros() as i32;
        let mantissa = (magnitude >> (exponent + 3)) & 0x0F;
        table[at as usize] = !((exponent << 4) | mantissa) as u8;
        at += 1;
    }
    table
};

fn encode_mu(sample: i16) -> u8 {
    let magnitude = i32::from(sample).abs().min(0x7FFF - BIAS) + BIAS;
    let sign = if sample < 0 { 0x80 } else { 0 };
    TO_MU[(magnitude >> 3) as usize] ^ sign
}

const fn decode_mu(byte: u8) -> i16 {
    let byte = !byte as i32;
    let magnitude = ((((byte & 0x0F) << 3) + BIAS) << ((byte & 0x70) >> 4)) - BIAS;
    (if byte & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

fn encode_a(sample: i16) -> u8 {
    // Every second bit is inverted on the wire, so that silence has edges to keep clocks by.
    let (mask, magnitude) = if sample >= 0 { (0xD5, sample >> 3) } else { (0x55, !sample >> 3) };
    let magnitude = i32::from(magnitude);
    let segment = (27 - magnitude.max(1).leading_zeros() as i32).max(0);
    let mantissa = (magnitude >> segment.max(1)) & 0x0F;
    ((segment << 4) | mantissa) as u8 ^ mask
}

const fn decode_a(byte: u8) -> i16 {
    let byte = (byte ^ 0x55) as i32;
    let step = (byte & 0x0F) << 4;
    let magnitude = match (byte & 0x70) >> 4 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    (if byte & 0x80 == 0 { -magnitude } else { magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use audio_codec::{Decoder, Encoder, pcma, pcmu};

    use super::*;

    #[test]
    fn every_sample_becomes_what_another_encoder_makes_of_it() {
        let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let mu = pcmu::PcmuEncoder::new().encode(&samples);
        let a = pcma::PcmaEncoder::new().encode(&samples);
        for (law, theirs) in [(Law::Mu, mu), (Law::A, a)] {
            for (at, byte) in law.encode(&samples).iter().enumerate() {
                // Encoders round the borders between two steps differently, by less than 16 bit's 8.
                let near = &theirs[at.saturating_sub(8)..(at + 9).min(theirs.len())];
                assert!(near.contains(byte), "{law:?} {}: {byte} is none of {near:?}", samples[at]);
            }
        }
    }

    #[test]
    fn every_byte_sounds_as_another_decoder_says() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(Law::Mu.decode(&bytes), pcmu::PcmuDecoder::new().decode(&bytes));
        assert_eq!(Law::A.decode(&bytes), pcma::PcmaDecoder::new().decode(&bytes));
    }

    #[test]
    fn silence_is_silent() {
        for law in [Law::Mu, Law::A] {
            assert_eq!(law.encode(&[0]), [law.silence()]);
            assert!(law.decode(&[law.silence()])[0].abs() <= 8);
        }
    }
}
