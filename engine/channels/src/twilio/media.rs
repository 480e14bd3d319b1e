//! The socket of a media stream, from its upgrade to the claim of its call.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::response::Response;
use tokio::time::timeout;

use super::calls::Claim;
use super::line::{self, Happening};
use super::wire::{self, Writer};
use super::{CHANNEL, Doors};
use crate::refusal::Refused;
use crate::rim::{self, Closing, close};

/// The largest message that is read. Twilio's have 300 bytes.
const LARGEST: usize = 1024 * 1024;

/// A media stream that has begun.
pub(super) struct Stream {
    pub(super) socket: WebSocket,
    pub(super) writer: Writer,
}

/// `WS /twilio/media`.
pub(super) async fn connect(
    State(doors): State<Arc<Doors>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    parts: Parts,
) -> Result<Response, Refused> {
    let upgrade = upgrade.map_err(|rejection| Refused::bad("no_upgrade", rejection.body_text()))?;
    doors.twilio.check_upgrade(&parts)?;
    Ok(rim::socket(upgrade, LARGEST).on_upgrade(move |socket| begin(doors, socket)))
}

/// Waits for the stream's beginning and gives it to the call that its token stands for.
async fn begin(doors: Arc<Doors>, mut socket: WebSocket) {
    let limits = doors.twilio.settings.limits;
    let start = match timeout(limits.start, rim::started(&mut socket, CHANNEL, wire::read)).await {
        Ok(Ok(start)) => start,
        Ok(Err(closing)) => return close(socket, closing).await,
        Err(_) => return close(socket, Closing::policy("no start came in time")).await,
    };
    if !start.plain {
        return close(socket, Closing::unsupported("only mu-law at 8 kHz is taken")).await;
    }
    if let Some(taker) = doors.twilio.dials.take(&start.token, &start.call) {
        let stream = Stream { socket, writer: Writer::new(&start.stream) };
        return line::dialed(&doors, taker, stream).await;
    }
    let Some(claim) = doors.twilio.claimed(&start) else {
        tracing::warn!(call = start.call, "a media stream without a valid token");
        return close(socket, Closing::policy("the token is not valid")).await;
    };
    let stream = Stream { socket, writer: Writer::new(&start.stream) };
    match claim {
        Claim::New(arrival) => line::live(&doors, arrival, stream).await,
        Claim::Lost(arrival, end) => line::taken_over(&doors, arrival, end, stream).await,
        Claim::Back(call) => {
            let back = Happening::Back(Box::new(stream));
            if let Some(line) = doors.twilio.calls.line(&call) {
                // A line that ends right now drops the stream, and so closes it.
                let _ = line.send(back).await;
            } else if let Happening::Back(stream) = back {
                close(stream.socket, Closing::policy("the call is over")).await;
            }
        }
    }
}
