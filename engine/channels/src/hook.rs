//! Anything else that can sign a webhook: `POST /hooks/{name}` in, a POST to an address out, both
//! signed alike.
//!
//! The signature is that of Standard Webhooks (standardwebhooks.com), for which there are libraries
//! in every language: `webhook-id`, `webhook-timestamp` (seconds since 1970, within five minutes of
//! ours) and `webhook-signature: v1,<base64 of HMAC-SHA256(secret, id.timestamp.body)>`. A secret
//! is `whsec_` and base64, or any text. The id is the idempotency key in both directions: the same
//! id is the same text.
//!
//! In: `{"from": "who", "text": "...", "media": [{"url", "content_type"}]}`, or
//! `{"type": "receipt", "id": "...", "status": "sent" | "delivered" | "failed", "code": "..."}`
//! about a text of ours. Out: `{"type": "message", "from": "hook:name", "to": "who", "text": "...",
//! "media": ["..."]}`; an answer of 2xx takes it, and may name it by `{"id": "..."}`; 410 means
//! that the peer wants no texts; 429 and 5xx are tried again.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use conversation::{
    Address, Inbox, Media, Message, Messenger, Outgoing, Receipt, Refusal, Sent, Status, Tenant,
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::door::{self, Wrong, address};
use crate::outward::{self, Outward, REQUEST, never};
use crate::refusal::Refused;
use crate::signed;

/// The channel's file name.
pub const CHANNEL: &str = "hook";

/// The longest name of a peer, in bytes.
const LONGEST_PEER: usize = 256;

/// What an operator tells about one webhook.
#[derive(Clone)]
pub struct Hook {
    /// What it is called in its path: letters, digits, `-` and `_`.
    pub name: String,
    /// Signs both ways.
    pub secret: SecretString,
    /// Where texts to its peers go; without it, none can be sent.
    pub url: Option<String>,
}

/// The address of ours that a hook's texts come to.
pub fn address_of(name: &str) -> String {
    format!("hook:{name}")
}

/// All webhooks: gives texts ([`Messenger`]), brings texts ([`Hooks::router`]).
pub struct Hooks {
    /// By our address.
    hooks: HashMap<String, Hook>,
    way: Outward,
}

impl Hooks {
    /// Checks the settings. A process-wide TLS provider must be installed before.
    ///
    /// # Errors
    /// Names the hook and what is wrong with it.
    pub fn new(settings: Vec<Hook>) -> Result<Arc<Self>, String> {
        let mut hooks = HashMap::new();
        for mut hook in settings {
            let Hook { name, url, .. } = &mut hook;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if name.is_empty() || !name.bytes().all(plain) {
                let why = "a hook is called by letters, digits, `-` and `_`";
                return Err(format!("hook `{name}`: {why}"));
            }
            if let Some(url) = url {
                outward::address(&format!("hook `{name}`: url"), url)?;
            }
            if let Some(twice) = hooks.insert(address_of(name), hook) {
                return Err(format!("the hook `{}` is in the settings twice", twice.name));
            }
        }
        Ok(Arc::new(Self { hooks, way: Outward::new("the hook", REQUEST)? }))
    }

    /// The door: `POST /hooks/{name}`.
    pub fn router(self: &Arc<Self>, inbox: Arc<dyn Inbox>) -> Router {
        let doors = Arc::new(Doors { hooks: Arc::clone(self), inbox });
        Router::new().route("/hooks/{name}", post(receive)).with_state(doors)
    }
}

#[async_trait]
impl Messenger for Hooks {
    fn channel(&self) -> &'static str {
        CHANNEL
    }

    fn reaches_phones(&self) -> bool {
        false
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        let ours = text.ours.as_str();
        let Some(hook) = self.hooks.get(ours) else {
            return Err(never("no_hook", format!("`{ours}` is no hook of the settings any more")));
        };
        let Some(url) = &hook.url else {
            return Err(never("no_url", format!("the hook `{}` has no `url`", hook.name)));
        };
        let body = json!({
            "type": "message", "from": ours, "to": text.peer, "text": text.text,
            "media": text.media,
        })
        .to_string();
        let now = Timestamp::now().as_second();
        let request = self
            .way
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(signed::ID, &text.key)
            .header(signed::TIMESTAMP, now)
            .header(signed::SIGNATURE, signed::sign(&hook.secret, &text.key, now, body.as_bytes()))
            .body(body);
        let answer = self.way.ask(request).await?;
        if answer.status.is_success() {
            let id = answer.json::<Value>().and_then(|said| Some(said["id"].as_str()?.to_owned()));
            return Ok(Sent { carrier_id: id.unwrap_or_else(|| text.key.clone()) });
        }
        if answer.status == StatusCode::GONE {
            return Err(Refusal::OptedOut { code: "410".into() });
        }
        Err(self.way.refusal(&answer, None, "", &[]))
    }
}

/// What the doors share.
struct Doors {
    hooks: Arc<Hooks>,
    inbox: Arc<dyn Inbox>,
}

/// What a hook says. Without a `type` it is a message.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    Message {
        from: String,
        #[serde(default)]
        text: String,
        #[serde(default)]
        media: Vec<Attached>,
    },
    Receipt {
        id: String,
        status: Status,
        #[serde(default)]
        code: Option<String>,
    },
}

#[derive(Deserialize)]
struct Attached {
    url: String,
    #[serde(default)]
    content_type: String,
}

async fn receive(
    State(doors): State<Arc<Doors>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Refused> {
    let (parts, body) = request.into_parts();
    let body = door::read(body).await?;
    let ours = address_of(&name);
    let Some(hook) = doors.hooks.hooks.get(&ours) else {
        let why = format!("no hook is called `{name}`");
        return Err(Refused::new(StatusCode::NOT_FOUND, "unknown_hook", why));
    };
    let now = Timestamp::now();
    let proven = signed::check(&hook.secret, &parts.headers, &body, now);
    proven.map_err(|wrong| wrong.refused(CHANNEL))?;
    let mut said: Value = door::json(&body)?;
    if let Some(object) = said.as_object_mut() {
        object.entry("type").or_insert_with(|| "message".into());
    }
    let said = serde_json::from_value(said)
        .map_err(|error| Refused::bad("unreadable_body", error.to_string()))?;
    match said {
        Said::Message { from, text, media } => {
            if from.is_empty() || from.len() > LONGEST_PEER {
                let why = format!("`from` must name the peer in 1 to {LONGEST_PEER} bytes");
                return Err(Refused::bad("bad_peer", why));
            }
            let id = door::header(&parts.headers, signed::ID).map(str::to_owned);
            let media = media.into_iter();
            let message = Message {
                tenant: Tenant::default(),
                channel: CHANNEL.into(),
                ours: Address::id(ours),
                peer: address(&from),
                id: Some(id.ok_or_else(|| Wrong::Missing(signed::ID).refused(CHANNEL))?),
                text,
                media: media
                    .map(|Attached { url, content_type }| Media { url, content_type })
                    .collect(),
                answered_by_carrier: false,
                at: now,
            };
            door::deliver(doors.inbox.as_ref(), message).await?;
        }
        Said::Receipt { id, status, code } => {
            let channel = CHANNEL.into();
            let receipt = Receipt { channel, carrier_id: id, status, code };
            door::receipt(doors.inbox.as_ref(), receipt).await?;
        }
    }
    Ok(Json(json!({ "status": "accepted" })))
}
