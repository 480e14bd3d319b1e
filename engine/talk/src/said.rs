//! What the caller said since the last question was put to the model: words and keys. Pure.

use crate::turn::Moment;

/// Heard from a listener, they mean "go on", not "let me speak".
const BACKCHANNELS: [&str; 24] = [
    "ah", "aha", "alright", "hm", "hmm", "mhm", "mm", "mmhm", "mmm", "oh", "ok", "okay", "right",
    "sure", "uh", "uhhuh", "uhuh", "um", "well", "yeah", "yep", "yes", "hmhm", "mmhmm",
];

/// Words and keys, not answered yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Words that will not change.
    pub(crate) finals: String,
    /// Words after those that may still change.
    pub(crate) partial: String,
    /// Keys that were pressed.
    pub(crate) keys: String,
    /// When words came last.
    pub(crate) at: Moment,
    /// So much voice was heard that words were meant by it.
    pub(crate) meant: bool,
}

impl Said {
    /// The recognizer guesses.
    pub(crate) fn partial(&mut self, now: Moment, words: &str) {
        self.partial = words.trim().to_owned();
        self.at = now;
    }

    /// The recognizer is sure; its guess is replaced.
    pub(crate) fn sure(&mut self, now: Moment, words: &str) {
        self.finals = join(&self.finals, words);
        self.partial.clear();
        self.at = now;
    }

    /// All words, sure and guessed.
    pub(crate) fn words(&self) -> String {
        join(&self.finals, &self.partial)
    }

    /// Whether there are no words. Keys do not count.
    pub(crate) fn no_words(&self) -> bool {
        self.finals.is_empty() && self.partial.is_empty()
    }

    /// Takes everything as the caller's turn: his words, then the keys that he pressed.
    pub(crate) fn take(&mut self) -> String {
        let taken = std::mem::take(self);
        let mut turn = taken.words();
        if !taken.keys.is_empty() {
            if !turn.is_empty() {
                turn.push('\n');
            }
            turn.push_str("DTMF: ");
            turn.push_str(&taken.keys);
        }
        turn
    }
}

/// Two pieces of speech as one.
pub(crate) fn join(one: &str, two: &str) -> String {
    let (one, two) = (one.trim(), two.trim());
    if one.is_empty() || two.is_empty() { format!("{one}{two}") } else { format!("{one} {two}") }
}

/// Whether two pieces of speech are the same but for signs and capitals.
pub(crate) fn same(one: &str, two: &str) -> bool {
    bare(one) == bare(two)
}

/// A text without its signs and capitals.
pub(crate) fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether somebody says more than "mm-hm".
pub(crate) fn is_talk(words: &str) -> bool {
    words.split_whitespace().any(|word| {
        let bare = bare(word);
        !bare.is_empty() && !BACKCHANNELS.contains(&bare.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sure_piece_replaces_the_guess() {
        let mut said = Said::default();
        said.partial(Moment::ZERO, "I want");
        said.sure(Moment::ZERO, "I want a table");
        said.partial(Moment::ZERO, "for two");
        assert_eq!(said.words(), "I want a table for two");
        said.keys.push_str("12");
        assert_eq!(said.take(), "I want a table for two\nDTMF: 12");
        assert!(said.no_words());
    }

    #[test]
    fn backchannels_are_no_talk() {
        for words in ["mm-hm", "Uh-huh.", "yeah, okay", "", "...", "Right."] {
            assert!(!is_talk(words), "{words}");
        }
        for words in ["stop", "yes but", "no", "はい、あの"] {
            assert!(is_talk(words), "{words}");
        }
    }

    #[test]
    fn signs_and_capitals_make_no_other_words() {
        assert!(same("What's up?", "whats up"));
        assert!(!same("four", "for"));
    }
}
