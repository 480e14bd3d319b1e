//! OpenAI, and the many services that speak its protocol.
//!
//! Read in this order: this file (the account) → [`sse`] (how answers stream) → [`chat`] (the
//! model) → `speech` (the voice).

pub mod chat;
mod speech;
mod sse;

use std::time::Duration;

use agent::Error;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

pub(crate) const VENDOR: &str = "openai";

/// Where it is.
pub const BASE_URL: &str = "https://api.openai.com/v1";

/// Whoever does not take a connection within this counts as unreachable.
const CONNECT: Duration = Duration::from_secs(5);

/// A request that failed for no lasting reason is made again after this.
const SOON: Duration = Duration::from_millis(200);

/// A caller does not wait longer for another try; then somebody else is asked.
const LATEST: Duration = Duration::from_secs(1);

/// The longest word of a refusal that is repeated.
const WHY: usize = 200;

/// An account.
#[derive(Clone)]
pub struct OpenAi {
    key: SecretString,
    base: String,
    http: Client,
    model: String,
}

impl OpenAi {
    /// With a key; [`BASE_URL`] unless another service stands in. A process-wide TLS provider must
    /// be installed before.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(key: SecretString, base_url: Option<&str>) -> Result<Self, String> {
        let base = base_url.unwrap_or(BASE_URL).trim_end_matches('/');
        let fine = Url::parse(base)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !fine {
            return Err(format!("`{base}` is no http or https address"));
        }
        let http = Client::builder()
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { key, base: base.to_owned(), http, model: chat::MODEL.into() })
    }

    /// The same account with another language model; empty = the default.
    pub fn with_model(&self, model: &str) -> Self {
        let model = if model.is_empty() { chat::MODEL } else { model };
        Self { model: model.into(), ..self.clone() }
    }

    /// Posts to a path, and gives the answer when it is none of refusal. `patience` is for the
    /// head of the answer, and between any two pieces of its body. What may pass within a second
    /// is tried once more; nothing was heard of it yet.
    async fn post(&self, path: &str, body: &Value, patience: Duration) -> Result<Response, Error> {
        match self.try_post(path, body, patience).await {
            Ok(response) => Ok(response),
            Err(Trouble { error, again: None }) => Err(error),
            Err(Trouble { error, again: Some(after) }) => {
                tracing::debug!(%error, "once more");
                tokio::time::sleep(after).await;
                self.try_post(path, body, patience).await.map_err(|trouble| trouble.error)
            }
        }
    }

    async fn try_post(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<Response, Trouble> {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .bearer_auth(self.key.expose_secret())
            .json(body)
            .send();
        let response = match tokio::time::timeout(patience, request).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(Trouble { error: unreachable(plain(error)), again: Some(SOON) });
            }
            Err(_) => return Err(Trouble { error: silent(patience), again: None }),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let after = again_after(status, response.headers());
        let text = tokio::time::timeout(patience, response.text()).await;
        let error = refusal(status, &text.ok().and_then(Result::ok).unwrap_or_default());
        let again = after.filter(|_| matches!(error, Error::Unreachable { .. }));
        Err(Trouble { error, again })
    }
}

/// Why a request failed, and when it is worth another.
struct Trouble {
    error: Error,
    again: Option<Duration>,
}

/// When a request that was answered so is worth another, if that is within [`LATEST`].
fn again_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let number = |name| header(name).and_then(|value| value.trim().parse::<f64>().ok());
    if header("x-should-retry") == Some("false") {
        return None;
    }
    let millis = number("retry-after-ms").or(number("retry-after").map(|seconds| seconds * 1000.0));
    let after = match (millis, header("retry-after")) {
        (Some(millis), _) => Duration::try_from_secs_f64(millis / 1000.0).ok()?,
        // A date: longer than a caller waits.
        (None, Some(_)) => return None,
        // Who is busy says when to come back; who does not is not better off with one more.
        (None, None) if status == StatusCode::TOO_MANY_REQUESTS => return None,
        (None, None) => SOON,
    };
    (after <= LATEST).then_some(after)
}

fn unreachable(why: String) -> Error {
    Error::Unreachable { vendor: VENDOR, why }
}

fn silent(patience: Duration) -> Error {
    unreachable(format!("no answer within {} s", patience.as_secs()))
}

/// In words, without the address: it may hold a key.
fn plain(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

/// What the vendor says when it does not do what it was asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Complaint {
    message: Value,
    code: Value,
    #[serde(rename = "type")]
    kind: Value,
}

#[derive(Debug, Deserialize)]
struct Refused {
    error: Complaint,
}

fn refusal(status: StatusCode, body: &str) -> Error {
    let complaint = serde_json::from_str::<Refused>(body).map(|refused| refused.error);
    let said = match &complaint {
        Ok(complaint) => complaint.words(),
        Err(_) => body.to_owned(),
    };
    let said: String = said.trim().chars().take(WHY).collect();
    let why = format!("{status} {said}").trim().to_owned();
    // Busy, late and broken may be otherwise a moment later; no money will not.
    let passing =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS];
    let broke = complaint.is_ok_and(|complaint| complaint.is_about_money());
    if broke || status.is_client_error() && !passing.contains(&status) {
        Error::Refused { vendor: VENDOR, why }
    } else {
        unreachable(why)
    }
}

impl Complaint {
    fn is_about_money(&self) -> bool {
        self.code == "insufficient_quota" || self.kind == "insufficient_quota"
    }

    fn words(&self) -> String {
        let words = [&self.code, &self.message].into_iter().filter_map(Value::as_str);
        words.collect::<Vec<_>>().join(": ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use reqwest::header::HeaderName;

    use super::*;

    #[test]
    fn a_refusal_is_told_apart_from_trouble() {
        let body = r#"{"error":{"message":"no","type":"x","param":null,"code":"invalid_api_key"}}"#;
        let error = refusal(StatusCode::UNAUTHORIZED, body);
        assert_eq!(error.to_string(), "openai refused: 401 Unauthorized invalid_api_key: no");
        let busy = r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#;
        assert_eq!(refusal(StatusCode::TOO_MANY_REQUESTS, busy).kind(), "unreachable");
        let broke = r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#;
        assert_eq!(refusal(StatusCode::TOO_MANY_REQUESTS, broke).kind(), "refused");
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, "<html>").kind(), "unreachable");
    }

    #[test]
    fn another_try_is_worth_it_only_within_a_second() {
        let after = |status: u16, headers: &[(&'static str, &str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            });
            let status = StatusCode::from_u16(status).unwrap();
            again_after(status, &headers.collect()).map(|after| after.as_millis())
        };
        assert_eq!(after(503, &[]), Some(200));
        assert_eq!(after(429, &[]), None);
        assert_eq!(after(429, &[("retry-after", "1")]), Some(1000));
        assert_eq!(after(429, &[("retry-after", "2")]), None);
        assert_eq!(after(429, &[("retry-after-ms", "150"), ("retry-after", "9")]), Some(150));
        assert_eq!(after(503, &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")]), None);
        assert_eq!(after(503, &[("retry-after", "-1")]), None);
        assert_eq!(after(503, &[("x-should-retry", "false")]), None);
    }
}
