//! Which rule is meant by what was heard. Pure.

use super::rules::{Rule, Rules};

/// Words that say little about what is meant.
const SMALL: &[&str] = &[
    "a", "about", "am", "an", "and", "are", "can", "could", "do", "does", "for", "have", "how",
    "i", "i'd", "i'm", "in", "is", "it", "like", "me", "my", "of", "on", "please", "that", "the",
    "there", "this", "to", "want", "we", "what", "when", "where", "who", "will", "with", "would",
    "you", "your",
];

/// How much a small word counts beside any other.
const SMALL_WEIGHT: f32 = 0.25;

/// The part of a phrase's weight that must be heard.
const ENOUGH: f32 = 0.6;

/// Small letters, digits and inner apostrophes; everything else divides.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .replace('\u{2019}', "'")
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .map(|word| word.trim_matches('\'').to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

/// The rule that is meant, when `last` was meant before.
///
/// A phrase that was said word for word wins, the longest first; else the one of which most was
/// said, if that is enough.
pub(super) fn best<'a>(rules: &'a Rules, last: Option<&Rule>, heard: &str) -> Option<&'a Rule> {
    let heard = words(heard);
    let mut best: Option<(f32, &Rule)> = None;
    for rule in rules.rules.iter().filter(|rule| rule.applies(last)) {
        for phrase in &rule.phrases {
            let fit = fit(&words(phrase), &heard, rule);
            if fit > best.map_or(0.0, |(best, _)| best) {
                best = Some((fit, rule));
            }
        }
    }
    best.map(|(_, rule)| rule)
}

/// How well a phrase fits; 0 = not at all.
fn fit(phrase: &[String], heard: &[String], rule: &Rule) -> f32 {
    if phrase.is_empty() {
        return 0.0;
    }
    // An answer to what was just asked goes before what can be said at any time.
    let expected = if rule.after.is_empty() { 0.0 } else { 0.5 };
    if heard.windows(phrase.len()).any(|part| part == phrase) {
        return 10.0 + phrase.len() as f32 + expected;
    }
    let all: f32 = phrase.iter().map(|word| weight(word)).sum();
    let said = || phrase.iter().filter(|word| heard.contains(word));
    let part = said().map(|word| weight(word)).sum::<f32>() / all;
    if part < ENOUGH || said().all(|word| weight(word) < 1.0) { 0.0 } else { part + expected }
}

fn weight(word: &str) -> f32 {
    if SMALL.contains(&word) { SMALL_WEIGHT } else { 1.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn meant(heard: &str) -> String {
        let rules = Rules::parse(
            r#"{ "otherwise": "?", "rules": [
                { "id": "help", "phrases": ["help"], "say": "." },
                { "id": "return", "phrases": ["how do I return a book", "refund"], "say": "." },
                { "id": "order", "phrases": ["where is my order"], "say": "." },
                { "id": "person", "phrases": ["connect me to a person"], "say": "." }
            ] }"#,
        );
        best(&rules.unwrap(), None, heard).map_or_else(String::new, |rule| rule.id.clone())
    }

    #[test]
    fn punctuation_and_capitals_do_not_count() {
        assert_eq!(words("  I\u{2019}d like 'THAT', O'Brien!"), ["i'd", "like", "that", "o'brien"]);
        assert_eq!(words("?!"), Vec::<String>::new());
        assert_eq!(words("Öffnungszeiten, bitte"), ["öffnungszeiten", "bitte"]);
    }

    #[test]
    fn the_longest_phrase_wins() {
        assert_eq!(meant("Can you help me: where is my order?"), "order");
        assert_eq!(meant("help!"), "help");
    }

    #[test]
    fn most_of_a_phrase_is_enough_and_small_words_are_not() {
        assert_eq!(meant("I want to return this book"), "return");
        assert_eq!(meant("please connect me with some person"), "person");
        assert_eq!(meant("my order, where?"), "order");
        assert_eq!(meant("where is my cat"), "");
        assert_eq!(meant("how do I do that"), "");
        assert_eq!(meant("helpful people"), "");
    }
}
