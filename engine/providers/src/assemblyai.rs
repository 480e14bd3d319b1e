//! AssemblyAI streaming (v3): sound in, turns out, over one WebSocket a call.
//!
//! The vendor tells the whole turn so far again and again, and hears where it ends.

use agent::Error;
use async_trait::async_trait;
use audio::{Frame, Rate};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use talk::{Listening, Stt, Want, Words};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use crate::dial;
use crate::listen::{self, Wire};
use crate::pcm::{encoded, is_mulaw};

pub(crate) const VENDOR: &str = "assemblyai";

/// Where it is.
pub const BASE_URL: &str = "https://streaming.assemblyai.com";

/// The version of the wire that is spoken here.
const VERSION: &str = "2025-05-12";

/// The models for English, and for more languages.
const ENGLISH: &str = "universal-streaming-english";
const MANY: &str = "universal-streaming-multilingual";

/// Silence that ends a turn whatever the model thinks, milliseconds: no longer than the talk waits
/// for a guess to become sure.
const LONGEST_SILENCE: &str = "1200";

/// The vendor takes no less than 50 ms at once, and no more than a second.
const FRAMES: (usize, usize) = (3, 50);

/// An account of AssemblyAI.
#[derive(Clone)]
pub struct AssemblyAi {
    key: SecretString,
    base: Url,
    model: String,
}

impl AssemblyAi {
    /// With a key; [`BASE_URL`] unless a proxy or a double stands in.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(key: SecretString, base_url: Option<&str>) -> Result<Self, String> {
        let base = dial::address(base_url.unwrap_or(BASE_URL))?;
        Ok(Self { key, base, model: String::new() })
    }

    /// The same account with another model; empty = the one for the language.
    pub fn with_model(&self, model: &str) -> Self {
        Self { model: model.into(), ..self.clone() }
    }

    fn url(&self, want: &Want) -> Url {
        let english = want.language.is_empty() || want.language.starts_with("en");
        let model = match self.model.as_str() {
            "" if english => ENGLISH,
            "" => MANY,
            model => model,
        };
        let mut url = dial::path(&self.base, "/v3/ws");
        url.query_pairs_mut()
            .append_pair("sample_rate", &want.rate.to_string())
            .append_pair("encoding", if is_mulaw(want.rate) { "pcm_mulaw" } else { "pcm_s16le" })
            .append_pair("speech_model", model)
            .append_pair("format_turns", "false")
            .append_pair("max_turn_silence", LONGEST_SILENCE);
        url
    }
}

#[async_trait]
impl Stt for AssemblyAi {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, want: Want) -> Result<Listening, Error> {
        let headers =
            [("authorization", self.key.expose_secret()), ("assemblyai-version", VERSION)];
        let socket = dial::dial(VENDOR, &self.url(&want), &headers).await?;
        Ok(listen::open(socket, Stream::new(want.rate)))
    }
}

/// A stream.
struct Stream {
    rate: Rate,
    waiting: Vec<Frame>,
    /// The last turn that ended: it may be told once more, formatted.
    ended: Option<u64>,
}

impl Stream {
    fn new(rate: Rate) -> Self {
        Self { rate, waiting: Vec::new(), ended: None }
    }
}

impl Wire for Stream {
    const VENDOR: &'static str = VENDOR;

    fn sound(&mut self, frames: &[Frame]) -> Vec<Message> {
        self.waiting.extend_from_slice(frames);
        if self.waiting.len() < FRAMES.0 {
            return Vec::new();
        }
        let frames = std::mem::take(&mut self.waiting);
        let bytes = |frames: &[Frame]| {
            let bytes = encoded(frames, self.rate);
            Message::binary(bytes)
        };
        frames.chunks(FRAMES.1).map(bytes).collect()
    }

