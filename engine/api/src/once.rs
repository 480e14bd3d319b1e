//! A request that brings an `Idempotency-Key` is done once in 48 hours: who repeats it gets the
//! answer of the first time, from whichever process.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use store::Write;
use store::row::AnswerRow;
use uuid::Uuid;

use crate::access::Holder;
use crate::error::Error;
use crate::{Api, LARGEST_BODY};

/// The longest key.
const LONGEST: usize = 255;
/// The largest answer that is kept.
const LARGEST_ANSWER: usize = 1024 * 1024;
/// Requests are told apart by a hash in this space.
const REQUESTS: Uuid = Uuid::from_u128(0x1f6b_9c02_4e8d_4d2f_a1c7_5b0e_90d3_7a44);

/// Does a request with a key once.
pub(crate) async fn once(
    State(api): State<Api>,
    holder: Holder,
    request: Request,
    next: Next,
) -> Response {
    let key = request.headers().get("idempotency-key").cloned();
    match key.filter(|_| request.method() == Method::POST) {
        None => next.run(request).await,
        Some(key) => match answered(&api, &holder, &key, request, next).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        },
    }
}

async fn answered(
    api: &Api,
    holder: &Holder,
    key: &HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let key = key.to_str().ok().filter(|key| (1..=LONGEST).contains(&key.len()));
    let key = key.ok_or_else(|| {
        let message = format!("an `Idempotency-Key` has 1 to {LONGEST} visible characters");
        Error::new(StatusCode::BAD_REQUEST, "INVALID_IDEMPOTENCY_KEY", message)
    })?;
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
    };
    let row = AnswerRow {
        // What one tenant was answered is not for another who has hit upon the same key.
        key: holder.tenant().map_or_else(|| key.into(), |tenant| format!("{tenant}/{key}")),
        request: hash(&parts.uri, &body),
        status: 0,
        body: String::new(),
        at: Timestamp::now(),
    };
    let store = &api.runtime.parts.store;
    match store.commit(vec![Write::Ask(row.clone())]).await {
        Ok(()) => {}
        Err(store::Error::Duplicate) => return again(store.answer(&row.key).await?, &row),
        Err(error) => return Err(error.into()),
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        // It was not done: whoever mends it may use the key again.
        store.commit(vec![Write::Answer(row)]).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, LARGEST_ANSWER).await.unwrap_or_default();
    let status = i64::from(parts.status.as_u16());
    let kept = AnswerRow { status, body: String::from_utf8_lossy(&body).into_owned(), ..row };
    store.commit(vec![Write::Answer(kept)]).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// The answer to a request whose key is known.
fn again(known: Option<AnswerRow>, asked: &AnswerRow) -> Result<Response, Error> {
    let conflict = |reason, message: &str| Err(Error::new(StatusCode::CONFLICT, reason, message));
    match known {
        Some(row) if row.request != asked.request => conflict(
            "IDEMPOTENCY_KEY_REUSED",
            "this `Idempotency-Key` came with another request before: bring a fresh one",
        ),
        Some(row) if row.status != 0 => {
            let status = u16::try_from(row.status).ok().and_then(|s| StatusCode::from_u16(s).ok());
            let kind = [(CONTENT_TYPE, "application/json")];
            Ok((status.unwrap_or(StatusCode::OK), kind, row.body).into_response())
        }
        Some(_) | None => conflict(
            "IDEMPOTENCY_KEY_IN_USE",
            "the first request with this `Idempotency-Key` is being answered: try again soon",
        ),
    }
}

/// What makes a request the same: where it went and what it said, not who was let in by which key.
fn hash(uri: &Uri, body: &Bytes) -> String {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query: Vec<_> = query.filter(|(name, _)| name != "accesskey").collect();
    let mut whole = format!("{} {query:?} ", uri.path()).into_bytes();
    whole.extend_from_slice(body);
    Uuid::new_v5(&REQUESTS, &whole).to_string()
}
