//! A webhook, checked and read: size, signature, type, fields, in this order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body as Stream, Bytes};
use axum::extract::{ConnectInfo, FromRequest, OriginalUri, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::signature::{Body, Secrets};
use super::{Doors, Twilio, Unsigned};
use crate::refusal::Refused;

/// The largest body that is read, as everywhere.
const LARGEST: usize = 1024 * 1024;

/// What is read of a larger body, so that its sender hears the refusal rather than a reset.
const DRAINED: usize = 16 * LARGEST;

/// How long a sender may take over its body.
const READING: Duration = Duration::from_secs(10);

/// The fields of a webhook that is Twilio's own.
pub(super) struct Form {
    fields: Vec<(String, String)>,
    /// The same on every repetition of a webhook.
    pub(super) repetition: Option<String>,
}

impl Form {
    /// A field; empty counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(field, _)| field == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// A field that must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, Refused> {
        self.get(name)
            .ok_or_else(|| Refused::bad("missing_field", format!("the field `{name}` is missing")))
    }
}

impl FromRequest<Arc<Doors>> for Form {
    type Rejection = Refused;

    async fn from_request(request: Request, doors: &Arc<Doors>) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let body = read(body).await?;
        let form = is_form(&parts.headers);
        let fields: Vec<(String, String)> = if form {
            url::form_urlencoded::parse(&body).into_owned().collect()
        } else {
            Vec::new()
        };
        let signed = if form { Body::Form(&fields) } else { Body::Raw(&body) };
        doors.twilio.check(&parts, signed)?;
        if !form {
            return Err(Refused::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "no_form",
                "send application/x-www-form-urlencoded",
            ));
        }
        if std::str::from_utf8(&body).is_err() {
            return Err(Refused::bad("unreadable_form", "the form is not UTF-8"));
        }
        let repetition = text(&parts.headers, "i-twilio-idempotency-token").map(str::to_owned);
        Ok(Self { fields, repetition })
    }
}

async fn read(body: Stream) -> Result<Bytes, Refused> {
    let mut stream = body.into_data_stream();
    let mut read = Vec::new();
    let mut length = 0_usize;
    let all = async {
        while let Some(piece) = stream.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    return Err(Refused::bad(
                        "broken_body",
                        format!("the body broke off: {error}"),
                    ));
                }
            };
            length = length.saturating_add(piece.len());
            if length <= LARGEST {
                read.extend_from_slice(&piece);
            } else {
                read = Vec::new();
                if length > DRAINED {
                    break;
                }
            }
        }
        Ok(())
    };
    match timeout(READING, all).await {
        Ok(done) => done?,
        Err(_) => {
            let why = "the body did not come in time";
            return Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "slow_body", why));
        }
    }
    if length > LARGEST {
        let why = format!("the body is larger than {LARGEST} bytes");
        return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why));
    }
    Ok(read.into())
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl Twilio {
    /// Whether a webhook is Twilio's own. The address is the public one that Twilio was told, and
    /// the path and query exactly as they came: what a proxy says about itself is not believed.
    fn check(&self, parts: &Parts, body: Body<'_>) -> Result<(), Refused> {
        if self.settings.auth_token.is_none() {
            return self.unsigned(parts);
        }
        let Some(signature) = text(&parts.headers, "x-twilio-signature") else {
            return Err(Refused::forbidden("no_signature", "X-Twilio-Signature is missing"));
        };
        if self.signed(parts, &self.public, body, signature) {
            Ok(())
        } else {
            metrics::counter!("voxflow_webhooks_refused_total", "channel" => super::CHANNEL)
                .increment(1);
            tracing::warn!(path = parts.uri.path(), "a webhook with a wrong signature");
            Err(Refused::forbidden("wrong_signature", "X-Twilio-Signature does not fit"))
        }
    }

    /// Whether the upgrade of a media stream is Twilio's own, as far as it says: the gate is the
    /// token in `start`, so a missing signature is no refusal, but a wrong one is.
    pub(super) fn check_upgrade(&self, parts: &Parts) -> Result<(), Refused> {
        let Some(signature) = text(&parts.headers, "x-twilio-signature") else { return Ok(()) };
        if self.settings.auth_token.is_none() {
            return Ok(());
        }
        let base = self.socket_address("");
        // Behind some proxies the signature was seen to be made over `https`.
        if self.signed(parts, &base, Body::Raw(b""), signature)
            || self.signed(parts, &self.public, Body::Raw(b""), signature)
        {
            Ok(())
        } else {
            Err(Refused::forbidden("wrong_signature", "X-Twilio-Signature does not fit"))
        }
    }

    fn signed(&self, parts: &Parts, base: &str, body: Body<'_>, signature: &str) -> bool {
        let Some(auth_token) = &self.settings.auth_token else { return false };
        let uri = match parts.extensions.get::<OriginalUri>() {
            Some(OriginalUri(uri)) => uri,
            None => &parts.uri,
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let settings = text(&parts.headers, "x-twilio-webhooks-signature-settings");
        Secrets { auth_token, shared_keys: &self.settings.shared_keys }.signed(
            &format!("{base}{target}"),
            body,
            signature,
            settings,
        )
    }

    /// Without a secret: only from this machine, not forwarded by a proxy, not from a page.
    fn unsigned(&self, parts: &Parts) -> Result<(), Refused> {
        let near = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
        let direct = ["forwarded", "x-forwarded-for", "origin"]
            .iter()
            .all(|name| !parts.headers.contains_key(*name));
        if self.settings.unsigned == Unsigned::FromLoopback && near && direct {
            Ok(())
        } else {
            Err(Refused::forbidden(
                "no_secret",
                "TWILIO_AUTH_TOKEN is not set, so nobody can prove to be Twilio",
            ))
        }
    }
}
