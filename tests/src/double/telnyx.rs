//! Telnyx's REST API: texts that are sent, calls that are dialed and told what to do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
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

/// Something that was asked of a call.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its call control id.
    pub call: String,
    /// `dial`, or what stands behind `actions/`.
    pub action: String,
    /// As it was asked for.
    pub body: Value,
}

struct Inner {
    sent: Record<Sent>,
    asked: Record<Asked>,
    ended: Mutex<Vec<String>>,
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
            asked: Record::default(),
            ended: Mutex::default(),
            fault: Switch::default(),
            opted_out: Mutex::default(),
            keys: Mutex::default(),
        });
        let router = Router::new()
            .route("/v2/messages", post(messages))
            .route("/v2/calls", post(dial))
            .route("/v2/calls/{call}/actions/{action}", post(command))
            .with_state(Arc::clone(&inner));
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

    /// Everything that was asked of calls.
    pub fn asked(&self) -> &Record<Asked> {
        &self.inner.asked
    }

    /// A call is over: what is asked of it from now on is refused.
    pub fn ends(&self, call: &str) {
        self.inner.ended.lock().unwrap().push(call.into());
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

/// What every request goes through.
async fn at_the_door(inner: &Inner, headers: &HeaderMap) -> Result<(), Response> {
    let authorized =
        headers.get(header::AUTHORIZATION).is_some_and(|sent| *sent == format!("Bearer {KEY}"));
    match inner.fault.get() {
        Fault::Stall => std::future::pending().await,
        Fault::Drop | Fault::Rubbish => {
            Err((StatusCode::BAD_GATEWAY, "<html>bad gateway").into_response())
        }
        fault if fault == Fault::Refuse || !authorized => {
            Err(refuse(StatusCode::UNAUTHORIZED, "10009", "Authentication failed"))
        }
        _ => Ok(()),
    }
}

/// The parts of a request for a stream that Telnyx would refuse, or misunderstand.
fn stream_is_fine(body: &Value) -> bool {
    let said = |name: &str| body[name].as_str().unwrap_or_default();
    let state = said("client_state");
    body["stream_url"].is_null()
        || (said("stream_url").starts_with("wss://")
            && said("stream_bidirectional_mode") == "rtp"
            && said("stream_bidirectional_codec") == "PCMU"
            && base64::Engine::decode(&base64::prelude::BASE64_STANDARD, state).is_ok())
}

async fn dial(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if let Err(refused) = at_the_door(&inner, &headers).await {
        return refused;
    }
    let said = |name: &str| body[name].as_str().unwrap_or_default();
    if said("connection_id").is_empty() {
        return refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            "10015",
            "Invalid value for connection_id",
        );
    }
    if !said("to").starts_with('+') && !said("to").starts_with("sip:") {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "10016", "Phone number must be in +E.164");
    }
    if !stream_is_fine(&body) {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "10015", "Invalid stream");
    }
    let (leg, session) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    let call = format!("v3:{}", leg.simple());
    inner.asked.push(Asked { call: call.clone(), action: "dial".into(), body });
    Json(json!({ "data": { "record_type": "call", "call_control_id": call, "call_leg_id": leg,
        "call_session_id": session, "is_alive": false } }))
    .into_response()
}

async fn command(
    State(inner): State<Arc<Inner>>,
    Path((call, action)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if let Err(refused) = at_the_door(&inner, &headers).await {
        return refused;
    }
    if inner.ended.lock().unwrap().contains(&call) {
        let title = "Call has already ended";
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "90018", title);
    }
    let missing = match action.as_str() {
        "send_dtmf" => body["digits"].as_str().is_none().then_some("digits"),
        "transfer" => body["to"].as_str().is_none().then_some("to"),
        "reject" => body["cause"].as_str().is_none().then_some("cause"),
        "answer" | "hangup" | "streaming_start" => None,
        _ => return refuse(StatusCode::NOT_FOUND, "10005", "Resource not found"),
    };
    if let Some(name) = missing {
        let title = format!("Missing required parameter {name}");
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "10004", &title);
    }
    if !stream_is_fine(&body) {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "10015", "Invalid stream");
    }
    inner.asked.push(Asked { call, action, body });
    Json(json!({ "data": { "result": "ok" } })).into_response()
}

async fn messages(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if let Err(refused) = at_the_door(&inner, &headers).await {
        return refused;
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
