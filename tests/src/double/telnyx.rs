//! Telnyx's REST API: texts that are sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{Door, Fault, KEY, Switch};
use crate::record::Record;

/// The seed of the key that signs webhooks, in hex, and the public key.
pub const SEED: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// For `TELNYX_WEBHOOK_PUBLIC_KEY`.
pub const PUBLIC_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// A text that left.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The id that Telnyx gave it.
    pub id: String,
    /// As it was asked for.
    pub body: Value,
}

struct Inner {
    sent: Record<Sent>,
    fault: Switch,
    opted_out: Mutex<Vec<String>>,
    keys: Mutex<HashMap<String, Value>>,
}

/// The double.
pub struct Telnyx {
    door: Door,
    inner: Arc<Inner>,
}

impl Telnyx {
    /// Opens.
    pub async fn open() -> Self {
        let inner = Arc::new(Inner {
            sent: Record::default(),
            fault: Switch::default(),
            opted_out: Mutex::default(),
            keys: Mutex::default(),
        });
        let router =
            Router::new().route("/v2/messages", post(messages)).with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `TELNYX_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}/v2", self.door.at)
    }

    /// Every text that left.
    pub fn sent(&self) -> &Record<Sent> {
        &self.inner.sent
    }

    /// Fails like this from now on.
    pub fn fail(&self, fault: Fault) {
        self.inner.fault.set(fault);
    }

    /// Refuses texts to this number from now on: it has written STOP.
    pub fn opt_out(&self, number: &str) {
        self.inner.opted_out.lock().unwrap().push(number.into());
    }
}

fn refuse(status: StatusCode, code: &str, title: &str) -> Response {
    let error = json!({ "code": code, "title": title, "detail": title,
                        "meta": { "url": format!("https://developers.telnyx.com/docs/{code}") } });
    (status, Json(json!({ "errors": [error] }))).into_response()
}

async fn messages(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let authorized =
        headers.get(header::AUTHORIZATION).is_some_and(|sent| *sent == format!("Bearer {KEY}"));
    match inner.fault.get() {
        Fault::Stall => std::future::pending().await,
        Fault::Drop | Fault::Rubbish => {
            return (StatusCode::BAD_GATEWAY, "<html>bad gateway").into_response();
        }
        fault if fault == Fault::Refuse || !authorized => {
            return refuse(StatusCode::UNAUTHORIZED, "10009", "Authentication failed");
        }
        _ => {}
    }
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    if let Some(known) = key.as_ref().and_then(|key| inner.keys.lock().unwrap().get(key).cloned()) {
        return Json(known).into_response();
    }
    let (to, from) = (body["to"].as_str().unwrap_or(""), body["from"].as_str().unwrap_or(""));
    if !to.starts_with('+') {
        return refuse(StatusCode::BAD_REQUEST, "40310", "Invalid 'to' address");
    }
    if !from.starts_with('+') {
        return refuse(StatusCode::BAD_REQUEST, "40305", "Invalid 'from' address");
    }
    let media = body["media_urls"].as_array().map_or(0, Vec::len);
    if body["text"].as_str().unwrap_or("").is_empty() && media == 0 {
        return refuse(StatusCode::BAD_REQUEST, "10004", "Missing required parameter");
    }
    if inner.opted_out.lock().unwrap().iter().any(|number| number == to) {
        return refuse(StatusCode::BAD_REQUEST, "40300", "Blocked due to STOP message");
    }
    let id = uuid::Uuid::now_v7().to_string();
    let answer = json!({ "data": {
        "id": id, "record_type": "message", "direction": "outbound",
        "type": if media == 0 { "SMS" } else { "MMS" }, "messaging_profile_id": null,
        "from": { "phone_number": from, "carrier": "Telnyx", "line_type": "VoIP" },
        "to": [{ "phone_number": to, "status": "queued", "carrier": "", "line_type": "Wireless" }],
        "text": body["text"], "media": [], "parts": 1, "encoding": "GSM-7", "cost": null,
        "webhook_url": body["webhook_url"], "errors": [], "tags": [], "valid_until": null } });
    if let Some(key) = key {
        inner.keys.lock().unwrap().insert(key, answer.clone());
    }
    inner.sent.push(Sent { id, body });
    Json(answer).into_response()
}
