//! Other processes of this house: what comes here for one of them is passed on to it.
//!
//! Behind one address a request may come to any process. What only one of them can answer goes to an
//! address that names it, such as `/twilio/at/NAME/media`; whoever gets that passes it on as it is, a
//! WebSocket too: signatures and tokens are checked there, as if the carrier had come by itself. A
//! process that cannot be reached has died: then it is answered here, by whoever takes its calls over.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use call::Switchboard;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use reqwest::{Client, redirect};
use serde::Deserialize;
use tokio::io::copy_bidirectional;
use tokio::time::timeout;

use crate::door;

/// How long it may take to reach another process: one that is gone may not even refuse.
const CONNECT: Duration = Duration::from_millis(500);
/// How long one may take over its answer: one that is frozen takes what comes and says nothing.
const ANSWER: Duration = Duration::from_secs(3);
/// What was passed on, or could not be, is not passed on again.
pub(crate) const PASSED: HeaderName = HeaderName::from_static("x-voxflow-passed");
/// It could not be.
const IN_VAIN: HeaderValue = HeaderValue::from_static("in-vain");

/// What concerns one connection only.
const BY_HOP: &[HeaderName] = &[
    header::HOST,
    header::CONNECTION,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
];

/// The way to the other processes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Elsewhere {
    client: Client,
    switchboard: Arc<dyn Switchboard>,
    /// This one; `None` = there are no others.
    me: Option<Arc<str>>,
}

/// Whom an address names.
#[derive(Deserialize)]
pub(crate) struct At {
    process: String,
}

/// The HTTP client by which other processes are reached.
///
/// # Errors
/// No TLS provider is installed.
pub(crate) fn client() -> Result<Client, String> {
    Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .build()
        .map_err(|error| format!("the HTTP client for other processes: {error}"))
}

/// What an address begins with that names a process; nothing where there are no others.
pub(crate) fn at(process: Option<&str>) -> String {
    process.map(|name| format!("/at/{name}")).unwrap_or_default()
}

/// Whether a request was another process's, which could not be reached.
pub(crate) fn is_left(headers: &HeaderMap) -> bool {
    headers.get(PASSED) == Some(&IN_VAIN)
}

/// Passes on what goes to an address that names another process.
pub(crate) async fn pass(
    State(elsewhere): State<Elsewhere>,
    Path(At { process }): Path<At>,
    mut request: Request,
    next: Next,
) -> Response {
    if elsewhere.me.as_deref() == Some(&*process) || request.headers().contains_key(PASSED) {
        return next.run(request).await;
    }
    match elsewhere.switchboard.address_of(&process).await {
        Some(address) => match elsewhere.give(&address, request).await {
            Ok(answer) => answer,
            Err(request) => next.run(*request).await,
        },
        None => {
            request.headers_mut().insert(PASSED, IN_VAIN);
            next.run(request).await
        }
    }
}

impl Elsewhere {
    /// `me` is the name of this process; `None` = there are no others.
    pub(crate) fn new(client: Client, switchboard: Arc<dyn Switchboard>, me: Option<&str>) -> Self {
        Self { client, switchboard, me: me.map(Into::into) }
    }

    /// Gives what is told of a call to the process that hosts it. The request comes back when none
    /// does, or cannot be reached.
    pub(crate) async fn host(
        &self,
        carrier: &str,
        call: &str,
        request: Request,
    ) -> Result<Response, Box<Request>> {
        if request.headers().contains_key(PASSED) {
            return Err(Box::new(request));
        }
        match self.switchboard.elsewhere(carrier, call).await {
            Some(address) => self.give(&address, request).await,
            None => Err(Box::new(request)),
        }
    }

    /// Gives a request to the process at this address. It comes back when that does not answer.
    async fn give(&self, address: &str, request: Request) -> Result<Response, Box<Request>> {
        let (mut parts, body) = request.into_parts();
        let body = match door::read(body).await {
            Ok(body) => body,
            Err(refused) => return Ok(refused.into_response()),
        };
        let asked = self
            .client
            .request(parts.method.clone(), format!("{address}{}", target(&parts)))
            .headers(passed(&parts.headers))
            .body(body.clone())
            .send();
        let why = match timeout(ANSWER, asked).await {
            Ok(Ok(answer)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                metrics::counter!("voxflow_passed_on_total", "what" => "stream").increment(1);
                return Ok(relay(parts, answer));
            }
            Ok(Ok(answer)) => {
                metrics::counter!("voxflow_passed_on_total", "what" => "request").increment(1);
                let (status, headers) = (answer.status(), end_to_end(answer.headers()));
                match timeout(ANSWER, answer.bytes()).await {
                    Ok(Ok(body)) => return Ok((status, headers, body).into_response()),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "its answer breaks off".into(),
                }
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".into(),
        };
        tracing::warn!(address, why, "another process cannot be reached; answered here");
        parts.headers.insert(PASSED, IN_VAIN);
        Err(Box::new(Request::from_parts(parts, Body::from(body))))
    }
}

/// What was asked for, as it came.
fn target(parts: &Parts) -> &str {
    let uri = match parts.extensions.get::<OriginalUri>() {
        Some(OriginalUri(uri)) => uri,
        None => &parts.uri,
    };
    uri.path_and_query().map_or("/", |target| target.as_str())
}

/// Headers without those of one connection.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in BY_HOP {
        headers.remove(name);
    }
    headers
}

/// The headers of a request on its way to another process.
fn passed(headers: &HeaderMap) -> HeaderMap {
    let mut passed = end_to_end(headers);
    passed.insert(PASSED, HeaderValue::from_static("on"));
    if let Some(upgrade) = headers.get(header::UPGRADE) {
        passed.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        passed.insert(header::UPGRADE, upgrade.clone());
    }
    passed
}

/// Both ends of a socket that has changed its protocol hear each other until one of them is gone.
fn relay(mut parts: Parts, theirs: reqwest::Response) -> Response {
    let mut answer = StatusCode::SWITCHING_PROTOCOLS.into_response();
    *answer.headers_mut() = theirs.headers().clone();
    let ours = parts.extensions.remove::<OnUpgrade>();
    tokio::spawn(async move {
        let Some(ours) = ours else { return };
        if let (Ok(ours), Ok(mut theirs)) = tokio::join!(ours, theirs.upgrade()) {
            // Whoever breaks it off ends both.
            let _ = copy_bidirectional(&mut TokioIo::new(ours), &mut theirs).await;
        }
    });
    answer
}
