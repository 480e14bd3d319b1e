//! Servers that runs ask over HTTP: the seam, and what a run is told of an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use flow::Vars;
use serde_json::{Value, json};

/// A request to a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Asking {
    /// Goes along as `Idempotency-Key`: the same for the same wish, however often it is asked.
    pub key: String,
    /// In capitals: `GET`, `POST`.
    pub method: String,
    /// `https://` or `http://`.
    pub url: String,
    /// More headers.
    pub headers: BTreeMap<String, String>,
    /// A string is sent as it is, anything else as JSON.
    pub body: Option<Value>,
    /// The longest it may take.
    pub timeout: Duration,
}

/// What a server answered, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The header `Content-Type`; empty when there was none.
    pub content_type: String,
    /// The body.
    pub body: String,
}

/// Asks servers.
#[async_trait]
pub trait Web: Send + Sync {
    /// Asks once.
    ///
    /// # Errors
    /// Why there is no answer, without anything secret: the address is not allowed, nobody answers,
    /// it took too long, the answer is too large.
    async fn ask(&self, asking: Asking) -> Result<Answered, Unanswered>;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It took too long, so nobody knows whether the server did it.
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    /// Any other reason.
    #[error("{0}")]
    Failed(String),
}

/// Nobody is asked: where a runtime has no web.
pub struct Offline;

#[async_trait]
impl Web for Offline {
    async fn ask(&self, _: Asking) -> Result<Answered, Unanswered> {
        Err(Unanswered::Failed("no server can be asked from here".into()))
    }
}

impl Answered {
    /// The values of the deed's end: `status`, and `body` as JSON when it is JSON.
    pub(crate) fn values(self) -> Vars {
        let said = self.content_type.to_ascii_lowercase().contains("json");
        let looks = self.body.trim_start().starts_with(['{', '[']);
        let json = if said || looks { serde_json::from_str(&self.body).ok() } else { None };
        let body = json.unwrap_or(Value::String(self.body));
        Vars::from([("status".into(), json!(self.status)), ("body".into(), body)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content_type: &str, body: &str, expected: Value) {
        let (content_type, body) = (content_type.into(), body.into());
        let values = Answered { status: 200, content_type, body }.values();
        assert_eq!(values["body"], expected);
        assert_eq!(values["status"], json!(200));
    }

    #[test]
    fn a_body_is_json_when_the_server_says_so_or_it_looks_like_it() {
        check("application/json; charset=utf-8", "\"yes\"", json!("yes"));
        check("application/problem+json", "17", json!(17));
        check("text/plain", " {\"a\": [1]}", json!({ "a": [1] }));
        // A number in a plain text may be one of a house or of an order.
        check("text/plain", "17", json!("17"));
        check("application/json", "{ broken", json!("{ broken"));
        check("", "", json!(""));
    }
}
