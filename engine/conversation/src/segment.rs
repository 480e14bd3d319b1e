//! What a text costs: GSM-7 and UCS-2 segments.
//!
//! A text whose characters are all in GSM 03.38 takes 160 septets in one segment, 153 in each of
//! several; any other takes 70 UTF-16 units, 67 in each of several. Characters of the extension
//! table take two septets. Neither such a pair nor a surrogate pair is ever split.

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

/// What a text costs. An empty one costs nothing.
pub fn cost(text: &str) -> Cost {
    let encoding = if text.chars().all(|c| BASIC.contains(c) || EXTENDED.contains(c)) {
        Encoding::Gsm7
    } else {
        Encoding::Ucs2
    };
    let (single, joined) = match encoding {
        Encoding::Gsm7 => (160, 153),
        Encoding::Ucs2 => (70, 67),
    };
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

/// As much of a text as fits into so many segments: whole sentences, unless they are less than
/// half of what fits, else whole words, else characters. `segments` of 0 means no limit.
pub fn cut(text: &str, segments: usize) -> &str {
    if segments == 0 || cost(text).segments <= segments {
        return text;
    }
    let fits = |end: usize| cost(&text[..end]).segments <= segments;
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
