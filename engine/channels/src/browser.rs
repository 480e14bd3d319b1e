//! The console's phone and text box: WebSockets of 16-bit sound and JSON.
//!
//! Read in this order: `call` (one call, one socket) → `chat` (texts of one page) → `origin` (which
//! pages may open a socket).
//!
//! `WS /browser/call?number=+1...`
//!
//! | from the page | |
//! |---|---|
//! | binary | sound: 16-bit little-endian samples at 16 kHz, 20 ms |
//! | `{"type":"start","to":"+15550001000","from":"browser"}` | first of all; `to` may be the query's `number` |
//! | `{"type":"digit","digit":"1"}` | a key |
//! | `{"type":"mark","id":7}` | all sound before the mark 7 was played or cleared |
//! | `{"type":"hangup"}` | the caller hangs up |
//!
//! | to the page | |
//! |---|---|
//! | binary | sound, the same |
//! | `{"type":"call","id":"..."}` | the carrier's id of the call, as the API lists it |
//! | `{"type":"answered"}` | the flow picked up |
//! | `{"type":"mark","id":7}` | tell when all sound before has been played |
//! | `{"type":"clear"}` | drop what is not played yet, and send its marks back |
//! | `{"type":"dialing","destinations":[...]}` | the flow wants to connect the caller; a browser cannot, so the flow goes on by `failed` |
//! | `{"type":"error","message":"..."}` | something is wrong, in words |
//! | `{"type":"ended","cause":"normal"}` | the call is over |
//!
//! `WS /browser/chat?number=+1...&visitor=...&seen=...`
//!
//! | | |
//! |---|---|
//! | page: `{"type":"text","text":"hi","id":"..."}` | a text; twice the same id is one text |
//! | to the page: `{"type":"visitor","id":"..."}` | who the visitor is, when the page did not say; to be kept and told next time |
//! | to the page: `{"type":"accepted","id":"..."}` | the text is stored |
//! | to the page: `{"type":"text","text":"...","key":"..."}` | a text of ours, perhaps twice under the same key; `media` lists attachments |
//! | to the page: `{"type":"error","message":"...","id":"..."}` | a text, or the whole chat, is refused |
//!
//! Texts of ours wait in the store: a page gets them in order, whenever it comes and whichever
//! process it comes to. `seen` is the key of the last one that it has, and it gets all that were sent
//! after that one. A page that does not say gets all after the last `delivered` one: a text is
//! delivered as soon as a page of the visitor has answered a ping that was sent behind it.

mod call;
mod chat;
mod origin;

use std::sync::Arc;
use std::time::Duration;

use ::call::Switchboard;
use async_trait::async_trait;
use axum::Router;
use axum::routing::any;
use conversation::{Inbox, Messenger, Outgoing, Refusal, Sent};
use serde::Deserialize;

/// The channel's file name.
pub const CHANNEL: &str = "browser";

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From a call's socket to its `start`.
    pub start: Duration,
    /// Between pings.
    pub ping: Duration,
    /// Without a word from the page, not even a pong, until it counts as gone.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(5),
            ping: Duration::from_secs(10),
            silence: Duration::from_secs(30),
        }
    }
}

/// Pages of this console: brings their calls and texts and gives them ours ([`Browser::router`]). A
/// text is sent ([`Messenger`]) as soon as the store says so: pages come for it.
pub struct Browser {
    limits: Limits,
}

impl Browser {
    /// Without any page.
    pub fn new() -> Arc<Self> {
        Self::with(Limits::default())
    }

    /// The same with other limits.
    pub fn with(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits })
    }

    /// The doors: `WS /browser/call` and `WS /browser/chat`. They take pages of this host and of
    /// loopback only; whoever serves them decides who may reach them at all.
    pub fn router(
        self: &Arc<Self>,
        inbox: Arc<dyn Inbox>,
        switchboard: Arc<dyn Switchboard>,
    ) -> Router {
        let doors = Arc::new(Doors { browser: Arc::clone(self), inbox, switchboard });
        Router::new()
            .route("/browser/call", any(call::connect))
            .route("/browser/chat", any(chat::connect))
            .with_state(doors)
    }
}

#[async_trait]
impl Messenger for Browser {
    fn channel(&self) -> &'static str {
        CHANNEL
    }

    fn reaches_phones(&self) -> bool {
        false
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        Ok(Sent { carrier_id: text.key.clone() })
    }
}

/// What the doors share.
struct Doors {
    browser: Arc<Browser>,
    inbox: Arc<dyn Inbox>,
    switchboard: Arc<dyn Switchboard>,
}

/// What a page says in its address.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    number: String,
    #[serde(default)]
    visitor: String,
    seen: Option<String>,
}

/// A message of ours as JSON.
fn json(value: &serde_json::Value) -> axum::extract::ws::Message {
    axum::extract::ws::Message::Text(value.to_string().into())
}
