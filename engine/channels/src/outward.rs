//! What we ask of a carrier's API: one request, its answer, and what its loss means.

use std::time::Duration;

use axum::body::Bytes;
use conversation::Refusal;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect};
use serde::de::DeserializeOwned;
use url::Url;

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a request may take, where nothing else is said.
pub(crate) const REQUEST: Duration = Duration::from_secs(15);

/// The way to one carrier.
pub(crate) struct Outward {
    client: Client,
    carrier: &'static str,
}

/// What a carrier answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// How long it asks us to wait.
    pub(crate) after: Option<Duration>,
    pub(crate) body: Bytes,
}

impl Outward {
    /// A process-wide TLS provider must be installed before. `carrier` is its name in prose.
    pub(crate) fn new(carrier: &'static str, limit: Duration) -> Result<Self, String> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(limit)
            .build()
            .map_err(|error| format!("the HTTP client for {carrier}: {error}"))?;
        Ok(Self { client, carrier })
    }

    pub(crate) fn post(&self, url: &str) -> RequestBuilder {
        self.client.post(url)
    }

    pub(crate) fn get(&self, url: &str) -> RequestBuilder {
        self.client.get(url)
    }

    /// Sends a request that shall make a text leave.
    ///
    /// # Errors
    /// There is no answer: it did not leave, never will, or nobody knows.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> Result<Answer, Refusal> {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return Err(Refusal::Later { why: self.plain(&error), after: None });
            }
            Err(error) if error.is_builder() => {
                return Err(never("unsendable", self.plain(&error)));
            }
            // The request may have arrived.
            Err(error) => return Err(Refusal::Unknown { why: self.plain(&error) }),
        };
        let (status, after) = (response.status(), retry_after(&response));
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) if status.is_success() => {
                return Err(Refusal::Unknown { why: self.plain(&error) });
            }
            Err(_) => Bytes::new(),
        };
        Ok(Answer { status, after, body })
    }

    /// The carrier took the text, as far as one can tell from an answer that cannot be read.
    pub(crate) fn unreadable(&self) -> Refusal {
        Refusal::Unknown { why: format!("{}'s answer cannot be read", self.carrier) }
    }

    /// What an answer means that is no success, with the carrier's code and words, when it has any.
    /// 429 and a code of `waits` are waits, 503 is a try that failed; what its servers get wrong otherwise may have
    /// happened before or after it took the text.
    pub(crate) fn refusal(
        &self,
        answer: &Answer,
        code: Option<String>,
        words: &str,
        waits: &[&str],
    ) -> Refusal {
        let status = answer.status;
        let why = if words.is_empty() {
            format!("{} answered {}", self.carrier, status.as_u16())
        } else {
            words.to_owned()
        };
        if status == StatusCode::TOO_MANY_REQUESTS
            || code.as_deref().is_some_and(|code| waits.contains(&code))
        {
            return Refusal::Full { why, after: answer.after };
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return Refusal::Later { why, after: answer.after };
        }
        if status.is_server_error() {
            return Refusal::Unknown { why };
        }
        Refusal::Never { code: code.unwrap_or_else(|| status.as_u16().to_string()), why }
    }

    /// An error without the address that it happened at.
    pub(crate) fn plain(&self, error: &reqwest::Error) -> String {
        let mut text =
            if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        format!("{}: {text}", self.carrier)
    }
}

impl Answer {
    /// The body, if it is this.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// It did not leave and never will.
pub(crate) fn never(code: &str, why: impl Into<String>) -> Refusal {
    Refusal::Never { code: code.into(), why: why.into() }
}

/// An address of the settings, without a fragment and without a slash at its end.
///
/// # Errors
/// Names the setting, when it is no address.
pub(crate) fn address(name: &str, value: &str) -> Result<String, String> {
    let fine = Url::parse(value)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !fine {
        return Err(format!("{name}: `{value}` is no http or https address"));
    }
    let (plain, _) = value.split_once('#').unwrap_or((value, ""));
    Ok(plain.trim_end_matches('/').to_owned())
}

/// An address of ours for a WebSocket: `http` becomes `ws`, `https` becomes `wss`.
pub(crate) fn socket(url: &str) -> String {
    match url.strip_prefix("http") {
        Some(rest) => format!("ws{rest}"),
        None => url.to_owned(),
    }
}

/// The seconds that a carrier asks us to wait.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds =
        response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
