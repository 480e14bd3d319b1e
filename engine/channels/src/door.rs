//! What every webhook goes through: its size is bounded, its sender is proven, its text is stored.
//!
//! Read in this order: [`read`] (a body) → [`Wrong`] and [`Unsigned`] (who may not, and who may
//! without a secret) → [`deliver`] (a text comes in).

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use conversation::{Address, Inbox, Message, Receipt};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::time::timeout;

use crate::elsewhere::PASSED;
use crate::refusal::Refused;

/// The largest body that is read, as everywhere.
const LARGEST: usize = 1024 * 1024;

/// What is read of a larger body, so that its sender hears the refusal rather than a reset.
const DRAINED: usize = 16 * LARGEST;

/// How long a sender may take over its body.
const READING: Duration = Duration::from_secs(10);

/// How far the time of a signature may lie from ours, seconds: what is older may be a repetition
/// by somebody who has listened.
const TOLERANCE_S: u64 = 300;

/// What becomes of webhooks when there is no secret to check them with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsigned {
    /// They get 403.
    #[default]
    Refuse,
    /// They are taken from this machine, not forwarded and not from a page: for demos.
    FromLoopback,
}

impl Unsigned {
    /// Whether a webhook is taken unsigned. `why` tells which setting is missing.
    pub(crate) fn check(self, parts: &Parts, why: &str) -> Result<(), Refused> {
        let near = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
        let direct = ["forwarded", "x-forwarded-for", "origin", PASSED.as_str()]
            .iter()
            .all(|name| !parts.headers.contains_key(*name));
        if self == Self::FromLoopback && near && direct {
            Ok(())
        } else {
            Err(Refused::forbidden("no_secret", why))
        }
    }
}

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// This header is not there.
    Missing(&'static str),
    /// It was signed too long ago, or too far ahead.
    Stale,
    /// The signature does not fit.
    Forged,
}

impl Wrong {
    /// What the sender hears; counted, since somebody may be trying.
    pub(crate) fn refused(self, channel: &'static str) -> Refused {
        metrics::counter!("voxflow_webhooks_refused_total", "channel" => channel).increment(1);
        tracing::warn!(channel, why = ?self, "a webhook is refused");
        match self {
            Self::Missing(name) => {
                Refused::forbidden("no_signature", format!("the header {name} is missing"))
            }
            Self::Stale => Refused::forbidden(
                "stale_signature",
                format!("it was signed more than {TOLERANCE_S} s from now"),
            ),
            Self::Forged => Refused::forbidden("wrong_signature", "the signature does not fit"),
        }
    }
}

/// Whether a time in seconds since 1970, as a header tells it, is near enough to now.
pub(crate) fn recent(seconds: &str, now: Timestamp) -> Result<(), Wrong> {
    let signed: i64 = seconds.parse().map_err(|_| Wrong::Stale)?;
    if now.as_second().abs_diff(signed) <= TOLERANCE_S { Ok(()) } else { Err(Wrong::Stale) }
}

/// Reads a body up to the largest size.
///
/// # Errors
/// It is too large, too slow, or breaks off.
pub(crate) async fn read(body: Body) -> Result<Bytes, Refused> {
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

/// A header's text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What a JSON body says.
///
/// # Errors
/// Where it is not what the carrier documents.
pub(crate) fn json<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::bad("unreadable_body", error.to_string()))
}

/// A phone number, or whatever else a carrier calls a peer: `whatsapp:+1555...`, a short code.
pub(crate) fn address(text: &str) -> Address {
    Address::phone(text).unwrap_or_else(|_| Address::id(text))
}

/// Stores a text for whose address it came to. When it returns, the carrier may be told that we
/// have it, now or since before.
///
/// # Errors
/// Nobody answers texts at this address, or the store is busy.
pub(crate) async fn deliver(inbox: &dyn Inbox, mut message: Message) -> Result<(), Refused> {
    let Some(tenant) = inbox.answers(&message.channel, message.ours.as_str()) else {
        return Err(Refused::new(
            StatusCode::NOT_FOUND,
            "unknown_number",
            format!("the number {} has no flow for texts", message.ours),
        ));
    };
    message.tenant = tenant;
    match inbox.receive(message).await {
        Ok(_) => Ok(()),
        Err(busy) => Err(Refused::busy(busy.to_string())),
    }
}

/// Stores how far a text of ours came.
///
/// # Errors
/// The store is busy.
pub(crate) async fn receipt(inbox: &dyn Inbox, receipt: Receipt) -> Result<(), Refused> {
    inbox.receipt(receipt).await.map_err(|busy| Refused::busy(busy.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_signature_counts_for_five_minutes_both_ways() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (seconds, fine) in [
            ("1800000000", true),
            ("1799999700", true),
            ("1799999699", false),
            ("1800000300", true),
            ("1800000301", false),
            ("-9223372036854775808", false),
            ("soon", false),
            ("", false),
        ] {
            assert_eq!(recent(seconds, now).is_ok(), fine, "{seconds}");
        }
    }
}
