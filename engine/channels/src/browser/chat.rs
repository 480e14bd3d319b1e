//! Texts of a page's visitor, and those of ours that wait for one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use conversation::{Accepted, Address, Message, Outgoing, Refusal, Sent, Tenant};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::{Asked, CHANNEL, Doors, json, origin};
use crate::refusal::Refused;
use crate::rim::{self, Closing, close, write};

/// The largest message that is read.
const LARGEST: usize = 64 * 1024;

/// The longest text, in characters.
const LONGEST: usize = 4096;

/// Texts that are kept for a visitor who is away, and for how long.
const KEPT: usize = 100;
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// Visitors for whom texts are kept at once.
const MOST_VISITORS: usize = 10_000;

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

/// Our number, and the visitor's id.
type Who = (String, String);

/// Visitors, here and away.
#[derive(Default)]
pub(super) struct Visitors(Mutex<HashMap<Who, Visitor>>);

#[derive(Default)]
struct Visitor {
    /// One for each open page.
    pages: Vec<mpsc::Sender<Value>>,
    /// What no page has taken yet, in order.
    kept: VecDeque<(Value, Instant)>,
}

impl Visitor {
    fn keep(&mut self, text: Value) {
        while self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((text, Instant::now()));
    }
}

impl Visitors {
    fn all(&self) -> MutexGuard<'_, HashMap<Who, Visitor>> {
        // Nothing in here panics half way, so what a poisoned lock guards is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a text to the visitor's pages, or keeps it.
    pub(super) fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        let mut value = json!({ "type": "text", "text": text.text, "key": text.key });
        if !text.media.is_empty() {
            value["media"] = json!(text.media);
        }
        let who = (text.ours.to_string(), text.peer.to_string());
        let mut all = self.all();
        if !all.contains_key(&who) && all.len() >= MOST_VISITORS {
            sweep(&mut all);
            if all.len() >= MOST_VISITORS {
                let why = "too many visitors are away".into();
                return Err(Refusal::Later { why, after: Some(Duration::from_secs(60)) });
            }
        }
        let visitor = all.entry(who).or_default();
        visitor.pages.retain(|page| !page.is_closed());
        let taken =
            visitor.pages.iter().filter(|page| page.try_send(value.clone()).is_ok()).count();
        if taken == 0 {
            visitor.keep(value);
        }
        Ok(Sent { carrier_id: text.key.clone() })
    }

    /// A page opens: what was kept, then what comes.
    fn open(&self, who: &Who) -> mpsc::Receiver<Value> {
        let (page, texts) = mpsc::channel(2 * KEPT);
        let mut all = self.all();
        sweep(&mut all);
        let visitor = all.entry(who.clone()).or_default();
        for (text, _) in visitor.kept.drain(..) {
            // There is room for all that is ever kept.
            let _ = page.try_send(text);
        }
        visitor.pages.push(page);
        texts
    }

    /// A page closes: what it did not show waits for the next one.
    fn close(&self, who: &Who, unsent: Option<Value>, mut texts: mpsc::Receiver<Value>) {
        let mut all = self.all();
        texts.close();
        let visitor = all.entry(who.clone()).or_default();
        visitor.pages.retain(|page| !page.is_closed());
        let rest = std::iter::from_fn(|| texts.try_recv().ok());
        for text in unsent.into_iter().chain(rest) {
            visitor.keep(text);
        }
        if visitor.pages.is_empty() && visitor.kept.is_empty() {
            all.remove(who);
        }
    }
}

/// Forgets what has waited too long.
fn sweep(all: &mut HashMap<Who, Visitor>) {
    let now = Instant::now();
    all.retain(|_, visitor| {
        visitor.kept.retain(|(_, since)| now.duration_since(*since) < KEEP);
        visitor.pages.retain(|page| !page.is_closed());
        !visitor.kept.is_empty() || !visitor.pages.is_empty()
    });
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
    let who = (ours.to_string(), visitor.clone());
    let mut texts = doors.browser.visitors.open(&who);
    let desk = Desk { doors: &doors, tenant, ours, visitor };
    let (closing, unsent) = desk.live(&mut socket, &mut texts).await;
    doors.browser.visitors.close(&who, unsent, texts);
    if let Some(closing) = closing {
        close(socket, closing).await;
    }
}

