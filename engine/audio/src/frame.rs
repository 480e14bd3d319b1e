//! Sound on the move: linear samples at a rate, 20 ms of them on a call.

/// Samples per second: 8,000 on telephones, 16,000 in browsers, 16,000-48,000 from vendors.
pub type Rate = u32;

/// The length of a call's frame in milliseconds.
pub const FRAME_MS: u32 = 20;

/// A piece of mono sound: 16-bit linear samples. On a leg it is exactly 20 ms long; what a vendor
/// sends may have any length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Samples per second.
    pub rate: Rate,
    /// The samples.
    pub samples: Vec<i16>,
}

impl Frame {
    /// Samples in 20 ms at a rate.
    pub const fn samples_per_frame(rate: Rate) -> usize {
        (rate / 1000 * FRAME_MS) as usize
    }

    /// 20 ms of silence.
    pub fn silence(rate: Rate) -> Self {
        Self { rate, samples: vec![0; Self::samples_per_frame(rate)] }
    }

    /// The sum of the squares of its samples.
    pub fn power(&self) -> i64 {
        self.samples.iter().map(|sample| i64::from(i32::from(*sample).pow(2))).sum()
    }

    /// How long it sounds, in milliseconds, rounded down.
    pub fn millis(&self) -> u64 {
        if self.rate == 0 { 0 } else { self.samples.len() as u64 * 1000 / u64::from(self.rate) }
    }
}
