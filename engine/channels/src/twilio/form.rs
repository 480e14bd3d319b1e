//! A webhook, checked and read: size, signature, type, fields, in this order.

use std::sync::Arc;

use axum::extract::{FromRequest, OriginalUri, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};

use super::signature::{Body, Secrets};
use super::{Doors, Twilio};
use crate::door::{Wrong, header, read};
use crate::outward;
use crate::refusal::Refused;

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
        let repetition = header(&parts.headers, "i-twilio-idempotency-token").map(str::to_owned);
        Ok(Self { fields, repetition })
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = header(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl Twilio {
    /// Whether a webhook is Twilio's own. The address is the public one that Twilio was told, and
    /// the path and query exactly as they came: what a proxy says about itself is not believed.
    fn check(&self, parts: &Parts, body: Body<'_>) -> Result<(), Refused> {
        if self.settings.auth_token.is_none() {
            let why = "TWILIO_AUTH_TOKEN is not set, so nobody can prove to be Twilio";
            return self.settings.unsigned.check(parts, why);
        }
        let Some(signature) = header(&parts.headers, "x-twilio-signature") else {
            return Err(Wrong::Missing("X-Twilio-Signature").refused(super::CHANNEL));
        };
        if self.signed(parts, &self.public, body, signature) {
            Ok(())
        } else {
            Err(Wrong::Forged.refused(super::CHANNEL))
        }
    }

    /// Whether the upgrade of a media stream is Twilio's own, as far as it says: the gate is the
    /// token in `start`, so a missing signature is no refusal, but a wrong one is.
    pub(super) fn check_upgrade(&self, parts: &Parts) -> Result<(), Refused> {
        let Some(signature) = header(&parts.headers, "x-twilio-signature") else { return Ok(()) };
        if self.settings.auth_token.is_none() {
            return Ok(());
        }
        let base = outward::socket(&self.public);
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
        let settings = header(&parts.headers, "x-twilio-webhooks-signature-settings");
        Secrets { auth_token, shared_keys: &self.settings.shared_keys }.signed(
            &format!("{base}{target}"),
            body,
            signature,
            settings,
        )
    }
}
