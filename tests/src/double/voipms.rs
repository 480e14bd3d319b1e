//! voip.ms's REST API, as far as texts go. It has no library of its own that could judge this: it
//! is written from the API's reference.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::twilio::{Form, field, pairs};
use super::{Door, KEY};
use crate::record::Record;

/// The account.
pub const USERNAME: &str = "shop@example.com";

/// The double.
pub struct VoipMs {
    door: Door,
    sent: Arc<Record<Form>>,
}

impl VoipMs {
    /// Opens.
    pub async fn open() -> Self {
        let sent = Arc::<Record<Form>>::default();
        let router =
            Router::new().route("/api/v1/rest.php", post(rest)).with_state(Arc::clone(&sent));
        Self { door: Door::open(router).await, sent }
    }

    /// For `VOIPMS_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}/api/v1/rest.php", self.door.at)
    }

    /// Every text that left.
    pub fn sent(&self) -> &Record<Form> {
        &self.sent
    }
}

/// The HTTP status is 200 always; the word says how it went.
async fn rest(State(sent): State<Arc<Record<Form>>>, body: Bytes) -> Json<Value> {
    let form = pairs(&body);
    let ten = |name| {
        let digits = field(&form, name);
        digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let length = field(&form, "message").chars().count();
    let status = if (field(&form, "api_username"), field(&form, "api_password")) != (USERNAME, KEY)
    {
        "invalid_credentials"
    } else if !ten("did") {
        "invalid_did"
    } else if !ten("dst") {
        "invalid_dst"
    } else {
        match field(&form, "method") {
            "sendSMS" if length == 0 => "message_empty",
            "sendSMS" if length > 160 => "sms_toolong",
            "sendSMS" => "success",
            "sendMMS" if length > 2048 => "sms_toolong",
            "sendMMS" => "success",
            _ => "missing_method",
        }
    };
    if status != "success" {
        return Json(json!({ "status": status }));
    }
    sent.push(form);
    Json(json!({ "status": status, "sms": sent.len() }))
}
