//! Cuts a stream of words into pieces that can be spoken already. Pure.
//!
//! The first piece goes out as early as it can be spoken (a clause), so that the caller waits for
//! a few words and not for a paragraph; then whole sentences, which voices speak better.

/// The first piece may end at a comma when it has at least so many characters.
const FIRST_CLAUSE: usize = 12;
/// The first piece ends at a space after so many, whatever comes.
const FIRST_AT_MOST: usize = 40;
/// Later pieces end at a comma after so many.
const LONG: usize = 160;
/// And at a space after so many.
const TOO_LONG: usize = 260;

/// A point after these does not end a sentence.
const TITLES: [&str; 22] = [
    "dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "vs", "no", "nr", "approx", "dept", "est",
    "ext", "fig", "gen", "inc", "ltd", "mt", "rev", "tel",
];
/// A point after these ends one only if a capital follows.
const SHORT: [&str; 9] = ["a.m", "p.m", "e.g", "i.e", "etc", "u.s", "u.k", "z.b", "ca"];

/// Words on their way to a voice.
#[derive(Debug, Default)]
pub struct Clauses {
    text: String,
    /// Whether a piece went out already.
    begun: bool,
}

impl Clauses {
    /// Nothing said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next words, and gives the pieces that they complete.
    pub fn push(&mut self, words: &str) -> Vec<String> {
        // Signs of markdown would be read aloud.
        self.text.extend(words.chars().filter(|c| !matches!(c, '*' | '`' | '#')));
        let mut pieces = Vec::new();
        while let Some(end) = self.end() {
            let rest = self.text.split_off(end);
            let piece = std::mem::replace(&mut self.text, rest);
            self.give(&piece, &mut pieces);
        }
        pieces
    }

    /// Gives what is left, since no more words come soon. What comes then begins anew.
    pub fn flush(&mut self) -> Option<String> {
        let piece = std::mem::take(&mut self.text);
        let mut pieces = Vec::new();
        self.give(&piece, &mut pieces);
        self.begun = false;
        pieces.pop()
    }

    fn give(&mut self, piece: &str, pieces: &mut Vec<String>) {
        let piece = piece.split_whitespace().collect::<Vec<_>>().join(" ");
        if piece.chars().any(char::is_alphanumeric) {
            self.begun = true;
            pieces.push(piece);
        }
    }

    /// Where the first piece of the text ends, in bytes; `None` = more is needed to know.
    fn end(&self) -> Option<usize> {
        let mut spoken = 0;
        let mut chars = self.text.char_indices().peekable();
        while let Some((at, sign)) = chars.next() {
            spoken += 1;
            let after = at + sign.len_utf8();
            let rest = &self.text[after..];
            // Most signs end something only before a space; without it they are inside of it: 3.14,
            // 10:30, 1,000. What follows may still come.
            let next = chars.peek().map(|(_, next)| *next);
            let spaced = next.is_some_and(char::is_whitespace);
            let ends = match sign {
                '。' | '！' | '？' | '\n' => true,
                '.' | '!' | '?' | '…' => {
                    let closed = rest.trim_start_matches(['"', '\'', ')', '”', '’', '.', '!', '?']);
                    match closed.chars().next() {
                        Some(c) if c.is_whitespace() => {
                            if let Some(ended) = ends_sentence(&self.text[..at], sign, closed) {
                                if ended {
                                    return Some(self.text.len() - closed.len());
                                }
                                false
                            } else {
                                return None;
                            }
                        }
                        Some(_) => false,
                        None => return None,
                    }
                }
                ',' | ';' | ':' | '–' | '—' if spaced => {
                    if self.begun {
                        spoken >= LONG
                    } else {
                        spoken >= FIRST_CLAUSE
                    }
                }
                '、' | '，' | '；' | '：' => {
                    if self.begun {
                        spoken >= LONG
                    } else {
                        spoken >= FIRST_CLAUSE / 2
                    }
                }
                c if c.is_whitespace() => {
                    spoken > if self.begun { TOO_LONG } else { FIRST_AT_MOST }
                }
                _ => false,
            };
            if ends {
                return Some(after);
            }
        }
        None
    }
}

