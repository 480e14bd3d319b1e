//! A booth: Telnyx's doors for calls, a runtime that takes legs, its API as told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use call::Leg;
use channels::Unsigned;
use channels::telnyx::{Limits, Settings, Telnyx};
use jiff::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use crate::house::{Asked, Desk, OURS, PEER, Rest, SOON, Socket, client, serve};

/// An id as Telnyx gives them.
pub(crate) const ID: &str = "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ";

pub(crate) fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

pub(crate) struct Booth {
    pub(crate) at: SocketAddr,
    pub(crate) rest: Arc<Rest>,
    pub(crate) telnyx: Arc<Telnyx>,
    legs: mpsc::UnboundedReceiver<Leg>,
    http: reqwest::Client,
    events: std::sync::atomic::AtomicUsize,
}

impl Booth {
    pub(crate) async fn open(change: impl FnOnce(&mut Settings)) -> Self {
        let http = client();
        let (rest, rest_at) = Rest::open().await;
        let mut settings = Settings {
            api_key: Some("KEY1".into()),
            connection_id: Some("1494404757140276705".into()),
            public_key: Some(BASE64_STANDARD.encode(pair().public_key())),
            webhook_secret: None,
            base_url: format!("http://{rest_at}/v2"),
            public_url: "https://voice.example.com/".into(),
            process: None,
            unsigned: Unsigned::Refuse,
            limits: Limits {
                stream: Duration::from_secs(2),
                start: Duration::from_millis(300),
                ping: Duration::from_millis(100),
                silence: Duration::from_secs(5),
                lost: Duration::from_millis(300),
            },
        };
        change(&mut settings);
        let telnyx = Telnyx::new(settings).unwrap();
        let desk = Arc::new(Desk::default());
        let legs = desk.legs();
        let at = serve(telnyx.router(desk.clone(), desk)).await;
        Self { at, rest, telnyx, legs, http, events: Default::default() }
    }

    /// Telnyx tells something of a call.
    pub(crate) async fn tell(&self, event: &str, more: Value) {
        let count = self.events.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.tell_as(&format!("e{count}"), event, more).await;
    }

    pub(crate) async fn tell_as(&self, id: &str, event: &str, more: Value) {
        let mut payload = json!({ "call_control_id": ID, "call_leg_id": "l", "connection_id": "1",
            "call_session_id": "s", "client_state": null, "from": PEER, "to": OURS });
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        let body = json!({ "data": { "record_type": "event", "event_type": event, "id": id,
            "occurred_at": "2026-01-02T03:04:05.678Z", "payload": payload } });
        let (body, at) = (body.to_string(), Timestamp::now().as_second());
        let signature = BASE64_STANDARD.encode(pair().sign(format!("{at}|{body}").as_bytes()));
        let answer = self
            .http
            .post(format!("http://{}/telnyx/webhook", self.at))
            .header("telnyx-timestamp", at.to_string())
            .header("telnyx-signature-ed25519", signature)
            .body(body)
            .send();
        assert_eq!(answer.await.unwrap().status().as_u16(), 200);
    }

    pub(crate) async fn rings(&mut self) -> Leg {
        self.rings_by(ID).await
    }

    /// A call of this id comes in.
    pub(crate) async fn rings_by(&mut self, id: &str) -> Leg {
        let ringing = json!({ "direction": "incoming", "state": "parked", "call_control_id": id });
        self.tell("call.initiated", ringing).await;
        timeout(SOON, self.legs.recv()).await.unwrap().unwrap()
    }

    pub(crate) fn nobody_rings(&mut self) -> bool {
        self.legs.try_recv().is_err()
    }

    /// The newest of so many requests to the API: what follows `/v2`, and the body.
    pub(crate) async fn asked(&self, count: usize) -> (String, Value) {
        let asked: Asked = self.rest.wait(count).await[count - 1].clone();
        assert_eq!(asked.authorization, "Bearer KEY1");
        let path = asked.path.strip_prefix("/v2").unwrap();
        (path.replace(ID, "ID"), asked.json())
    }

    /// Telnyx opens the stream that it was asked for.
    pub(crate) async fn stream(&self, asked: &Value, encoding: &str) -> Socket {
        let url = asked["stream_url"].as_str().unwrap();
        let path = url.strip_prefix("wss://voice.example.com").unwrap();
        let mut socket = self.socket(path).await.unwrap();
        socket.say(r#"{"event":"connected","version":"1.0.0"}"#).await;
        let start = json!({ "event": "start", "sequence_number": "1", "stream_id": "32DE",
            "start": { "user_id": "u", "call_control_id": ID, "call_session_id": "s", "from": PEER,
                "to": OURS, "tags": [], "client_state": asked["client_state"],
                "media_format": { "encoding": encoding, "sample_rate": 8000, "channels": 1 } } });
        socket.say(&start.to_string()).await;
        socket
    }

    pub(crate) async fn socket(&self, path: &str) -> Result<Socket, tungstenite::Error> {
        let url = format!("ws://{}{path}", self.at);
        Ok(Socket(tokio_tungstenite::connect_async(url).await?.0))
    }
}

/// A media message.
pub(crate) fn media(chunk: u64, bytes: &[u8]) -> String {
    let payload = BASE64_STANDARD.encode(bytes);
    json!({ "event": "media", "sequence_number": "4", "stream_id": "32DE",
        "media": { "track": "inbound", "chunk": chunk.to_string(), "timestamp": "5", "payload": payload } })
    .to_string()
}
