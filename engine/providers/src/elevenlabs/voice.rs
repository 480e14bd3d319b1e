//! The voice (`multi-stream-input`): text in, sound out, with a context for each turn.
//!
//! A clause is flushed as it comes, so that it sounds at once; the end of a turn closes its
//! context, which is the only way to be told that all its sound has come. A cut closes it as well;
//! sound of it that is on its way is known by its context and dropped.

use agent::Error;
use audio::Rate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use talk::{Say, Spoken, TurnId, Voice};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::VENDOR;
use crate::pcm::{Samples, is_mulaw};
use crate::speak::{Due, Wire};

/// The model with the least delay that knows many languages.
const MODEL: &str = "eleven_flash_v2_5";

/// A voice of the vendor's own that every account has.
const DEFAULT_VOICE: &str = "21m00Tcm4TlvDq8ikWAM";

/// The vendor closes a socket that is told nothing for so long, seconds; its most.
const INACTIVITY_S: &str = "180";

/// The address of a voice; `base` ends at the vendor's name.
///
/// # Errors
/// The address can have no path.
pub(super) fn url(mut url: Url, model: &str, voice: &Voice, rate: Rate) -> Result<Url, Error> {
    let id = if voice.id.is_empty() { DEFAULT_VOICE } else { &voice.id };
    let refused = || Error::Refused { vendor: VENDOR, why: "the address has no path".into() };
    // An id is one part of the path, whatever is in it.
    url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend([
        "v1",
        "text-to-speech",
        id,
        "multi-stream-input",
    ]);
    let format = if is_mulaw(rate) { "ulaw_8000" } else { "pcm_16000" };
    let mut query = url.query_pairs_mut();
    query
        .append_pair("model_id", if model.is_empty() { MODEL } else { model })
        .append_pair("output_format", format)
        .append_pair("inactivity_timeout", INACTIVITY_S);
    // The vendor wants the language alone, without its region.
    let language = voice.language.split(['-', '_']).next().unwrap_or_default();
    if !language.is_empty() {
        query.append_pair("language_code", &language.to_ascii_lowercase());
    }
    drop(query);
    Ok(url)
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(alias = "context_id")]
    context_id: Option<String>,
    audio: Option<String>,
    #[serde(alias = "is_final")]
    is_final: Option<bool>,
    alignment: Option<Alignment>,
    /// An error, with its name in `error`.
    message: Option<String>,
    error: Option<String>,
}

/// When each letter of a piece of sound is spoken, from the beginning of that piece.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alignment {
    chars: Vec<String>,
    char_start_times_ms: Vec<u64>,
    char_durations_ms: Vec<u64>,
}

/// A turn that the vendor speaks.
struct Turn {
    id: TurnId,
    /// The length of its sound so far, samples.
    samples: u64,
    /// The letters of a word that has not ended yet, and when the last of them does.
    word: (String, u64),
}

/// The turns on one socket that are wanted.
pub(super) struct Turns {
    rate: Rate,
    open: Vec<Turn>,
}

fn context(turn: TurnId) -> String {
    format!("turn-{}", turn.0)
}