/// Whether a sign before a space ends a sentence; `None` = what comes next must be known.
fn ends_sentence(before: &str, sign: char, after: &str) -> Option<bool> {
    if sign != '.' {
        return Some(true);
    }
    let word = before.rsplit(char::is_whitespace).next().unwrap_or(before);
    let bare = word.trim_start_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    if TITLES.contains(&bare.as_str()) {
        return Some(false);
    }
    // "1." at the beginning numbers a list; a single letter is an initial.
    let alone = before.trim() == word;
    if alone && !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit()) {
        return Some(false);
    }
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase) && word != "I";
    if initial {
        return Some(false);
    }
    if SHORT.contains(&bare.as_str()) {
        return after.trim_start().chars().next().map(char::is_uppercase);
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All ways of cutting the stream give the same pieces.
    fn check(text: &str, want: &[&str]) {
        for size in [1, 3, 7, text.chars().count()] {
            let mut clauses = Clauses::new();
            let chars: Vec<char> = text.chars().collect();
            let size = size.max(1);
            let mut got: Vec<String> = chars
                .chunks(size)
                .flat_map(|piece| clauses.push(&piece.iter().collect::<String>()))
                .collect();
            got.extend(clauses.flush());
            assert_eq!(got, want, "in pieces of {size}");
        }
    }

    #[test]
    fn the_first_clause_goes_early_and_then_sentences() {
        check(
            "Thank you for calling, we open at nine, and close at five. Anything else? Just ask!",
            &[
                "Thank you for calling,",
                "we open at nine, and close at five.",
                "Anything else?",
                "Just ask!",
            ],
        );
    }

    #[test]
    fn a_very_short_clause_waits_for_more() {
        check("Well, we open at nine. Bye.", &["Well, we open at nine.", "Bye."]);
    }

    #[test]
    fn a_first_clause_without_signs_ends_at_a_word() {
        check(
            "I have found the order that you placed with us last week and it is on its way. Good.",
            &[
                "I have found the order that you placed with",
                "us last week and it is on its way.",
                "Good.",
            ],
        );
    }

    #[test]
    fn numbers_times_and_titles_stay_whole() {
        check(
            "Pi is 3.14 today. Dr. Smith comes at 10:30 a.m. on Monday.",
            &["Pi is 3.14 today.", "Dr. Smith comes at 10:30 a.m. on Monday."],
        );
        check(
            "It is 1,000 dollars. We open at 9 a.m. The door is red.",
            &["It is 1,000 dollars.", "We open at 9 a.m.", "The door is red."],
        );
        check("That is J. R. Hartley. He is here.", &["That is J. R. Hartley.", "He is here."]);
        check("We have these. 1. Tea. 2. Milk.", &["We have these.", "1. Tea.", "2. Milk."]);
    }

    #[test]
    fn signs_at_the_end_belong_to_their_sentence() {
        check(
            "He said \"Stop!\" Then he left... Really?! Yes.",
            &["He said \"Stop!\"", "Then he left...", "Really?!", "Yes."],
        );
    }

    #[test]
    fn other_scripts_have_their_own_signs() {
        check("こんにちは。お元気ですか？はい。", &["こんにちは。", "お元気ですか？", "はい。"]);
    }

    #[test]
    fn markdown_is_not_read_aloud() {
        check("## We have\n* **tea**\n* milk\n", &["We have", "tea", "milk"]);
    }

    #[test]
    fn nothing_comes_of_nothing() {
        check("", &[]);
        check(" \n... ", &[]);
    }

    #[test]
    fn a_long_sentence_is_cut_where_it_breathes() {
        let long = format!("Yes. {}, and then it ends.", "word ".repeat(35).trim_end());
        let mut clauses = Clauses::new();
        let mut got = clauses.push(&long);
        got.extend(clauses.flush());
        assert_eq!(got.len(), 3);
        assert_eq!(got[2], "and then it ends.");
    }
}
