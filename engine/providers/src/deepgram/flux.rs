//! Deepgram Flux (`/v2/listen`): sound in, turns out.
//!
//! A model that hears where a turn ends. It tells the whole turn so far again and again, so its
//! words are guesses until the turn is over.

use agent::Error;
use audio::{Frame, Rate};
use serde::Deserialize;
use talk::{Want, Words};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::VENDOR;
use crate::listen::Wire;
use crate::pcm::{encode, is_mulaw};

/// Silence that ends a turn whatever the model thinks, milliseconds. Longer than the talk waits
/// for a guess to become sure would bring the words of a turn twice.
const TIMEOUT: &str = "1500";

/// How sure the model must be that a turn is over before it says that it may be; it says that it is
/// at the vendor's 0.7. Less sure is too often wrong.
const LIKELY: &str = "0.5";

/// The vendor wants 80 ms at once.
const FRAMES: usize = 4;

/// The address of a stream.
pub(super) fn url(mut url: Url, model: &str, want: &Want) -> Url {
    url.query_pairs_mut()
        .append_pair("model", model)
        .append_pair("encoding", if is_mulaw(want.rate) { "mulaw" } else { "linear16" })
        .append_pair("sample_rate", &want.rate.to_string())
        .append_pair("eot_timeout_ms", TIMEOUT);
    if want.likely_ends {
        url.query_pairs_mut().append_pair("eager_eot_threshold", LIKELY);
    }
    // Only the model of many languages takes a hint, and wants the language without its region.
    let language = want.language.split(['-', '_']).next().unwrap_or_default();
    if !language.is_empty() && model.ends_with("multi") {
        url.query_pairs_mut().append_pair("language_hint", &language.to_ascii_lowercase());
    }
    url
}

/// A stream.
pub(super) struct Flux {
    rate: Rate,
    waiting: Vec<u8>,
    frames: usize,
}

impl Flux {
    /// For sound of this rate.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, waiting: Vec::new(), frames: 0 }
    }

    fn flush(&mut self) -> Vec<Message> {
        self.frames = 0;
        let bytes = std::mem::take(&mut self.waiting);
        // An empty sound would end the stream.
        if bytes.is_empty() { Vec::new() } else { vec![Message::binary(bytes)] }
    }
}

impl Wire for Flux {
    const VENDOR: &'static str = VENDOR;

    fn sound(&mut self, frames: &[Frame]) -> Vec<Message> {
        for frame in frames {
            self.waiting.extend(encode(frame, self.rate));
        }
        self.frames += frames.len();
        if self.frames < FRAMES { Vec::new() } else { self.flush() }
    }

    fn quiet(&mut self) -> Vec<Message> {
        // Where the turn ends is the model's to say; it only shall not wait for the last sound.
        self.flush()
    }