/// One page of one visitor.
struct Desk<'a> {
    doors: &'a Doors,
    tenant: Tenant,
    ours: Address,
    visitor: String,
}

impl Desk<'_> {
    /// Until the page is gone. What is left: how to close the socket, and a text that did not
    /// leave.
    async fn live(
        &self,
        socket: &mut WebSocket,
        texts: &mut mpsc::Receiver<Value>,
    ) -> (Option<Closing>, Option<Value>) {
        let limits = self.doors.browser.limits;
        let mut ping = interval_at(Instant::now() + limits.ping, limits.ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut alive = Instant::now();
        loop {
            tokio::select! {
                Some(text) = texts.recv() => {
                    if write(socket, json(&text)).await.is_err() {
                        return (None, Some(text));
                    }
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
                                return (Some(Closing::policy("not the JSON of a chat")), None);
                            }
                        },
                        Some(Ok(Frame::Binary(_))) => {
                            return (Some(Closing::unsupported("only JSON texts are taken")), None);
                        }
                        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => continue,
                        Some(Ok(Frame::Close(_)) | Err(_)) | None => return (None, None),
                    };
                    if write(socket, json(&answer)).await.is_err() {
                        return (None, None);
                    }
                }
                _ = ping.tick() => {
                    if write(socket, Frame::Ping(Bytes::new())).await.is_err() {
                        return (None, None);
                    }
                }
                () = sleep_until(alive + limits.silence) => {
                    return (Some(Closing::policy("the page fell silent")), None);
                }
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
            tenant: self.tenant.clone(),
            channel: CHANNEL.into(),
            ours: self.ours.clone(),
            peer: Address::id(&self.visitor),
            // Ids are the pages' own, so two visitors may have the same.
            id: Some(format!("{}:{id}", self.visitor)),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(n: usize) -> Outgoing {
        Outgoing {
            key: format!("key-{n}"),
            tenant: Tenant::default(),
            channel: CHANNEL.into(),
            ours: Address::id("+15550001000"),
            peer: Address::id("visitor-1"),
            text: format!("text {n}"),
            media: Vec::new(),
            prompted: true,
            trace: None,
        }
    }

    fn who() -> Who {
        ("+15550001000".into(), "visitor-1".into())
    }

    #[tokio::test(start_paused = true)]
    async fn texts_wait_for_their_visitor_in_order() {
        let visitors = Visitors::default();
        for n in 0..KEPT + 5 {
            assert_eq!(visitors.send(&text(n)).unwrap().carrier_id, format!("key-{n}"));
        }
        let mut texts = visitors.open(&who());
        for n in 5..KEPT + 5 {
            assert_eq!(texts.try_recv().unwrap()["text"], format!("text {n}"));
        }
        visitors.send(&text(200)).unwrap();
        assert_eq!(texts.try_recv().unwrap()["key"], "key-200");
        assert!(texts.try_recv().is_err());
        visitors.close(&who(), None, texts);
        assert!(visitors.all().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_page_did_not_show_is_kept_for_the_next_and_for_a_day() {
        let visitors = Visitors::default();
        let mut texts = visitors.open(&who());
        visitors.send(&text(1)).unwrap();
        visitors.send(&text(2)).unwrap();
        let unsent = texts.try_recv().unwrap();
        visitors.close(&who(), Some(unsent), texts);
        let mut texts = visitors.open(&who());
        assert_eq!(texts.try_recv().unwrap()["key"], "key-1");
        assert_eq!(texts.try_recv().unwrap()["key"], "key-2");
        visitors.close(&who(), None, texts);
        visitors.send(&text(3)).unwrap();
        tokio::time::advance(KEEP).await;
        let mut texts = visitors.open(&who());
        assert!(texts.try_recv().is_err());
    }
}
