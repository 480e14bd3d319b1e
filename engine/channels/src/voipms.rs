//! voip.ms: texts by URL callback or webhook, and by its REST API. It tells nothing of what
//! became of a text.
//!
//! voip.ms signs nothing. The portal is told an address that holds a secret:
//! `https://.../voipms/sms?secret=...&to={TO}&from={FROM}&message={MESSAGE}&id={ID}&media={MEDIA}`.
//! The same secret stands in the address of its newer JSON webhook.
//!
//! Read in this order: this file (the door) → `rest` (what we ask of voip.ms).

mod rest;

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::routing::get;
use conversation::{Address, Inbox, Media, Message, Messenger, Outgoing, Refusal, Sent, Tenant};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::door::{self, Unsigned, Wrong, address};
use crate::outward;
use crate::refusal::Refused;
use rest::Rest;

/// The channel's file name.
pub const CHANNEL: &str = "voipms";

/// Where the REST API is.
pub const BASE_URL: &str = "https://voip.ms/api/v1/rest.php";

/// What an operator tells about an account at voip.ms.
#[derive(Clone)]
pub struct Settings {
    /// The account's e-mail address.
    pub api_username: Option<String>,
    /// The API's own password, not the portal's.
    pub api_password: Option<SecretString>,
    /// What the address of our door holds as `secret`: proves webhooks.
    pub webhook_secret: Option<SecretString>,
    /// Where the REST API is; [`BASE_URL`] unless a proxy or a double stands in.
    pub base_url: String,
    /// What becomes of webhooks when there is no secret.
    pub unsigned: Unsigned,
}

/// An account at voip.ms: gives texts ([`Messenger`]), brings texts ([`VoipMs::router`]).
pub struct VoipMs {
    secret: Option<SecretString>,
    unsigned: Unsigned,
    /// `None` = no credentials.
    rest: Option<Rest>,
}

impl VoipMs {
    /// Checks the settings. A process-wide TLS provider must be installed before.
    ///
    /// # Errors
    /// Names the setting and what is wrong with it.
    pub fn new(settings: Settings) -> Result<Arc<Self>, String> {
        let url = outward::address("VOIPMS_BASE_URL", &settings.base_url)?;
        let rest = match (settings.api_username, settings.api_password) {
            (Some(username), Some(password)) => Some(Rest::new(url, username, password)?),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                let why = "VOIPMS_API_USERNAME and VOIPMS_API_PASSWORD are of use only together";
                return Err(format!("{why}: set both"));
            }
        };
        Ok(Arc::new(Self { secret: settings.webhook_secret, unsigned: settings.unsigned, rest }))
    }

    /// The door: `GET` and `POST /voipms/sms`. The server must give peers' addresses
    /// (`into_make_service_with_connect_info::<SocketAddr>`) for [`Unsigned::FromLoopback`].
    pub fn router(self: &Arc<Self>, inbox: Arc<dyn Inbox>) -> Router {
        let doors = Arc::new(Doors { voipms: Arc::clone(self), inbox });
        Router::new().route("/voipms/sms", get(receive).post(receive)).with_state(doors)
    }
}

#[async_trait]
impl Messenger for VoipMs {
    fn channel(&self) -> &'static str {
        CHANNEL
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        match &self.rest {
            Some(rest) => rest.send(text).await,
            None => {
                let why = "VOIPMS_API_USERNAME and VOIPMS_API_PASSWORD are not set";
                Err(outward::never("no_credentials", why))
            }
        }
    }
}

/// What the doors share.
struct Doors {
    voipms: Arc<VoipMs>,
    inbox: Arc<dyn Inbox>,
}

/// What a text is, however it was told.
#[derive(Debug, Default, PartialEq)]
struct Told {
    from: String,
    to: String,
    text: String,
    id: Option<String>,
    media: Vec<String>,
}

/// A text is stored when this answers `ok`; voip.ms asks again every half hour for anything else.
async fn receive(
    State(doors): State<Arc<Doors>>,
    request: Request,
) -> Result<&'static str, Refused> {
    let (parts, body) = request.into_parts();
    let body = door::read(body).await?;
    let query = parts.uri.query().unwrap_or_default();
    let fields: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    match &doors.voipms.secret {
        Some(secret) => {
            let said = field(&fields, "secret").ok_or(Wrong::Forged);
            let said = said.map_err(|wrong| wrong.refused(CHANNEL))?;
            if !bool::from(said.as_bytes().ct_eq(secret.expose_secret().as_bytes())) {
                return Err(Wrong::Forged.refused(CHANNEL));
            }
        }
        None => {
            let why = "VOIPMS_WEBHOOK_SECRET is not set, so nobody can prove to be voip.ms";
            doors.voipms.unsigned.check(&parts, why)?;
        }
    }
    let told = if parts.method == Method::POST && !body.is_empty() {
        by_webhook(&door::json::<Value>(&body)?)
    } else {
        by_callback(&fields)
    };
    if told.from.is_empty() || told.to.is_empty() {
        return Err(Refused::bad("missing_field", "`from` and `to` must say who texts whom"));
    }
    let media = told.media.into_iter().map(|url| Media { url, content_type: String::new() });
    let message = Message {
        tenant: Tenant::default(),
        channel: CHANNEL.into(),
        ours: number(&told.to),
        peer: number(&told.from),
        id: told.id,
        text: told.text,
        media: media.collect(),
        answered_by_carrier: false,
        at: Timestamp::now(),
    };
    door::deliver(doors.inbox.as_ref(), message).await?;
    Ok("ok")
}