    fn goodbye(&mut self) -> Vec<Message> {
        vec![Message::text(r#"{"type":"CloseStream"}"#)]
    }

    fn read(&mut self, text: &str) -> Result<Vec<Words>, Error> {
        let said = serde_json::from_str(text)
            .map_err(|error| Error::Unreadable { vendor: VENDOR, why: error.to_string() })?;
        match said {
            Said::TurnInfo { event, transcript } => Ok(words(&event, transcript.trim())),
            Said::Error { code, description } => {
                let why = format!("{code}: {description}");
                Err(Error::Unreachable { vendor: VENDOR, why })
            }
            Said::Other => Ok(Vec::new()),
        }
    }
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Said {
    TurnInfo {
        event: String,
        #[serde(default)]
        transcript: String,
    },
    Error {
        #[serde(default)]
        code: String,
        #[serde(default)]
        description: String,
    },
    #[serde(other)]
    Other,
}

fn words(event: &str, transcript: &str) -> Vec<Words> {
    let partial = || (!transcript.is_empty()).then(|| Words::Partial(transcript.into()));
    let and = |words: Words| partial().into_iter().chain([words]).collect();
    match event {
        "StartOfTurn" => [Words::Started].into_iter().chain(partial()).collect(),
        "EndOfTurn" if transcript.is_empty() => vec![Words::Final(String::new())],
        "EndOfTurn" => vec![Words::Final(transcript.into()), Words::EndOfTurn],
        "Update" => partial().into_iter().collect(),
        "EagerEndOfTurn" => and(Words::LikelyEnd),
        "TurnResumed" => and(Words::GoesOn),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn turn(event: &str, transcript: &str) -> String {
        serde_json::json!({
            "type": "TurnInfo", "request_id": "r", "sequence_id": 5, "event": event, "turn_index": 0,
            "audio_window_start": 0.0, "audio_window_end": 1.2, "transcript": transcript,
            "words": [], "end_of_turn_confidence": 0.8 })
        .to_string()
    }

    #[test]
    fn a_turn_is_guessed_until_it_is_over() {
        let mut flux = Flux::new(8000);
        let mut read = |text: &str| flux.read(text).unwrap();
        let hello = r#"{"type":"Connected","request_id":"r","sequence_id":0}"#;
        assert_eq!(read(hello), []);
        let partial = |words: &str| Words::Partial(words.into());
        assert_eq!(read(&turn("StartOfTurn", "my")), [Words::Started, partial("my")]);
        assert_eq!(read(&turn("Update", "my number")), [partial("my number")]);
        let likely = [partial("my number is"), Words::LikelyEnd];
        assert_eq!(read(&turn("EagerEndOfTurn", "my number is")), likely);
        let resumed = [partial("my number is 5"), Words::GoesOn];
        assert_eq!(read(&turn("TurnResumed", "my number is 5")), resumed);
        let end = [Words::Final("my number is 5".into()), Words::EndOfTurn];
        assert_eq!(read(&turn("EndOfTurn", "my number is 5")), end);
        assert_eq!(read(&turn("EndOfTurn", "")), [Words::Final(String::new())]);
        assert_eq!(read(&turn("SomethingNew", "x")), []);
    }

    #[test]
    fn errors_and_rubbish_end_it() {
        let mut flux = Flux::new(8000);
        let error = flux.read(r#"{"type":"Error","code":"X","description":"no"}"#).unwrap_err();
        assert_eq!(error.to_string(), "deepgram cannot be reached: X: no");
        assert_eq!(flux.read("<html>").unwrap_err().kind(), "unreadable");
        assert_eq!(flux.read(r#"{"type":"TurnInfo"}"#).unwrap_err().kind(), "unreadable");
    }

    #[test]
    fn sound_goes_in_pieces_of_80_ms() {
        let mut flux = Flux::new(8000);
        let frame = [Frame::silence(8000)];
        let sent: Vec<usize> = (0..9).map(|_| flux.sound(&frame).len()).collect();
        assert_eq!(sent, [0, 0, 0, 1, 0, 0, 0, 1, 0]);
        assert_eq!(flux.quiet(), [Message::binary(vec![0xFF; 160])]);
        assert_eq!(flux.quiet(), []);
    }

    #[test]
    fn only_the_model_of_many_languages_is_told_one() {
        let base = Url::parse("ws://127.0.0.1:1/v2/listen").unwrap();
        let want = Want { rate: 8000, language: "de-CH".into(), likely_ends: false };
        let multi = url(base.clone(), "flux-general-multi", &want);
        assert!(multi.query().unwrap().ends_with("&language_hint=de"), "{multi}");
        let english = url(base.clone(), "flux-general-en", &want);
        assert!(!english.query().unwrap().contains("language"), "{english}");
        // Likely ends are told only to who has use for them.
        assert!(!english.query().unwrap().contains("eager"), "{english}");
        let eager = url(base, "flux-general-en", &Want { likely_ends: true, ..want });
        assert!(eager.query().unwrap().ends_with("&eager_eot_threshold=0.5"), "{eager}");
    }
}
