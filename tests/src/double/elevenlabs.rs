//! ElevenLabs: text in, mu-law out, over `multi-stream-input` (contexts) and `stream-input` (one
//! text a socket). The voice is a tone that lasts [`MS_PER_CHARACTER`] for each character.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Door, Fault, KEY, Switch};
use crate::record::Record;
use crate::sound;

/// The sound of a context that is over, in mu-law: whoever hears it did not heed that.
pub const GHOST: u8 = 0x00;

/// How long a character sounds.
pub const MS_PER_CHARACTER: usize = 25;

struct Inner {
    spoken: Record<String>,
    told: Record<Value>,
    violations: Record<String>,
    fault: Switch,
    haunted: AtomicBool,
}

/// The double.
pub struct ElevenLabs {
    door: Door,
    inner: Arc<Inner>,
}

impl ElevenLabs {
    /// Opens.
    pub async fn open() -> Self {
        let inner = Arc::new(Inner {
            spoken: Record::default(),
            told: Record::default(),
            violations: Record::default(),
            fault: Switch::default(),
            haunted: AtomicBool::default(),
        });
        let router = Router::new()
            .route("/v1/text-to-speech/{voice}/multi-stream-input", get(multi))
            .route("/v1/text-to-speech/{voice}/stream-input", get(single))
            .with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `ELEVENLABS_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// Every text that was spoken, piece by piece as it was generated.
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

    /// From now on sound of contexts comes after their end, as of turns that were cut.
    pub fn haunt(&self) {
        self.inner.haunted.store(true, Ordering::Relaxed);
    }

    /// Fails like this from now on.
    pub fn fail(&self, fault: Fault) {
        self.inner.fault.set(fault);
    }
}

type Options = Vec<(String, String)>;

async fn multi(
    State(inner): State<Arc<Inner>>,
    Path(voice): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    open(inner, &voice, &options, &headers, upgrade, Kind::Multi)
}

async fn single(
    State(inner): State<Arc<Inner>>,
    Path(voice): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    open(inner, &voice, &options, &headers, upgrade, Kind::Single)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Multi,
    Single,
}

fn open(
    inner: Arc<Inner>,
    voice: &str,
    options: &Options,
    headers: &HeaderMap,
    upgrade: WebSocketUpgrade,
    kind: Kind,
) -> Response {
    let get = |name: &str| options.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let keyed = headers.get("xi-api-key").is_some_and(|key| key == KEY);
    if inner.fault.get() == Fault::Refuse || !keyed {
        let body =
            json!({ "detail": { "status": "invalid_api_key", "message": "Invalid API key" } });
        return (StatusCode::UNAUTHORIZED, body.to_string()).into_response();
    }
    let format = get("output_format").unwrap_or("mp3_44100_128");
    if format != "ulaw_8000" || voice.is_empty() {
        inner.violations.push(format!("this double speaks ulaw_8000 only, not {format}"));
        return (StatusCode::UNPROCESSABLE_ENTITY, "output_format").into_response();
    }
    let patience = get("inactivity_timeout").and_then(|s| s.parse().ok()).unwrap_or(20);
    upgrade.on_upgrade(move |socket| Mouth::new(inner, kind, patience).serve(socket))
}

/// A text that is being collected.
struct Context {
    id: String,
    text: String,
    closing: bool,
}

/// What waits to be sent: sound of a context (with its characters), or its end.
enum Due {
    Sound(String, Vec<u8>, String),
    Final(String),
}

/// One socket's voice.
struct Mouth {
    inner: Arc<Inner>,
    kind: Kind,
    patience: Duration,
    contexts: Vec<Context>,
    due: VecDeque<Due>,
}

impl Mouth {
    fn new(inner: Arc<Inner>, kind: Kind, patience_s: u64) -> Self {
        let patience = Duration::from_secs(patience_s);
        Self { inner, kind, patience, contexts: Vec::new(), due: VecDeque::new() }
    }

    async fn serve(mut self, mut socket: WebSocket) {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let mut last_text = tokio::time::Instant::now();
        let mut sent = 0;
        loop {
            tokio::select! {
                message = socket.recv() => {
                    let Some(Ok(message)) = message else { return };
                    let text = match message {
                        Message::Text(text) => text,
                        Message::Close(_) => return,
                        Message::Binary(_) => { self.inner.violations.push("binary".into()); continue }
                        _ => continue,
                    };
                    last_text = tokio::time::Instant::now();
                    if self.inner.fault.get() == Fault::Stall { continue }
                    match self.told(&text) {
                        Ok(true) => {}
                        Ok(false) => return close(&mut socket, 1000, "").await,
                        Err(why) => {
                            self.inner.violations.push(why.clone());
                            let body = json!({ "message": why, "error": "invalid_input", "code": 1008 });
                            let _ = socket.send(Message::text(body.to_string())).await;
                            return close(&mut socket, 1008, "invalid input").await;
                        }
                    }
                }
                _ = tick.tick() => {
                    if last_text.elapsed() > self.patience {
                        return close(&mut socket, 1008, "Have not received a new text input within the timeout").await;
                    }
                    let Some(due) = self.due.pop_front() else { continue };
                    let text = match self.inner.fault.get() {
                        Fault::Rubbish => "<rubbish>".into(),
                        Fault::Drop if sent >= 1 => return,
                        _ => self.frame(&due).to_string(),
                    };
                    sent += 1;
                    if socket.send(Message::text(text)).await.is_err() { return }
                    if self.kind == Kind::Single && matches!(due, Due::Final(_)) {
                        return close(&mut socket, 1000, "").await;
                    }
                }
            }
        }
    }

    /// Takes a message; `false` = the socket shall be closed.
    fn told(&mut self, text: &str) -> Result<bool, String> {
        let told: Value = serde_json::from_str(text).map_err(|_| format!("no JSON: {text}"))?;
        self.inner.told.push(told.clone());
        if told["close_socket"] == true {
            return Ok(false);
        }
        let id = match self.kind {
            Kind::Multi => told["context_id"].as_str().unwrap_or("default").to_owned(),
            Kind::Single => String::new(),
        };
        let at = match self.contexts.iter().position(|context| context.id == id) {
            Some(at) => at,
            None if told["close_context"] == true => return Ok(true),
            None => {
                if self.contexts.len() == 5 {
                    return Err("more than 5 contexts at once".into());
                }
                if self.kind == Kind::Single && told["text"] != " " {
                    return Err("the first text must be a space".into());
                }
                self.contexts.push(Context { id, text: String::new(), closing: false });
                self.contexts.len() - 1
            }
        };
        let context = &mut self.contexts[at];
        if let Some(more) = told["text"].as_str().filter(|_| !context.closing) {
            context.text.push_str(more);
        }
        let ended = match self.kind {
            Kind::Multi => told["close_context"] == true,
            Kind::Single => told["text"] == "",
        };
        if told["flush"] == true || told["try_trigger_generation"] == true || ended {
            self.generate(at);
        }
        if ended {
            let context = self.contexts.remove(at);
            let ghost = Due::Sound(context.id.clone(), vec![GHOST; 8000], "boo".into());
            self.due.push_back(Due::Final(context.id));
            if self.kind == Kind::Multi && self.inner.haunted.load(Ordering::Relaxed) {
                self.due.push_back(ghost);
            }
        }
        Ok(true)
    }

    /// Turns the text of a context into sound.
    fn generate(&mut self, at: usize) {
        let context = &mut self.contexts[at];
        let text = std::mem::take(&mut context.text);
        if text.trim().is_empty() {
            return;
        }
        self.inner.spoken.push(text.trim().to_owned());
        let letters: Vec<char> = text.trim().chars().collect();
        // Chunks of odd sizes, as the vendor sends them.
        for piece in letters.chunks(11) {
            let bytes = sound::mulaw(&sound::tone(piece.len() * MS_PER_CHARACTER, 8000));
            self.due.push_back(Due::Sound(context.id.clone(), bytes, piece.iter().collect()));
        }
    }

    fn frame(&self, due: &Due) -> Value {
        let mut frame = match due {
            Due::Sound(_, bytes, letters) => {
                let chars: Vec<String> = letters.chars().map(String::from).collect();
                let starts: Vec<usize> = (0..chars.len()).map(|i| i * MS_PER_CHARACTER).collect();
                let alignment = json!({ "chars": chars, "charStartTimesMs": starts,
                                        "charDurationsMs": vec![MS_PER_CHARACTER; starts.len()] });
                json!({ "audio": STANDARD.encode(bytes), "isFinal": null,
                        "alignment": alignment, "normalizedAlignment": alignment })
            }
            Due::Final(_) if self.kind == Kind::Multi => json!({ "isFinal": true }),
            Due::Final(_) => json!({ "audio": null, "isFinal": true }),
        };
        if self.kind == Kind::Multi {
            let (Due::Sound(id, ..) | Due::Final(id)) = due;
            frame["contextId"] = json!(id);
        }
        frame
    }
}

async fn close(socket: &mut WebSocket, code: u16, reason: &str) {
    let frame = CloseFrame { code, reason: reason.to_owned().into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
}