/// A field that has a value. A name in braces is one that this account's voip.ms does not know.
fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = fields.iter().find(|(field, _)| field == name)?;
    let unknown = *value == format!("{{{}}}", name.to_uppercase());
    (!value.is_empty() && !unknown).then_some(value)
}

fn by_callback(fields: &[(String, String)]) -> Told {
    let get = |name| field(fields, name).unwrap_or_default().to_owned();
    let media = field(fields, "media").unwrap_or_default().split(',').map(str::trim);
    Told {
        from: get("from"),
        to: get("to"),
        text: get("message"),
        id: field(fields, "id").map(Into::into),
        media: media.filter(|url| !url.is_empty()).map(Into::into).collect(),
    }
}

/// The JSON is documented loosely, so it is read so: numbers as texts or as numbers, ends as
/// objects or as texts, a single one without its list.
fn by_webhook(body: &Value) -> Told {
    let payload = body.pointer("/data/payload").or_else(|| body.get("data")).unwrap_or(body);
    let end = |name: &str| {
        let end = payload.get(name).map(|end| end.get(0).unwrap_or(end));
        end.map(|end| word(end.get("phone_number").unwrap_or(end))).unwrap_or_default()
    };
    let text = payload.get("text").or_else(|| payload.get("message"));
    let id = payload.get("id").or_else(|| body.pointer("/data/id")).map(word);
    let media = match payload.get("media") {
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let media = media.into_iter().map(|media| word(media.get("url").unwrap_or(media)));
    Told {
        from: end("from"),
        to: end("to"),
        text: text.map(word).unwrap_or_default(),
        id: id.filter(|id| !id.is_empty()),
        media: media.filter(|url| !url.is_empty()).collect(),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// voip.ms writes North American numbers with ten digits.
fn number(text: &str) -> Address {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    match digits.len() {
        10 => address(&format!("+1{digits}")),
        11 if digits.starts_with('1') => address(&format!("+{digits}")),
        _ => address(text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(json: &str) -> Told {
        by_webhook(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_webhook_is_read_in_all_its_shapes() {
        let whole = Told {
            from: "5557654321".into(),
            to: "5550001000".into(),
            text: "hi".into(),
            id: Some("77".into()),
            media: vec!["https://m.example/1.jpg".into()],
        };
        assert_eq!(
            told(
                r#"{"data":{"id":"9","event_type":"message.received","payload":{"id":77,
                "from":{"phone_number":"5557654321"},"to":[{"phone_number":"5550001000"}],
                "text":"hi","media":[{"url":"https://m.example/1.jpg"}]}}}"#
            ),
            whole
        );
        assert_eq!(
            told(
                r#"{"from":5557654321,"to":"5550001000","message":"hi","id":"77",
                "media":"https://m.example/1.jpg"}"#
            ),
            whole
        );
        assert_eq!(told("[1]"), Told::default());
        assert_eq!(told(r#"{"data":{"payload":null}}"#), Told::default());
    }

    #[test]
    fn placeholders_that_were_not_replaced_are_nothing() {
        let fields = |query: &str| {
            by_callback(
                &url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>(),
            )
        };
        let told = fields("from=5557654321&to=5550001000&message=a%2Bb+c&id={ID}&media={MEDIA}");
        assert_eq!((told.id, told.media.len(), told.text.as_str()), (None, 0, "a+b c"));
        let told = fields("from=1&to=2&message=&id=5&media=https://a/1,%20https://a/2");
        assert_eq!((told.id.as_deref(), told.media.len()), (Some("5"), 2));
    }

    #[test]
    fn ten_digits_are_a_north_american_number() {
        for (text, meant) in [
            ("5557654321", "+15557654321"),
            ("15557654321", "+15557654321"),
            ("+15557654321", "+15557654321"),
            ("(555) 765-4321", "+15557654321"),
            ("+447700900123", "+447700900123"),
            ("12345", "12345"),
        ] {
            assert_eq!(number(text).as_str(), meant);
        }
    }
}
