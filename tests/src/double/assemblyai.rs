//! AssemblyAI streaming: sound in, turns out.
//!
//! The words of each turn that it hears are the next of the test's script.

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

struct Inner {
    script: Mutex<VecDeque<String>>,
    opened: Record<HashMap<String, String>>,
    told: Record<Value>,
    violations: Record<String>,
}

/// The double.
pub struct AssemblyAi {
    door: Door,
    inner: Arc<Inner>,
}

impl AssemblyAi {
    /// Opens, with the words of the turns to come.
    pub async fn open(script: &[&str]) -> Self {
        let inner = Arc::new(Inner {
            script: Mutex::new(script.iter().map(ToString::to_string).collect()),
            opened: Record::default(),
            told: Record::default(),
            violations: Record::default(),
        });
        let router = Router::new().route("/v3/ws", get(door)).with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `ASSEMBLYAI_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// The options of every stream that was opened.
    pub fn opened(&self) -> &Record<HashMap<String, String>> {
        &self.inner.opened
    }

    /// The text messages that it was told.
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
    Query(options): Query<HashMap<String, String>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if headers.get(header::AUTHORIZATION).is_none_or(|sent| sent != KEY) {
        return (StatusCode::UNAUTHORIZED, "Not authorized").into_response();
    }
    let known = ["pcm_mulaw", "pcm_s16le"];
    let encoding = options.get("encoding").cloned().unwrap_or("pcm_s16le".into());
    let rate = options.get("sample_rate").and_then(|rate| rate.parse::<usize>().ok());
    let (true, Some(rate)) = (known.contains(&encoding.as_str()), rate) else {
        inner.violations.push(format!("opened with {options:?}"));
        return (StatusCode::BAD_REQUEST, "bad parameters").into_response();
    };
    inner.opened.push(options);
    let ear = Ear::new(encoding == "pcm_mulaw", rate);
    let stream = Stream { inner, ear, words: String::new(), turns: 0 };
    upgrade.on_upgrade(move |socket| stream.serve(socket))
}

/// One stream.
struct Stream {
    inner: Arc<Inner>,
    ear: Ear,
    /// The words of the turn that goes on.
    words: String,
    turns: usize,
}

impl Stream {
    async fn serve(mut self, mut socket: WebSocket) {
        let begin = json!({ "type": "Begin", "id": "5f1c9b1e-0d0c-4b0e-9d0e-2f9c1a7b3c4d", "expires_at": 1_900_000_000 });
        let _ = socket.send(Message::text(begin.to_string())).await;
        while let Some(Ok(message)) = socket.recv().await {
            let answers = match message {
                Message::Binary(bytes) => {
                    let ms = self.ear.length(&bytes);
                    if !(50..=1000).contains(&ms) {
                        self.inner.violations.push(format!("{ms} ms of sound at once"));
                        let reason = "Input duration violation".into();
                        let frame = CloseFrame { code: 3007, reason };
                        let _ = socket.send(Message::Close(Some(frame))).await;
                        return;
                    }
                    self.hear(&bytes)
                }
                Message::Text(text) => {
                    let told: Value = serde_json::from_str(&text).unwrap_or_default();
                    self.inner.told.push(told.clone());
                    if told["type"] == "Terminate" {
                        let seconds = self.ear.ms / 1000;
                        let last = json!({ "type": "Termination", "audio_duration_seconds": seconds,
                                           "session_duration_seconds": seconds });
                        let _ = socket.send(Message::text(last.to_string())).await;
                        let frame = CloseFrame { code: 1000, reason: "".into() };
                        let _ = socket.send(Message::Close(Some(frame))).await;
                        return;
                    }
                    Vec::new()
                }
                _ => continue,
            };
            for answer in answers {
                if socket.send(Message::text(answer.to_string())).await.is_err() {
                    return;
                }
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Vec<Value> {
        let heard = self.ear.hear(bytes);
        heard.into_iter().filter_map(|heard| self.tell(heard)).collect()
    }

    fn tell(&mut self, heard: Heard) -> Option<Value> {
        match heard {
            Heard::Began => {
                self.words = self.inner.script.lock().unwrap().pop_front().unwrap_or_default();
                Some(json!({ "type": "SpeechStarted", "timestamp": self.ear.ms }))
            }
            Heard::Half => Some(self.turn(&half(&self.words), false)),
            Heard::Likely => None,
            Heard::Ended => {
                let turn = self.turn(&self.words, true);
                self.turns += 1;
                Some(turn)
            }
        }
    }

    fn turn(&self, words: &str, end: bool) -> Value {
        let word = |(n, word): (usize, &str)| json!({ "text": word, "start": n * 200, "end": n * 200 + 180, "confidence": 0.98, "word_is_final": end });
        let each: Vec<Value> = words.split_whitespace().enumerate().map(word).collect();
        json!({ "type": "Turn", "turn_order": self.turns, "turn_is_formatted": false, "end_of_turn": end,
                "transcript": words, "end_of_turn_confidence": 0.9, "words": each })
    }
}
