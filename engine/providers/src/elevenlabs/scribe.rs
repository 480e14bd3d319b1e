//! The recognizer (Scribe realtime): sound in, words out.
//!
//! Our own voice detection says when it shall fix its words (`commit`); it finds no ends of turns.

use agent::Error;
use audio::{Frame, Rate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use talk::{Want, Words};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::VENDOR;
use crate::listen::Wire;
use crate::pcm::{encoded, is_mulaw};

/// The model.
const MODEL: &str = "scribe_v2_realtime";

/// The rates of 16-bit sound that the vendor takes.
const RATES: [Rate; 6] = [8000, 16_000, 22_050, 24_000, 44_100, 48_000];

/// A stream of sound that goes on for so long without a silence is fixed all the same, frames:
/// 20 s. Nobody's memory is without end.
const LONGEST: usize = 1000;

/// The address of a stream.
///
/// # Errors
/// The vendor takes no sound of this rate.
pub(super) fn url(mut url: Url, model: &str, want: &Want) -> Result<Url, Error> {
    let format = match want.rate {
        rate if is_mulaw(rate) => "ulaw_8000".to_owned(),
        rate if RATES.contains(&rate) => format!("pcm_{rate}"),
        rate => {
            let why = format!("it takes no sound of {rate} Hz");
            return Err(Error::Refused { vendor: VENDOR, why });
        }
    };
    url.query_pairs_mut()
        .append_pair("model_id", if model.is_empty() { MODEL } else { model })
        .append_pair("audio_format", &format)
        .append_pair("commit_strategy", "manual");
    // The vendor wants the language alone, without its region.
    let language = want.language.split(['-', '_']).next().unwrap_or_default();
    if !language.is_empty() {
        url.query_pairs_mut().append_pair("language_code", &language.to_ascii_lowercase());
    }
    Ok(url)
}

/// A stream.
pub(super) struct Scribe {
    rate: Rate,
    /// Frames since words were fixed last.
    open: usize,
}

impl Scribe {
    /// For sound of this rate.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, open: 0 }
    }

    fn chunk(&self, sound: &[u8], commit: bool) -> Message {
        let chunk = json!({
            "message_type": "input_audio_chunk",
            "audio_base_64": STANDARD.encode(sound),
            "commit": commit,
            "sample_rate": self.rate,
        });
        Message::text(chunk.to_string())
    }

    fn commit(&mut self) -> Message {
        self.open = 0;
        self.chunk(&[], true)
    }
}

impl Wire for Scribe {
    const VENDOR: &'static str = VENDOR;
    const ANSWERS: bool = true;

    fn sound(&mut self, frames: &[Frame]) -> Vec<Message> {
        let bytes = encoded(frames, self.rate);
        self.open += frames.len();
        let mut messages = vec![self.chunk(&bytes, false)];
        if self.open >= LONGEST {
            messages.push(self.commit());
        }
        messages
    }

    fn quiet(&mut self) -> Vec<Message> {
        vec![self.commit()]
    }

    fn read(&mut self, text: &str) -> Result<Vec<Words>, Error> {
        let unreadable = |why: String| Error::Unreadable { vendor: VENDOR, why };
        let said: Said =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        let kind = said.message_type.as_str();
        let words = said.text.trim();
        match kind {
            "partial_transcript" if words.is_empty() => Ok(Vec::new()),
            "partial_transcript" => Ok(vec![Words::Partial(words.into())]),
            "committed_transcript" => Ok(vec![Words::Final(words.into())]),
            // There was nothing to fix.
            "commit_throttled" => Ok(vec![Words::Final(String::new())]),
            "auth_error" | "quota_exceeded" | "unaccepted_terms" | "input_error"
            | "invalid_request" => {
                Err(Error::Refused { vendor: VENDOR, why: format!("{kind}: {}", said.error) })
            }
            kind if kind.contains("error") || !said.error.is_empty() => {
                Err(Error::Unreachable { vendor: VENDOR, why: format!("{kind}: {}", said.error) })
            }
            // A session began, times of words, and what is new: no harm.
            _ => Ok(Vec::new()),
        }
    }
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
struct Said {
    message_type: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    error: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn words_are_guessed_and_fixed() {
        let mut scribe = Scribe::new(8000);
        let mut read = |kind: &str, text: &str| {
            scribe.read(&json!({ "message_type": kind, "text": text }).to_string()).unwrap()
        };
        assert_eq!(read("session_started", ""), []);
        assert_eq!(read("partial_transcript", ""), []);
        assert_eq!(read("partial_transcript", "my "), [Words::Partial("my".into())]);
        assert_eq!(read("committed_transcript", "My name."), [Words::Final("My name.".into())]);
        assert_eq!(read("committed_transcript", ""), [Words::Final(String::new())]);
        assert_eq!(read("committed_transcript_with_timestamps", "My name."), []);
    }

    #[test]
    fn errors_are_told_apart_and_rubbish_ends_it() {
        let mut scribe = Scribe::new(8000);
        let mut read =
            |kind: &str| scribe.read(&json!({ "message_type": kind, "error": "no" }).to_string());
        assert_eq!(read("auth_error").unwrap_err().kind(), "refused");
        assert_eq!(read("quota_exceeded").unwrap_err().kind(), "refused");
        assert_eq!(read("rate_limited").unwrap_err().kind(), "unreachable");
        assert_eq!(read("transcriber_error").unwrap_err().kind(), "unreachable");
        assert_eq!(read("commit_throttled").unwrap(), [Words::Final(String::new())]);
        assert_eq!(scribe.read("[]").unwrap_err().kind(), "unreadable");
    }

    #[test]
    fn sound_is_fixed_in_a_silence_and_when_none_comes() {
        let mut scribe = Scribe::new(8000);
        let frames = vec![Frame::silence(8000); 100];
        let commits = |messages: &[Message]| {
            messages.iter().filter(|m| m.to_string().contains("\"commit\":true")).count()
        };
        assert_eq!(commits(&scribe.sound(&frames)), 0);
        assert_eq!(commits(&scribe.quiet()), 1);
        let all: usize = (0..10).map(|_| commits(&scribe.sound(&frames))).sum();
        assert_eq!(all, 1);
    }

    #[test]
    fn telephone_sound_is_asked_for_as_it_comes() {
        let base = Url::parse("ws://127.0.0.1:1/v1/speech-to-text/realtime").unwrap();
        let ask = |rate, language: &str| {
            url(base.clone(), "", &Want { rate, language: language.into(), ..Want::default() })
        };
        let address = ask(8000, "de-CH").unwrap();
        let query = address.query().unwrap();
        assert!(query.contains("audio_format=ulaw_8000") && query.ends_with("language_code=de"));
        assert!(ask(16_000, "").unwrap().query().unwrap().contains("audio_format=pcm_16000"));
        assert_eq!(ask(11_025, "").unwrap_err().kind(), "refused");
    }
}
