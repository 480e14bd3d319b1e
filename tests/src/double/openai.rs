//! OpenAI: chat completions (whole, or streamed as server-sent events) and speech.
//!
//! What it says is up to the test: a function from the request to a [`Reply`]. A request that the
//! vendor would refuse is refused in the vendor's words and kept in `violations`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Door, Fault, KEY, Switch};
use crate::record::Record;
use crate::sound;

/// What the model answers.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub(super) words: String,
    pub(super) calls: Vec<(String, String)>,
    after: Duration,
    broken: bool,
}

impl Reply {
    /// No answer: 500.
    pub fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }

    /// Words.
    pub fn say(words: &str) -> Self {
        Self { words: words.into(), ..Self::default() }
    }

    /// A tool.
    pub fn call(name: &str, arguments: &Value) -> Self {
        Self::default().and_call(name, arguments)
    }

    /// The same with one tool more.
    pub fn and_call(mut self, name: &str, arguments: &Value) -> Self {
        self.calls.push((name.into(), arguments.to_string()));
        self
    }

    /// The same, not before so long.
    pub fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }
}

/// The last words of the caller or texter in a request.
pub fn last_user(request: &Value) -> String {
    let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    messages
        .iter()
        .rev()
        .find(|message| message["role"] == "user")
        .map(|message| text_of(&message["content"]))
        .unwrap_or_default()
}

/// What a message says, whether written as a string or as parts.
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

type Mind = dyn Fn(&Value) -> Reply + Send + Sync;

struct Inner {
    mind: Box<Mind>,
    requests: Record<Value>,
    speeches: Record<Value>,
    violations: Record<String>,
    fault: Switch,
}

/// The double.
pub struct OpenAi {
    door: Door,
    inner: Arc<Inner>,
}

