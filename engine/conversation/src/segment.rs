//! What a text costs: GSM-7 and UCS-2 segments.
//!
//! A text whose characters are all in GSM 03.38 takes 160 septets in one segment, 153 in each of
//! several; any other takes 70 UTF-16 units, 67 in each of several. From toll-free numbers of the
//! United States and Canada those of several are one shorter. Characters of the extension table
//! take two septets. Neither such a pair nor a surrogate pair is ever split.

use std::borrow::Cow;

/// What a reply that was cut ends with.
pub const OFFER: &str = " Reply MORE for the rest.";

/// How a text is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// GSM 03.38, 7 bits.
    Gsm7,
    /// UTF-16.
    Ucs2,
}

/// What a text costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How it is sent.
    pub encoding: Encoding,
    /// Septets, or UTF-16 units.
    pub units: usize,
    /// What is billed.
    pub segments: usize,
}

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENDED: &str = "^{}\\[~]|€\u{c}";

/// Area codes of toll-free numbers in North America.
const TOLL_FREE: &[&str] = &["800", "833", "844", "855", "866", "877", "888"];

/// Who sends, as far as it matters for the length of segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sender {
    /// Any other number.
    #[default]
    Usual,
    /// A toll-free one of the United States or Canada.
    TollFree,
}

impl Sender {
    /// By its number.
    pub fn of(number: &str) -> Self {
        let area = number.strip_prefix("+1").filter(|digits| digits.len() == 10);
        let free = area.is_some_and(|digits| TOLL_FREE.iter().any(|code| digits.starts_with(code)));
        if free { Self::TollFree } else { Self::Usual }
    }

    /// The length of one segment, and of each of several.
    fn lengths(self, encoding: Encoding) -> (usize, usize) {
        match (self, encoding) {
            (Self::Usual, Encoding::Gsm7) => (160, 153),
            (Self::Usual, Encoding::Ucs2) => (70, 67),
            (Self::TollFree, Encoding::Gsm7) => (160, 152),
            (Self::TollFree, Encoding::Ucs2) => (70, 66),
        }
    }
}

/// What a text costs from a usual number. An empty one costs nothing.
pub fn cost(text: &str) -> Cost {
    cost_from(text, Sender::Usual)
}

/// What a text costs from this sender.
pub fn cost_from(text: &str, sender: Sender) -> Cost {
    let encoding = if text.chars().all(|c| BASIC.contains(c) || EXTENDED.contains(c)) {
        Encoding::Gsm7
    } else {
        Encoding::Ucs2
    };
    let (single, joined) = sender.lengths(encoding);
    let units: usize = text.chars().map(|c| size(c, encoding)).sum();
    let segments = if units == 0 {
        0
    } else if units <= single {
        1
    } else {
        // A pair that does not fit begins the next segment.
        let (mut segments, mut used) = (1, 0);
        for c in text.chars() {
            let size = size(c, encoding);
            if used + size > joined {
                segments += 1;
                used = 0;
            }
            used += size;
        }
        segments
    };
    Cost { encoding, units, segments }
}

fn size(c: char, encoding: Encoding) -> usize {
    match encoding {
        Encoding::Gsm7 if EXTENDED.contains(c) => 2,
        Encoding::Gsm7 => 1,
        Encoding::Ucs2 => c.len_utf16(),
    }
}

