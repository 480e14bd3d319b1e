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
}

impl Detector {
    pub(super) fn new(rate: Rate, config: &Config) -> Self {
        let vad = Vad::new(rate, config.vad_config.confidence, config.vad_config.min_volume);
        Self { vad, voice: false, quiet_at: Moment::ZERO }
    }

    /// Takes the next frame; gives [`Input::Voice`] or [`Input::Quiet`] where one begins.
    pub(super) fn hear(&mut self, now: Moment, frame: &Frame) -> Option<Input> {
        let voice = self.vad.hear(frame);
        if voice == std::mem::replace(&mut self.voice, voice) {
            return None;
        }
        if !voice {
            self.quiet_at = now;
        }
        Some(if voice { Input::Voice } else { Input::Quiet })
    }

    /// When the caller fell silent last; zero = he never spoke.
    pub(super) fn quiet_at(&self) -> Moment {
        self.quiet_at
    }
}
