//! The caller's voice in his sound: where it begins and where it ends.

use agent::Config;
use audio::vad::Vad;
use audio::{Frame, Rate};

use crate::turn::{Input, Moment};

/// Listens for a voice, frame by frame.
pub(super) struct Detector {
    vad: Vad,
    /// What was heard last.
    voice: bool,
    quiet_at: Moment,
    /// The loudest frame of this voice, and the end of the last that was near it.
    loudest: i64,
    loud_at: Moment,
}

/// A voice ends with the last frame that is at most this much less loud, in power, than its loudest:
/// 20 dB. The net is slower to notice.
const NEAR: i64 = 100;

impl Detector {
    pub(super) fn new(rate: Rate, config: &Config) -> Self {
        let vad = Vad::new(rate, config.vad_config.confidence, config.vad_config.min_volume);
        let (quiet_at, loud_at) = (Moment::ZERO, Moment::ZERO);
        Self { vad, voice: false, quiet_at, loudest: 0, loud_at }
    }

    /// Takes the next frame; gives [`Input::Voice`] or [`Input::Quiet`] where one begins.
    pub(super) fn hear(&mut self, now: Moment, frame: &Frame) -> Option<Input> {
        let voice = self.vad.hear(frame);
        if voice {
            self.measure(now);
        }
        if voice == std::mem::replace(&mut self.voice, voice) {
            return None;
        }
        if !voice {
            self.quiet_at = now;
        }
        Some(if voice { Input::Voice } else { Input::Quiet })
    }

    /// Compares a frame with a voice to those before it.
    fn measure(&mut self, now: Moment) {
        let power = self.vad.power();
        self.loudest = if self.voice { self.loudest.max(power) } else { power };
        if power >= self.loudest / NEAR {
            self.loud_at = now;
        }
    }

    /// When the voice ended that was heard last, and when that was noticed; `None` while one is
    /// heard.
    pub(super) fn ended(&self) -> Option<(Moment, Moment)> {
        let ended = !self.voice && self.quiet_at > Moment::ZERO;
        ended.then_some((self.loud_at, self.quiet_at))
    }
}
