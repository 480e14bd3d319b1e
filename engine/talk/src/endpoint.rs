//! Endpointing: how long a silence must be to end the caller's turn, by what he is asked for and by
//! what his words look like. Pure.
//!
//! Known limits: words are known in English, German, Spanish and French. Of others only digits and
//! signs are understood, and the silence is the agent's own.

use std::time::Duration;

use crate::said::bare;

/// No silence is shorter, whatever is waited for: the stops inside of words are nearly as long.
const LEAST: Duration = Duration::from_millis(200);

/// What the caller is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Awaited {
    /// Nothing known.
    #[default]
    Anything,
    /// Yes or no.
    YesNo,
    /// A number, said digit by digit, of so many digits if that is known.
    Digits(Option<usize>),
    /// Something that is spelled or said in parts: a name, an address.
    Name,
}

/// The silence that ends a turn of these words: `stop` where nothing speaks for another, and never
/// more than `at_most`. With `at_most` not above `stop` it is always `stop`.
pub fn endpoint_after(
    stop: Duration,
    at_most: Duration,
    awaited: Awaited,
    words: &str,
) -> Duration {
    if at_most <= stop {
        return stop;
    }
    let tenths = match awaited {
        // Nothing is missing but time to say the rest.
        Awaited::Digits(Some(wanted)) if lacks(wanted, words) => 40,
        _ if hesitates(words) => 20,
        Awaited::Digits(Some(wanted)) if digits(words) == wanted => 6,
        Awaited::YesNo if is_yes_or_no(words) => 6,
        Awaited::Digits(None) if digits(words) > 0 => 20,
        Awaited::Name => 20,
        Awaited::Anything | Awaited::YesNo if dictates(words) => 20,
        Awaited::Anything | Awaited::YesNo | Awaited::Digits(_) => 10,
    };
    (stop * tenths / 10).clamp(LEAST.min(stop), at_most)
}

/// Whether more must come: the caller is in the middle of a sentence, or of a number whose length
/// is known.
pub fn is_unfinished(awaited: Awaited, words: &str) -> bool {
    matches!(awaited, Awaited::Digits(Some(wanted)) if lacks(wanted, words)) || hesitates(words)
}

/// What the caller is asked for by the agent's words: the last of its sentences that asks for
/// anything says it.
pub fn awaited(question: &str) -> Awaited {
    let sentences = question.split_inclusive(['.', '?', '!', '。', '？']);
    let mut known = sentences.map(asked).filter(|awaited| *awaited != Awaited::Anything);
    known.next_back().unwrap_or_default()
}

fn asked(sentence: &str) -> Awaited {
    let words: Vec<String> = sentence.split([' ', '-', '\n']).map(bare).collect();
    let any = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let asks = sentence.trim_end().ends_with(['?', '？']);
    let mut said = words.iter().map(String::as_str).filter(|word| !word.is_empty());
    let first = said.next().unwrap_or_default();
    let last = said.next_back().unwrap_or_default();
    if asks && (ASKS_YES_NO.contains(&first) || CONFIRMS.contains(&last)) {
        return Awaited::YesNo;
    }
    // Without a question or a request a number is only spoken of.
    if !asks && !any(REQUESTS) {
        return Awaited::Anything;
    }
    if any(NUMBERS) {
        let count = words.iter().position(|word| DIGIT_WORDS.contains(&word.as_str()));
        let count =
            count.and_then(|at| words.get(at.checked_sub(1)?)).and_then(|word| number(word));
        return Awaited::Digits(count);
    }
    if any(NAMES) { Awaited::Name } else { Awaited::Anything }
}

/// Some digits are said, but not so many as are wanted.
fn lacks(wanted: usize, words: &str) -> bool {
    (1..wanted).contains(&digits(words))
}

/// Whether the words stop where nobody ends.
fn hesitates(words: &str) -> bool {
    let words = words.trim_end();
    if words.ends_with(['?', '!', '？', '！']) {
        return false;
    }
    let open = words.ends_with([',', ':', ';', '-', '–', '—', '…', '、']) || words.ends_with("...");
    let last = words.split_whitespace().last().map(bare).unwrap_or_default();
    open || GOES_ON.contains(&last.as_str())
}

/// Whether the words end in digits that are being read out.
fn dictates(words: &str) -> bool {
    let parts: Vec<&str> = words.split(|c: char| c.is_whitespace() || c == '-').collect();
    let tail = parts.iter().rev().take_while(|part| digits(part) > 0).count();
    let said = digits(&parts[parts.len() - tail..].join(" "));
    tail >= 2 && (3..10).contains(&said)
}

