//! OpenAI Realtime: the caller's sound in, an answer's sound out, over one WebSocket. Turns are
//! taken by hand (`commit`, `response.create`); what the caller says and what the model answers is
//! the test's script. The voice is a tone that lasts [`MS_PER_CHARACTER`] for each character.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Door, Fault, KEY, Switch};
use crate::record::Record;
use crate::sound;

/// How long a character sounds.
pub const MS_PER_CHARACTER: usize = 25;

/// A question, as the vendor hears it, and its answer.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What the caller says.
    pub heard: String,
    /// What the model says.
    pub says: String,
    /// A tool that it takes, with its arguments.
    pub call: Option<(String, Value)>,
}

struct Inner {
    script: Mutex<VecDeque<Turn>>,
    told: Record<Value>,
    violations: Record<String>,
    fault: Switch,
}

/// The double.
pub struct Realtime {
    door: Door,
    inner: Arc<Inner>,
}

impl Realtime {
    /// Opens, with the turns to come. An answer without a question before it takes the next turn
    /// too: the model speaks unasked, or goes on after a tool.
    pub async fn open(script: Vec<Turn>) -> Self {
        let inner = Arc::new(Inner {
            script: Mutex::new(script.into()),
            told: Record::default(),
            violations: Record::default(),
            fault: Switch::default(),
        });
        let router = Router::new().route("/v1/realtime", get(door)).with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `OPENAI_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}/v1", self.door.at)
    }

    /// Every event that it was told, but for sound.
    pub fn told(&self) -> &Record<Value> {
        &self.inner.told
    }

    /// What the vendor would have refused.
    pub fn violations(&self) -> Vec<String> {
        self.inner.violations.all()
    }

    /// Fails like this from now on.
    pub fn fail(&self, fault: Fault) {
        self.inner.fault.set(fault);
    }
}

async fn door(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let authorized =
        headers.get(header::AUTHORIZATION).is_some_and(|sent| *sent == format!("Bearer {KEY}"));
    if inner.fault.get() == Fault::Refuse || !authorized {
        let body = json!({ "error": { "message": "Incorrect API key provided.", "code": "invalid_api_key",
                                      "type": "invalid_request_error", "param": null } });
        return (StatusCode::UNAUTHORIZED, body.to_string()).into_response();
    }
    if !query.contains_key("model") || headers.contains_key("openai-beta") {
        inner.violations.push(format!("opened with {query:?}"));
    }
    upgrade.on_upgrade(move |socket| Session::new(inner).serve(socket))
}

/// One conversation.
struct Session {
    inner: Arc<Inner>,
    events: usize,
    configured: bool,
    /// The caller's sound that was not asked about, milliseconds.
    buffered: usize,
    /// The turn whose question was committed.
    committed: Option<Turn>,
    /// The length of every answer's sound, milliseconds, by its item.
    items: HashMap<String, usize>,
    due: VecDeque<Value>,
}

impl Session {
    fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            events: 0,
            configured: false,
            buffered: 0,
            committed: None,
            items: HashMap::new(),
            due: VecDeque::new(),
        }
    }

    async fn serve(mut self, mut socket: WebSocket) {
        self.say(json!({ "type": "session.created", "session": { "type": "realtime", "model": "gpt-realtime" } }));
        loop {
            while let Some(event) = self.due.pop_front() {
                let text = match self.inner.fault.get() {
                    Fault::Rubbish => "<rubbish>".into(),
                    Fault::Drop if event["type"] == "response.created" => return,
                    _ => event.to_string(),
                };
                if socket.send(Message::text(text)).await.is_err() {
                    return;
                }
            }
            let Some(Ok(message)) = socket.recv().await else { return };
            if let Message::Text(text) = message {
                let told: Value = serde_json::from_str(&text).unwrap_or_default();
                if self.inner.fault.get() != Fault::Stall {
                    self.told(&told);
                }
            }
        }
    }

    fn say(&mut self, mut event: Value) {
        self.events += 1;
        event["event_id"] = format!("event_{}", self.events).into();
        self.due.push_back(event);
    }

    fn complain(&mut self, code: &str, message: &str) {
        self.inner.violations.push(format!("{code}: {message}"));
        self.say(
            json!({ "type": "error", "error": { "type": "invalid_request_error", "code": code,
                         "message": message, "param": null, "event_id": null } }),
        );
    }

    fn told(&mut self, told: &Value) {
        let kind = told["type"].as_str().unwrap_or_default();
        if kind != "input_audio_buffer.append" {
            self.inner.told.push(told.clone());
        }
        if !self.configured && kind.starts_with("input_audio") {
            self.complain("too_early", "sound before the session was updated");
        }
        match kind {
            "session.update" => self.update(&told["session"]),
            "input_audio_buffer.append" => {
                let bytes = STANDARD.decode(told["audio"].as_str().unwrap_or_default());
                self.buffered += bytes.unwrap_or_default().len() / 8;
            }
            "input_audio_buffer.clear" => {
                self.buffered = 0;
                self.say(json!({ "type": "input_audio_buffer.cleared" }));
            }
            "input_audio_buffer.commit" if self.buffered < 100 => {
                self.complain("input_audio_buffer_commit_empty", "less than 100 ms of sound");
            }
            "input_audio_buffer.commit" => self.commit(),
            "conversation.item.create" => {
                let mut item = told["item"].clone();
                if item["id"].is_null() {
                    item["id"] = format!("item_told_{}", self.events).into();
                }
                item["object"] = "realtime.item".into();
                item["status"] = "completed".into();
                self.say(json!({ "type": "conversation.item.added", "previous_item_id": null, "item": item }));
                self.say(json!({ "type": "conversation.item.done", "previous_item_id": null, "item": item }));
            }
            "conversation.item.truncate" => {
                let id = told["item_id"].as_str().unwrap_or_default();
                let end = told["audio_end_ms"].as_u64().unwrap_or(u64::MAX);
                match self.items.get(id) {
                    Some(length) if end <= *length as u64 => {
                        self.say(json!({ "type": "conversation.item.truncated", "item_id": id,
                                         "content_index": 0, "audio_end_ms": end }));
                    }
                    found => {
                        let why = format!("{id} lasts {found:?} ms, not {end}");
                        self.complain("item_truncate_invalid", &why);
                    }
                }
            }
            "conversation.item.delete" => {
                self.say(
                    json!({ "type": "conversation.item.deleted", "item_id": told["item_id"] }),
                );
            }
            "response.create" => self.respond(&told["response"]),
            // Everything was said at once: nothing is in the works any more.
            "response.cancel" => {
                self.say(json!({ "type": "error", "error": { "type": "invalid_request_error",
                    "code": "response_cancel_not_active", "message": "nothing to cancel",
                    "param": null, "event_id": null } }));
            }
            _ => self.complain("unknown", &told.to_string()),
        }
    }

    fn update(&mut self, session: &Value) {
        let telephone = json!({ "type": "audio/pcmu" });
        let fits = session["type"] == "realtime"
            && session["audio"]["input"]["format"] == telephone
            && session["audio"]["output"]["format"] == telephone
            && session["audio"]["input"]["turn_detection"].is_null()
            && session["output_modalities"] == json!(["audio"]);
        if !fits {
            return self.complain("unknown_parameter", &format!("this double takes no {session}"));
        }
        self.configured = true;
        self.say(json!({ "type": "session.updated", "session": session }));
    }

    fn commit(&mut self) {
        self.buffered = 0;
        let id = format!("item_asked_{}", self.events);
        self.say(json!({ "type": "input_audio_buffer.committed", "item_id": id, "previous_item_id": null }));
        let turn = self.inner.script.lock().unwrap().pop_front();
        if let Some(turn) = turn {
            self.say(json!({ "type": "conversation.item.input_audio_transcription.completed", "item_id": id,
                "content_index": 0, "transcript": turn.heard,
                "usage": { "type": "duration", "seconds": 1.0 } }));
            self.committed = Some(turn);
        }
    }

    fn respond(&mut self, wanted: &Value) {
        let exactly = wanted["instructions"].as_str().and_then(|told| told.split_once(": "));
        let turn = match exactly.filter(|_| wanted["conversation"] == "none") {
            Some((_, words)) => Turn { heard: String::new(), says: words.into(), call: None },
            None => match self.committed.take() {
                Some(turn) => turn,
                None => self.inner.script.lock().unwrap().pop_front().unwrap_or(Turn {
                    heard: String::new(),
                    says: "Okay.".into(),
                    call: None,
                }),
            },
        };
        let (response, item) = (format!("resp_{}", self.events), format!("item_{}", self.events));
        let head = json!({ "object": "realtime.response", "id": response, "status": "in_progress", "output": [] });
        self.say(json!({ "type": "response.created", "response": head }));
        let place = json!({ "response_id": response, "item_id": item, "output_index": 0, "content_index": 0 });
        let with = |more: Value| {
            let mut event = place.clone();
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        if !turn.says.is_empty() {
            let length = turn.says.chars().count() * MS_PER_CHARACTER;
            self.items.insert(item.clone(), length);
            for word in turn.says.split_inclusive(' ') {
                self.say(with(
                    json!({ "type": "response.output_audio_transcript.delta", "delta": word }),
                ));
            }
            let bytes = sound::mulaw(&sound::tone(length, 8000));
            // Pieces of odd sizes, as the vendor sends them.
            for piece in bytes.chunks(1777) {
                self.say(with(json!({ "type": "response.output_audio.delta", "delta": STANDARD.encode(piece) })));
            }
            self.say(with(json!({ "type": "response.output_audio.done" })));
            self.say(with(
                json!({ "type": "response.output_audio_transcript.done", "transcript": turn.says }),
            ));
        }
        if let Some((name, arguments)) = turn.call {
            let call = json!({ "id": format!("{item}_call"), "object": "realtime.item", "type": "function_call",
                "status": "completed", "call_id": format!("call_{}", self.events), "name": name,
                "arguments": arguments.to_string() });
            self.say(json!({ "type": "response.output_item.done", "response_id": response,
                             "output_index": 1, "item": call }));
        }
        let done = json!({ "object": "realtime.response", "id": response, "status": "completed",
            "output": [], "usage": { "total_tokens": 7, "input_tokens": 3, "output_tokens": 4 } });
        self.say(json!({ "type": "response.done", "response": done }));
    }
}
