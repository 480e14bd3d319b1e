//! Anthropic Messages, streamed. What it says is up to the test: a function from the request to a
//! [`Reply`]. A request that the vendor would refuse is refused in its words.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use super::openai::Reply;
use super::{Door, KEY};
use crate::record::Record;

type Mind = dyn Fn(&Value) -> Reply + Send + Sync;

struct Inner {
    mind: Box<Mind>,
    requests: Record<Value>,
    violations: Record<String>,
}

/// The double.
pub struct Anthropic {
    door: Door,
    inner: Arc<Inner>,
}

impl Anthropic {
    /// Opens, with something to say.
    pub async fn open(mind: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let inner = Arc::new(Inner {
            mind: Box::new(mind),
            requests: Record::default(),
            violations: Record::default(),
        });
        let router =
            Router::new().route("/v1/messages", post(messages)).with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `ANTHROPIC_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// Every request so far.
    pub fn requests(&self) -> &Record<Value> {
        &self.inner.requests
    }

    /// What the vendor would have refused.
    pub fn violations(&self) -> Vec<String> {
        self.inner.violations.all()
    }
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Response {
    let error = json!({ "type": kind, "message": message });
    let body = json!({ "type": "error", "error": error, "request_id": "req_1" });
    (status, Json(body)).into_response()
}

async fn messages(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    let keyed =
        headers.get(header::AUTHORIZATION).is_some_and(|sent| *sent == format!("Bearer {KEY}"));
    if !keyed {
        let why = "invalid bearer token";
        return refuse(StatusCode::UNAUTHORIZED, "authentication_error", why);
    }
    if let Err(why) = check(&headers, &request) {
        inner.violations.push(why.clone());
        return refuse(StatusCode::BAD_REQUEST, "invalid_request_error", &why);
    }
    inner.requests.push(request.clone());
    let events = events(&request, &(inner.mind)(&request));
    let text: String = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .collect();
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], text).into_response()
}

/// What the vendor checks of a request, as far as we are likely to get it wrong.
fn check(headers: &HeaderMap, request: &Value) -> Result<(), String> {
    if !headers.contains_key("anthropic-version") {
        return Err("anthropic-version: header is required".into());
    }
    for field in ["temperature", "top_p", "top_k"] {
        if !request[field].is_null() {
            return Err(format!("{field}: removed"));
        }
    }
    if request["max_tokens"].as_u64().is_none_or(|most| most == 0) || request["stream"] != true {
        return Err("max_tokens: field required; this double streams only".into());
    }
    let mut open: Vec<&str> = Vec::new();
    let mut last = "assistant";
    for (n, message) in request["messages"].as_array().into_iter().flatten().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if role == last || (role != "user" && role != "assistant") {
            return Err(format!("messages.{n}: roles must alternate, beginning with user"));
        }
        last = role;
        for block in message["content"].as_array().into_iter().flatten() {
            match block["type"].as_str() {
                Some("text")
                    if block["text"].as_str().is_some_and(|text| !text.trim().is_empty()) => {}
                Some("tool_use") if block["input"].is_object() => open.extend(block["id"].as_str()),
                Some("tool_result") => {
                    let at = open.iter().position(|id| block["tool_use_id"] == **id);
                    open.remove(at.ok_or(format!("messages.{n}: a result of no tool_use"))?);
                }
                _ => return Err(format!("messages.{n}: a bad block {block}")),
            }
        }
        if role == "user" && !open.is_empty() {
            return Err(format!("messages.{n}: tool_use without tool_result: {open:?}"));
        }
    }
    if last != "user" {
        return Err("messages: the last must be the user's".into());
    }
    Ok(())
}

fn events(request: &Value, reply: &Reply) -> Vec<Value> {
    let mut events = vec![
        json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant",
            "model": request["model"], "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": 21, "output_tokens": 1 } } }),
        json!({ "type": "ping" }),
    ];
    let mut index = 0;
    if !reply.words.is_empty() {
        let block = json!({ "type": "text", "text": "", "citations": null });
        events
            .push(json!({ "type": "content_block_start", "index": index, "content_block": block }));
        for word in reply.words.split_inclusive(' ') {
            let delta = json!({ "type": "text_delta", "text": word });
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        events.push(json!({ "type": "content_block_stop", "index": index }));
        index += 1;
    }
    for (name, arguments) in &reply.calls {
        let id = format!("toolu_{}", uuid::Uuid::now_v7().simple());
        let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
        events
            .push(json!({ "type": "content_block_start", "index": index, "content_block": block }));
        let letters: Vec<char> = arguments.chars().collect();
        for piece in letters.chunks(7) {
            let json: String = piece.iter().collect();
            let delta = json!({ "type": "input_json_delta", "partial_json": json });
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        events.push(json!({ "type": "content_block_stop", "index": index }));
        index += 1;
    }
    let reason = if reply.calls.is_empty() { "end_turn" } else { "tool_use" };
    events.push(
        json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null },
                        "usage": { "output_tokens": 8 } }),
    );
    events.push(json!({ "type": "message_stop" }));
    events
}