/// How many digits the words hold, in figures and in words.
fn digits(words: &str) -> usize {
    let mut count = 0;
    // Twenty is two digits, and twenty-one too.
    let mut tens = false;
    for word in words.split(|c: char| c.is_whitespace() || c == '-').map(bare) {
        let figures = word.chars().filter(char::is_ascii_digit).count();
        let unit = UNITS.contains(&word.as_str());
        count += match word.as_str() {
            _ if figures > 0 => figures,
            _ if unit && tens => 0,
            _ if unit => 1,
            word if TENS.contains(&word) || TEENS.contains(&word) => 2,
            "double" => 1,
            "triple" => 2,
            _ => 0,
        };
        tens = TENS.contains(&word.as_str());
    }
    count
}

fn number(word: &str) -> Option<usize> {
    let spoken = || {
        let counted = ["three", "four", "five", "six", "seven", "eight", "nine", "ten"];
        counted.iter().position(|own| *own == word).map(|at| at + 3)
    };
    word.parse().ok().or_else(spoken).filter(|count| (1..=20).contains(count))
}

fn is_yes_or_no(words: &str) -> bool {
    let mut words = words.split_whitespace().map(bare).filter(|word| !word.is_empty()).peekable();
    words.peek().is_some() && words.all(|word| YES_OR_NO.contains(&word.as_str()))
}

