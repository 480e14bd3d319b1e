//! Twilio: calls by webhook, TwiML and media stream; texts by webhook and REST.
//!
//! Read in this order: `signature` (who may speak to us) → `form` (a webhook, checked and read) →
//! `messages` (texts) → `twiml` (what we answer) → `calls` (which call waits for what, by a `token`) → `voice`
//! (a call rings, is connected, ends) → `media` (its socket) → `line` (the task that owns its end
//! of the leg), `dial` and `control` (how one begins that we dial, what a leg can do) → `rest` (what
//! we ask of Twilio).

mod calls;
mod control;
mod dial;
mod form;
mod line;
mod media;
mod messages;
mod rest;
mod signature;
mod token;
mod twiml;
mod voice;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, post};
use call::{Destination, Dialer, NotReached, Ringing, Switchboard, Wanted};
use conversation::{Inbox, Messenger, Outgoing, Refusal, Sent};
use jiff::Timestamp;
use reqwest::Client;
use secrecy::SecretString;

use calls::Calls;
use dial::Dials;
use rest::Rest;

use crate::door::Unsigned;
use crate::elsewhere::{self, Elsewhere};
use crate::outward;

/// The channel's file name.
pub const CHANNEL: &str = "twilio";

/// What an operator tells about an account at Twilio.
#[derive(Clone)]
pub struct Settings {
    /// `AC...`; empty = nothing can be sent, dialed or redirected.
    pub account_sid: String,
    /// Proves webhooks and opens the REST API.
    pub auth_token: Option<SecretString>,
    /// Keys by id, for webhooks signed by a shared key (`X-Twilio-Webhooks-Signature-Settings`).
    pub shared_keys: HashMap<String, SecretString>,
    /// Where the REST API is; [`BASE_URL`] unless a proxy or a double stands in.
    pub base_url: String,
    /// Where Twilio finds us, exactly as it was told: signatures are made over it.
    pub public_url: String,
    /// The name of this process among those behind `public_url`; `None` = there are no others.
    pub process: Option<String>,
    /// What becomes of webhooks when there is no `auth_token`.
    pub unsigned: Unsigned,
    /// How long things may take.
    pub limits: Limits,
}

/// Where the REST API is.
pub const BASE_URL: &str = "https://api.twilio.com";

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From a webhook's answer to its media stream.
    pub claim: Duration,
    /// From a socket's opening to its `start`.
    pub start: Duration,
    /// Between pings.
    pub ping: Duration,
    /// Without any media, until the caller counts as gone.
    pub silence: Duration,
    /// From the end of a dial to the caller's new media stream.
    pub back: Duration,
    /// From the loss of a media stream to the new one; then the caller counts as gone.
    pub lost: Duration,
    /// For a request to Twilio.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            claim: Duration::from_secs(60),
            start: Duration::from_secs(5),
            ping: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            back: Duration::from_secs(15),
            lost: Duration::from_secs(5),
            request: Duration::from_secs(15),
        }
    }
}

impl Settings {
    /// Settings without an account: webhooks are refused, nothing can be sent.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            account_sid: String::new(),
            auth_token: None,
            shared_keys: HashMap::new(),
            base_url: BASE_URL.into(),
            public_url: public_url.into(),
            process: None,
            unsigned: Unsigned::Refuse,
            limits: Limits::default(),
        }
    }
}

/// An account at Twilio: gives texts ([`Messenger`]), dials ([`Dialer`]), brings texts and calls
/// ([`Twilio::router`]).
pub struct Twilio {
    settings: Settings,
    /// The public URL without a slash at its end and without a fragment.
    public: String,
    /// To the other processes.
    client: Client,
    /// `None` = no credentials.
    rest: Option<Rest>,
    calls: Calls,
    dials: Dials,
    me: Weak<Self>,
}

