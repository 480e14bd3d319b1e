//! How a vendor is asked over HTTP, what its refusals mean, and when one more try is worth it.

use std::time::Duration;

use agent::Error;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

/// Whoever does not take a connection within this counts as unreachable.
const CONNECT: Duration = Duration::from_secs(5);

/// A request that failed for no lasting reason is made again after this.
const SOON: Duration = Duration::from_millis(200);

/// A caller does not wait longer for another try; then somebody else is asked.
const LATEST: Duration = Duration::from_secs(1);

/// The longest word of a refusal that is repeated.
const WHY: usize = 200;

/// An account at a vendor.
#[derive(Clone)]
pub(crate) struct Account {
    vendor: &'static str,
    base: String,
    headers: HeaderMap,
    http: Client,
}

impl Account {
    /// At a vendor, by the address that its paths begin with. `key` is the header that holds the
    /// key, and what it says. A process-wide TLS provider must be installed before.
    ///
    /// # Errors
    /// The address is none, or the key cannot be sent.
    pub(crate) fn new(
        vendor: &'static str,
        base: &str,
        key: Option<(&'static str, SecretString)>,
    ) -> Result<Self, String> {
        let base = base.trim_end_matches('/');
        let fine = Url::parse(base)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !fine {
            return Err(format!("`{base}` is no http or https address"));
        }
        let mut headers = HeaderMap::new();
        if let Some((name, key)) = key {
            let mut value = HeaderValue::from_str(key.expose_secret())
                .map_err(|_| "the key has odd characters".to_owned())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let http = Client::builder()
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { vendor, base: base.to_owned(), headers, http })
    }

    /// The same with one more header.
    pub(crate) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// What errors call it.
    pub(crate) fn vendor(&self) -> &'static str {
        self.vendor
    }

    /// Posts to a path, and gives the answer when it is none of refusal. `patience` is for the
    /// head of the answer, and between any two pieces of its body. What may pass within a second
    /// is tried once more; nothing was heard of it yet.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<Response, Error> {
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
            .headers(self.headers.clone())
            .json(body)
            .send();
        let response = match tokio::time::timeout(patience, request).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(Trouble { error: self.unreachable(plain(error)), again: Some(SOON) });
            }
            Err(_) => return Err(Trouble { error: self.silent(patience), again: None }),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let after = again_after(status, response.headers());
        let text = tokio::time::timeout(patience, response.text()).await;
        let error =
            refusal(self.vendor, status, &text.ok().and_then(Result::ok).unwrap_or_default());
        let again = after.filter(|_| matches!(error, Error::Unreachable { .. }));
        Err(Trouble { error, again })
    }

    pub(crate) fn unreachable(&self, why: String) -> Error {
        Error::Unreachable { vendor: self.vendor, why }
    }

    pub(crate) fn silent(&self, patience: Duration) -> Error {
        self.unreachable(format!("no answer within {} s", patience.as_secs()))
    }
}

/// A key as `Authorization` has it.
pub(crate) fn bearer(key: &SecretString) -> (&'static str, SecretString) {
    ("authorization", format!("Bearer {}", key.expose_secret()).into())
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

/// In words, without the address: it may hold a key.
pub(crate) fn plain(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

/// What a vendor says when it does not do what it was asked: all of them have a message, and a
/// name for its kind in one of these.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Complaint {
    message: Value,
    code: Value,
    status: Value,
    #[serde(rename = "type")]
    kind: Value,
}

#[derive(Debug, Deserialize)]
struct Refused {
    error: Complaint,
}

fn refusal(vendor: &'static str, status: StatusCode, body: &str) -> Error {
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
        Error::Refused { vendor, why }
    } else {
        Error::Unreachable { vendor, why }
    }
}

impl Complaint {
    /// In the middle of an answer.
    pub(crate) fn error(&self, vendor: &'static str) -> Error {
        if self.is_about_money() {
            Error::Refused { vendor, why: self.words() }
        } else {
            Error::Unreachable { vendor, why: self.words() }
        }
    }

    /// Whether it has this code.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    fn is_about_money(&self) -> bool {
        [&self.code, &self.kind]
            .into_iter()
            .any(|name| name == "insufficient_quota" || name == "billing_error")
    }

    pub(crate) fn words(&self) -> String {
        let name = [&self.code, &self.status, &self.kind].into_iter().find_map(Value::as_str);
        let words = [name, self.message.as_str()].into_iter().flatten();
        words.collect::<Vec<_>>().join(": ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_refusal_is_told_apart_from_trouble() {
        let refusal = |status, body: &str| refusal("openai", status, body);
        let body = r#"{"error":{"message":"no","type":"x","param":null,"code":"invalid_api_key"}}"#;
        let error = refusal(StatusCode::UNAUTHORIZED, body);
        assert_eq!(error.to_string(), "openai refused: 401 Unauthorized invalid_api_key: no");
        let busy = r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#;
        assert_eq!(refusal(StatusCode::TOO_MANY_REQUESTS, busy).kind(), "unreachable");
        let broke = r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#;
        assert_eq!(refusal(StatusCode::TOO_MANY_REQUESTS, broke).kind(), "refused");
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, "<html>").kind(), "unreachable");
        let overloaded = StatusCode::from_u16(529).unwrap();
        let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"later"}}"#;
        let error = refusal(overloaded, body);
        assert_eq!(error.kind(), "unreachable");
        assert!(error.to_string().ends_with("overloaded_error: later"), "{error}");
        let body = r#"{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}"#;
        let error = refusal(StatusCode::BAD_REQUEST, body);
        assert_eq!(error.to_string(), "openai refused: 400 Bad Request INVALID_ARGUMENT: no");
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