/// After these somebody goes on. Words that end many a sentence, such as "in", are left out.
const GOES_ON: &[&str] = &[
    "and", "or", "but", "so", "because", "the", "a", "an", "my", "your", "his", "her", "our",
    "their", "to", "of", "with", "is", "are", "was", "i", "im", "its", "um", "uh", "uhm", "er",
    "erm", "hm", "hmm", "und", "oder", "aber", "weil", "der", "das", "ein", "eine", "mein",
    "meine", "äh", "ähm", "y", "pero", "porque", "el", "un", "una", "mi", "et", "ou", "mais", "le",
    "une", "mon", "ma", "de", "euh", "que",
];
const YES_OR_NO: &[&str] = &[
    "yes",
    "yeah",
    "yep",
    "yup",
    "no",
    "nope",
    "nah",
    "sure",
    "ok",
    "okay",
    "right",
    "correct",
    "please",
    "thanks",
    "exactly",
    "absolutely",
    "not",
    "ja",
    "nein",
    "genau",
    "richtig",
    "bitte",
    "sí",
    "si",
    "oui",
    "non",
    "merci",
    "gracias",
    "danke",
    "claro",
    "daccord",
];
const ASKS_YES_NO: &[&str] = &[
    "is", "are", "was", "were", "do", "does", "did", "have", "has", "shall", "should", "ist",
    "sind",
];
const CONFIRMS: &[&str] = &["right", "correct", "ok", "okay", "richtig", "correcto"];
const REQUESTS: &[&str] = &[
    "tell", "give", "say", "enter", "spell", "read", "please", "bitte", "dígame", "favor", "plaît",
];
const NUMBERS: &[&str] = &[
    "number",
    "numbers",
    "digit",
    "digits",
    "code",
    "passcode",
    "pin",
    "zip",
    "postcode",
    "extension",
    "iban",
    "nummer",
    "ziffern",
    "postleitzahl",
    "número",
    "código",
    "dígitos",
    "numéro",
    "chiffres",
    "telefonnummer",
];
const DIGIT_WORDS: &[&str] = &["digit", "digits", "stellige", "ziffern", "dígitos", "chiffres"];
const NAMES: &[&str] = &[
    "name",
    "names",
    "spell",
    "address",
    "street",
    "email",
    "mail",
    "buchstabieren",
    "adresse",
    "anschrift",
    "straße",
    "nombre",
    "dirección",
    "correo",
    "apellido",
    "nom",
    "prénom",
];
const UNITS: &[&str] = &[
    "zero", "oh", "o", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "null", "eins", "zwei", "zwo", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun",
    "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "zéro",
    "deux", "trois", "quatre", "cinq", "sept", "huit", "neuf", "nought", "niner", "fife", "tree",
    "nul",
];
const TEENS: &[&str] = &[
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: &[&str] =
    &["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silence_fits_what_is_awaited_and_what_was_said() {
        use Awaited::{Anything, Digits, Name, YesNo};
        let table: [(Awaited, &str, u64); 32] = [
            (Anything, "What are your hours?", 500),
            (Anything, "I would like a table for two", 500),
            (Anything, "", 500),
            (Anything, "yes", 500),
            // In the middle of a sentence.
            (Anything, "I would like a table and", 1_000),
            (Anything, "I want um", 1_000),
            (Anything, "I want, Um...", 1_000),
            (Anything, "My name is", 1_000),
            (Anything, "Guten Tag, ich möchte ein", 1_000),
            (Anything, "Where is the?", 500),
            // A number that is being read out, and one that is complete.
            (Anything, "my order is 4 5 7", 1_000),
            (Anything, "it is five five five", 1_000),
            (Anything, "at 9 30", 1_000),
            (Anything, "I came in 1985", 500),
            (Anything, "table for two", 500),
            (Anything, "my number is 555 123 45 67", 500),
            (YesNo, "yes", 300),
            (YesNo, "Yes, please.", 300),
            (YesNo, "No, thanks", 300),
            (YesNo, "yes but", 1_000),
            (YesNo, "I am not certain", 500),
            (Digits(Some(6)), "one two three", 2_000),
            (Digits(Some(6)), "12345", 2_000),
            (Digits(Some(6)), "one two three four five six", 300),
            (Digits(Some(6)), "my code is 123-456.", 300),
            (Digits(Some(4)), "twenty one double five", 300),
            (Digits(Some(4)), "I do not have it", 500),
            (Digits(Some(1)), "two", 300),
            (Digits(None), "five five five", 1_000),
            (Digits(None), "I do not know it", 500),
            (Name, "Smith", 1_000),
            (Name, "twelve Main Street", 1_000),
        ];
        let (stop, at_most) = (Duration::from_millis(500), Duration::from_secs(2));
        for (awaited, words, want) in table {
            let got = endpoint_after(stop, at_most, awaited, words).as_millis();
            assert_eq!(got, u128::from(want), "{awaited:?} {words:?}");
        }
    }

    #[test]
    fn it_is_bounded_by_the_setting() {
        let ms = Duration::from_millis;
        let six = Awaited::Digits(Some(6));
        assert_eq!(endpoint_after(ms(500), ms(800), six, "one"), ms(800));
        // It does not adapt.
        for at_most in [0, 300, 500] {
            assert_eq!(endpoint_after(ms(500), ms(at_most), six, "one"), ms(500));
            assert_eq!(endpoint_after(ms(500), ms(at_most), Awaited::YesNo, "yes"), ms(500));
        }
        // Never so short that a stop inside of a word ends it, unless the agent wants that.
        assert_eq!(endpoint_after(ms(250), ms(2_000), Awaited::YesNo, "yes"), ms(200));
        assert_eq!(endpoint_after(ms(150), ms(2_000), Awaited::YesNo, "yes"), ms(150));
    }

    #[test]
    fn what_is_awaited_is_known_by_the_question() {
        use Awaited::{Anything, Digits, Name, YesNo};
        let table: [(&str, Awaited); 20] = [
            ("How can I help you?", Anything),
            ("Thank you. Goodbye.", Anything),
            ("Your order number is 5 5 5.", Anything),
            ("What is your account number?", Digits(None)),
            ("Could you tell me your six-digit code?", Digits(Some(6))),
            ("Please say your 4 digit PIN.", Digits(Some(4))),
            ("Please give me the 10 digits of your phone number.", Digits(Some(10))),
            ("What is your zip code, please?", Digits(None)),
            ("What is your name?", Name),
            ("Could you spell that for me?", Name),
            ("And what is the address?", Name),
            ("Is your number 555 1234?", YesNo),
            ("Do you want to book it?", YesNo),
            ("That is at nine on Monday, right?", YesNo),
            ("You said 4 5 7, is that correct?", YesNo),
            ("What is your name? Take your time.", Name),
            ("Thanks, Ada. Is that the right name? And your phone number?", Digits(None)),
            ("Wie ist Ihre Telefonnummer?", Digits(None)),
            ("¿Cuál es su nombre?", Name),
            ("", Anything),
        ];
        for (question, want) in table {
            assert_eq!(awaited(question), want, "{question:?}");
        }
    }

    #[test]
    fn what_must_go_on_is_unfinished() {
        assert!(is_unfinished(Awaited::Anything, "I want a table and"));
        assert!(is_unfinished(Awaited::Digits(Some(3)), "one two"));
        for awaited in [Awaited::Anything, Awaited::Name, Awaited::Digits(None)] {
            assert!(!is_unfinished(awaited, "one two three"), "{awaited:?}");
        }
        assert!(!is_unfinished(Awaited::Digits(Some(3)), "I forgot"));
    }
}
