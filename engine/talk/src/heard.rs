//! What the caller heard of a reply: from milliseconds played to words. Pure.
//!
//! Voices that tell when each word ends are believed; of others the words are taken to be spread
//! evenly, letter by letter, over their sound. What a reply is remembered by is exactly this.

/// How long a letter sounds about, while the sound of a text has not all come: 15 letters a second.
const LETTER_MS: u64 = 65;

/// The words and the sound of one reply.
#[derive(Debug, Default)]
pub struct Heard {
    /// One for each voice that spoke: a voice that fails is replaced in the middle.
    parts: Vec<Part>,
}

#[derive(Debug, Default)]
struct Part {
    pieces: Vec<Piece>,
    /// Its sound so far.
    sound: u64,
    /// Whether all its sound has come.
    complete: bool,
    /// The vendor's words and the time at which each ends in this part's sound.
    words: Vec<(String, u64)>,
}

/// A clause as it was given to the voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whose it is, in its maker's terms; given back with the words.
    pub tag: u32,
    /// The words.
    pub text: String,
}

impl Heard {
    /// Nothing said, nothing heard.
    pub fn new() -> Self {
        Self { parts: vec![Part::default()] }
    }

    /// A clause was given to the voice.
    pub fn said(&mut self, tag: u32, text: &str) {
        self.last().pieces.push(Piece { tag, text: text.to_owned() });
    }

    /// So many milliseconds of sound came from the voice.
    pub fn sound(&mut self, millis: u64) {
        self.last().sound += millis;
    }

    /// The voice told which words its sound covers, and when each ends in all its sound so far,
    /// milliseconds. May be told in pieces.
    pub fn words(&mut self, words: impl IntoIterator<Item = (String, u64)>) {
        self.last().words.extend(words);
    }

    /// All sound of all clauses has come.
    pub fn complete(&mut self) {
        self.last().complete = true;
    }

    /// The voice failed. Gives the clauses that another must say since they have no sound yet.
    pub fn failed(&mut self) -> Vec<Piece> {
        let part = self.last();
        let sounded = if part.complete { usize::MAX } else { part.letters_at(part.sound) };
        let mut letters = 0;
        let at = part.pieces.iter().position(|piece| {
            letters += piece.text.chars().count();
            letters > sounded
        });
        let rest = at.map_or_else(Vec::new, |at| part.pieces.split_off(at));
        // What has sound is all that this voice says.
        part.complete = true;
        self.parts.push(Part::default());
        rest
    }

    /// All clauses, in order.
    pub fn all(&self) -> Vec<Piece> {
        self.parts.iter().flat_map(|part| part.pieces.iter().cloned()).collect()
    }

    /// What was heard after so many milliseconds of all sound: whole words only; a word counts
    /// when more than half of it was played.
    pub fn after(&self, played: u64) -> Vec<Piece> {
        let mut heard = Vec::new();
        let mut left = played;
        for part in &self.parts {
            heard.extend(part.after(left));
            left = left.saturating_sub(part.sound);
        }
        heard
    }

    fn last(&mut self) -> &mut Part {
        if self.parts.is_empty() {
            self.parts.push(Part::default());
        }
        let last = self.parts.len() - 1;
        &mut self.parts[last]
    }
}

impl Part {
    fn letters(&self) -> usize {
        self.pieces.iter().map(|piece| piece.text.chars().count()).sum()
    }

    /// How many letters have been played at a time.
    fn letters_at(&self, played: u64) -> usize {
        let letters = self.letters();
        if self.complete && played >= self.sound {
            return letters;
        }
        if !self.words.is_empty() {
            return self.letters_by_words(played);
        }
        let whole =
            if self.complete { self.sound } else { self.sound.max(letters as u64 * LETTER_MS) };
        (letters as u64 * played.min(whole)).checked_div(whole).unwrap_or(0) as usize
    }

    fn letters_by_words(&self, played: u64) -> usize {
        let mut begin = 0;
        let mut letters = 0;
        for (word, end) in &self.words {
            if begin + (end.saturating_sub(begin)) / 2 >= played {
                break;
            }
            // One more for the space that follows.
            letters += word.trim().chars().count() + 1;
            begin = *end;
        }
        letters
    }