impl OpenAi {
    /// Opens, with something to say.
    pub async fn open(mind: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let inner = Arc::new(Inner {
            mind: Box::new(mind),
            requests: Record::default(),
            speeches: Record::default(),
            violations: Record::default(),
            fault: Switch::default(),
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/v1/audio/speech", post(speech))
            .with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `OPENAI_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}/v1", self.door.at)
    }

    /// Every chat request so far.
    pub fn requests(&self) -> &Record<Value> {
        &self.inner.requests
    }

    /// Every speech request so far.
    pub fn speeches(&self) -> &Record<Value> {
        &self.inner.speeches
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

fn error(status: StatusCode, kind: &str, code: &str, message: &str) -> Response {
    let body =
        json!({ "error": { "message": message, "type": kind, "param": null, "code": code } });
    (status, Json(body)).into_response()
}

/// What every request goes through; an answer here is the whole answer.
async fn at_the_door(inner: &Inner, headers: &HeaderMap) -> Option<Response> {
    let authorized =
        headers.get(header::AUTHORIZATION).is_some_and(|sent| *sent == format!("Bearer {KEY}"));
    match inner.fault.get() {
        Fault::Stall => std::future::pending().await,
        Fault::Rubbish => {
            Some((StatusCode::OK, "<html>\u{fffd} not what you asked for").into_response())
        }
        fault if fault == Fault::Refuse || !authorized => Some(error(
            StatusCode::UNAUTHORIZED,
            "invalid_request_error",
            "invalid_api_key",
            "Incorrect API key provided.",
        )),
        _ => None,
    }
}

async fn chat(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    if let Err(why) = check(&request) {
        inner.violations.push(why.clone());
        return error(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_value", &why);
    }
    inner.requests.push(request.clone());
    if let Some(answer) = at_the_door(&inner, &headers).await {
        return answer;
    }
    let reply = (inner.mind)(&request);
    tokio::time::sleep(reply.after).await;
    if reply.broken {
        let why = "The server had an error while processing your request.";
        return error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "server_error", why);
    }
    if request["stream"] == true {
        streamed(&request, &reply, inner.fault.get() == Fault::Drop)
    } else {
        Json(whole(&request, &reply)).into_response()
    }
}

/// What the vendor checks of a request, as far as we are likely to get it wrong.
fn check(request: &Value) -> Result<(), String> {
    if !request["model"].is_string() {
        return Err("you must provide a model parameter".into());
    }
    let messages = request["messages"].as_array().filter(|m| !m.is_empty());
    let mut open: Vec<String> = Vec::new();
    for (i, message) in messages.ok_or("`messages` must not be empty")?.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" && !open.is_empty() {
            return Err(format!("messages.{i}: tool calls {open:?} were not answered"));
        }
        match role {
            "system" | "developer" | "user" if !message["content"].is_null() => {}
            "assistant" => {
                let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
                if message["content"].is_null() && calls.is_empty() {
                    return Err(format!("messages.{i}: neither content nor tool_calls"));
                }
                for call in calls {
                    let function = &call["function"];
                    if call["type"] != "function"
                        || !function["name"].is_string()
                        || !function["arguments"].is_string()
                    {
                        return Err(format!("messages.{i}: a bad tool call {call}"));
                    }
                    open.push(call["id"].as_str().ok_or("a tool call without id")?.into());
                }
            }
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let at = open.iter().position(|o| o == id);
                open.remove(at.ok_or(format!("messages.{i}: answers no tool call ({id})"))?);
            }
            _ => return Err(format!("messages.{i}: a bad message {message}")),
        }
    }
    for tool in request["tools"].as_array().into_iter().flatten() {
        let function = &tool["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if tool["type"] != "function"
            || name.is_empty()
            || name.len() > 64
            || !name.chars().all(fits)
        {
            return Err(format!("a bad tool {tool}"));
        }
        if !function["parameters"].is_null() && function["parameters"]["type"] != "object" {
            return Err(format!("the parameters of {name} are no object"));
        }
    }
    if request["tools"].as_array().is_some_and(Vec::is_empty) {
        return Err("[] is too short - 'tools'".into());
    }
    Ok(())
}

fn finish(reply: &Reply) -> &'static str {
    if reply.calls.is_empty() { "stop" } else { "tool_calls" }
}

fn usage() -> Value {
    json!({ "prompt_tokens": 21, "completion_tokens": 8, "total_tokens": 29,
            "prompt_tokens_details": { "cached_tokens": 0 }, "completion_tokens_details": { "reasoning_tokens": 0 } })
}

fn whole(request: &Value, reply: &Reply) -> Value {
    let calls: Vec<Value> = reply
        .calls
        .iter()
        .enumerate()
        .map(|(i, (name, arguments))| {
            json!({ "id": format!("call_{i}"), "type": "function", "function": { "name": name, "arguments": arguments } })
        })
        .collect();
    let mut message = json!({ "role": "assistant", "content": reply.words, "refusal": null });
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({ "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": request["model"],
            "choices": [{ "index": 0, "message": message, "finish_reason": finish(reply), "logprobs": null }],
            "usage": usage() })
}

/// The answer as server-sent events, cut into pieces that respect neither lines nor characters.
fn streamed(request: &Value, reply: &Reply, cut: bool) -> Response {
    let chunk = |delta: Value, finish: Value| {
        json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": request["model"],
                "system_fingerprint": "fp_1", "obfuscation": "x9",
                "choices": [{ "index": 0, "delta": delta, "finish_reason": finish, "logprobs": null }], "usage": null })
    };
    let mut events = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
    events.extend(
        reply.words.split_inclusive(' ').map(|word| chunk(json!({ "content": word }), Value::Null)),
    );
    for (index, (name, arguments)) in reply.calls.iter().enumerate() {
        let first = json!({ "index": index, "id": format!("call_{}", uuid::Uuid::now_v7().simple()), "type": "function",
                            "function": { "name": name, "arguments": "" } });
        events.push(chunk(json!({ "tool_calls": [first] }), Value::Null));
        let letters: Vec<char> = arguments.chars().collect();
        for piece in letters.chunks(7) {
            let more = json!({ "index": index, "function": { "arguments": piece.iter().collect::<String>() } });
            events.push(chunk(json!({ "tool_calls": [more] }), Value::Null));
        }
    }
    events.push(chunk(json!({}), json!(finish(reply))));
    if request["stream_options"]["include_usage"] == true {
        events.push(json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                            "model": request["model"], "choices": [], "usage": usage() }));
    }
    let mut text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    text.push_str("data: [DONE]\n\n");
    if cut {
        text.truncate(text.floor_char_boundary(text.len() / 2));
    }
    let mut pieces: Vec<Result<Bytes, std::io::Error>> =
        text.as_bytes().chunks(61).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    if cut {
        pieces.push(Err(std::io::ErrorKind::ConnectionReset.into()));
    }
    let pieces = stream::iter(pieces).then(|piece| async {
        // A pause between pieces makes each of them arrive alone.
        tokio::time::sleep(Duration::from_micros(300)).await;
        piece
    });
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(pieces))
        .into_response()
}

async fn speech(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    inner.speeches.push(request.clone());
    if let Some(answer) = at_the_door(&inner, &headers).await {
        return answer;
    }
    let input = request["input"].as_str().unwrap_or_default();
    let known = ["mp3", "opus", "aac", "flac", "wav", "pcm"];
    let format = request["response_format"].as_str().unwrap_or("mp3");
    if input.is_empty()
        || input.len() > 4096
        || !request["voice"].is_string()
        || !known.contains(&format)
    {
        let why = format!("a bad speech request {request}");
        inner.violations.push(why.clone());
        return error(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_value", &why);
    }
    // 24 kHz, 16 bits, no header; pieces end in the middle of a sample.
    let samples = sound::tone(input.chars().count() * 20, 24_000);
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let cut = inner.fault.get() == Fault::Drop;
    let kept = if cut { bytes.len() / 2 } else { bytes.len() };
    let mut pieces: Vec<Result<Bytes, std::io::Error>> =
        bytes[..kept].chunks(1023).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    if cut {
        pieces.push(Err(std::io::ErrorKind::ConnectionReset.into()));
    }
    ([(header::CONTENT_TYPE, "audio/pcm")], Body::from_stream(stream::iter(pieces))).into_response()
}
