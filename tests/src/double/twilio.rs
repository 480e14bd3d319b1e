//! Twilio's REST API: texts that are sent and listed, calls that are dialed, redirected or ended.
//!
//! A call that a [`crate::phone::Phone`] holds is told of its redirects, as in the real network.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Door, Fault, Switch};
use crate::record::Record;

/// The account.
pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
/// Its token: signs webhooks, and is the password of the REST API.
pub const TOKEN: &str = "twilio-token-77c1";

/// A form, in order, with doubles kept.
pub type Form = Vec<(String, String)>;

/// A field of a form; empty when absent.
pub fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
}

/// How a single text fares, if not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Not taken: 429.
    Busy,
    /// Not taken: 500.
    Broken,
    /// Taken, and answered with 500 all the same.
    TakenButBroken,
    /// Taken, and the connection is cut in the middle of the answer.
    TakenButCut,
}

/// What the next text meets: how long it takes, and what goes wrong.
type Weather = dyn Fn() -> (Duration, Option<Mishap>) + Send + Sync;

/// A text that left.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When Twilio took it.
    pub at: Timestamp,
    /// The id that Twilio gave it.
    pub sid: String,
    /// As it was asked for.
    pub form: Form,
}

impl Sent {
    /// To whom.
    pub fn to(&self) -> &str {
        field(&self.form, "To")
    }

    /// The words.
    pub fn body(&self) -> &str {
        field(&self.form, "Body")
    }
}

struct Inner {
    sent: Record<Sent>,
    updates: Record<(String, Form)>,
    dialed: Record<(String, Form)>,
    refused: Record<String>,
    lists: AtomicUsize,
    fault: Switch,
    weather: Mutex<Option<Box<Weather>>>,
    opted_out: Mutex<Vec<String>>,
    calls: Mutex<HashMap<String, mpsc::UnboundedSender<Form>>>,
}

/// The double.
pub struct Twilio {
    door: Door,
    inner: Arc<Inner>,
}

impl Twilio {
    /// Opens.
    pub async fn open() -> Self {
        let inner = Arc::new(Inner {
            sent: Record::default(),
            updates: Record::default(),
            dialed: Record::default(),
            refused: Record::default(),
            lists: AtomicUsize::default(),
            fault: Switch::default(),
            weather: Mutex::default(),
            opted_out: Mutex::default(),
            calls: Mutex::default(),
        });
        let router = Router::new()
            .route("/2010-04-01/Accounts/{account}/Messages.json", post(messages).get(list))
            .route("/2010-04-01/Accounts/{account}/Calls/{file}", post(calls))
            .route("/2010-04-01/Accounts/{account}/{file}", post(calls))
            .with_state(Arc::clone(&inner));
        Self { door: Door::open(router).await, inner }
    }

    /// For `TWILIO_BASE_URL`.
    pub fn base(&self) -> String {
        format!("http://{}", self.door.at)
    }

    /// Every text that left.
    pub fn sent(&self) -> &Record<Sent> {
        &self.inner.sent
    }

    /// Every change of a call: its id, and the form.
    pub fn updates(&self) -> &Record<(String, Form)> {
        &self.inner.updates
    }

    /// Every call that was dialed: its id, and the form.
    pub fn dialed(&self) -> &Record<(String, Form)> {
        &self.inner.dialed
    }

    /// Requests that were refused, and why.
    pub fn refused(&self) -> &Record<String> {
        &self.inner.refused
    }

    /// From now on each text meets this.
    pub fn weather(&self, of: impl Fn() -> (Duration, Option<Mishap>) + Send + Sync + 'static) {
        *self.inner.weather.lock().unwrap() = Some(Box::new(of));
    }

    /// How often it was asked what it took.
    pub fn lists(&self) -> usize {
        self.inner.lists.load(Ordering::Relaxed)
    }

    /// Fails like this from now on.
    pub fn fail(&self, fault: Fault) {
        self.inner.fault.set(fault);
    }

    /// Refuses texts to this number from now on: it opted out.
    pub fn opt_out(&self, number: &str) {
        self.inner.opted_out.lock().unwrap().push(number.into());
    }

    /// A call goes live: its changes come out of the receiver.
    pub fn connect(&self, sid: &str) -> mpsc::UnboundedReceiver<Form> {
        let (tell, told) = mpsc::unbounded_channel();
        self.inner.calls.lock().unwrap().insert(sid.into(), tell);
        told
    }

    /// A call is over.
    pub(crate) fn disconnect(&self, sid: &str) {
        self.inner.calls.lock().unwrap().remove(sid);
    }
}

