//! Realtime transcription: sound in, turns out, over one WebSocket a call.
//!
//! The vendor hears by the sense of the words where a turn ends (`semantic_vad`); the words of a
//! turn come after its end. Models that cannot do that write as they hear, and are told by our own
//! voice detection when to fix their words.

use agent::Error;
use async_trait::async_trait;
use audio::resample::Resampler;
use audio::{Frame, Rate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use talk::{Listening, Stt, Want, Words};
use tokio_tungstenite::tungstenite::Message;

use super::{OpenAi, VENDOR};
use crate::dial;
use crate::http::Complaint;
use crate::listen::{self, Wire};
use crate::pcm::{encode, is_mulaw, linear};

/// The model.
const MODEL: &str = "gpt-4o-mini-transcribe";

/// The model that finds no turns.
const WITHOUT_TURNS: &str = "gpt-realtime-whisper";

/// The only rate of 16-bit sound that the vendor takes.
const RATE: Rate = 24_000;

#[async_trait]
impl Stt for OpenAi {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, want: Want) -> Result<Listening, Error> {
        let refused = |why| Error::Refused { vendor: VENDOR, why };
        let base = dial::address(&self.base).map_err(refused)?;
        let mut url = dial::path(&base, "/realtime");
        url.query_pairs_mut().append_pair("intent", "transcription");
        let key = format!("Bearer {}", self.key.expose_secret());
        let socket = dial::dial(VENDOR, &url, &[("authorization", &key)]).await?;
        Ok(listen::open(socket, Stream::new(self.model_or(MODEL), &want)))
    }
}

/// A stream.
struct Stream {
    rate: Rate,
    resampler: Option<Resampler>,
    session: Value,
    /// Whether the vendor finds turns.
    turns: bool,
    /// The piece of speech whose words come now, and those that came.
    item: String,
    words: String,
}

impl Stream {
    fn new(model: &str, want: &Want) -> Self {
        let turns = model != WITHOUT_TURNS;
        let format = if is_mulaw(want.rate) {
            json!({ "type": "audio/pcmu" })
        } else {
            json!({ "type": "audio/pcm", "rate": RATE })
        };
        let mut transcription = json!({ "model": model });
        // The vendor wants the language alone, without its region.
        let language = want.language.split(['-', '_']).next().unwrap_or_default();
        if !language.is_empty() {
            transcription["language"] = language.to_ascii_lowercase().into();
        }
        let detection = if turns {
            json!({ "type": "semantic_vad", "eagerness": "high" })
        } else {
            Value::Null
        };
        let session = json!({ "type": "session.update", "session": {
            "type": "transcription",
            "audio": { "input": { "format": format, "transcription": transcription,
                                  "turn_detection": detection } } } });
        let resampled = !is_mulaw(want.rate) && want.rate != RATE;
        let resampler = resampled.then(|| Resampler::new(want.rate, RATE));
        let (item, words) = (String::new(), String::new());
        Self { rate: want.rate, resampler, session, turns, item, words }
    }

    fn bytes(&mut self, frame: &Frame) -> Vec<u8> {
        match &mut self.resampler {
            Some(resampler) => linear(&resampler.process(&frame.samples)),
            None => encode(frame, self.rate),
        }
    }
}

impl Wire for Stream {
    const VENDOR: &'static str = VENDOR;

    fn hello(&mut self) -> Vec<Message> {
        vec![Message::text(self.session.to_string())]
    }

    fn sound(&mut self, frames: &[Frame]) -> Vec<Message> {
        let bytes = frames.iter().map(|frame| self.bytes(frame)).collect::<Vec<_>>().concat();
        if bytes.is_empty() {
            return Vec::new();
        }
        let append =
            json!({ "type": "input_audio_buffer.append", "audio": STANDARD.encode(bytes) });
        vec![Message::text(append.to_string())]
    }

