//! What the voice detector says, in time: since when the caller speaks or is silent. Pure.

use std::time::Duration;

use crate::turn::Moment;

/// So much voice was meant to be understood.
pub(crate) const MEANT: Duration = Duration::from_millis(500);

/// Silences shorter than this belong to the voice around them: stops and breaths inside of words.
const GAP: Duration = Duration::from_millis(120);

/// An answer of the recognizer that comes later is about something else.
const STALE: Duration = Duration::from_millis(1500);

/// The caller's voice, as edges in time.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    /// When the voice began that sounds now, or sounded last.
    voice: Option<Moment>,
    /// When it fell silent; `None` while it sounds.
    quiet: Option<Moment>,
    /// Whether the recognizer was told of the voice and not of its end.
    told: bool,
    /// When it was told of a voice last.
    told_at: Moment,
    /// When it was told of a silence last.
    hushed: Option<Moment>,
}

impl Ear {
    /// The detector hears a voice. Gives whether the recognizer must be told.
    pub(crate) fn voice(&mut self, now: Moment) -> bool {
        match (self.voice, self.quiet) {
            (Some(_), None) => {}
            (Some(_), Some(quiet)) if now - quiet <= GAP => self.quiet = None,
            (Some(_) | None, _) => (self.voice, self.quiet) = (Some(now), None),
        }
        let news = !std::mem::replace(&mut self.told, true);
        if news {
            self.told_at = now;
        }
        news
    }

    /// The detector hears no voice any more.
    pub(crate) fn quiet(&mut self, now: Moment) {
        if self.voice.is_some() {
            self.quiet.get_or_insert(now);
        }
    }

    /// Since when the caller speaks, if he does.
    pub(crate) fn speaking(&self) -> Option<Moment> {
        if self.quiet.is_none() { self.voice } else { None }
    }

    /// Since when the caller is silent; `None` while he speaks, or if he never did.
    pub(crate) fn silent(&self) -> Option<Moment> {
        self.quiet
    }

    /// When the voice that was heard last began.
    pub(crate) fn began(&self) -> Moment {
        self.voice.unwrap_or_default()
    }

    /// How long he has spoken, pauses included that are too short for the recognizer to be told of
    /// them; while he speaks, nothing yet.
    pub(crate) fn spoke_for(&self) -> Duration {
        self.quiet.map_or(Duration::ZERO, |quiet| quiet.saturating_sub(self.told_at))
    }

    /// When a silence is no longer a gap in the voice before it.
    pub(crate) fn gap_over(&self) -> Option<Moment> {
        self.quiet.map(|quiet| quiet + GAP)
    }

    /// When to tell the recognizer of the silence, if it lasts for `hush`.
    pub(crate) fn hush_at(&self, hush: Duration) -> Option<Moment> {
        self.quiet.filter(|_| self.told).map(|quiet| quiet + hush)
    }

    /// The recognizer was told of the silence.
    pub(crate) fn hushed(&mut self, now: Moment) {
        self.told = false;
        self.hushed = Some(now);
    }

    /// Whether the caller went on speaking after the recognizer was told of a silence: what it
    /// says of the turn's end is then about that silence, and no longer true.
    pub(crate) fn went_on(&self, now: Moment) -> bool {
        let since = self.speaking();
        self.hushed
            .is_some_and(|hushed| now - hushed < STALE && since.is_some_and(|since| since > hushed))
    }
}
