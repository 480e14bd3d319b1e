//! Cartesia: text in, sound out, over one WebSocket with contexts. The voice is a tone that lasts
//! [`MS_PER_CHARACTER`] for each character.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Door, KEY};
use crate::record::Record;
use crate::sound;

/// How long a character sounds.
pub const MS_PER_CHARACTER: usize = 25;

struct Inner {
    spoken: Record<String>,
    told: Record<Value>,
    violations: Record<String>,
}

/// The double.
pub struct Cartesia {
    door: Door,
    inner: Arc<Inner>,
}

impl Cartesia {
    /// Opens.
    pub async fn open() -> Self {
        let inner = Arc::new(Inner {
            spoken: Record::default(),
            told: Record::default(),
            violations: Record::default(),
        });
        let router =
            Router::new().route("/tts/websocket", get(door)).with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `CARTESIA_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// Every text that was spoken, piece by piece.
    pub fn spoken(&self) -> &Record<String> {
        &self.inner.spoken
    }

    /// Every message that it was told.
    pub fn told(&self) -> &Record<Value> {
        &self.inner.told
    }

    /// What the vendor would have refused.
    pub fn violations(&self) -> Vec<String> {
        self.inner.violations.all()
    }
}

async fn door(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let keyed =
        headers.get(header::AUTHORIZATION).is_some_and(|sent| *sent == format!("Bearer {KEY}"));
    if !keyed || !headers.contains_key("cartesia-version") {
        return (StatusCode::UNAUTHORIZED, "Invalid API key").into_response();
    }
    upgrade.on_upgrade(move |socket| serve(inner, socket))
}

/// A text that is being spoken.
#[derive(Default)]
struct Context {
    /// What all its pieces have alike.
    alike: Value,
    /// Its sound so far, milliseconds.
    ms: usize,
    closed: bool,
}

async fn serve(inner: Arc<Inner>, mut socket: WebSocket) {
    let mut contexts: HashMap<String, Context> = HashMap::new();
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        inner.told.push(told.clone());
        let answers = speak(&inner, &mut contexts, &told).unwrap_or_else(|why| {
            inner.violations.push(why.clone());
            vec![json!({ "type": "error", "done": true, "status_code": 400, "title": "Bad request",
                "message": why, "error_code": "invalid_request", "request_id": "r",
                "context_id": told["context_id"] })]
        });
        for answer in answers {
            if socket.send(Message::text(answer.to_string())).await.is_err() {
                return;
            }
        }
    }
}

fn speak(
    inner: &Inner,
    contexts: &mut HashMap<String, Context>,
    told: &Value,
) -> Result<Vec<Value>, String> {
    let id = told["context_id"].as_str().ok_or("no context_id")?.to_owned();
    let context = contexts.entry(id.clone()).or_default();
    if told["cancel"] == true {
        context.closed = true;
        return Ok(Vec::new());
    }
    if context.closed {
        return Err(format!("the context {id} is closed"));
    }
    let format = json!({ "container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000 });
    if told["output_format"] != format
        || told["voice"]["mode"] != "id"
        || !told["model_id"].is_string()
    {
        return Err(format!("this double does not speak {told}"));
    }
    let alike = json!([told["voice"], told["model_id"], told["output_format"]]);
    if !context.alike.is_null() && context.alike != alike {
        return Err("pieces of one context differ".into());
    }
    context.alike = alike;
    let words = told["transcript"].as_str().ok_or("no transcript")?;
    let mut answers = Vec::new();
    if !words.trim().is_empty() {
        inner.spoken.push(words.trim().to_owned());
        let ms = words.trim().chars().count() * MS_PER_CHARACTER;
        let bytes = sound::mulaw(&sound::tone(ms, 8000));
        // Chunks of odd sizes, as the vendor sends them.
        for piece in bytes.chunks(1777) {
            answers
                .push(json!({ "type": "chunk", "context_id": id, "data": STANDARD.encode(piece),
                                 "done": false, "status_code": 206, "step_time": 1.5 }));
        }
        if told["add_timestamps"] == true {
            let mut at = context.ms as f64 / 1000.0;
            let (mut each, mut start, mut end) = (Vec::new(), Vec::new(), Vec::new());
            for word in words.split_whitespace() {
                start.push(at);
                at += (word.chars().count() * MS_PER_CHARACTER) as f64 / 1000.0;
                end.push(at);
                at += MS_PER_CHARACTER as f64 / 1000.0;
                each.push(word);
            }
            answers.push(
                json!({ "type": "timestamps", "context_id": id, "done": false, "status_code": 206,
                "word_timestamps": { "words": each, "start": start, "end": end } }),
            );
        }
        context.ms += ms;
    }
    if told["continue"] != true {
        context.closed = true;
        answers.push(json!({ "type": "done", "context_id": id, "done": true, "status_code": 200 }));
    }
    Ok(answers)
}
