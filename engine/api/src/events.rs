//! What happens, as it happens: a WebSocket of happenings, each with its number.
//!
//! `?since=N` begins with what came after N, as far back as this process remembers; a gap in the
//! numbers tells a reader that it was too slow. `?run=` and `?subject=` narrow it down.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use runtime::Happening;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use crate::Api;
use crate::access::Holder;
use crate::params::Params;

/// How often a quiet peer is asked whether it is there, and how long it may stay silent.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);

/// A message that a client may send; none has a meaning here, so long ones are none of ours.
const LONGEST: usize = 4096;

/// Runs of which it is remembered whose they are.
const KNOWN: usize = 10_000;

/// What is wanted.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    since: Option<u64>,
    run: Option<String>,
    subject: Option<String>,
}

impl Wanted {
    fn is(&self, happening: &Happening) -> bool {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        fits(&self.run, &happening.run) && fits(&self.subject, &happening.subject)
    }
}

/// The door.
pub(crate) async fn stream(
    State(api): State<Api>,
    holder: Holder,
    Params(wanted): Params<Wanted>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let eyes = Eyes { holder, known: HashMap::new() };
    upgrade.max_message_size(LONGEST).on_upgrade(move |socket| tell(api, wanted, eyes, socket))
}

/// Whose happenings are shown.
struct Eyes {
    holder: Holder,
    /// Runs, threads and calls, and whether they are the tenant's.
    known: HashMap<String, bool>,
}

impl Eyes {
    /// Whether whoever listens may know of it. What nobody knows the owner of is told to nobody.
    async fn see(&mut self, api: &Api, happening: &Happening) -> bool {
        if self.holder.tenant().is_none() {
            return true;
        }
        let about = if happening.run.is_empty() { &happening.subject } else { &happening.run };
        if let Some(known) = self.known.get(about) {
            return *known;
        }
        let Some(tenant) = owner(api, about).await else { return false };
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        let seen = self.holder.sees(&tenant);
        self.known.insert(about.clone(), seen);
        seen
    }
}

/// Whose run, thread or call it is.
async fn owner(api: &Api, id: &str) -> Option<String> {
    let store = &api.runtime.parts.store;
    if let Ok(Some(run)) = store.run(id).await {
        return Some(run.tenant.0);
    }
    if let Ok(Some(thread)) = store.thread(id).await {
        return Some(thread.peering.tenant.0);
    }
    store.call(id).await.ok().flatten().map(|call| call.tenant.0)
}

async fn tell(api: Api, wanted: Wanted, mut eyes: Eyes, mut socket: WebSocket) {
    let watch = &api.runtime.watch;
    let (replay, mut happenings) = match wanted.since {
        Some(since) => watch.since(since),
        None => (Vec::new(), watch.listen()),
    };
    for happening in replay.iter().filter(|happening| wanted.is(happening)) {
        if eyes.see(&api, happening).await && send(&mut socket, happening).await.is_err() {
            return;
        }
    }
    let mut ping = tokio::time::interval(PING);
    let mut heard = tokio::time::Instant::now();
    loop {
        tokio::select! {
            happening = happenings.recv() => match happening {
                Ok(happening) if wanted.is(&happening) => {
                    let seen = eyes.see(&api, &happening).await;
                    if seen && send(&mut socket, &happening).await.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                // The gap in the numbers tells the reader.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
            message = socket.recv() => match message {
                Some(Ok(_)) => heard = tokio::time::Instant::now(),
                Some(Err(_)) | None => return,
            },
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE
                    || socket.send(Message::Ping(Vec::new().into())).await.is_err()
                {
                    return;
                }
            }
            () = api.stop.cancelled() => break,
        }
    }
    // Somebody who has gone already does not need to be told.
    let _ = socket.send(Message::Close(None)).await;
}

async fn send(socket: &mut WebSocket, happening: &Happening) -> Result<(), axum::Error> {
    let text = serde_json::to_string(happening).map_err(axum::Error::new)?;
    // A peer that takes nothing must not hold this task for ever.
    let sent = tokio::time::timeout(PING, socket.send(Message::Text(text.into())));
    sent.await.map_err(axum::Error::new)?
}
