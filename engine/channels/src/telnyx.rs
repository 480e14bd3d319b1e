//! Telnyx: texts and calls by webhook and REST, sound by media streams.
//!
//! Read in this order: `proof` (who may speak to us) → `webhook` (what is told) → `voice` (what is
//! told of calls) → `calls` (who they are) → `media` (a socket) → `line` (the task that owns its end
//! of the leg) with `happening` (what it is told), `dial`, `back` and `control` (how one begins or comes back, what it can do) → `wire` (its messages) → `rest` (what we ask of Telnyx).

mod back;
mod calls;
mod control;
mod dial;
mod happening;
mod line;
mod media;
mod proof;
mod rest;
mod voice;
mod webhook;
mod wire;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, post};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use call::{Destination, Dialer, NotReached, Ringing, Switchboard, Wanted};
use conversation::{Inbox, Messenger, Outgoing, Refusal, Sent};
use reqwest::Client;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::door::Unsigned;
use crate::elsewhere::{self, Elsewhere};
use crate::outward;
use calls::Calls;
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
    /// The Call Control application by which calls are dialed; without it nobody can be.
    pub connection_id: Option<String>,
    /// The account's public key, 32 bytes in base64: proves webhooks.
    pub public_key: Option<String>,
    /// A shared secret, for webhooks that are signed by HMAC instead.
    pub webhook_secret: Option<SecretString>,
    /// Where the REST API is; [`BASE_URL`] unless a proxy or a double stands in.
    pub base_url: String,
    /// Where Telnyx finds us.
    pub public_url: String,
    /// The name of this process among those behind `public_url`; `None` = there are no others.
    pub process: Option<String>,
    /// What becomes of webhooks when there is neither key nor secret.
    pub unsigned: Unsigned,
    /// How long things may take.
    pub limits: Limits,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From an answer to its media stream.
    pub stream: Duration,
    /// From a socket's opening to its `start`.
    pub start: Duration,
    /// Between pings.
    pub ping: Duration,
    /// Without any media, until the stream counts as lost.
    pub silence: Duration,
    /// From the loss of a media stream to the new one; then the caller counts as gone.
    pub lost: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stream: Duration::from_secs(10),
            start: Duration::from_secs(5),
            ping: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            lost: Duration::from_secs(5),
        }
    }
}

/// An account at Telnyx: gives texts ([`Messenger`]), dials ([`Dialer`]), brings texts and calls
/// ([`Telnyx::router`]).
pub struct Telnyx {
    proof: Proof,
    unsigned: Unsigned,
    /// The public URL without a slash at its end.
    public: String,
    process: Option<String>,
    /// To the other processes.
    client: Client,
    /// `None` = no key.
    rest: Option<Rest>,
    connection: Option<String>,
    calls: Arc<Calls>,
    limits: Limits,
    /// Who takes the calls, once there are doors.
    switchboard: OnceLock<Arc<dyn Switchboard>>,
    me: Weak<Self>,
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
        let client = elsewhere::client()?;
        Ok(Arc::new_cyclic(|me| Self {
            proof,
            unsigned: settings.unsigned,
            public,
            process: settings.process,
            client,
            rest,
            connection: settings.connection_id,
            calls: Arc::default(),
            limits: settings.limits,
            switchboard: OnceLock::new(),
            me: Weak::clone(me),
        }))
    }

    /// The doors: `POST /telnyx/webhook`, also called `/api/webhooks/telnyx`, and
    /// `WS /telnyx/media/{token}`; and each once more under `/telnyx/at/{process}`, where it is that
    /// process's. The server must give peers' addresses
    /// (`into_make_service_with_connect_info::<SocketAddr>`) for [`Unsigned::FromLoopback`].
    pub fn router(
        self: &Arc<Self>,
        inbox: Arc<dyn Inbox>,
        switchboard: Arc<dyn Switchboard>,
    ) -> Router {
        // The same one each time.
        let _ = self.switchboard.set(Arc::clone(&switchboard));
        let elsewhere =
            Elsewhere::new(self.client.clone(), Arc::clone(&switchboard), self.process.as_deref());
        let telnyx = Arc::clone(self);
        let state = Arc::new(Doors { telnyx, inbox, switchboard, elsewhere: elsewhere.clone() });
        let doors = Router::new()
            .route("/webhook", post(webhook::receive))
            .route("/media/{token}", any(media::connect))
            .with_state(Arc::clone(&state));
        let named = doors.clone().route_layer(from_fn_with_state(elsewhere, elsewhere::pass));
        Router::new()
            .route("/api/webhooks/telnyx", post(webhook::receive))
            .with_state(state)
            .nest("/telnyx", doors)
            .nest("/telnyx/at/{process}", named)
    }

    /// An address of ours as Telnyx is told it, of a door behind which this process and no other can
    /// answer.
    fn here(&self, door: &str) -> String {
        format!("{}/telnyx{}{door}", self.public, elsewhere::at(self.process.as_deref()))
    }

    /// What opens a stream: the caller's sound in the telephone's coding, ours as PCMU. Without
    /// `rtp` Telnyx would take our sound for MP3.
    fn stream(&self, token: &str) -> Value {
        json!({
            "stream_url": outward::socket(&self.here(&format!("/media/{token}"))),
            "stream_track": "inbound_track",
            "stream_bidirectional_mode": "rtp",
            "stream_bidirectional_codec": "PCMU",
            "client_state": BASE64_STANDARD.encode(token),
        })
    }
}

#[async_trait]
impl Dialer for Telnyx {
    fn carrier(&self) -> &'static str {
        CHANNEL
    }

    fn reaches(&self, to: &Destination) -> bool {
        self.rest.is_some()
            && self.connection.is_some()
            && matches!(to.kind.as_str(), "tel" | "sip")
    }

    async fn dial(&self, wanted: Wanted) -> Result<Ringing, NotReached> {
        match self.me.upgrade() {
            Some(telnyx) => dial::dial(&telnyx, wanted).await,
            None => Err(NotReached::failed("the process is ending")),
        }
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
    switchboard: Arc<dyn Switchboard>,
    elsewhere: Elsewhere,
}