/// Pairs of a body in `application/x-www-form-urlencoded`.
pub fn pairs(body: &[u8]) -> Form {
    reqwest::Url::parse(&format!("http://form/?{}", String::from_utf8_lossy(body)))
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}

fn refuse(inner: &Inner, status: StatusCode, code: u32, message: &str) -> Response {
    inner.refused.push(format!("{code} {message}"));
    let body = json!({ "code": code, "message": message, "status": status.as_u16(),
                       "more_info": format!("https://www.twilio.com/docs/errors/{code}") });
    (status, Json(body)).into_response()
}

/// What every request goes through: the form, or the refusal.
async fn at_the_door(
    inner: &Inner,
    account: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Form, Response> {
    let wanted = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:{TOKEN}")));
    let authorized = account == ACCOUNT
        && headers.get(header::AUTHORIZATION).is_some_and(|sent| *sent == wanted);
    match inner.fault.get() {
        Fault::Stall => std::future::pending().await,
        Fault::Drop | Fault::Rubbish => {
            Err((StatusCode::BAD_GATEWAY, "<html>bad gateway").into_response())
        }
        fault if fault == Fault::Refuse || !authorized => {
            Err(refuse(inner, StatusCode::UNAUTHORIZED, 20003, "Authenticate"))
        }
        _ => {
            let kind = headers
                .get(header::CONTENT_TYPE)
                .and_then(|kind| kind.to_str().ok())
                .unwrap_or_default();
            if !kind.starts_with("application/x-www-form-urlencoded") {
                return Err(refuse(inner, StatusCode::UNSUPPORTED_MEDIA_TYPE, 20415, kind));
            }
            Ok(pairs(body))
        }
    }
}

async fn messages(
    State(inner): State<Arc<Inner>>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = match at_the_door(&inner, &account, &headers, &body).await {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    let (to, from, text) = (field(&form, "To"), field(&form, "From"), field(&form, "Body"));
    let media = form.iter().filter(|(name, _)| name == "MediaUrl").count();
    if !to.starts_with('+') {
        return refuse(&inner, StatusCode::BAD_REQUEST, 21211, "Invalid 'To' Phone Number");
    }
    if from.is_empty() && field(&form, "MessagingServiceSid").is_empty() {
        return refuse(
            &inner,
            StatusCode::BAD_REQUEST,
            21603,
            "A 'From' phone number is required.",
        );
    }
    if text.is_empty() && media == 0 {
        return refuse(&inner, StatusCode::BAD_REQUEST, 21602, "Message body is required.");
    }
    if text.chars().count() > 1600 {
        return refuse(
            &inner,
            StatusCode::BAD_REQUEST,
            21617,
            "The concatenated message body exceeds 1600 characters",
        );
    }
    if inner.opted_out.lock().unwrap().iter().any(|number| number == to) {
        return refuse(
            &inner,
            StatusCode::BAD_REQUEST,
            21610,
            "Attempt to send to unsubscribed recipient",
        );
    }
    let (delay, mishap) =
        inner.weather.lock().unwrap().as_ref().map_or_else(Default::default, |of| of());
    match mishap {
        Some(Mishap::Busy) => {
            return refuse(&inner, StatusCode::TOO_MANY_REQUESTS, 20429, "Too many requests");
        }
        Some(Mishap::Broken) => {
            return refuse(&inner, StatusCode::INTERNAL_SERVER_ERROR, 20500, "Internal error");
        }
        Some(Mishap::TakenButBroken | Mishap::TakenButCut) | None => {}
    }
    let sid = format!("SM{}", uuid::Uuid::now_v7().simple());
    let answer = json!({
        "sid": sid, "account_sid": account, "messaging_service_sid": null, "status": "queued", "to": to, "from": from,
        "body": text, "num_segments": "1", "num_media": media.to_string(), "direction": "outbound-api",
        "error_code": null, "error_message": null, "price": null, "price_unit": "USD",
        "date_created": "Fri, 20 Nov 2026 10:00:00 +0000", "date_updated": "Fri, 20 Nov 2026 10:00:00 +0000",
        "date_sent": null, "api_version": "2010-04-01",
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json"), "subresource_uris": {} });
    inner.sent.push(Sent { at: Timestamp::now(), sid, form: form.clone() });
    tokio::time::sleep(delay).await;
    match mishap {
        Some(Mishap::TakenButBroken) => {
            refuse(&inner, StatusCode::INTERNAL_SERVER_ERROR, 20500, "Internal error")
        }
        Some(Mishap::TakenButCut) => {
            let cut = Err::<Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
            let body = Body::from_stream(futures_util::stream::iter([cut]));
            (StatusCode::CREATED, body).into_response()
        }
        _ => (StatusCode::CREATED, Json(answer)).into_response(),
    }
}

/// What was taken, newest first, by its ends.
async fn list(
    State(inner): State<Arc<Inner>>,
    Path(account): Path<String>,
    Query(wanted): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let wanted_by = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:{TOKEN}")));
    if account != ACCOUNT
        || headers.get(header::AUTHORIZATION).is_none_or(|sent| *sent != wanted_by)
    {
        return refuse(&inner, StatusCode::UNAUTHORIZED, 20003, "Authenticate");
    }
    inner.lists.fetch_add(1, Ordering::Relaxed);
    let size = wanted.get("PageSize").and_then(|size| size.parse().ok()).unwrap_or(50);
    let fits =
        |sent: &Sent, name| wanted.get(name).is_none_or(|wanted| wanted == field(&sent.form, name));
    let mut fitting = inner.sent.pick(|sent| fits(sent, "To") && fits(sent, "From"));
    fitting.reverse();
    let messages: Vec<Value> = fitting
        .iter()
        .take(size)
        .map(|sent| {
            json!({ "sid": sent.sid, "to": sent.to(), "from": field(&sent.form, "From"),
                    "body": sent.body(), "status": "queued", "direction": "outbound-api",
                    "date_sent": null,
                    "date_created": sent.at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string() })
        })
        .collect();
    Json(json!({ "messages": messages, "page": 0, "page_size": size, "next_page_uri": null }))
        .into_response()
}

async fn calls(
    State(inner): State<Arc<Inner>>,
    Path((account, file)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = match at_the_door(&inner, &account, &headers, &body).await {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    if file == "Calls.json" {
        return dial(&inner, &account, form);
    }
    let sid = file.trim_end_matches(".json").to_owned();
    let live = inner.calls.lock().unwrap().get(&sid).cloned();
    let Some(live) = live else {
        return refuse(
            &inner,
            StatusCode::BAD_REQUEST,
            21220,
            "Call is not in-progress. Cannot redirect.",
        );
    };
    let (url, twiml, status) = (field(&form, "Url"), field(&form, "Twiml"), field(&form, "Status"));
    if url.is_empty() && twiml.is_empty() && !matches!(status, "completed" | "canceled") {
        return refuse(&inner, StatusCode::BAD_REQUEST, 20001, "Nothing to change");
    }
    if twiml.len() > 4000 {
        return refuse(
            &inner,
            StatusCode::BAD_REQUEST,
            21218,
            "Twiml is longer than 4000 characters",
        );
    }
    inner.updates.push((sid.clone(), form.clone()));
    let answer = call_object(&account, &sid);
    let _ = live.send(form);
    Json(answer).into_response()
}

fn dial(inner: &Inner, account: &str, form: Form) -> Response {
    let (to, from) = (field(&form, "To"), field(&form, "From"));
    if !to.starts_with('+') && !to.starts_with("sip:") {
        return refuse(inner, StatusCode::BAD_REQUEST, 21211, "Invalid 'To' Phone Number");
    }
    if from.is_empty() {
        return refuse(inner, StatusCode::BAD_REQUEST, 21213, "'From' is required");
    }
    if field(&form, "Url").is_empty() && field(&form, "Twiml").is_empty() {
        return refuse(inner, StatusCode::BAD_REQUEST, 21205, "Url parameter is required");
    }
    let ring = field(&form, "Timeout");
    if !ring.is_empty() && !ring.parse().is_ok_and(|ring: u32| (1..=600).contains(&ring)) {
        return refuse(inner, StatusCode::BAD_REQUEST, 21220, "Invalid Timeout");
    }
    let sid = format!("CA{}", uuid::Uuid::now_v7().simple());
    let mut answer = call_object(account, &sid);
    (answer["status"], answer["direction"]) = ("queued".into(), "outbound-api".into());
    (answer["to"], answer["from"]) = (to.into(), from.into());
    inner.dialed.push((sid, form));
    (StatusCode::CREATED, Json(answer)).into_response()
}

fn call_object(account: &str, sid: &str) -> Value {
    json!({ "sid": sid, "account_sid": account, "status": "in-progress", "direction": "inbound", "to": "+15550100",
            "from": "+15557654321", "parent_call_sid": null, "phone_number_sid": "PN1", "start_time": null,
            "end_time": null, "duration": null, "price": null, "price_unit": "USD", "answered_by": null,
            "api_version": "2010-04-01", "forwarded_from": null, "group_sid": null, "caller_name": null,
            "queue_time": "0", "trunk_sid": null, "date_created": null, "date_updated": null,
            "to_formatted": "", "from_formatted": "",
            "uri": format!("/2010-04-01/Accounts/{account}/Calls/{sid}.json"), "subresource_uris": {} })
}