    fn after(&self, played: u64) -> Vec<Piece> {
        if played == 0 || self.pieces.is_empty() {
            return Vec::new();
        }
        let mut left = self.letters_at(played);
        let all = self.complete && played >= self.sound;
        let by_words = !all && !self.words.is_empty();
        let mut heard = Vec::new();
        for piece in &self.pieces {
            let text = begin_of(&piece.text, left);
            let letters = piece.text.chars().count() + usize::from(by_words);
            left = left.saturating_sub(letters);
            if !text.is_empty() {
                heard.push(Piece { tag: piece.tag, text: text.to_owned() });
            }
            if left == 0 {
                break;
            }
        }
        heard
    }
}

/// The whole words within the first letters of a text; the last counts when more than half of it
/// is within.
fn begin_of(text: &str, letters: usize) -> &str {
    let mut end = 0;
    let mut count = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let size = word.trim_end().chars().count();
        if count + size.div_ceil(2) > letters {
            break;
        }
        count += word.chars().count();
        end += word.len();
    }
    text[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&str]) -> Heard {
        let mut heard = Heard::new();
        for (tag, text) in (0..).zip(pieces) {
            heard.said(tag, text);
        }
        heard
    }

    fn text(pieces: Vec<Piece>) -> String {
        pieces.into_iter().map(|piece| piece.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_are_spread_over_the_sound() {
        let mut heard = said(&["We open at nine.", "We close at five."]);
        heard.sound(3_300);
        heard.complete();
        assert_eq!(text(heard.after(0)), "");
        assert_eq!(text(heard.after(700)), "We open");
        assert_eq!(text(heard.after(1_600)), "We open at nine.");
        assert_eq!(text(heard.after(2_400)), "We open at nine. We close");
        assert_eq!(text(heard.after(3_300)), "We open at nine. We close at five.");
        assert_eq!(text(heard.after(99_000)), "We open at nine. We close at five.");
    }

    #[test]
    fn while_sound_is_still_coming_its_length_is_guessed() {
        let mut heard = said(&["We open at nine and we close at five, every day."]);
        heard.sound(500);
        assert_eq!(text(heard.after(500)), "We open");
    }

    #[test]
    fn the_vendors_word_times_are_believed() {
        let mut heard = said(&["We open at nine.", "Bye."]);
        heard.words([("We".into(), 100), ("open".into(), 1_000)]);
        heard.words([("at".into(), 1_100), ("nine.".into(), 2_000), ("Bye.".into(), 2_500)]);
        heard.sound(2_500);
        heard.complete();
        assert_eq!(text(heard.after(300)), "We");
        assert_eq!(text(heard.after(600)), "We open");
        assert_eq!(text(heard.after(1_700)), "We open at nine.");
        assert_eq!(text(heard.after(2_000)), "We open at nine.");
        assert_eq!(text(heard.after(2_400)), "We open at nine. Bye.");
    }

    #[test]
    fn a_voice_that_fails_is_followed_by_another() {
        let mut heard = said(&["We open at nine.", "We close at five.", "Bye."]);
        // The first sentence, and no more.
        heard.sound(16 * LETTER_MS);
        let rest = heard.failed();
        assert_eq!(text(rest.clone()), "We close at five. Bye.");
        for piece in &rest {
            heard.said(piece.tag, &piece.text);
        }
        heard.sound(2_000);
        heard.complete();
        assert_eq!(text(heard.after(16 * LETTER_MS)), "We open at nine.");
        assert_eq!(text(heard.after(16 * LETTER_MS + 900)), "We open at nine. We close");
        assert_eq!(text(heard.after(9_000)), "We open at nine. We close at five. Bye.");
        assert_eq!(text(heard.all()), "We open at nine. We close at five. Bye.");
    }

    #[test]
    fn a_voice_that_fails_before_any_sound_said_nothing() {
        let mut heard = said(&["We open at nine."]);
        assert_eq!(text(heard.failed()), "We open at nine.");
        assert_eq!(text(heard.after(500)), "");
    }

    #[test]
    fn tags_tell_whose_words_were_heard() {
        let mut heard = said(&["One two.", "Three four."]);
        heard.sound(2_000);
        heard.complete();
        assert_eq!(heard.after(1_500).last().map(|piece| piece.tag), Some(1));
    }

    #[test]
    fn nothing_at_all_is_nothing() {
        let heard = Heard::default();
        assert_eq!(heard.after(1_000), []);
        assert_eq!(heard.all(), []);
    }
}
