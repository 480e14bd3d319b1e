//! What the doubles did for each caller's question, and when: the part of a turn that is not ours.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The number of the first caller; the others follow it.
const CALLERS: &str = "+1555";
/// Digits of a caller's place behind that.
const DIGITS: usize = 7;

/// A caller's number.
pub(super) fn number(caller: usize) -> String {
    format!("{CALLERS}{caller:0DIGITS$}")
}

/// How an answer names the caller that it is for, so that the voice knows him.
pub(super) fn name(caller: usize) -> String {
    format!("caller {caller:0DIGITS$}")
}

/// The caller whose number stands in a text.
pub(super) fn numbered(text: &str) -> Option<usize> {
    after(text, CALLERS)
}

/// The caller who is named in a text.
pub(super) fn named(text: &str) -> Option<usize> {
    after(text, "caller ")
}

fn after(text: &str, word: &str) -> Option<usize> {
    let digits = &text[text.find(word)? + word.len()..];
    digits.get(..DIGITS)?.parse().ok()
}

/// When the doubles did what for the last question of a caller.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stations {
    /// The model had the whole request.
    pub(super) asked: Option<Instant>,
    /// The model wrote the first sentence to its end.
    pub(super) sentence: Option<Instant>,
    /// The voice had the first text.
    pub(super) told: Option<Instant>,
    /// The voice wrote the first sound.
    pub(super) sound: Option<Instant>,
}

/// The stations of all callers.
#[derive(Clone)]
pub(super) struct Board(Arc<[Mutex<Stations>]>);

impl Board {
    pub(super) fn new(callers: usize) -> Self {
        Self((0..callers).map(|_| Mutex::default()).collect())
    }

    /// Notes something; of a caller who is not there, nothing.
    pub(super) fn note(&self, caller: Option<usize>, note: impl FnOnce(&mut Stations)) {
        if let Some(stations) = caller.and_then(|caller| self.0.get(caller)) {
            note(&mut stations.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// What was noted since the last time, which is forgotten.
    pub(super) fn take(&self, caller: usize) -> Stations {
        let mut taken = Stations::default();
        self.note(Some(caller), |stations| taken = std::mem::take(stations));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_known_by_number_and_by_name() {
        assert_eq!(numbered(&format!("{{\"caller\":\"{}\"}}", number(42))), Some(42));
        assert_eq!(named(&format!("You are {}.", name(7))), Some(7));
        assert_eq!((numbered("+15"), named("caller you")), (None, None));
        assert_eq!((numbered("+1555é"), named("a caller ")), (None, None));
    }
}
