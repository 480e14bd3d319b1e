//! LINE's REST API: replies and pushes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{Door, KEY};
use crate::record::Record;

/// The secret of the channel.
pub const SECRET: &str = "channelsecret";

/// A request that was taken: `reply` or `push`, and its body.
pub type Sent = (String, Value);

#[derive(Default)]
struct Inner {
    sent: Record<Sent>,
    tokens: Mutex<Vec<String>>,
    keys: Mutex<HashMap<String, String>>,
}

/// The double.
pub struct Line {
    door: Door,
    inner: Arc<Inner>,
}

impl Line {
    /// Opens.
    pub async fn open() -> Self {
        let inner = Arc::<Inner>::default();
        let router = Router::new()
            .route("/v2/bot/message/{call}", post(message))
            .with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `LINE_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// Every request that was taken.
    pub fn sent(&self) -> &Record<Sent> {
        &self.inner.sent
    }

    /// A reply token is good from now on, once.
    pub fn grant(&self, token: &str) {
        self.inner.tokens.lock().unwrap().push(token.into());
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

async fn message(
    State(inner): State<Arc<Inner>>,
    Path(call): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let authorized =
        headers.get(header::AUTHORIZATION).is_some_and(|sent| *sent == format!("Bearer {KEY}"));
    if !authorized {
        return refuse(StatusCode::UNAUTHORIZED, "Authentication failed.");
    }
    let fits = |message: &Value| match message["type"].as_str() {
        Some("text") => {
            let units = message["text"].as_str().unwrap_or("").encode_utf16().count();
            (1..=5000).contains(&units)
        }
        Some("image") => ["originalContentUrl", "previewImageUrl"]
            .iter()
            .all(|name| message[name].as_str().is_some_and(|url| url.starts_with("https://"))),
        _ => false,
    };
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    if !(1..=5).contains(&messages.len()) || !messages.iter().all(fits) {
        return refuse(StatusCode::BAD_REQUEST, "The request body has 1 error(s)");
    }
    let id = uuid::Uuid::now_v7().as_u128().to_string();
    let answer = json!({ "sentMessages": [{ "id": id, "quoteToken": "q" }] });
    match call.as_str() {
        "reply" => {
            let mut tokens = inner.tokens.lock().unwrap();
            let known = tokens.iter().position(|token| body["replyToken"] == token.as_str());
            let Some(known) = known else {
                return refuse(StatusCode::BAD_REQUEST, "Invalid reply token");
            };
            tokens.remove(known);
        }
        "push" if body["to"].as_str().is_some_and(|to| !to.is_empty()) => {
            if let Some(key) = headers.get("x-line-retry-key") {
                let key = key.to_str().unwrap().to_owned();
                if uuid::Uuid::parse_str(&key).is_err() {
                    return refuse(StatusCode::BAD_REQUEST, "Invalid retry key");
                }
                let mut keys = inner.keys.lock().unwrap();
                if let Some(first) = keys.get(&key) {
                    let body = json!({ "message": "The retry key is already accepted",
                                       "sentMessages": [{ "id": first, "quoteToken": "q" }] });
                    let header = [("x-line-accepted-request-id", "r1")];
                    return (StatusCode::CONFLICT, header, Json(body)).into_response();
                }
                keys.insert(key, id);
            }
        }
        _ => return refuse(StatusCode::NOT_FOUND, "Not found"),
    }
    inner.sent.push((call, body));
    ([("x-line-request-id", "r1")], Json(answer)).into_response()
}