impl Turns {
    /// For sound of this rate.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, open: Vec::new() }
    }

    /// What to tell the vendor.
    fn tell(&mut self, say: Say, due: &mut Due) -> Vec<Value> {
        let known = |open: &[Turn], turn| open.iter().position(|known| known.id == turn);
        match say {
            Say::Text(turn, text) => {
                let id = context(turn);
                let mut messages = Vec::new();
                if known(&self.open, turn).is_none() {
                    self.open.push(Turn { id: turn, samples: 0, word: (String::new(), 0) });
                    messages.push(json!({ "text": " ", "context_id": id }));
                }
                // Without a space at its end it would be glued to the next.
                let text = format!("{} ", text.trim());
                messages.push(json!({ "text": text, "context_id": id, "flush": true }));
                messages
            }
            Say::End(turn) if known(&self.open, turn).is_some() => {
                vec![json!({ "context_id": context(turn), "close_context": true })]
            }
            Say::End(turn) => {
                due.push_back(Spoken::End(turn));
                Vec::new()
            }
            Say::Cut(turn) => {
                let cut = self.open.extract_if(.., |open| open.id <= turn);
                cut.map(|open| json!({ "context_id": context(open.id), "close_context": true }))
                    .collect()
            }
        }
    }

    /// Takes a message of the vendor.
    fn take(&mut self, text: &str, due: &mut Due) -> Result<(), Error> {
        let unreadable = |why: String| Error::Unreadable { vendor: VENDOR, why };
        let said: Said =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        if let (Some(name), None) = (&said.error, &said.audio) {
            let why = format!("{name}: {}", said.message.unwrap_or_default());
            return Err(Error::Unreachable { vendor: VENDOR, why });
        }
        let wanted = |turn: &Turn| said.context_id.as_deref() == Some(&context(turn.id));
        let Some(at) = self.open.iter().position(wanted) else { return Ok(()) };
        if let Some(audio) = said.audio.filter(|audio| !audio.is_empty()) {
            let bytes = STANDARD.decode(audio).map_err(|error| unreadable(error.to_string()))?;
            let frame = Samples::new(self.rate).frame(&bytes);
            let turn = &mut self.open[at];
            let before = turn.samples * 1000 / u64::from(self.rate);
            turn.samples += frame.samples.len() as u64;
            let words = said.alignment.map(|times| turn.words(before, &times)).unwrap_or_default();
            due.push_back(Spoken::Sound(turn.id, frame));
            if !words.is_empty() {
                due.push_back(Spoken::Words(turn.id, words));
            }
        }
        if said.is_final == Some(true) {
            let turn = self.open.remove(at);
            let (word, ends) = turn.word;
            if !word.is_empty() {
                due.push_back(Spoken::Words(turn.id, vec![(word, ends)]));
            }
            due.push_back(Spoken::End(turn.id));
        }
        Ok(())
    }
}

impl Wire for Turns {
    const VENDOR: &'static str = VENDOR;

    fn say(&mut self, say: Say, due: &mut Due) -> Vec<Message> {
        let told = self.tell(say, due);
        told.into_iter().map(|message| Message::text(message.to_string())).collect()
    }

    fn read(&mut self, message: Message, due: &mut Due) -> Result<(), Error> {
        match message {
            Message::Text(text) => self.take(&text, due),
            _ => Ok(()),
        }
    }

    fn goodbye(&mut self) -> Vec<Message> {
        vec![Message::text(json!({ "close_socket": true }).to_string())]
    }
}

