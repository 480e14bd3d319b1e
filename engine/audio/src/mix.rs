//! Several people at once: the sum of what all say, without what one says.

/// The sum of pieces of sound of one length and rate.
#[derive(Debug, Default)]
pub struct Mix(Vec<i32>);

impl Mix {
    /// Begins again with silence of this many samples.
    pub fn begin(&mut self, samples: usize) {
        self.0.clear();
        self.0.resize(samples, 0);
    }

    /// Adds what one says; what is longer than the mix is left out.
    pub fn add(&mut self, samples: &[i16]) {
        for (sum, sample) in self.0.iter_mut().zip(samples) {
            *sum += i32::from(*sample);
        }
    }

    /// What somebody hears who has added `own` (empty for somebody who is silent). What is too loud
    /// is clipped.
    pub fn without(&self, own: &[i16]) -> Vec<i16> {
        let own = own.iter().copied().chain(std::iter::repeat(0));
        let left = self.0.iter().zip(own).map(|(sum, own)| sum - i32::from(own));
        left.map(|left| left.clamp(i16::MIN.into(), i16::MAX.into()) as i16).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hears_all_but_the_own_voice_and_nothing_overflows() {
        let (a, b, c) = ([1000, -1000, 30_000], [5, 5, 30_000], [0, 1, -32_768]);
        let mut mix = Mix::default();
        // What was mixed before is gone.
        mix.begin(2);
        mix.add(&[9, 9]);
        mix.begin(3);
        for voice in [a, b, c] {
            mix.add(&voice);
        }
        assert_eq!(mix.without(&a), [5, 6, -2768]);
        assert_eq!(mix.without(&c), [1005, -995, i16::MAX]);
        assert_eq!(mix.without(&[]), [1005, -994, 27_232]);
    }
}
