//! Cartesia: text in, sound out, over one WebSocket a call, with a context for each turn.
//!
//! The pieces of a turn continue its context; a last piece without words ends it. A cut cancels it;
//! sound of it that is on its way is known by its context and dropped.

use agent::Error;
use async_trait::async_trait;
use audio::Rate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use talk::{Say, Speaking, Spoken, Tts, TurnId, Voice};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use crate::dial;
use crate::pcm::{Samples, TELEPHONE, WIDE, is_mulaw};
use crate::speak::{self, Due, Wire};

pub(crate) const VENDOR: &str = "cartesia";

/// Where it is.
pub const BASE_URL: &str = "https://api.cartesia.ai";

/// The version of the wire that is spoken here.
const VERSION: &str = "2026-08-14";

/// The model.
const MODEL: &str = "sonic-3";

/// The voice of an agent that names none.
const DEFAULT_VOICE: &str = "71a7ad14-091c-4e8e-a314-022ece01c121";

/// An account of Cartesia.
#[derive(Clone)]
pub struct Cartesia {
    key: SecretString,
    base: Url,
    model: String,
}

impl Cartesia {
    /// With a key; [`BASE_URL`] unless a proxy or a double stands in.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(key: SecretString, base_url: Option<&str>) -> Result<Self, String> {
        let base = dial::address(base_url.unwrap_or(BASE_URL))?;
        Ok(Self { key, base, model: MODEL.into() })
    }

    /// The same account with another model; empty = the default.
    pub fn with_model(&self, model: &str) -> Self {
        let model = if model.is_empty() { MODEL } else { model };
        Self { model: model.into(), ..self.clone() }
    }
}

#[async_trait]
impl Tts for Cartesia {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, voice: Voice) -> Result<Speaking, Error> {
        let key = format!("Bearer {}", self.key.expose_secret());
        let url = dial::path(&self.base, "/tts/websocket");
        let headers = [("authorization", key.as_str()), ("cartesia-version", VERSION)];
        let socket = dial::dial(VENDOR, &url, &headers).await?;
        Ok(speak::open(socket, Turns::new(&self.model, &voice)))
    }
}

/// A turn that the vendor speaks.
struct Turn {
    id: TurnId,
    samples: Samples,
}

/// The turns on one socket that are wanted.
struct Turns {
    rate: Rate,
    /// What all pieces of a context must have alike.
    alike: Value,
    open: Vec<Turn>,
}

fn context(turn: TurnId) -> String {
    format!("turn-{}", turn.0)
}

impl Turns {
    fn new(model: &str, voice: &Voice) -> Self {
        let rate = if voice.rate == TELEPHONE { TELEPHONE } else { WIDE };
        let id = if voice.id.is_empty() { DEFAULT_VOICE } else { &voice.id };
        let encoding = if is_mulaw(rate) { "pcm_mulaw" } else { "pcm_s16le" };
        let mut alike = json!({
            "model_id": model,
            "voice": { "mode": "id", "id": id },
            "output_format": { "container": "raw", "encoding": encoding, "sample_rate": rate },
            "add_timestamps": true,
            // Clauses are whole; nothing is gained by waiting for more.
            "max_buffer_delay_ms": 0,
        });
        // The vendor wants the language alone, without its region.
        let language = voice.language.split(['-', '_']).next().unwrap_or_default();
        if !language.is_empty() {
            alike["language"] = language.to_ascii_lowercase().into();
        }
        Self { rate, alike, open: Vec::new() }
    }

    fn piece(&self, turn: TurnId, text: &str, more: bool) -> Value {
        let mut piece = self.alike.clone();
        piece["context_id"] = context(turn).into();
        piece["transcript"] = text.into();
        piece["continue"] = more.into();
        piece
    }

    /// What to tell the vendor.
    fn tell(&mut self, say: Say, due: &mut Due) -> Vec<Value> {
        match say {
            Say::Text(turn, text) => {
                if self.open.iter().all(|open| open.id != turn) {
                    self.open.push(Turn { id: turn, samples: Samples::new(self.rate) });
                }
                // Without a space at its end it would be glued to the next.
                vec![self.piece(turn, &format!("{} ", text.trim()), true)]
            }
            Say::End(turn) if self.open.iter().any(|open| open.id == turn) => {
                vec![self.piece(turn, "", false)]
            }
            Say::End(turn) => {
                due.push_back(Spoken::End(turn));
                Vec::new()
            }
            Say::Cut(turn) => {
                let cut = self.open.extract_if(.., |open| open.id <= turn);
                cut.map(|open| json!({ "context_id": context(open.id), "cancel": true })).collect()
            }
        }
    }

