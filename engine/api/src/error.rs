//! Why a request was not done, in the one shape that clients know:
//! `{"error": {"status", "reason", "message", "request_id", "details"}}`.
//!
//! A handler answers with an [`Error`]; [`answers`] writes the body, for what axum itself refuses
//! too, so that the request's id is in every one of them.

use axum::Json;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use runtime::NotBegun;
use serde_json::{Value, json};

/// Where clients find the id of their request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why a request was not done.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    /// The HTTP status.
    status: StatusCode,
    /// Upper snake; a name once given stays.
    reason: &'static str,
    /// For people: what was wrong and what to do.
    message: String,
    /// For programs, such as the diagnostics of a flow.
    details: Option<Value>,
}

impl Error {
    pub(crate) fn new(
        status: StatusCode,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, reason, message: message.into(), details: None }
    }

    /// There is no such thing.
    pub(crate) fn not_found(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason, message)
    }

    /// For tests: which one it is.
    #[cfg(test)]
    pub(crate) fn reason(&self) -> &'static str {
        self.reason
    }

    /// Something is missing that there is no default for.
    pub(crate) fn missing(help: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MISSING_REQUEST_PARAMETER", help)
    }

    /// A parameter cannot be read.
    pub(crate) fn parameter(name: &str, help: &str) -> Self {
        let message = format!("the parameter `{name}` cannot be read: {help}");
        Self::new(StatusCode::BAD_REQUEST, "INVALID_PARAMETER", message)
    }
}

impl From<NotBegun> for Error {
    fn from(refused: NotBegun) -> Self {
        match refused {
            NotBegun::Unknown(why) => Self::not_found("RESOURCE_NOT_FOUND", why),
            NotBegun::Faulty(why) => Self::new(StatusCode::BAD_REQUEST, "FLOW_INVALID", why),
            NotBegun::Store(error) => error.into(),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict { .. } | store::Error::Duplicate => {
                Self::new(StatusCode::CONFLICT, "STATE_INVALID", error.to_string())
            }
            store::Error::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", error.to_string())
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every request an id and every refusal its body.
pub(crate) async fn answers(request: Request, next: Next) -> Response {
    let id = uuid::Uuid::now_v7().to_string();
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let mut response = next.run(request).await;
    let status = response.status();
    // A body that is JSON already says it in its own way, such as what is not ready.
    let told = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if (status.is_client_error() || status.is_server_error()) && !told {
        let error = response.extensions_mut().remove::<Error>().unwrap_or_else(|| general(status));
        if status.is_server_error() {
            tracing::warn!(%method, path, request_id = id, error = error.message, "not done");
        }
        let headers = std::mem::take(response.headers_mut());
        response = (status, Json(body(&error, &id))).into_response();
        for (name, value) in &headers {
            // What describes the old body does not fit the new one.
            if !name.as_str().starts_with("content-") && name != "transfer-encoding" {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    let headers = response.headers_mut();
    // Texts of strangers are among the answers: no browser shall take one for a page.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

fn body(error: &Error, request_id: &str) -> Value {
    let status = match error.status {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::PAYMENT_REQUIRED => "PAYMENT_REQUIRED",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::NOT_FOUND => "NOT_FOUND",
        StatusCode::CONFLICT => "FAILED_PRECONDITION",
        StatusCode::TOO_MANY_REQUESTS => "RESOURCE_EXHAUSTED",
        StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
        status if status.is_client_error() => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    };
    let mut body = json!({
        "status": status,
        "reason": error.reason,
        "message": error.message,
        "request_id": request_id,
    });
    if let (Some(details), Some(body)) = (&error.details, body.as_object_mut()) {
        body.insert("details".into(), details.clone());
    }
    json!({ "error": body })
}

/// The words for what axum refuses by itself.
fn general(status: StatusCode) -> Error {
    let (reason, message) = match status {
        StatusCode::NOT_FOUND => ("ROUTE_NOT_FOUND", "there is nothing at this path"),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("METHOD_NOT_ALLOWED", "this path does not take this method")
        }
        StatusCode::PAYLOAD_TOO_LARGE => ("BODY_TOO_LARGE", "the body is larger than 1 MiB"),
        StatusCode::UPGRADE_REQUIRED => ("UPGRADE_REQUIRED", "this path is a WebSocket"),
        status if status.is_client_error() => ("INVALID_REQUEST", "the request cannot be read"),
        _ => ("INTERNAL", "something broke here; the log knows more under this request_id"),
    };
    Error::new(status, reason, message)
}
