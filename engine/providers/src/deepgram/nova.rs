//! Deepgram live (`/v1/listen`): sound in, phrases out.
//!
//! The vendor finds ends of turns by its own ears (`speech_final`, `UtteranceEnd`); our own voice
//! detection makes it fix its words early (`Finalize`). Neither is sure to come, so the talk keeps
//! its own time too.

use std::time::Duration;

use agent::Error;
use audio::{Frame, Rate};
use serde::Deserialize;
use talk::{Want, Words};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::VENDOR;
use crate::listen::Wire;
use crate::pcm::{encoded, is_mulaw};

/// The model; knows the languages of `multi`.
pub(super) const MODEL: &str = "nova-3";

/// Silence that ends a phrase, milliseconds. The vendor's 10 splits numbers that are dictated.
const ENDPOINTING: &str = "300";

/// A gap between words that ends a turn for sure, milliseconds; the vendor's least.
const UTTERANCE_END: &str = "1000";

/// The vendor closes after 10 s without sound, unless told to stay.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// The address of a stream.
pub(super) fn url(mut url: Url, model: &str, want: &Want) -> Url {
    let language = if want.language.is_empty() { "multi" } else { &want.language };
    url.query_pairs_mut()
        .append_pair("model", model)
        .append_pair("language", language)
        .append_pair("encoding", if is_mulaw(want.rate) { "mulaw" } else { "linear16" })
        .append_pair("sample_rate", &want.rate.to_string())
        .append_pair("channels", "1")
        .append_pair("interim_results", "true")
        .append_pair("endpointing", ENDPOINTING)
        .append_pair("utterance_end_ms", UTTERANCE_END)
        .append_pair("vad_events", "true")
        .append_pair("smart_format", "true");
    url
}

/// A stream.
pub(super) struct Nova {
    rate: Rate,
    reader: Reader,
}

impl Nova {
    /// For sound of this rate.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, reader: Reader::default() }
    }
}

impl Wire for Nova {
    const VENDOR: &'static str = VENDOR;
    const ANSWERS: bool = true;

    fn sound(&mut self, frames: &[Frame]) -> Vec<Message> {
        let bytes = encoded(frames, self.rate);
        // An empty sound would end the stream.
        if bytes.is_empty() { Vec::new() } else { vec![Message::binary(bytes)] }
    }

    fn quiet(&mut self) -> Vec<Message> {
        vec![Message::text(r#"{"type":"Finalize"}"#)]
    }

    fn sign_of_life(&self) -> Option<(Duration, Message)> {
        Some((KEEP_ALIVE, Message::text(r#"{"type":"KeepAlive"}"#)))
    }

    fn goodbye(&mut self) -> Vec<Message> {
        vec![Message::text(r#"{"type":"CloseStream"}"#)]
    }

    fn read(&mut self, text: &str) -> Result<Vec<Words>, Error> {
        let said = serde_json::from_str(text)
            .map_err(|error| Error::Unreadable { vendor: VENDOR, why: error.to_string() })?;
        self.reader.on(said)
    }
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Said {
    Results {
        #[serde(default)]
        is_final: bool,
        #[serde(default)]
        speech_final: bool,
        #[serde(default)]
        from_finalize: bool,
        channel: Channel,
    },
    SpeechStarted {},
    UtteranceEnd {},
    Error {
        #[serde(default)]
        description: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Channel {
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Debug, Deserialize)]
struct Alternative {
    #[serde(default)]
    transcript: String,
}

/// Makes words of what the vendor says.
#[derive(Debug, Default)]
struct Reader {
    /// Words were fixed since the last end of a turn.
    pending: bool,
}

impl Reader {
    fn on(&mut self, said: Said) -> Result<Vec<Words>, Error> {
        let mut words = Vec::new();
        match said {
            Said::SpeechStarted {} => words.push(Words::Started),
            Said::Results { is_final, speech_final, from_finalize, channel } => {
                let first = channel.alternatives.into_iter().next();
                let text = first.map(|alternative| alternative.transcript).unwrap_or_default();
                let text = text.trim();
                if is_final && (!text.is_empty() || from_finalize) {
                    self.pending |= !text.is_empty();
                    words.push(Words::Final(text.into()));
                } else if !is_final && !text.is_empty() {
                    words.push(Words::Partial(text.into()));
                }
                if speech_final && std::mem::take(&mut self.pending) {
                    words.push(Words::EndOfTurn);
                }
            }
            Said::UtteranceEnd {} => {
                // Comes after a `speech_final` too; then the turn has ended already.
                if std::mem::take(&mut self.pending) {
                    words.push(Words::EndOfTurn);
                }
            }
            Said::Error { description } => {
                return Err(Error::Unreachable { vendor: VENDOR, why: description });
            }
            Said::Other => {}
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn results(text: &str, flags: [bool; 3]) -> Said {
        let [is_final, speech_final, from_finalize] = flags;
        let text = serde_json::json!({
            "type": "Results", "channel_index": [0, 1], "start": 0.0, "duration": 1.0,
            "is_final": is_final, "speech_final": speech_final, "from_finalize": from_finalize,
            "channel": { "alternatives": [{ "transcript": text, "confidence": 0.9, "words": [] }] } });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn phrases_add_up_to_a_turn() {
        let mut reader = Reader::default();
        let mut on = |said| reader.on(said).unwrap();
        assert_eq!(on(results("my num", [false; 3])), [Words::Partial("my num".into())]);
        assert_eq!(
            on(results("my number is", [true, false, false])),
            [Words::Final("my number is".into())]
        );
        // An end without words ends what is pending; a second one has nothing to end.
        assert_eq!(on(results("", [true, true, false])), [Words::EndOfTurn]);
        assert_eq!(on(Said::UtteranceEnd {}), []);
        assert_eq!(on(results("", [true, true, false])), []);
    }

    #[test]
    fn what_we_made_it_fix_is_told_even_when_it_is_nothing() {
        let mut reader = Reader::default();
        let mut on = |said| reader.on(said).unwrap();
        assert_eq!(on(results("", [true, false, true])), [Words::Final(String::new())]);
        assert_eq!(on(results("five", [true, false, true])), [Words::Final("five".into())]);
        assert_eq!(on(Said::UtteranceEnd {}), [Words::EndOfTurn]);
    }

    #[test]
    fn new_messages_do_no_harm_and_errors_end_it() {
        let mut reader = Reader::default();
        let new = serde_json::from_str(r#"{"type":"Brainwave","x":1}"#).unwrap();
        assert_eq!(reader.on(new).unwrap(), []);
        let error =
            serde_json::from_str(r#"{"type":"Error","description":"no","variant":"x"}"#).unwrap();
        assert_eq!(reader.on(error).unwrap_err().kind(), "unreachable");
    }

    #[test]
    fn telephone_sound_is_asked_for_as_it_comes() {
        let base = Url::parse("ws://127.0.0.1:1/v1/listen").unwrap();
        let ask = |want: &Want| url(base.clone(), MODEL, want).query().unwrap().to_owned();
        let query = ask(&Want { rate: 8000, language: "de".into(), ..Want::default() });
        assert!(
            query.contains("encoding=mulaw&sample_rate=8000") && query.contains("language=de"),
            "{query}"
        );
        let query = ask(&Want { rate: 16_000, language: String::new(), ..Want::default() });
        assert!(query.contains("language=multi&encoding=linear16&sample_rate=16000"), "{query}");
        let frames = [Frame::silence(8000), Frame::silence(8000)];
        assert_eq!(Nova::new(8000).sound(&frames), [Message::binary(vec![0xFF; 320])]);
    }
}