    /// Takes a message of the vendor.
    fn take(&mut self, text: &str, due: &mut Due) -> Result<(), Error> {
        let unreadable = |why: String| Error::Unreadable { vendor: VENDOR, why };
        let said: Said =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        let wanted = |turn: &Turn| said.context_id.as_deref() == Some(&context(turn.id));
        let at = self.open.iter().position(wanted);
        if said.kind == "error" {
            // An error of a turn that was cut is nobody's.
            let ours = at.is_some() || said.context_id.is_none();
            return if ours { Err(said.complaint()) } else { Ok(()) };
        }
        let Some(at) = at else { return Ok(()) };
        let turn = &mut self.open[at];
        match said.kind.as_str() {
            "chunk" => {
                let bytes = STANDARD.decode(said.data.unwrap_or_default());
                let frame =
                    turn.samples.frame(&bytes.map_err(|error| unreadable(error.to_string()))?);
                if !frame.samples.is_empty() {
                    due.push_back(Spoken::Sound(turn.id, frame));
                }
            }
            "timestamps" => {
                let Times { words, end } = said.word_timestamps.unwrap_or_default();
                let millis = end.into_iter().map(|at| (at.max(0.0) * 1000.0).round() as u64);
                due.push_back(Spoken::Words(turn.id, words.into_iter().zip(millis).collect()));
            }
            "done" => {
                due.push_back(Spoken::End(turn.id));
                self.open.remove(at);
            }
            _ => {}
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
        Vec::new()
    }
}

/// What the vendor says. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
struct Said {
    #[serde(rename = "type")]
    kind: String,
    context_id: Option<String>,
    data: Option<String>,
    word_timestamps: Option<Times>,
    #[serde(default)]
    status_code: u16,
    title: Option<String>,
    message: Option<String>,
}

/// When each word of the turn so far is spoken, seconds.
#[derive(Debug, Default, Deserialize)]
struct Times {
    words: Vec<String>,
    end: Vec<f64>,
}

impl Said {
    fn complaint(self) -> Error {
        let words = [self.title, self.message].into_iter().flatten();
        let why = format!("{} {}", self.status_code, words.collect::<Vec<_>>().join(": "));
        // Busy may be otherwise a moment later; the rest of these is wrong for good.
        if (400..500).contains(&self.status_code) && ![408, 429].contains(&self.status_code) {
            Error::Refused { vendor: VENDOR, why }
        } else {
            Error::Unreachable { vendor: VENDOR, why }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: TurnId = TurnId(1);
    const TWO: TurnId = TurnId(2);

    fn turns() -> (Turns, Due) {
        let voice = Voice { language: "de-CH".into(), rate: 8000, ..Voice::default() };
        (Turns::new(MODEL, &voice), Due::new())
    }

    fn chunk(context: &str, bytes: usize) -> String {
        json!({ "type": "chunk", "data": STANDARD.encode(vec![0xFF; bytes]), "done": false,
                "status_code": 206, "step_time": 1.0, "context_id": context })
        .to_string()
    }

    #[test]
    fn a_turn_is_a_context_that_ends_with_an_empty_piece() {
        let (mut turns, mut due) = turns();
        let told = turns.tell(Say::Text(ONE, " Hallo. ".into()), &mut due);
        assert_eq!(told.len(), 1);
        let expected = json!({
            "model_id": "sonic-3", "transcript": "Hallo. ", "language": "de",
            "voice": { "mode": "id", "id": DEFAULT_VOICE },
            "output_format": { "container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000 },
            "context_id": "turn-1", "continue": true, "add_timestamps": true,
            "max_buffer_delay_ms": 0 });
        assert_eq!(told[0], expected);
        let end = turns.tell(Say::End(ONE), &mut due);
        assert_eq!((&end[0]["transcript"], &end[0]["continue"]), (&json!(""), &json!(false)));
        turns.take(&chunk("turn-1", 160), &mut due).unwrap();
        let times = json!({ "type": "timestamps", "context_id": "turn-1", "done": false, "status_code": 206,
            "word_timestamps": { "words": ["Hallo."], "start": [0.0], "end": [0.4204] } });
        turns.take(&times.to_string(), &mut due).unwrap();
        let done = r#"{"type":"done","done":true,"status_code":200,"context_id":"turn-1"}"#;
        turns.take(done, &mut due).unwrap();
        assert!(matches!(due.pop_front(), Some(Spoken::Sound(ONE, frame)) if frame.millis() == 20));
        assert_eq!(due.pop_front(), Some(Spoken::Words(ONE, vec![("Hallo.".into(), 420)])));
        assert_eq!(due.pop_front(), Some(Spoken::End(ONE)));
        // A turn without words needs no vendor.
        assert!(turns.tell(Say::End(TWO), &mut due).is_empty());
        assert_eq!(due.pop_front(), Some(Spoken::End(TWO)));
    }

    #[test]
    fn nothing_is_heard_of_a_turn_that_was_cut() {
        let (mut turns, mut due) = turns();
        turns.tell(Say::Text(ONE, "One.".into()), &mut due);
        let cancel = json!({ "context_id": "turn-1", "cancel": true });
        assert_eq!(turns.tell(Say::Cut(ONE), &mut due), [cancel]);
        turns.tell(Say::Text(TWO, "Two.".into()), &mut due);
        turns.take(&chunk("turn-1", 160), &mut due).unwrap();
        let late = r#"{"type":"error","status_code":400,"title":"gone","context_id":"turn-1"}"#;
        turns.take(late, &mut due).unwrap();
        assert!(due.is_empty());
        turns.take(&chunk("turn-2", 160), &mut due).unwrap();
        assert!(matches!(due.pop_front(), Some(Spoken::Sound(TWO, _))));
    }

    #[test]
    fn errors_are_told_apart_and_rubbish_ends_the_voice() {
        let (mut turns, mut due) = turns();
        let mut kind = |text: &str| turns.take(text, &mut due).unwrap_err().kind();
        let error = |status: u16| {
            json!({ "type": "error", "status_code": status, "title": "T", "message": "m",
                    "error_code": "x", "request_id": "r" })
            .to_string()
        };
        assert_eq!(kind(&error(400)), "refused");
        assert_eq!(kind(&error(429)), "unreachable");
        assert_eq!(kind(&error(500)), "unreachable");
        assert_eq!(kind("<rubbish>"), "unreadable");
        turns.tell(Say::Text(ONE, "One.".into()), &mut Due::new());
        let bad = r#"{"type":"chunk","data":"!","context_id":"turn-1"}"#;
        assert_eq!(turns.take(bad, &mut Due::new()).unwrap_err().kind(), "unreadable");
    }
}
