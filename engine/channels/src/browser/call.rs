//! One call from a page: its socket is its leg.

use std::sync::Arc;

use ::call::{Arrival, Control, Dial, Dialled, HangupCause, Inbound, Outbound};
use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use conversation::Address;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::{Asked, CHANNEL, Doors, json, origin};
use crate::refusal::Refused;
use crate::rim::{self, Closing, Rim, close, write};

/// Samples per second, both ways.
const RATE: audio::Rate = 16_000;

/// The largest message that is read: a second of sound.
const LARGEST: usize = 64 * 1024;

/// What a page says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    Start {
        #[serde(default)]
        to: String,
        #[serde(default)]
        from: String,
    },
    Digit {
        digit: char,
    },
    Mark {
        id: u64,
    },
    Hangup,
}

/// What the call does with its leg besides sound.
enum Happening {
    Answered,
    Dialing(Dial),
    Hangup(HangupCause),
}

/// `WS /browser/call`.
pub(super) async fn connect(
    State(doors): State<Arc<Doors>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    origin::check(&headers)?;
    let upgrade = upgrade.map_err(|rejection| Refused::bad("no_upgrade", rejection.body_text()))?;
    Ok(rim::socket(upgrade, LARGEST).on_upgrade(move |socket| begin(doors, asked, socket)))
}

async fn begin(doors: Arc<Doors>, asked: Asked, mut socket: WebSocket) {
    let limits = doors.browser.limits;
    let (to, from) = match timeout(limits.start, started(&mut socket)).await {
        Ok(Ok((to, from))) => {
            let to = if to.is_empty() { asked.number } else { to };
            (Address::phone(&to).map_or(to, |to| to.to_string()), from)
        }
        Ok(Err(closing)) => return close(socket, closing).await,
        Err(_) => return close(socket, Closing::policy("no start came in time")).await,
    };
    let refusal = if !doors.switchboard.answers(&to) {
        Some("this number has no flow for calls")
    } else {
        (!doors.switchboard.admits()).then_some("no more calls can be taken at this moment")
    };
    if let Some(why) = refusal {
        let error = json!({ "type": "error", "message": why });
        let ended = json!({ "type": "ended", "cause": "failed" });
        for message in [error, ended] {
            if write(&mut socket, json(&message)).await.is_err() {
                return;
            }
        }
        return close(socket, Closing::policy(why)).await;
    }
    let id = format!("browser-{:032x}", rand::random::<u128>());
    let arrival = Arrival {
        carrier: CHANNEL.into(),
        carrier_id: id.clone(),
        from: if from.is_empty() { CHANNEL.into() } else { from.chars().take(64).collect() },
        to,
    };
    if write(&mut socket, json(&json!({ "type": "call", "id": id }))).await.is_err() {
        return;
    }
    let (tell, happenings) = mpsc::channel(8);
    let (mut rim, leg) = Rim::pair(CHANNEL, arrival, RATE, Arc::new(Remote { tell }));
    let switchboard = Arc::clone(&doors.switchboard);
    // It ends by itself once its leg tells that the caller is gone.
    tokio::spawn(async move { switchboard.arrive(leg).await });
    let end = live(&doors, &mut rim, &mut socket, happenings).await;
    // The call learns of it at once, while the socket's farewell takes its time.
    tokio::join!(rim.gone(), async {
        match end {
            End::Over(cause) => {
                let ended = json!({ "type": "ended", "cause": cause });
                if write(&mut socket, json(&ended)).await.is_ok() {
                    close(socket, Closing::normal()).await;
                }
            }
            End::Refused(closing) => close(socket, closing).await,
            End::Broken => {}
        }
    });
}

async fn started(socket: &mut WebSocket) -> Result<(String, String), Closing> {
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(Said::Start { to, from }) => return Ok((to, from)),
                Ok(_) => return Err(Closing::policy("no start came first")),
                Err(_) => return Err(malformed()),
            },
            Message::Binary(_) => return Err(Closing::policy("no start came first")),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => break,
        }
    }
    Err(Closing::normal())
}

