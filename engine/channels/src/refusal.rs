//! What a door answers when it refuses.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refusal in the shape that all of the HTTP face has:
/// `{"error": {"status", "reason", "message"}}`.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

impl Refused {
    pub(crate) fn new(
        status: StatusCode,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, reason, message: message.into() }
    }

    /// The sender must change what it sends.
    pub(crate) fn bad(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, message)
    }

    /// The sender is not who it must be.
    pub(crate) fn forbidden(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason, message)
    }

    /// Later may help.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    }
}

/// A status as the API names it.
fn name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "INVALID_ARGUMENT",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::NOT_FOUND => "NOT_FOUND",
        StatusCode::REQUEST_TIMEOUT => "DEADLINE_EXCEEDED",
        StatusCode::PAYLOAD_TOO_LARGE => "PAYLOAD_TOO_LARGE",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "UNSUPPORTED_MEDIA_TYPE",
        StatusCode::UPGRADE_REQUIRED => "UPGRADE_REQUIRED",
        StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
        _ => "UNKNOWN",
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let error = json!({
            "status": name(self.status), "reason": self.reason, "message": self.message,
        });
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}