    fn goodbye(&mut self) -> Vec<Message> {
        vec![Message::text(r#"{"type":"Terminate"}"#)]
    }

    fn read(&mut self, text: &str) -> Result<Vec<Words>, Error> {
        let said = serde_json::from_str(text)
            .map_err(|error| Error::Unreadable { vendor: VENDOR, why: error.to_string() })?;
        match said {
            Said::SpeechStarted {} => Ok(vec![Words::Started]),
            Said::Turn { turn_order, .. }
                if self.ended.is_some_and(|ended| turn_order <= ended) =>
            {
                Ok(Vec::new())
            }
            Said::Turn { turn_order, end_of_turn: true, transcript } => {
                self.ended = Some(turn_order);
                let words = Words::Final(transcript.trim().into());
                let end = (words != Words::Final(String::new())).then_some(Words::EndOfTurn);
                Ok([words].into_iter().chain(end).collect())
            }
            Said::Turn { transcript, .. } if transcript.trim().is_empty() => Ok(Vec::new()),
            Said::Turn { transcript, .. } => Ok(vec![Words::Partial(transcript.trim().into())]),
            Said::Error { error_code, error } => {
                let why = format!("{error_code}: {error}");
                // The vendor has codes for keys and money.
                Err(if matches!(error_code, 1008 | 4001 | 4002) {
                    Error::Refused { vendor: VENDOR, why }
                } else {
                    Error::Unreachable { vendor: VENDOR, why }
                })
            }
            Said::Termination {} => {
                Err(Error::Unreachable { vendor: VENDOR, why: "it ended the session".into() })
            }
            Said::Other => Ok(Vec::new()),
        }
    }
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Said {
    SpeechStarted {},
    Turn {
        turn_order: u64,
        #[serde(default)]
        end_of_turn: bool,
        #[serde(default)]
        transcript: String,
    },
    Error {
        #[serde(default)]
        error_code: i64,
        #[serde(default)]
        error: String,
    },
    Termination {},
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn turn(order: u64, transcript: &str, flags: [bool; 2]) -> String {
        let [end, formatted] = flags;
        serde_json::json!({
            "type": "Turn", "turn_order": order, "turn_is_formatted": formatted, "end_of_turn": end,
            "transcript": transcript, "end_of_turn_confidence": 0.5, "words": [] })
        .to_string()
    }

    #[test]
    fn a_turn_is_guessed_until_it_is_over_and_ends_once() {
        let mut stream = Stream::new(8000);
        let mut read = |text: &str| stream.read(text).unwrap();
        assert_eq!(read(r#"{"type":"Begin","id":"x","expires_at":1}"#), []);
        assert_eq!(read(r#"{"type":"SpeechStarted","timestamp":12}"#), [Words::Started]);
        assert_eq!(read(&turn(0, "", [false; 2])), []);
        assert_eq!(read(&turn(0, "my name", [false; 2])), [Words::Partial("my name".into())]);
        let end = [Words::Final("my name is eve".into()), Words::EndOfTurn];
        assert_eq!(read(&turn(0, "my name is eve", [true, false])), end);
        assert_eq!(read(&turn(0, "My name is Eve.", [true, true])), []);
        assert_eq!(read(&turn(1, "", [true, false])), [Words::Final(String::new())]);
        assert_eq!(read(&turn(2, "and", [false; 2])), [Words::Partial("and".into())]);
    }

    #[test]
    fn errors_are_told_apart_and_rubbish_ends_it() {
        let mut stream = Stream::new(8000);
        let mut kind = |text: &str| stream.read(text).unwrap_err().kind();
        assert_eq!(kind(r#"{"type":"Error","error_code":4001,"error":"no"}"#), "refused");
        assert_eq!(kind(r#"{"type":"Error","error_code":3005,"error":"no"}"#), "unreachable");
        assert_eq!(kind(r#"{"type":"Termination","audio_duration_seconds":1}"#), "unreachable");
        assert_eq!(kind("<html>"), "unreadable");
    }

    #[test]
    fn sound_goes_in_pieces_of_at_least_50_ms() {
        let mut stream = Stream::new(8000);
        let frame = [Frame::silence(8000)];
        assert!(stream.sound(&frame).is_empty() && stream.sound(&frame).is_empty());
        assert_eq!(stream.sound(&frame), [Message::binary(vec![0xFF; 480])]);
        let many = vec![Frame::silence(8000); 51];
        assert_eq!(stream.sound(&many).len(), 2);
    }

    #[test]
    fn the_model_follows_the_language() {
        let vendor = AssemblyAi::new("k".into(), Some("http://127.0.0.1:1")).unwrap();
        let query = |language: &str, rate| {
            let want = Want { rate, language: language.into(), ..Want::default() };
            vendor.url(&want).query().unwrap().to_owned()
        };
        assert!(query("", 8000).contains("encoding=pcm_mulaw&speech_model=universal-streaming-en"));
        assert!(query("de", 16_000).contains("pcm_s16le&speech_model=universal-streaming-multi"));
    }
}
