//! The turn that is being spoken: what is known of it.

use audio::resample::Resampler;
use tokio::time::Instant;

use super::Progress;
use crate::heard::Heard;
use crate::ledger::Sounded;
use crate::turn::TurnId;

/// The turn that is being spoken.
pub(super) struct Turn {
    pub(super) id: TurnId,
    pub(super) heard: Heard,
    /// One for the whole sound of the turn, so that the borders of its pieces are not heard.
    pub(super) resampler: Option<Resampler>,
    /// It has not begun: nothing of it may be heard.
    pub(super) waits: bool,
    /// Text was given.
    pub(super) said: bool,
    /// All text was given.
    pub(super) complete: bool,
    /// A voice of ours speaks it, though its sound should have been given.
    pub(super) voiced: bool,
    /// What a voice of ours was told aside, until something sounds.
    pub(super) aside: Option<String>,
    /// Its end was told of.
    pub(super) over: bool,
    /// What was told last.
    pub(super) told: Progress,
    /// Since when sound is owed; `None` = it is not.
    pub(super) owed: Option<Instant>,
    /// When what happened to its sound.
    pub(super) sounded: Sounded,
}

impl Turn {
    /// Nothing said yet.
    pub(super) fn new(id: TurnId) -> Self {
        Self {
            id,
            heard: Heard::new(),
            resampler: None,
            waits: false,
            said: false,
            complete: false,
            voiced: false,
            aside: None,
            over: false,
            told: Progress::None,
            owed: None,
            sounded: Sounded::default(),
        }
    }
}