impl Twilio {
    /// Checks the settings. A process-wide TLS provider must be installed before.
    ///
    /// # Errors
    /// Names the setting and what is wrong with it.
    pub fn new(settings: Settings) -> Result<Arc<Self>, String> {
        let public = outward::address("public_url", &settings.public_url)?;
        outward::address("TWILIO_BASE_URL", &settings.base_url)?;
        let rest = match &settings.auth_token {
            Some(token) if !settings.account_sid.is_empty() => Some(Rest::new(&settings, token)?),
            _ => None,
        };
        let client = elsewhere::client()?;
        let calls = Calls::new(settings.limits.claim);
        let dials = Dials::default();
        Ok(Arc::new_cyclic(|me| {
            let me = Weak::clone(me);
            Self { settings, public, client, rest, calls, dials, me }
        }))
    }

    /// The doors: `POST /twilio/voice`, `/twilio/dialed`, `/twilio/streamed`, `/twilio/status`,
    /// `/twilio/dialing/{token}`, `/twilio/machine/{token}`, `/twilio/messages`, `/twilio/message-status` and `WS /twilio/media`;
    /// and each once more under `/twilio/at/{process}`, where it is that process's. The server must
    /// give peers' addresses (`into_make_service_with_connect_info::<SocketAddr>`) for
    /// [`Unsigned::FromLoopback`].
    pub fn router(
        self: &Arc<Self>,
        inbox: Arc<dyn Inbox>,
        switchboard: Arc<dyn Switchboard>,
    ) -> Router {
        let elsewhere = Elsewhere::new(
            self.client.clone(),
            Arc::clone(&switchboard),
            self.settings.process.as_deref(),
        );
        let doors = Arc::new(Doors { twilio: Arc::clone(self), inbox, switchboard });
        let doors = Router::new()
            .route("/voice", post(voice::ring))
            .route("/dialed", post(voice::dialed))
            .route("/streamed", post(voice::streamed))
            .route("/status", post(voice::status))
            .route("/dialing/{token}", post(dial::status))
            .route("/machine/{token}", post(dial::machine))
            .route("/messages", post(messages::receive))
            .route("/message-status", post(messages::receipt))
            .route("/media", any(media::connect))
            .with_state(doors);
        let named = doors.clone().route_layer(from_fn_with_state(elsewhere, elsewhere::pass));
        Router::new().nest("/twilio", doors).nest("/twilio/at/{process}", named)
    }

    /// An address of ours as Twilio is told it.
    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.public)
    }

    /// The same, of a door behind which this process and no other can answer.
    fn here(&self, door: &str) -> String {
        self.address(&format!("/twilio{}{door}", elsewhere::at(self.settings.process.as_deref())))
    }
}

#[async_trait]
impl Dialer for Twilio {
    fn carrier(&self) -> &'static str {
        CHANNEL
    }

    fn reaches(&self, to: &Destination) -> bool {
        self.rest.is_some() && matches!(to.kind.as_str(), "tel" | "sip")
    }

    async fn dial(&self, wanted: Wanted) -> Result<Ringing, NotReached> {
        match self.me.upgrade() {
            Some(twilio) => dial::dial(&twilio, wanted).await,
            None => Err(NotReached::failed("the process is ending")),
        }
    }
}

#[async_trait]
impl Messenger for Twilio {
    fn channel(&self) -> &'static str {
        CHANNEL
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        let Some(rest) = &self.rest else {
            let why = "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set";
            return Err(outward::never("no_credentials", why));
        };
        rest.send(text, &self.address("/twilio/message-status")).await
    }

    async fn taken(&self, text: &Outgoing, since: Timestamp) -> Result<Vec<Sent>, Refusal> {
        match &self.rest {
            Some(rest) => rest.taken(text, since).await,
            None => Ok(Vec::new()),
        }
    }
}

/// What the doors share.
struct Doors {
    twilio: Arc<Twilio>,
    inbox: Arc<dyn Inbox>,
    switchboard: Arc<dyn Switchboard>,
}