/// A text with its typographic quotes, dashes and spaces as plain ones, when that makes it GSM-7
/// and so cheaper; as it is otherwise.
pub fn smart(text: &str) -> Cow<'_, str> {
    if cost(text).encoding == Encoding::Gsm7 {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' | '\u{2032}' | '`' => {
                plain.push('\'')
            }
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' | '\u{2033}' | '«' | '»' => {
                plain.push('"')
            }
            '\u{2010}'..='\u{2015}' | '\u{2212}' => plain.push('-'),
            '\u{2026}' => plain.push_str("..."),
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' => plain.push(' '),
            '•' | '·' => plain.push('*'),
            '\u{200b}' | '\u{feff}' => {}
            other => plain.push(other),
        }
    }
    if cost(&plain).encoding == Encoding::Gsm7 { Cow::Owned(plain) } else { Cow::Borrowed(text) }
}

/// A text that fits into so many segments, and what is left of it: where something is left, the
/// text ends with [`OFFER`]. `segments` of 0 means no limit.
pub fn offer(text: &str, segments: usize, sender: Sender) -> (Cow<'_, str>, &str) {
    let text = text.trim();
    if segments == 0 || cost_from(text, sender).segments <= segments {
        return (Cow::Borrowed(text), "");
    }
    let piece = cut_before(text, segments, sender, OFFER);
    let rest = text[piece.len()..].trim_start();
    (Cow::Owned(format!("{piece}{OFFER}")), rest)
}

/// Whether a message asks for what is left.
pub fn wants_more(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("more")
}

/// As much of a text as fits into so many segments: whole sentences, unless they are less than
/// half of what fits, else whole words, else characters. `segments` of 0 means no limit.
pub fn cut(text: &str, segments: usize) -> &str {
    if segments == 0 || cost(text).segments <= segments {
        return text;
    }
    cut_before(text, segments, Sender::Usual, "")
}

/// As much of a text as fits before this end.
fn cut_before<'a>(text: &'a str, segments: usize, sender: Sender, end: &str) -> &'a str {
    let fits = |at: usize| {
        cost_from(&format!("{}{end}", text[..at].trim_end()), sender).segments <= segments
    };
    let ends = |last: fn(char, Option<char>) -> bool| {
        let mut best = None;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, c)| *c);
            let end = at + c.len_utf8();
            if last(c, next) {
                if !fits(end) {
                    break;
                }
                best = Some(end);
            }
        }
        best
    };
    let sentence =
        ends(|c, next| ".!?。！？\n".contains(c) && next.is_none_or(char::is_whitespace));
    let word = ends(|_, next| next.is_none_or(char::is_whitespace));
    let most = word.or_else(|| ends(|_, _| true)).unwrap_or(0);
    let end = sentence.filter(|end| end * 2 >= most).unwrap_or(most);
    text[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_counted_as_carriers_do() {
        let segments = |text: &str| cost(text).segments;
        assert_eq!(segments(""), 0);
        assert_eq!(segments(&"a".repeat(160)), 1);
        assert_eq!(segments(&"a".repeat(161)), 2);
        assert_eq!(segments(&"a".repeat(306)), 2);
        assert_eq!(segments(&"a".repeat(307)), 3);
        assert_eq!(segments(&"€".repeat(80)), 1);
        assert_eq!(segments(&"€".repeat(81)), 2);
        assert_eq!(segments(&"ы".repeat(70)), 1);
        assert_eq!(segments(&"ы".repeat(71)), 2);
        assert_eq!(cost("it’s").encoding, Encoding::Ucs2);
    }

    #[test]
    fn toll_free_segments_are_shorter() {
        assert_eq!(Sender::of("+18885550100"), Sender::TollFree);
        assert_eq!(Sender::of("+12125550100"), Sender::Usual);
        assert_eq!(Sender::of("+18005"), Sender::Usual);
        let segments = |text: &str| cost_from(text, Sender::TollFree).segments;
        assert_eq!(segments(&"a".repeat(160)), 1);
        assert_eq!(segments(&"a".repeat(304)), 2);
        assert_eq!(segments(&"a".repeat(305)), 3);
        assert_eq!(segments(&"ы".repeat(132)), 2);
        assert_eq!(segments(&"ы".repeat(133)), 3);
    }

    #[test]
    fn typographic_signs_are_made_plain_when_that_helps() {
        assert_eq!(
            smart("it\u{2019}s \u{201c}so\u{201d} \u{2013} yes\u{2026}"),
            "it's \"so\" - yes..."
        );
        // What stays UCS-2 anyway keeps its looks.
        assert_eq!(smart("it\u{2019}s ы"), "it\u{2019}s ы");
        assert_eq!(smart("plain"), "plain");
    }

    #[test]
    fn what_does_not_fit_is_offered_and_nothing_is_lost() {
        assert_eq!(offer("short.", 1, Sender::Usual), ("short.".into(), ""));
        let sentence = format!("{}.", "word ".repeat(20).trim_end());
        let text = [sentence.as_str(); 5].join(" ");
        let mut rest = text.as_str();
        let mut whole = Vec::new();
        while !rest.is_empty() {
            let (piece, left) = offer(rest, 1, Sender::Usual);
            assert!(cost(&piece).segments <= 1, "{piece}");
            assert_eq!(piece.ends_with(OFFER), !left.is_empty());
            whole.push(piece.trim_end_matches(OFFER).to_owned());
            rest = left;
        }
        assert_eq!(whole.join(" "), text);
        assert!(wants_more(" More\n") && !wants_more("more of it"));
        // The end takes its place in another encoding too.
        let long = "ы".repeat(80);
        let (piece, rest) = offer(&long, 1, Sender::Usual);
        assert_eq!(cost(&piece).segments, 1);
        assert!(!rest.is_empty());
    }

    #[test]
    fn a_pair_is_never_split() {
        // 152 septets, then one that takes two: it does not fit into the 153 of the first segment.
        let text = format!("{}€{}", "a".repeat(152), "b".repeat(152));
        assert_eq!(cost(&text), Cost { encoding: Encoding::Gsm7, units: 306, segments: 3 });
        // 33 pairs of surrogates fill 66 of 67 units.
        assert_eq!(cost(&"😀".repeat(67)).segments, 3);
    }

    #[test]
    fn a_cut_keeps_whole_sentences_then_words_then_characters() {
        let sentence = format!("{}.", "word ".repeat(20).trim_end());
        let text = format!("{sentence} {sentence} and more");
        assert_eq!(cut(&text, 1), sentence);
        assert_eq!(cut("short", 1), "short");
        let words = "word ".repeat(100);
        // A greeting alone would not be an answer.
        assert!(cut(&format!("Hi. {words}"), 1).len() > 150);
        assert!(cut(&words, 1).ends_with("word"));
        assert_eq!(cut(&"a".repeat(500), 1).len(), 160);
        assert_eq!(cut(&"a".repeat(500), 0).len(), 500);
    }
}
