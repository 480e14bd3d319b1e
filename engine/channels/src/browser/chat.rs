//! Texts of a page's visitor and of ours, on one socket.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use conversation::{Accepted, Address, Message, Outgoing, Reader, Receipt, Status};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::{Asked, CHANNEL, Doors, json, origin};
use crate::refusal::Refused;
use crate::rim::{self, Closing, close, write};

/// The largest message that is read.
const LARGEST: usize = 64 * 1024;

/// The longest text, in characters.
const LONGEST: usize = 4096;

/// What a page says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    Text {
        text: String,
        #[serde(default)]
        id: String,
    },
}

/// `WS /browser/chat`.
pub(super) async fn connect(
    State(doors): State<Arc<Doors>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    origin::check(&headers)?;
    let upgrade = upgrade.map_err(|rejection| Refused::bad("no_upgrade", rejection.body_text()))?;
    let known = asked.visitor.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !known || asked.visitor.len() > 64 {
        let why = "a visitor is called by up to 64 letters, digits, `-` and `_`";
        return Err(Refused::bad("bad_visitor", why));
    }
    Ok(rim::socket(upgrade, LARGEST).on_upgrade(move |socket| begin(doors, asked, socket)))
}

async fn begin(doors: Arc<Doors>, asked: Asked, mut socket: WebSocket) {
    let ours = Address::phone(&asked.number).unwrap_or_else(|_| Address::id(&asked.number));
    let Some(tenant) = doors.inbox.answers(CHANNEL, ours.as_str()) else {
        let error = json!({ "type": "error", "message": "this number has no flow for texts" });
        if write(&mut socket, json(&error)).await.is_ok() {
            close(socket, Closing::policy("this number has no flow for texts")).await;
        }
        return;
    };
    let mut visitor = asked.visitor;
    if visitor.is_empty() {
        visitor = format!("visitor-{:032x}", rand::random::<u128>());
        let tell = json!({ "type": "visitor", "id": visitor });
        if write(&mut socket, json(&tell)).await.is_err() {
            return;
        }
    }
    let (channel, peer) = (CHANNEL.into(), Address::id(visitor));
    let reader = Reader { tenant, channel, ours, peer, seen: asked.seen };
    let page = Page { doors: &doors, reader, arrived: 0, shown: VecDeque::new() };
    if let Some(closing) = page.live(&mut socket).await {
        close(socket, closing).await;
    }
}

/// One page of one visitor.
struct Page<'a> {
    doors: &'a Doors,
    reader: Reader,
    /// Texts of ours that it has for certain: every ping counts those before it, and the pong to a
    /// ping repeats its words.
    arrived: u64,
    /// Keys of those that it may not have yet, in order.
    shown: VecDeque<String>,
}

impl Page<'_> {
    /// Until the page is gone; how to close the socket, if it is there.
    async fn live(mut self, socket: &mut WebSocket) -> Option<Closing> {
        let doors = self.doors;
        let limits = doors.browser.limits;
        let mut ping = interval_at(Instant::now() + limits.ping, limits.ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut alive = Instant::now();
        let mut unread = doors.inbox.unread(self.reader.clone());
        loop {
            tokio::select! {
                texts = &mut unread => {
                    self.show(socket, texts).await?;
                    unread = doors.inbox.unread(self.reader.clone());
                }
                message = socket.recv() => {
                    alive = Instant::now();
                    let answer = match message {
                        Some(Ok(Frame::Text(text))) => match serde_json::from_str(&text) {
                            Ok(Said::Text { text, id }) => self.take(text, id).await,
                            Err(_) => {
                                metrics::counter!(
                                    "voxflow_malformed_messages_total", "channel" => CHANNEL
                                )
                                .increment(1);
                                return Some(Closing::policy("not the JSON of a chat"));
                            }
                        },
                        Some(Ok(Frame::Binary(_))) => {
                            return Some(Closing::unsupported("only JSON texts are taken"));
                        }
                        Some(Ok(Frame::Pong(count))) => {
                            self.answered(&count).await;
                            continue;
                        }
                        Some(Ok(Frame::Ping(_))) => continue,
                        Some(Ok(Frame::Close(_)) | Err(_)) | None => return None,
                    };
                    write(socket, json(&answer)).await.ok()?;
                }
                _ = ping.tick() => write(socket, self.ping()).await.ok()?,
                () = sleep_until(alive + limits.silence) => {
                    return Some(Closing::policy("the page fell silent"));
                }
            }
        }
    }

    /// Gives texts of ours to the page; `None` when it is gone.
    async fn show(&mut self, socket: &mut WebSocket, texts: Vec<Outgoing>) -> Option<()> {
        for text in texts {
            let mut value = json!({ "type": "text", "text": text.text, "key": text.key });
            if !text.media.is_empty() {
                value["media"] = json!(text.media);
            }
            write(socket, json(&value)).await.ok()?;
            self.shown.push_back(text.key.clone());
            self.reader.seen = Some(text.key);
        }
        write(socket, self.ping()).await.ok()
    }

    /// Asks whether all has arrived that was shown so far.
    fn ping(&self) -> Frame {
        let count = self.arrived + self.shown.len() as u64;
        Frame::Ping(Bytes::copy_from_slice(&count.to_be_bytes()))
    }

    /// So much has arrived. Who cannot be told of it now is told by the next page, which gets it
    /// again.
    async fn answered(&mut self, count: &[u8]) {
        let count = count.try_into().map_or(0, u64::from_be_bytes);
        while self.arrived < count
            && let Some(key) = self.shown.pop_front()
        {
            self.arrived += 1;
            let receipt = Receipt {
                channel: CHANNEL.into(),
                carrier_id: key,
                status: Status::Delivered,
                code: None,
            };
            if let Err(error) = self.doors.inbox.receipt(receipt).await {
                tracing::debug!(%error, "a text was shown, and nobody could be told");
            }
        }
    }

    /// Takes in a text; what the page is told of it.
    async fn take(&self, text: String, id: String) -> Value {
        let id = if id.is_empty() { format!("{:032x}", rand::random::<u128>()) } else { id };
        let refuse = |why: &str| json!({ "type": "error", "message": why, "id": id });
        if text.trim().is_empty() {
            return refuse("there is nothing in this text");
        }
        if text.chars().count() > LONGEST || id.len() > 64 {
            return refuse("this text is too long");
        }
        let message = Message {
            tenant: self.reader.tenant.clone(),
            channel: CHANNEL.into(),
            ours: self.reader.ours.clone(),
            peer: self.reader.peer.clone(),
            // Ids are the pages' own, so two visitors may have the same.
            id: Some(format!("{}:{id}", self.reader.peer)),
            text,
            media: Vec::new(),
            answered_by_carrier: false,
            at: Timestamp::now(),
        };
        match self.doors.inbox.receive(message).await {
            Ok(Accepted::New | Accepted::Again) => json!({ "type": "accepted", "id": id }),
            Err(busy) => refuse(&busy.to_string()),
        }
    }
}
