//! What can be understood: a grammar of the phrases, and the pronunciation of their words. Pure,
//! but for reading the dictionary.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use agent::Error;

/// The dictionary's name beside the model.
pub(super) const DICTIONARY: &str = "cmudict-en-us.dict";

/// The sounds of English, as the dictionary writes them.
const PHONES: [&str; 39] = [
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH",
    "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH",
    "UW", "V", "W", "Y", "Z", "ZH",
];

/// Begins the name of a word that is one sound. No English word does.
const PHONE: &str = "zz";

/// How words are pronounced.
pub(super) struct Dictionary {
    words: HashMap<String, Vec<String>>,
}

/// What the programs are given.
#[derive(Debug, PartialEq)]
pub(super) struct Grammar {
    /// The phrases, as JSGF.
    pub(super) jsgf: String,
    /// The words of the phrases and of [`any_sounds`].
    pub(super) dictionary: String,
    /// No phrase is left: whatever is said is unclear.
    pub(super) empty: bool,
}

/// The dictionary of a model, read once in a process.
///
/// # Errors
/// It cannot be read.
pub(super) async fn dictionary(model: &Path) -> Result<Arc<Dictionary>, Error> {
    type Read = HashMap<PathBuf, Arc<Dictionary>>;
    static READ: Mutex<Option<Read>> = Mutex::new(None);
    let path = model.join(DICTIONARY);
    let read = || READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(dictionary) = read().as_ref().and_then(|read| read.get(&path)) {
        return Ok(dictionary.clone());
    }
    let file = path.clone();
    // 135,000 lines: whoever speaks on this thread meanwhile would stutter.
    let reading = tokio::task::spawn_blocking(move || {
        let text = std::fs::read(file)?;
        Ok(Dictionary::parse(&String::from_utf8_lossy(&text)))
    });
    let dictionary = reading.await.unwrap_or_else(|gone| Err(std::io::Error::other(gone)));
    let dictionary = Arc::new(dictionary.map_err(|error| Error::Refused {
        vendor: super::VENDOR,
        why: format!("{}: {error}", path.display()),
    })?);
    read().get_or_insert_default().insert(path, dictionary.clone());
    Ok(dictionary)
}

impl Dictionary {
    /// Lines of a word and its sounds; `word(2)` is another way to pronounce `word`.
    fn parse(text: &str) -> Self {
        let mut words: HashMap<String, Vec<String>> = HashMap::new();
        for line in text.lines() {
            let Some((word, sounds)) = line.split_once(char::is_whitespace) else { continue };
            let word = word.split('(').next().unwrap_or_default();
            words.entry(word.to_owned()).or_default().push(sounds.trim().to_owned());
        }
        Self { words }
    }

    /// The grammar of the phrases whose words are all known; the others are left out.
    pub(super) fn grammar(&self, phrases: &[String]) -> Grammar {
        let mut known = BTreeSet::new();
        for phrase in phrases {
            let words = crate::scripted::matching::words(phrase);
            match words.iter().find(|word| !self.words.contains_key(*word)) {
                None if words.is_empty() => {}
                None => drop(known.insert(words)),
                Some(word) => tracing::warn!(phrase, word, "a phrase has a word without sounds"),
            }
        }
        let lines: Vec<String> = known.iter().map(|words| words.join(" ")).collect();
        let jsgf = jsgf(&lines.join(" | "));
        let mut dictionary = sounds();
        let words: BTreeSet<&String> = known.iter().flatten().collect();
        for word in words {
            for (n, sounds) in self.words.get(word).into_iter().flatten().enumerate() {
                // Writing to a string cannot fail.
                let _ = match n {
                    0 => writeln!(dictionary, "{word} {sounds}"),
                    n => writeln!(dictionary, "{word}({}) {sounds}", n + 1),
                };
            }
        }
        Grammar { jsgf, dictionary, empty: lines.is_empty() }
    }
}

fn jsgf(phrases: &str) -> String {
    format!("#JSGF V1.0;\ngrammar said;\npublic <said> = {phrases};\n")
}

/// A grammar of any sounds at all: what the phrases must be more likely than.
pub(super) fn any_sounds() -> String {
    let names: Vec<String> = PHONES.iter().map(|phone| name(phone)).collect();
    jsgf(&format!("( {} )+", names.join(" | ")))
}

/// The dictionary of single sounds.
fn sounds() -> String {
    PHONES.iter().map(|phone| format!("{} {phone}\n", name(phone))).collect()
}

fn name(phone: &str) -> String {
    format!("{PHONE}{}", phone.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn small() -> Dictionary {
        Dictionary::parse("the DH AH\nthe(2) DH IY\nshop SH AA P\no'clock AH K L AA K\n")
    }

    fn grammar(phrases: &[&str]) -> Grammar {
        small().grammar(&phrases.iter().map(|&phrase| phrase.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn phrases_become_a_grammar_and_their_words_a_dictionary() {
        let made = grammar(&["The shop!", "shop", "the  SHOP"]);
        assert_eq!(made.jsgf, "#JSGF V1.0;\ngrammar said;\npublic <said> = shop | the shop;\n");
        let words: Vec<&str> = made.dictionary.lines().skip(PHONES.len()).collect();
        assert_eq!(words, ["shop SH AA P", "the DH AH", "the(2) DH IY"]);
        assert!(made.dictionary.starts_with("zzaa AA\nzzae AE\n"));
    }

    #[test]
    fn unknown_words_and_marks_of_the_language_do_no_harm() {
        assert!(grammar(&["grüß gott", "zzyzx", "", "?", "12"]).empty);
        let made = grammar(&["shop; <evil> = shop*", "shop | the", "o'clock"]);
        assert!(made.jsgf.contains("= o'clock | shop the;"), "{}", made.jsgf);
    }
}
