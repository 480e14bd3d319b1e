//! Gemini: `streamGenerateContent` as server-sent events, and Live over one WebSocket, whose JSON
//! comes in binary frames. What it says is up to the test: a function from the caller's last words
//! to a [`Reply`]; on a live call it hears the words that the test gives.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::openai::Reply;
use super::{Door, KEY};
use crate::record::Record;
use crate::sound;

/// How long a character sounds.
pub const MS_PER_CHARACTER: usize = 25;

type Mind = dyn Fn(&str) -> Reply + Send + Sync;

struct Inner {
    mind: Box<Mind>,
    hears: String,
    requests: Record<Value>,
    told: Record<Value>,
    violations: Record<String>,
}

/// The double.
pub struct Gemini {
    door: Door,
    inner: Arc<Inner>,
}

impl Gemini {
    /// Opens, with something to say, and what every caller says on a live call.
    pub async fn open(mind: impl Fn(&str) -> Reply + Send + Sync + 'static, hears: &str) -> Self {
        let inner = Arc::new(Inner {
            mind: Box::new(mind),
            hears: hears.to_owned(),
            requests: Record::default(),
            told: Record::default(),
            violations: Record::default(),
        });
        let mut router = Router::new();
        // The vendor serves both, and its library asks for the first.
        for version in ["v1", "v1beta"] {
            let service = format!("google.ai.generativelanguage.{version}.GenerativeService");
            router = router
                .route(&format!("/{version}/models/{{call}}"), post(stream))
                .route(&format!("/ws/{service}.BidiGenerateContent"), get(door));
        }
        let router = router.with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `GEMINI_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// Every written request so far.
    pub fn requests(&self) -> &Record<Value> {
        &self.inner.requests
    }

    /// Every live message so far, but for sound.
    pub fn told(&self) -> &Record<Value> {
        &self.inner.told
    }

    /// What the vendor would have refused.
    pub fn violations(&self) -> Vec<String> {
        self.inner.violations.all()
    }
}

fn refuse(status: StatusCode, name: &str, message: &str) -> Response {
    let error = json!({ "code": status.as_u16(), "message": message, "status": name });
    (status, Json(json!({ "error": error }))).into_response()
}

async fn stream(
    State(inner): State<Arc<Inner>>,
    Path(call): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    if headers.get("x-goog-api-key").is_none_or(|sent| sent != KEY) {
        let why = "API key not valid.";
        return refuse(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", why);
    }
    let streams = call.ends_with(":streamGenerateContent")
        && query.get("alt").is_some_and(|alt| alt == "sse");
    if let Err(why) = check(&request).and_then(|()| streams.then_some(()).ok_or(call)) {
        inner.violations.push(why.clone());
        return refuse(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", &why);
    }
    inner.requests.push(request.clone());
    let reply = (inner.mind)(&last_words(&request["contents"]));
    let chunk = |parts: Value, finish: Value| {
        json!({ "candidates": [{ "content": { "role": "model", "parts": parts }, "finishReason": finish, "index": 0 }],
                "modelVersion": "gemini-x", "responseId": "r1",
                "usageMetadata": { "promptTokenCount": 21, "candidatesTokenCount": 8, "totalTokenCount": 29 } })
    };
    let mut chunks: Vec<Value> = reply
        .words
        .split_inclusive(' ')
        .map(|word| chunk(json!([{ "text": word }]), Value::Null))
        .collect();
    for (name, arguments) in &reply.calls {
        let args: Value = serde_json::from_str(arguments).unwrap();
        let call = json!({ "functionCall": { "id": "fc1", "name": name, "args": args }, "thoughtSignature": "c2ln" });
        chunks.push(chunk(json!([call]), Value::Null));
    }
    chunks.push(chunk(json!([{ "text": "" }]), json!("STOP")));
    let text: String = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
    ([(header::CONTENT_TYPE, "text/event-stream")], text).into_response()
}

/// The last words of the user.
fn last_words(contents: &Value) -> String {
    let parts = contents.as_array().and_then(|all| all.last()).map(|last| &last["parts"]);
    let texts = parts.and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(|part| part["text"].as_str()).next_back().unwrap_or_default().to_owned()
}

/// What the vendor checks of a request, as far as we are likely to get it wrong.
fn check(request: &Value) -> Result<(), String> {
    let contents = request["contents"].as_array().filter(|all| !all.is_empty());
    let contents = contents.ok_or("contents is not specified")?;
    if contents[0]["role"] != "user" || contents[contents.len() - 1]["role"] != "user" {
        return Err("the user's turn comes first and last".into());
    }
    let mut called: Vec<&str> = Vec::new();
    for content in contents {
        let parts = content["parts"].as_array().filter(|parts| !parts.is_empty());
        for part in parts.ok_or("contents.parts must not be empty")? {
            if let Some(name) = part["functionCall"]["name"].as_str() {
                called.push(name);
                if part["thoughtSignature"].is_null() && part["functionCall"]["id"] == "fc1" {
                    return Err("Function call is missing a thought_signature".into());
                }
            }
            if let Some(name) = part["functionResponse"]["name"].as_str() {
                let at = called.iter().position(|call| *call == name);
                called.remove(at.ok_or("a response to no call")?);
                if !part["functionResponse"]["response"].is_object() {
                    return Err("function_response.response must be an object".into());
                }
            }
        }
    }
    if called.is_empty() { Ok(()) } else { Err("function calls without responses".into()) }
}

async fn door(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let keyed = headers.get("x-goog-api-key").is_some_and(|sent| sent == KEY);
    upgrade.on_upgrade(move |mut socket| async move {
        if keyed {
            return live(inner, socket).await;
        }
        // A bad key is told by closing.
        let frame = CloseFrame { code: 1008, reason: "API key not valid.".into() };
        let _ = socket.send(Message::Close(Some(frame))).await;
    })
}

async fn live(inner: Arc<Inner>, mut socket: WebSocket) {
    let mut ready = false;
    let mut active = false;
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        let input = either(&told, "realtimeInput", "realtime_input");
        if input["audio"].is_null() {
            inner.told.push(told.clone());
        } else if !active {
            inner.violations.push("sound outside of an activity".into());
        }
        let answers = if told["setup"].is_object() {
            ready = true;
            vec![json!({ "setupComplete": {} })]
        } else if !ready {
            inner.violations.push(format!("before the setup: {told}"));
            return;
        } else if either(input, "activityStart", "activity_start").is_object() {
            active = true;
            Vec::new()
        } else if either(input, "activityEnd", "activity_end").is_object() {
            active = false;
            let heard =
                json!({ "serverContent": { "inputTranscription": { "text": inner.hears } } });
            let mut answers = vec![heard];
            answers.extend(said(&(inner.mind)(&inner.hears)));
            answers
        } else if let Some(words) = input["text"].as_str() {
            said(&(inner.mind)(words))
        } else if told["toolResponse"].is_object() || told["tool_response"].is_object() {
            said(&(inner.mind)("(a tool has answered)"))
        } else {
            Vec::new()
        };
        for answer in answers {
            if socket.send(Message::binary(answer.to_string())).await.is_err() {
                return;
            }
        }
    }
}

/// A member by either of its two spellings.
fn either<'a>(value: &'a Value, one: &str, two: &str) -> &'a Value {
    if value[one].is_null() { &value[two] } else { &value[one] }
}

fn said(reply: &Reply) -> Vec<Value> {
    let content = |content: Value| json!({ "serverContent": content });
    let mut answers = Vec::new();
    if !reply.words.is_empty() {
        let samples = sound::tone(reply.words.trim().chars().count() * MS_PER_CHARACTER, 24_000);
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for piece in bytes.chunks(9600) {
            let data =
                json!({ "mimeType": "audio/pcm;rate=24000", "data": STANDARD.encode(piece) });
            answers.push(content(json!({ "modelTurn": { "parts": [{ "inlineData": data }] } })));
        }
        answers.push(content(json!({ "outputTranscription": { "text": reply.words } })));
    }
    if reply.calls.is_empty() {
        answers.push(content(json!({ "generationComplete": true })));
        let mut end = content(json!({ "turnComplete": true }));
        end["usageMetadata"] =
            json!({ "promptTokenCount": 3, "responseTokenCount": 4, "totalTokenCount": 7 });
        answers.push(end);
    } else {
        let call = |(n, (name, arguments)): (usize, &(String, String))| {
            let args: Value = serde_json::from_str(arguments).unwrap();
            json!({ "id": format!("fc_{n}"), "name": name, "args": args })
        };
        let calls: Vec<Value> = reply.calls.iter().enumerate().map(call).collect();
        answers.push(json!({ "toolCall": { "functionCalls": calls } }));
    }
    answers
}
