//! Paces sound to a leg: any rate and any length in, 20 ms frames out, a little ahead of the ear.

use std::collections::VecDeque;
use std::time::Duration;

use audio::resample::Resampler;
use audio::{FRAME_MS, Frame, Rate};
use tokio::time::Instant;

/// How far the leg is kept ahead of what is heard: enough for the jitter of a network, little
/// enough that a cut is heard at once even where a carrier clears late.
const AHEAD: Duration = Duration::from_millis(200);

const FRAME: Duration = Duration::from_millis(FRAME_MS as u64);

/// Sound on its way to a leg. Pure but for the times that it is given.
pub(crate) struct Player {
    rate: Rate,
    /// Frames that are not yet due.
    frames: VecDeque<Frame>,
    /// Samples that do not fill a frame yet, at the leg's rate.
    rest: Vec<i16>,
    /// Kept as long as the sound keeps its rate, so that no seam is heard.
    resampler: Option<(Rate, Resampler)>,
    /// When what was given to the leg so far has been heard.
    heard: Instant,
}

impl Player {
    /// A player for a leg of this rate, which has nothing to play at `now`.
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, frames: VecDeque::new(), rest: Vec::new(), resampler: None, heard: now }
    }

    /// Adds sound of any rate and length.
    pub(crate) fn push(&mut self, sound: &Frame) {
        if sound.rate == self.rate || sound.rate == 0 {
            self.rest.extend_from_slice(&sound.samples);
        } else {
            if self.resampler.as_ref().is_none_or(|(rate, _)| *rate != sound.rate) {
                self.flush();
                self.resampler = Some((sound.rate, Resampler::new(sound.rate, self.rate)));
            }
            if let Some((_, resampler)) = &mut self.resampler {
                self.rest.extend(resampler.process(&sound.samples));
            }
        }
        self.cut();
    }

    /// What the resampler still holds back.
    fn flush(&mut self) {
        if let Some((_, mut resampler)) = self.resampler.take() {
            self.rest.extend(resampler.finish());
        }
    }

    /// Cuts whole frames from what has come.
    fn cut(&mut self) {
        let size = Frame::samples_per_frame(self.rate);
        let whole = self.rest.len() / size * size;
        for samples in self.rest[..whole].chunks_exact(size) {
            self.frames.push_back(Frame { rate: self.rate, samples: samples.to_vec() });
        }
        self.rest.drain(..whole);
    }

    /// Fills the last frame with silence. Call it when no more sound comes.
    pub(crate) fn finish(&mut self) {
        self.flush();
        self.cut();
        if !self.rest.is_empty() {
            let mut samples = std::mem::take(&mut self.rest);
            samples.resize(Frame::samples_per_frame(self.rate), 0);
            self.frames.push_back(Frame { rate: self.rate, samples });
        }
    }

    /// How much waits to be given to the leg.
    pub(crate) fn backlog(&self) -> Duration {
        FRAME * u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    /// When the next frame is due; `None` = there is none.
    pub(crate) fn due(&self) -> Option<Instant> {
        // `heard` may lie in the past when the sound came too slowly: then it is due at once.
        self.frames.front().map(|_| self.heard.checked_sub(AHEAD).unwrap_or(self.heard))
    }

    /// Takes the next frame, to be given to the leg at `now`.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.heard = self.heard.max(now) + FRAME;
        Some(frame)
    }

    /// When all that was given to the leg should have been heard.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn odd_pieces_become_whole_frames_and_the_last_is_filled() {
        let mut player = Player::new(8000, Instant::now());
        player.push(&Frame { rate: 8000, samples: vec![1; 100] });
        assert_eq!(player.due(), None);
        player.push(&Frame { rate: 8000, samples: vec![2; 300] });
        player.finish();
        let frames: Vec<_> = std::iter::from_fn(|| player.take(Instant::now())).collect();
        assert_eq!(frames.len(), 3);
        assert!(frames.iter().all(|frame| frame.samples.len() == 160));
        assert_eq!((frames[0].samples[99], frames[0].samples[100]), (1, 2));
        assert_eq!((frames[2].samples[79], frames[2].samples[80]), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn it_keeps_two_hundred_milliseconds_ahead() {
        let start = Instant::now();
        let mut player = Player::new(8000, start);
        player.push(&Frame { rate: 8000, samples: vec![1; 160 * 50] });
        for _ in 0..10 {
            assert!(player.due().unwrap() <= start);
            player.take(start);
        }
        assert_eq!(player.due(), Some(start));
        player.take(start);
        assert_eq!(player.due(), Some(start + FRAME));
        // Too slow a source does not make it hurry afterwards.
        let late = start + Duration::from_secs(9);
        player.take(late);
        assert_eq!(player.heard(), late + FRAME);
    }
}
