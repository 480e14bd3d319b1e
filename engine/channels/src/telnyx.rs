//! Telnyx: texts by webhook and REST.
//!
//! Read in this order: `proof` (who may speak to us) → `webhook` (what is told) → `rest` (what we
//! ask of Telnyx).

mod proof;
mod rest;
mod webhook;

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::routing::post;
use conversation::{Inbox, Messenger, Outgoing, Refusal, Sent};
use secrecy::SecretString;

use crate::door::Unsigned;
use crate::outward;
use proof::Proof;
use rest::Rest;

/// The channel's file name.
pub const CHANNEL: &str = "telnyx";

/// Where the REST API is.
pub const BASE_URL: &str = "https://api.telnyx.com/v2";

/// What an operator tells about an account at Telnyx.
#[derive(Clone)]
pub struct Settings {
    /// Opens the REST API; without it nothing can be sent.
    pub api_key: Option<SecretString>,
    /// The account's public key, 32 bytes in base64: proves webhooks.
    pub public_key: Option<String>,
    /// A shared secret, for webhooks that are signed by HMAC instead.
    pub webhook_secret: Option<SecretString>,
    /// Where the REST API is; [`BASE_URL`] unless a proxy or a double stands in.
    pub base_url: String,
    /// Where Telnyx finds us: receipts are sent there.
    pub public_url: String,
    /// What becomes of webhooks when there is neither key nor secret.
    pub unsigned: Unsigned,
}

/// An account at Telnyx: gives texts ([`Messenger`]), brings texts ([`Telnyx::router`]).
pub struct Telnyx {
    proof: Proof,
    unsigned: Unsigned,
    /// `None` = no key.
    rest: Option<Rest>,
}

impl Telnyx {
    /// Checks the settings. A process-wide TLS provider must be installed before.
    ///
    /// # Errors
    /// Names the setting and what is wrong with it.
    pub fn new(settings: Settings) -> Result<Arc<Self>, String> {
        let public = outward::address("public_url", &settings.public_url)?;
        let base = outward::address("TELNYX_BASE_URL", &settings.base_url)?;
        let proof = Proof::new(settings.public_key.as_deref(), settings.webhook_secret)?;
        let callback = format!("{public}/telnyx/webhook");
        let rest = settings.api_key.map(|key| Rest::new(&base, key, callback)).transpose()?;
        Ok(Arc::new(Self { proof, unsigned: settings.unsigned, rest }))
    }

    /// The door: `POST /telnyx/webhook`, also called `/api/webhooks/telnyx`. The server must give
    /// peers' addresses (`into_make_service_with_connect_info::<SocketAddr>`) for
    /// [`Unsigned::FromLoopback`].
    pub fn router(self: &Arc<Self>, inbox: Arc<dyn Inbox>) -> Router {
        let doors = Arc::new(Doors { telnyx: Arc::clone(self), inbox });
        Router::new()
            .route("/telnyx/webhook", post(webhook::receive))
            .route("/api/webhooks/telnyx", post(webhook::receive))
            .with_state(doors)
    }
}

#[async_trait]
impl Messenger for Telnyx {
    fn channel(&self) -> &'static str {
        CHANNEL
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        match &self.rest {
            Some(rest) => rest.send(text).await,
            None => Err(outward::never("no_credentials", "TELNYX_API_KEY is not set")),
        }
    }
}

/// What the doors share.
struct Doors {
    telnyx: Arc<Telnyx>,
    inbox: Arc<dyn Inbox>,
}
