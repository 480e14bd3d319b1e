//! LINE: texts by webhook, replies and pushes by REST.
//!
//! One account is one channel of LINE, and its address among ours is [`ADDRESS`]. A peer is a
//! user, a group or a room, by LINE's id of it.
//!
//! Read in this order: `webhook` (what is told) → `tokens` (what makes a reply free) → `rest`
//! (what we ask of LINE).

mod rest;
mod tokens;
mod webhook;

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::routing::post;
use conversation::{Inbox, Messenger, Outgoing, Refusal, Sent};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::door::Unsigned;
use crate::outward;
use rest::Rest;
use tokens::Tokens;

/// The channel's file name.
pub const CHANNEL: &str = "line";

/// Our end of every thread.
pub const ADDRESS: &str = "line";

/// Where the REST API is.
pub const BASE_URL: &str = "https://api.line.me";

/// Where the REST API keeps what peers have attached.
const CONTENT_URL: &str = "https://api-data.line.me";

/// What an operator tells about a channel at LINE.
#[derive(Clone)]
pub struct Settings {
    /// Proves webhooks.
    pub channel_secret: Option<SecretString>,
    /// Opens the REST API; without it nothing can be sent.
    pub channel_token: Option<SecretString>,
    /// Where the REST API is; [`BASE_URL`] unless a proxy or a double stands in.
    pub base_url: String,
    /// What becomes of webhooks when there is no secret.
    pub unsigned: Unsigned,
}

/// A channel at LINE: gives texts ([`Messenger`]), brings texts ([`Line::router`]).
pub struct Line {
    secret: Option<SecretString>,
    unsigned: Unsigned,
    /// Where attachments are fetched.
    content: String,
    tokens: Tokens,
    /// `None` = no token.
    rest: Option<Rest>,
}

impl Line {
    /// Checks the settings. A process-wide TLS provider must be installed before.
    ///
    /// # Errors
    /// Names the setting and what is wrong with it.
    pub fn new(settings: Settings) -> Result<Arc<Self>, String> {
        let base = outward::address("LINE_BASE_URL", &settings.base_url)?;
        let content = if base == BASE_URL { CONTENT_URL.to_owned() } else { base.clone() };
        let rest = settings.channel_token.map(|token| Rest::new(&base, token)).transpose()?;
        Ok(Arc::new(Self {
            secret: settings.channel_secret,
            unsigned: settings.unsigned,
            content,
            tokens: Tokens::default(),
            rest,
        }))
    }

    /// The door: `POST /line/webhook`. The server must give peers' addresses
    /// (`into_make_service_with_connect_info::<SocketAddr>`) for [`Unsigned::FromLoopback`].
    pub fn router(self: &Arc<Self>, inbox: Arc<dyn Inbox>) -> Router {
        let doors = Arc::new(Doors { line: Arc::clone(self), inbox });
        Router::new().route("/line/webhook", post(webhook::receive)).with_state(doors)
    }
}

#[async_trait]
impl Messenger for Line {
    fn channel(&self) -> &'static str {
        CHANNEL
    }

    fn reaches_phones(&self) -> bool {
        false
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        let Some(rest) = &self.rest else {
            return Err(outward::never("no_credentials", "LINE_CHANNEL_TOKEN is not set"));
        };
        let token = self.tokens.take(text.peer.as_str(), Timestamp::now());
        rest.send(text, token).await
    }
}

/// What the doors share.
struct Doors {
    line: Arc<Line>,
    inbox: Arc<dyn Inbox>,
}
