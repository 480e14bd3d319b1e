//! The socket of a media stream, from its upgrade to the line that its token stands for.

use std::sync::Arc;

use audio::resample::Resampler;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use tokio::time::timeout;

use super::happening::Happening;
use super::line::RATE;
use super::wire::{self, Coding, Ordered};
use super::{CHANNEL, Doors};
use crate::refusal::Refused;
use crate::rim::{self, Closing, close};

/// The largest message that is read. Telnyx's have 300 bytes.
const LARGEST: usize = 1024 * 1024;

/// A media stream that has begun.
pub(super) struct Stream {
    pub(super) socket: WebSocket,
    coding: Coding,
    ordered: Ordered,
    resampler: Option<Resampler>,
}

impl Stream {
    /// What a piece of sound brings at the leg's rate, perhaps with others that waited for it.
    pub(super) fn hear(&mut self, number: Option<u64>, bytes: Vec<u8>) -> Vec<i16> {
        let due = self.ordered.take(number, bytes);
        let samples = due.iter().flat_map(|piece| self.coding.decode(piece)).collect::<Vec<_>>();
        match &mut self.resampler {
            Some(resampler) => resampler.process(&samples),
            None => samples,
        }
    }
}

/// The line that an address is about.
#[derive(Deserialize)]
pub(super) struct Named {
    token: String,
}

/// `WS /telnyx/media/{token}`.
pub(super) async fn connect(
    State(doors): State<Arc<Doors>>,
    Path(Named { token }): Path<Named>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    let upgrade = upgrade.map_err(|rejection| Refused::bad("no_upgrade", rejection.body_text()))?;
    if doors.telnyx.calls.line(&token).is_none() {
        tracing::warn!("a media stream without a valid token");
        return Err(Refused::forbidden("no_call", "no call waits for this stream"));
    }
    Ok(rim::socket(upgrade, LARGEST).on_upgrade(move |socket| begin(doors, token, socket)))
}

/// Waits for the stream's beginning and gives it to its call.
async fn begin(doors: Arc<Doors>, token: String, mut socket: WebSocket) {
    let start =
        match timeout(doors.telnyx.limits.start, rim::started(&mut socket, CHANNEL, wire::read))
            .await
        {
            Ok(Ok(start)) => start,
            Ok(Err(closing)) => return close(socket, closing).await,
            Err(_) => return close(socket, Closing::policy("no start came in time")).await,
        };
    let Some(coding) = start.coding else {
        let closing = Closing::unsupported("only PCMU, PCMA and L16 are taken");
        return close(socket, closing).await;
    };
    let rate = coding.rate();
    let resampler = (rate != RATE).then(|| Resampler::new(rate, RATE));
    let stream = Stream { socket, coding, ordered: Ordered::default(), resampler };
    let back = Happening::Stream { call: start.call, stream: Box::new(stream) };
    match doors.telnyx.calls.line(&token) {
        // A line that ends right now drops the stream, and so closes it.
        Some(line) => drop(line.send(back).await),
        None => {
            if let Happening::Stream { stream, .. } = back {
                close(stream.socket, Closing::policy("the call is over")).await;
            }
        }
    }
}