/// How a call's socket ends.
enum End {
    /// The call is over; the page is told why.
    Over(HangupCause),
    /// The page did what it must not.
    Refused(Closing),
    /// The page is gone.
    Broken,
}

async fn live(
    doors: &Doors,
    rim: &mut Rim,
    socket: &mut WebSocket,
    mut happenings: mpsc::Receiver<Happening>,
) -> End {
    let limits = doors.browser.limits;
    let mut ping = interval_at(Instant::now() + limits.ping, limits.ping);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alive = Instant::now();
    loop {
        let ours = tokio::select! {
            biased;
            happening = happenings.recv() => match happening {
                Some(Happening::Answered) => json(&json!({ "type": "answered" })),
                Some(Happening::Dialing(dial)) => {
                    json(&json!({ "type": "dialing", "destinations": dial.destinations }))
                }
                Some(Happening::Hangup(cause)) => return End::Over(cause),
                None => return End::Over(HangupCause::Normal),
            },
            given = rim.outbound.recv() => match given {
                Some(Outbound::Frame(frame)) => {
                    let bytes = frame.samples.iter().flat_map(|sample| sample.to_le_bytes());
                    Message::Binary(bytes.collect())
                }
                Some(Outbound::Mark(id)) => json(&json!({ "type": "mark", "id": id })),
                Some(Outbound::Clear) => json(&json!({ "type": "clear" })),
                None => return End::Over(HangupCause::Normal),
            },
            message = socket.recv() => {
                alive = Instant::now();
                match message {
                    Some(Ok(Message::Binary(bytes))) => {
                        if bytes.len() % 2 != 0 {
                            return End::Refused(Closing::policy("half a sample"));
                        }
                        let samples: Vec<i16> = bytes
                            .chunks_exact(2)
                            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
                            .collect();
                        rim.sound(&samples);
                    }
                    Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                        Ok(Said::Digit { digit }) => match digit.to_ascii_uppercase() {
                            key @ ('0'..='9' | '*' | '#' | 'A'..='D') => {
                                rim.tell(Inbound::Digit(key));
                            }
                            _ => return End::Refused(Closing::policy("a digit that is no key")),
                        },
                        Ok(Said::Mark { id }) => rim.tell(Inbound::Mark(id)),
                        Ok(Said::Hangup) => return End::Over(HangupCause::Normal),
                        Ok(Said::Start { .. }) => {
                            return End::Refused(Closing::policy("a second start"));
                        }
                        Err(_) => return End::Refused(malformed()),
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Broken,
                }
                continue;
            }
            _ = ping.tick() => Message::Ping(Bytes::new()),
            () = sleep_until(alive + limits.silence) => {
                return End::Refused(Closing::policy("the page fell silent"));
            }
        };
        if write(socket, ours).await.is_err() {
            return End::Broken;
        }
    }
}

/// What is done about a message that cannot be read.
fn malformed() -> Closing {
    metrics::counter!("voxflow_malformed_messages_total", "channel" => CHANNEL).increment(1);
    Closing::policy("not the JSON of a call")
}

/// What a call can do with its leg besides sound.
struct Remote {
    tell: mpsc::Sender<Happening>,
}

#[async_trait]
impl Control for Remote {
    async fn answer(&self) -> Result<(), String> {
        self.tell.send(Happening::Answered).await.map_err(|_| "the page is gone".into())
    }

    async fn hangup(&self, cause: HangupCause) -> Result<(), String> {
        // A page that is gone has hung up already.
        let _ = self.tell.send(Happening::Hangup(cause)).await;
        Ok(())
    }

    async fn connect(&self, dial: Dial) -> Result<Dialled, String> {
        let gone = self.tell.send(Happening::Dialing(dial)).await;
        gone.map_err(|_| "the page is gone")?;
        Err("a call from a browser cannot be connected to others: it has no line to dial on".into())
    }
}