    fn quiet(&mut self) -> Vec<Message> {
        if self.turns {
            return Vec::new();
        }
        vec![Message::text(r#"{"type":"input_audio_buffer.commit"}"#)]
    }

    fn read(&mut self, text: &str) -> Result<Vec<Words>, Error> {
        let said: Said = serde_json::from_str(text)
            .map_err(|error| Error::Unreadable { vendor: VENDOR, why: error.to_string() })?;
        match said {
            Said::Started {} => Ok(vec![Words::Started]),
            Said::Delta { item_id, delta } => {
                if self.item != item_id {
                    self.item = item_id;
                    self.words.clear();
                }
                self.words.push_str(&delta);
                let words = self.words.trim();
                let words = (!words.is_empty()).then(|| Words::Partial(words.into()));
                Ok(words.into_iter().collect())
            }
            Said::Completed { transcript } => {
                self.words.clear();
                let words = transcript.trim();
                let end = (self.turns && !words.is_empty()).then_some(Words::EndOfTurn);
                Ok([Words::Final(words.into())].into_iter().chain(end).collect())
            }
            // The next piece of speech may be understood.
            Said::Failed {} => {
                self.words.clear();
                Ok(vec![Words::Final(String::new())])
            }
            Said::Error { error } if error.is("input_audio_buffer_commit_empty") => {
                Ok(vec![Words::Final(String::new())])
            }
            Said::Error { error } => Err(error.error(VENDOR)),
            Said::Other => Ok(Vec::new()),
        }
    }
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Said {
    #[serde(rename = "input_audio_buffer.speech_started")]
    Started {},
    #[serde(rename = "conversation.item.input_audio_transcription.delta")]
    Delta {
        #[serde(default)]
        item_id: String,
        #[serde(default)]
        delta: String,
    },
    #[serde(rename = "conversation.item.input_audio_transcription.completed")]
    Completed {
        #[serde(default)]
        transcript: String,
    },
    #[serde(rename = "conversation.item.input_audio_transcription.failed")]
    Failed {},
    #[serde(rename = "error")]
    Error { error: Box<Complaint> },
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ITEM: &str = "conversation.item.input_audio_transcription";

    fn stream(model: &str, rate: Rate) -> Stream {
        Stream::new(model, &Want { rate, language: "de-CH".into(), ..Want::default() })
    }

    #[test]
    fn words_come_and_end_a_turn() {
        let mut stream = stream(MODEL, 8000);
        let mut read = |event: Value| stream.read(&event.to_string()).unwrap();
        assert_eq!(read(json!({ "type": "session.created", "session": {} })), []);
        let started = json!({ "type": "input_audio_buffer.speech_started", "audio_start_ms": 1 });
        assert_eq!(read(started), [Words::Started]);
        let delta = |words: &str| json!({ "type": format!("{ITEM}.delta"), "item_id": "i1", "content_index": 0, "delta": words });
        assert_eq!(read(delta("My ")), [Words::Partial("My".into())]);
        assert_eq!(read(delta("name")), [Words::Partial("My name".into())]);
        let completed = json!({ "type": format!("{ITEM}.completed"), "item_id": "i1",
            "content_index": 0, "transcript": "My name is Eve.", "usage": {} });
        assert_eq!(read(completed), [Words::Final("My name is Eve.".into()), Words::EndOfTurn]);
        let failed = json!({ "type": format!("{ITEM}.failed"), "item_id": "i2", "error": {} });
        assert_eq!(read(failed), [Words::Final(String::new())]);
    }

    #[test]
    fn errors_and_rubbish_end_it_but_not_an_empty_commit() {
        let mut stream = stream(WITHOUT_TURNS, 8000);
        let mut read = |code: &str| {
            let error = json!({ "type": "error", "error": { "type": "invalid_request_error",
                "code": code, "message": "no", "event_id": null } });
            stream.read(&error.to_string())
        };
        let empty = read("input_audio_buffer_commit_empty").unwrap();
        assert_eq!(empty, [Words::Final(String::new())]);
        assert_eq!(read("session_expired").unwrap_err().kind(), "unreachable");
        assert_eq!(read("insufficient_quota").unwrap_err().kind(), "refused");
        assert_eq!(stream.read("<html>").unwrap_err().kind(), "unreadable");
    }

    #[test]
    fn telephone_sound_goes_as_it_comes_and_other_sound_is_resampled() {
        let mut telephone = stream(MODEL, 8000);
        let input = &telephone.session["session"]["audio"]["input"];
        assert_eq!(input["format"], json!({ "type": "audio/pcmu" }));
        assert_eq!(input["transcription"]["language"], "de");
        assert_eq!(input["turn_detection"]["type"], "semantic_vad");
        let length = |messages: &[Message]| {
            let message: Value = serde_json::from_str(messages[0].to_text().unwrap()).unwrap();
            STANDARD.decode(message["audio"].as_str().unwrap()).unwrap().len()
        };
        assert_eq!(length(&telephone.sound(&[Frame::silence(8000)])), 160);
        assert!(telephone.quiet().is_empty());
        let mut wide = stream(WITHOUT_TURNS, 16_000);
        assert_eq!(wide.session["session"]["audio"]["input"]["turn_detection"], Value::Null);
        let frames = vec![Frame::silence(16_000); 5];
        let sent = length(&wide.sound(&frames));
        assert!((4400..=4800).contains(&sent), "{sent}");
        assert_eq!(wide.quiet().len(), 1);
    }
}