impl Turn {
    /// The words that end in a piece of sound which begins at `before`.
    fn words(&mut self, before: u64, times: &Alignment) -> Vec<(String, u64)> {
        let mut words = Vec::new();
        let letters =
            times.chars.iter().zip(&times.char_start_times_ms).zip(&times.char_durations_ms);
        for ((letter, start), lasts) in letters {
            if letter.trim().is_empty() {
                if !self.word.0.is_empty() {
                    words.push(std::mem::take(&mut self.word));
                }
            } else {
                self.word.0.push_str(letter);
                self.word.1 = before.saturating_add(*start).saturating_add(*lasts);
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: TurnId = TurnId(1);
    const TWO: TurnId = TurnId(2);

    fn sound(context: &str, ms: usize, letters: &str) -> String {
        let chars: Vec<String> = letters.chars().map(String::from).collect();
        let each = ms / chars.len().max(1);
        let starts: Vec<usize> = (0..chars.len()).map(|i| i * each).collect();
        let lasts = vec![each; chars.len()];
        json!({ "audio": STANDARD.encode(vec![0xFF_u8; ms * 8]), "isFinal": null, "contextId": context,
                "alignment": { "chars": chars, "charStartTimesMs": starts, "charDurationsMs": lasts } })
        .to_string()
    }

    #[test]
    fn a_turn_is_a_context_that_is_closed_at_its_end() {
        let (mut turns, mut due) = (Turns::new(8000), Due::new());
        let first = turns.tell(Say::Text(ONE, "Hello there.".into()), &mut due);
        assert_eq!(first[0], json!({ "text": " ", "context_id": "turn-1" }));
        assert_eq!(
            first[1],
            json!({ "text": "Hello there. ", "context_id": "turn-1", "flush": true })
        );
        assert_eq!(turns.tell(Say::Text(ONE, "Again.".into()), &mut due).len(), 1);
        let close = json!({ "context_id": "turn-1", "close_context": true });
        assert_eq!(turns.tell(Say::End(ONE), &mut due), [close]);
        turns.take(r#"{"isFinal":true,"contextId":"turn-1"}"#, &mut due).unwrap();
        assert_eq!(due, [Spoken::End(ONE)]);
        // A turn without words needs no vendor.
        assert!(turns.tell(Say::End(TWO), &mut due).is_empty());
        assert_eq!(due.pop_back(), Some(Spoken::End(TWO)));
    }

    #[test]
    fn words_are_told_in_the_turns_own_time() {
        let (mut turns, mut due) = (Turns::new(8000), Due::new());
        turns.tell(Say::Text(ONE, "Hello you.".into()), &mut due);
        turns.take(&sound("turn-1", 80, "Hello yo"), &mut due).unwrap();
        turns.take(&sound("turn-1", 20, "u."), &mut due).unwrap();
        turns.take(r#"{"isFinal":true,"contextId":"turn-1"}"#, &mut due).unwrap();
        let words: Vec<_> = due
            .iter()
            .filter_map(|spoken| {
                if let Spoken::Words(_, words) = spoken { Some(words.clone()) } else { None }
            })
            .flatten()
            .collect();
        assert_eq!(words, [("Hello".into(), 50), ("you.".into(), 100)]);
    }

    #[test]
    fn nothing_is_heard_of_a_turn_that_was_cut() {
        let (mut turns, mut due) = (Turns::new(8000), Due::new());
        turns.tell(Say::Text(ONE, "One.".into()), &mut due);
        turns.take(&sound("turn-1", 20, "One."), &mut due).unwrap();
        assert_eq!(turns.tell(Say::Cut(ONE), &mut due).len(), 1);
        due.clear();
        turns.tell(Say::Text(TWO, "Two.".into()), &mut due);
        turns.take(&sound("turn-1", 20, "late"), &mut due).unwrap();
        turns.take(r#"{"is_final":true,"context_id":"turn-1"}"#, &mut due).unwrap();
        turns.take(&sound("turn-2", 20, "Two."), &mut due).unwrap();
        assert!(matches!(due.pop_front(), Some(Spoken::Sound(TWO, frame)) if frame.millis() == 20));
    }

    #[test]
    fn errors_and_rubbish_end_the_voice() {
        let (mut turns, mut due) = (Turns::new(8000), Due::new());
        let kind = |result: Result<(), Error>| result.unwrap_err().kind();
        assert_eq!(
            kind(
                turns.take(
                    r#"{"message":"too many","error":"quota_exceeded","code":1008}"#,
                    &mut due
                )
            ),
            "unreachable"
        );
        assert_eq!(kind(turns.take("<rubbish>", &mut due)), "unreadable");
        turns.tell(Say::Text(ONE, "One.".into()), &mut due);
        assert_eq!(
            kind(turns.take(r#"{"audio":"!","contextId":"turn-1"}"#, &mut due)),
            "unreadable"
        );
    }

    #[test]
    fn telephones_get_their_own_sound() {
        let base = Url::parse("ws://127.0.0.1:1").unwrap();
        let voice = Voice { id: "a/../b".into(), language: "de-CH".into(), rate: 8000 };
        let address = url(base.clone(), "", &voice, 8000).unwrap();
        assert_eq!(address.path(), "/v1/text-to-speech/a%2F..%2Fb/multi-stream-input");
        let query = address.query().unwrap();
        assert!(
            query.contains("output_format=ulaw_8000") && query.ends_with("language_code=de"),
            "{query}"
        );
        let address = url(base, "eleven_x", &Voice::default(), 16_000).unwrap();
        let query = address.query().unwrap();
        assert!(address.path().contains(DEFAULT_VOICE) && query.contains("pcm_16000"), "{query}");
        assert!(query.contains("model_id=eleven_x"), "{query}");
    }
}
