//! ElevenLabs Scribe: sound in, words out, fixed when it is told to. The words of each turn that it
//! hears are the next of the test's script.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::ear::{Ear, Heard, half};
use super::{Door, KEY};
use crate::record::Record;

struct Inner {
    script: Mutex<VecDeque<String>>,
    violations: Record<String>,
}

/// The double.
pub struct Scribe {
    door: Door,
    inner: Arc<Inner>,
}

impl Scribe {
    /// Opens, with the words of the turns to come.
    pub async fn open(script: &[&str]) -> Self {
        let script = Mutex::new(script.iter().map(ToString::to_string).collect());
        let inner = Arc::new(Inner { script, violations: Record::default() });
        let router = Router::new()
            .route("/v1/speech-to-text/realtime", get(door))
            .with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `ELEVENLABS_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// What the vendor would have refused.
    pub fn violations(&self) -> Vec<String> {
        self.inner.violations.all()
    }
}

async fn door(
    State(inner): State<Arc<Inner>>,
    Query(options): Query<HashMap<String, String>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if headers.get("xi-api-key").is_none_or(|sent| sent != KEY) {
        return (StatusCode::UNAUTHORIZED, "Invalid API key").into_response();
    }
    let (mulaw, rate) = match options.get("audio_format").map(String::as_str) {
        Some("ulaw_8000") => (true, 8000),
        Some("pcm_8000") => (false, 8000),
        _ => {
            inner.violations.push(format!("opened with {options:?}"));
            return (StatusCode::BAD_REQUEST, "audio_format").into_response();
        }
    };
    upgrade.on_upgrade(move |socket| hear(inner, socket, Ear::new(mulaw, rate)))
}

async fn hear(inner: Arc<Inner>, mut socket: WebSocket, mut ear: Ear) {
    let hello = json!({ "message_type": "session_started", "session_id": "s1", "config": {} });
    let _ = socket.send(Message::text(hello.to_string())).await;
    let mut words = String::new();
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        let sound = told["audio_base_64"].as_str().and_then(|sound| STANDARD.decode(sound).ok());
        let (Some(sound), true) = (sound, told["message_type"] == "input_audio_chunk") else {
            inner.violations.push(format!("told {told}"));
            continue;
        };
        let mut answers = Vec::new();
        for heard in ear.hear(&sound) {
            match heard {
                Heard::Began => {
                    words = inner.script.lock().unwrap().pop_front().unwrap_or_default();
                }
                Heard::Half => answers
                    .push(json!({ "message_type": "partial_transcript", "text": half(&words) })),
                Heard::Likely | Heard::Ended => {}
            }
        }
        if told["commit"] == true {
            let fixed = std::mem::take(&mut words);
            answers.push(json!({ "message_type": "committed_transcript", "text": fixed }));
        }
        for answer in answers {
            if socket.send(Message::text(answer.to_string())).await.is_err() {
                return;
            }
        }
    }
}
