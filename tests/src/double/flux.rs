//! Deepgram of turns and voices: Flux (`/v2/listen`), which hears where a turn ends, and Aura
//! (`/v1/speak`), whose voice is a tone that lasts [`MS_PER_CHARACTER`] for each character. The
//! words of each turn that it hears are the next of the test's script.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::ear::{Ear, Heard, half};
use super::{Door, KEY};
use crate::record::Record;
use crate::sound;

/// How long a character sounds.
pub const MS_PER_CHARACTER: usize = 25;

type Options = HashMap<String, String>;

struct Inner {
    script: Mutex<VecDeque<String>>,
    spoken: Record<String>,
    told: Record<Value>,
    violations: Record<String>,
}

/// The double.
pub struct Flux {
    door: Door,
    inner: Arc<Inner>,
}

impl Flux {
    /// Opens, with the words of the turns to come.
    pub async fn open(script: &[&str]) -> Self {
        let inner = Arc::new(Inner {
            script: Mutex::new(script.iter().map(ToString::to_string).collect()),
            spoken: Record::default(),
            told: Record::default(),
            violations: Record::default(),
        });
        let router = Router::new()
            .route("/v2/listen", get(listen))
            .route("/v1/speak", get(speak))
            .with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `DEEPGRAM_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// Every text that was spoken.
    pub fn spoken(&self) -> &Record<String> {
        &self.inner.spoken
    }

    /// Every text message that it was told.
    pub fn told(&self) -> &Record<Value> {
        &self.inner.told
    }

    /// What the vendor would have refused.
    pub fn violations(&self) -> Vec<String> {
        self.inner.violations.all()
    }
}

/// An answer for whom the door stays shut.
fn refused(inner: &Inner, headers: &HeaderMap, fits: bool, options: &Options) -> Option<Response> {
    let sent = headers.get(header::AUTHORIZATION).and_then(|sent| sent.to_str().ok());
    if sent != Some(&format!("Token {KEY}")) {
        let body = json!({ "err_code": "INVALID_AUTH", "err_msg": "Invalid credentials.", "request_id": "r1" });
        return Some((StatusCode::UNAUTHORIZED, body.to_string()).into_response());
    }
    if !fits {
        inner.violations.push(format!("opened with {options:?}"));
        return Some((StatusCode::BAD_REQUEST, "Bad Request").into_response());
    }
    None
}

/// The encoding and the rate of raw sound.
fn format(options: &Options) -> Option<(bool, usize)> {
    let mulaw = match options.get("encoding")?.as_str() {
        "mulaw" => true,
        "linear16" => false,
        _ => return None,
    };
    Some((mulaw, options.get("sample_rate")?.parse().ok()?))
}

async fn listen(
    State(inner): State<Arc<Inner>>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let model = options.get("model").is_some_and(|model| model.starts_with("flux-general-"));
    let format = format(&options).filter(|_| model);
    if let Some(refusal) = refused(&inner, &headers, format.is_some(), &options) {
        return refusal;
    }
    let (mulaw, rate) = format.unwrap();
    let eager = options.contains_key("eager_eot_threshold");
    upgrade.on_upgrade(move |socket| hear(inner, socket, Ear::new(mulaw, rate), eager))
}

async fn hear(inner: Arc<Inner>, mut socket: WebSocket, mut ear: Ear, eager: bool) {
    let (mut words, mut turns, mut sequence) = (String::new(), 0, 0);
    let hello = json!({ "type": "Connected", "request_id": "r1", "sequence_id": 0 });
    let _ = socket.send(Message::text(hello.to_string())).await;
    while let Some(Ok(message)) = socket.recv().await {
        let bytes = match message {
            Message::Binary(bytes) if !bytes.is_empty() => bytes,
            Message::Binary(_) => return,
            Message::Text(text) => {
                let told: Value = serde_json::from_str(&text).unwrap_or_default();
                inner.told.push(told.clone());
                if told["type"] == "CloseStream" {
                    let frame = CloseFrame { code: 1000, reason: "".into() };
                    let _ = socket.send(Message::Close(Some(frame))).await;
                    return;
                }
                inner.violations.push(format!("told {told}"));
                continue;
            }
            _ => continue,
        };
        for heard in ear.hear(&bytes) {
            let (event, said) = match heard {
                Heard::Began => {
                    words = inner.script.lock().unwrap().pop_front().unwrap_or_default();
                    ("StartOfTurn", String::new())
                }
                Heard::Half => ("Update", half(&words)),
                Heard::Likely if !eager => continue,
                Heard::Likely => ("EagerEndOfTurn", words.clone()),
                Heard::Ended => ("EndOfTurn", words.clone()),
            };
            sequence += 1;
            let word = |word: &str| json!({ "word": word, "confidence": 0.98 });
            let each: Vec<Value> = said.split_whitespace().map(word).collect();
            let info = json!({ "type": "TurnInfo", "request_id": "r1", "sequence_id": sequence, "event": event,
                "turn_index": turns, "audio_window_start": 0.0, "audio_window_end": ear.ms as f64 / 1000.0,
                "transcript": said, "words": each, "end_of_turn_confidence": 0.8 });
            turns += usize::from(heard == Heard::Ended);
            if socket.send(Message::text(info.to_string())).await.is_err() {
                return;
            }
        }
    }
}

async fn speak(
    State(inner): State<Arc<Inner>>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let model = options.get("model").is_some_and(|model| model.starts_with("aura-"));
    let fits = model && format(&options) == Some((true, 8000));
    if let Some(refusal) = refused(&inner, &headers, fits, &options) {
        return refusal;
    }
    upgrade.on_upgrade(move |socket| say(inner, socket))
}

async fn say(inner: Arc<Inner>, mut socket: WebSocket) {
    let metadata = json!({ "type": "Metadata", "request_id": "r1", "model_name": "aura-2-thalia-en",
                           "model_version": "1", "model_uuid": "m1" });
    let _ = socket.send(Message::text(metadata.to_string())).await;
    let (mut waiting, mut sequence) = (String::new(), 0);
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        inner.told.push(told.clone());
        let mut answers = Vec::new();
        sequence += 1;
        match told["type"].as_str() {
            Some("Speak") => waiting.push_str(told["text"].as_str().unwrap_or_default()),
            Some("Flush") => {
                let words = std::mem::take(&mut waiting);
                if !words.trim().is_empty() {
                    inner.spoken.push(words.trim().to_owned());
                }
                let samples = sound::tone(words.trim().chars().count() * MS_PER_CHARACTER, 8000);
                // Chunks of odd sizes, as the vendor sends them.
                let bytes = sound::mulaw(&samples);
                answers.extend(bytes.chunks(1777).map(|piece| Message::binary(piece.to_vec())));
                let flushed = json!({ "type": "Flushed", "sequence_id": sequence });
                answers.push(Message::text(flushed.to_string()));
            }
            Some("Clear") => {
                waiting.clear();
                let cleared = json!({ "type": "Cleared", "sequence_id": sequence });
                answers.push(Message::text(cleared.to_string()));
            }
            Some("Close") => return,
            _ => inner.violations.push(format!("told {told}")),
        }
        for answer in answers {
            if socket.send(answer).await.is_err() {
                return;
            }
        }
    }
}
