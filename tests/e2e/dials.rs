//! Calls of two legs by Telnyx: a caller who is connected to somebody, and calls that are made.

use std::time::Duration;

use axum::body::Bytes;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tests::double::KEY;
use tests::double::openai::Reply;
use tests::double::telnyx::{Asked, PUBLIC_KEY, SEED, Telnyx};
use tests::double::twilio::field;
use tests::python::{self, Signer};
use tests::record::until;
use tests::rig::{ACCESS_KEY, OURS, PEER, Setup, Voxflow, World, http};
use tests::sound;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::calls::{exits, finished_run};
use crate::outlive::database;

const ANN: &str = "+15550003000";
pub(crate) const CALL: &str = "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ";

fn settings(telnyx: &Telnyx) -> String {
    format!(
        "[telnyx]\napi_key = \"{KEY}\"\nconnection_id = \"1494404757140276705\"\n\
         webhook_public_key = \"{PUBLIC_KEY}\"\nbase_url = \"{}\"\n",
        telnyx.base()
    )
}

/// A voxflow whose calls go by Telnyx.
pub(crate) async fn start(telnyx: &Telnyx, flow: Value) -> (World, Voxflow) {
    let world = World::open(|_| Reply::say("nothing"), &[]).await;
    let more = settings(telnyx);
    let voxflow = world.start(Setup { call_flow: Some(flow), more, ..Setup::default() }).await;
    (world, voxflow)
}

/// The same of a desk, as two processes of one database.
async fn start_two(telnyx: &Telnyx) -> (World, Voxflow, Voxflow) {
    let world = World::open(|_| Reply::say("nothing"), &[]).await;
    let database = database().await;
    let setup = || Setup {
        call_flow: Some(desk()),
        database: Some(database.clone()),
        more: settings(telnyx),
        ..Setup::default()
    };
    let (one, two) = (world.start(setup()).await, world.start(setup()).await);
    (world, one, two)
}

/// Telnyx tells things of calls, signed by its own hand.
struct Teller(Signer);

impl Teller {
    fn start() -> Self {
        Self(Signer::of_webhooks("telnyx", SEED))
    }

    async fn tell(&self, voxflow: &Voxflow, call: &str, event: &str, more: Value) {
        self.tell_at(voxflow, "telnyx/webhook", call, event, more).await;
    }

    /// The same of a call that was dialed, at the address that was wished for.
    async fn tell_of(&self, voxflow: &Voxflow, dial: &Asked, event: &str, more: Value) {
        let url = dial.body["webhook_url"].as_str().unwrap();
        let path = url.splitn(4, '/').nth(3).unwrap();
        self.tell_at(voxflow, path, &dial.call, event, more).await;
    }

    async fn tell_at(&self, voxflow: &Voxflow, path: &str, call: &str, event: &str, more: Value) {
        let mut payload = json!({ "call_control_id": call, "call_leg_id": "l",
            "connection_id": "1", "call_session_id": "s", "client_state": null, "from": PEER,
            "to": OURS });
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        let id = format!("{call}{event}");
        let body = json!({ "data": { "record_type": "event", "event_type": event, "id": id,
            "occurred_at": "2026-01-02T03:04:05.678Z", "payload": payload } })
        .to_string();
        let headers = self.0.headers(&body).await;
        let mut request = http().post(format!("http://{}/{path}", voxflow.at)).body(body);
        for (name, value) in headers.as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    }
}

/// Telnyx tells one thing.
pub(crate) async fn tell(voxflow: &Voxflow, call: &str, event: &str, more: Value) {
    Teller::start().tell(voxflow, call, event, more).await;
}

/// One end of a media stream, as Telnyx holds it.
pub(crate) struct Stream {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    chunk: u64,
}

impl Stream {
    pub(crate) async fn open(voxflow: &Voxflow, asked: &Asked, encoding: &str) -> Self {
        let url = asked.body["stream_url"].as_str().unwrap();
        let path = url.splitn(4, '/').nth(3).unwrap();
        let url = format!("ws://{}/{path}", voxflow.at);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let start = json!({ "event": "start", "sequence_number": "1", "stream_id": "32DE",
            "start": { "user_id": "u", "call_control_id": asked.call, "from": PEER, "to": OURS,
                "media_format": { "encoding": encoding, "sample_rate": 8000, "channels": 1 } } });
        for message in [json!({ "event": "connected", "version": "1.0.0" }), start] {
            socket.send(Message::text(message.to_string())).await.unwrap();
        }
        Self { socket, chunk: 0 }
    }

    /// Speaks 20 ms.
    async fn speak(&mut self, bytes: &[u8]) {
        self.chunk += 1;
        let media = json!({ "event": "media", "sequence_number": "4", "stream_id": "32DE",
            "media": { "track": "inbound", "chunk": self.chunk.to_string(), "timestamp": "5",
                "payload": BASE64_STANDARD.encode(bytes) } });
        self.socket.send(Message::text(media.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).ok(),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The sound of the next frame that is heard; marks are played at once.
    async fn hears(&mut self) -> Bytes {
        loop {
            let said = self.next().await.expect("the stream ended");
            if said["event"] == "mark" {
                let mark = json!({ "event": "mark", "mark": said["mark"] }).to_string();
                self.socket.send(Message::text(mark)).await.unwrap();
            }
            if let Some(payload) = said["media"]["payload"].as_str() {
                return BASE64_STANDARD.decode(payload).unwrap().into();
            }
        }
    }

    /// Speaks at its pace until the other's tone is heard, and a second more for the other.
    async fn hears_the_other(&mut self, own: &[u8], other: &[u8]) {
        // Zero has two bytes.
        let samples = |bytes: &[u8]| bytes.iter().map(|byte| sound::from_mulaw(*byte)).collect();
        let other: Vec<i16> = samples(other);
        let mut pieces = own.chunks_exact(160).cycle();
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let mut left: Option<u32> = None;
        while left != Some(0) {
            tokio::select! {
                _ = pace.tick() => {
                    self.speak(pieces.next().unwrap()).await;
                    left = left.map(|left| left - 1);
                }
                heard = self.hears() => {
                    let heard: Vec<i16> = samples(&heard);
                    if left.is_none() && other.windows(160).any(|part| part == heard) {
                        left = Some(50);
                    }
                }
            }
        }
    }

    /// Until our side closes it.
    pub(crate) async fn closed(mut self) {
        while self.next().await.is_some() {}
    }
}

fn outgoing(asked: &Asked) -> Value {
    json!({ "direction": "outgoing", "client_state": asked.body["client_state"], "from": OURS,
        "to": asked.body["to"] })
}

/// Whom a caller is connected to.
fn desk() -> Value {
    json!({ "name": "desk", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "desk", "type": "connect_call", "option": { "destinations": [
            { "type": "tel", "target": ANN }], "ring_s": 120 }, "on": { "busy": "bye" } },
        { "id": "busy", "type": "connect_call", "option": { "destinations": [
            { "type": "tel", "target": ANN }], "ring_s": 120 }, "on": { "busy": "bye" } },
        { "id": "bye", "type": "hangup" } ] })
}

#[tokio::test]
async fn a_caller_is_connected_and_comes_back_to_the_flow() {
    let telnyx = Telnyx::open().await;
    let (_world, voxflow) = start(&telnyx, desk()).await;
    is_connected_and_comes_back(&telnyx, &voxflow, &voxflow).await;
    voxflow.stop().await;
}

#[tokio::test]
async fn a_caller_is_connected_by_one_process_while_all_comes_to_another() {
    let telnyx = Telnyx::open().await;
    let (_world, one, two) = start_two(&telnyx).await;
    is_connected_and_comes_back(&telnyx, &one, &two).await;
    // Three streams: of the caller, and of those who were dialed and picked up; and what was told.
    assert!(two.metric("voxflow_passed_on_total").await >= 6.0);
    assert_eq!(two.metric("voxflow_calls_taken_over_total").await as u64, 0);
    two.stop().await;
    one.stop().await;
}

/// The call rings at one process; everything else comes to the other.
async fn is_connected_and_comes_back(telnyx: &Telnyx, one: &Voxflow, two: &Voxflow) {
    let teller = Teller::start();
    teller
        .tell(one, CALL, "call.initiated", json!({ "direction": "incoming", "state": "parked" }))
        .await;
    let asked = |action: &'static str, after: usize| {
        let found = move |asked: &Asked| (asked.action == action).then(|| asked.clone());
        telnyx.asked().find_after(after, action, found)
    };
    let answer = asked("answer", 0).await;
    assert_eq!(answer.call, CALL);
    let mut caller = Stream::open(two, &answer, "PCMU").await;
    teller.tell(two, CALL, "call.answered", json!({ "state": "answered" })).await;

    let dial = asked("dial", 0).await;
    assert_eq!((&dial.body["to"], &dial.body["from"]), (&json!(ANN), &json!(OURS)));
    // It rings in the caller's ear, until somebody is there.
    assert!(caller.hears().await.iter().any(|byte| *byte != 0xFF));
    teller.tell_of(two, &dial, "call.initiated", outgoing(&dial)).await;
    teller.tell_of(two, &dial, "call.answered", outgoing(&dial)).await;
    let mut ann = Stream::open(two, &dial, "PCMU").await;
    let (low, high) = (sound::mulaw(&sound::tone(100, 8000)), sound::mulaw(&vec![9000; 800]));
    let both = async {
        tokio::join!(caller.hears_the_other(&low, &high), ann.hears_the_other(&high, &low))
    };
    tokio::time::timeout(Duration::from_secs(30), both).await.expect("they do not hear each other");
    // Keys go by the carrier.
    let key = json!({ "event": "dtmf", "stream_id": "32DE", "dtmf": { "digit": "5" } });
    caller.socket.send(Message::text(key.to_string())).await.unwrap();
    let pressed = asked("send_dtmf", 0).await;
    assert_eq!((pressed.call, &pressed.body["digits"]), (dial.call.clone(), &json!("5")));

    teller.tell_of(two, &dial, "call.hangup", json!({ "hangup_cause": "normal_clearing" })).await;
    ann.closed().await;
    let again = telnyx.asked().find_after(telnyx.asked().len().min(4), "a second dial", |asked| {
        (asked.action == "dial" && asked.call != dial.call).then(|| asked.clone())
    });
    let again = again.await;
    let busy = json!({ "hangup_cause": "user_busy", "sip_hangup_cause": "486" });
    teller.tell_of(two, &again, "call.hangup", busy).await;
    let hangup = asked("hangup", 0);
    let (hangup, ()) = tokio::join!(hangup, async {
        // The caller's marks come back as long as the call lasts.
        while let Some(said) = caller.next().await {
            if said["event"] == "mark" {
                let mark = json!({ "event": "mark", "mark": said["mark"] }).to_string();
                let _ = caller.socket.send(Message::text(mark)).await;
            }
        }
    });
    assert_eq!(hangup.call, CALL);
    let run = finished_run(two).await;
    let exits = exits(&run);
    let exits: Vec<String> = exits.into_iter().map(|(at, exit)| format!("{at} {exit}")).collect();
    assert_eq!(exits, ["hello done", "desk done", "busy busy", "bye ended"]);
}

#[tokio::test]
async fn the_far_leg_of_a_process_that_has_died_is_hung_up() {
    let telnyx = Telnyx::open().await;
    let (_world, one, two) = start_two(&telnyx).await;
    let teller = Teller::start();
    teller
        .tell(&one, CALL, "call.initiated", json!({ "direction": "incoming", "state": "parked" }))
        .await;
    let asked = |action: &'static str| {
        let found = move |asked: &Asked| (asked.action == action).then(|| asked.clone());
        telnyx.asked().find(action, found)
    };
    let answer = asked("answer").await;
    let _caller = Stream::open(&one, &answer, "PCMU").await;
    let dial = asked("dial").await;
    teller.tell_of(&one, &dial, "call.answered", outgoing(&dial)).await;
    let _ann = Stream::open(&one, &dial, "PCMU").await;
    one.kill().await;
    teller.tell_of(&two, &dial, "streaming.stopped", json!({})).await;
    assert_eq!(asked("hangup").await.call, dial.call);
    two.stop().await;
}

#[tokio::test]
async fn a_call_of_the_api_is_dialed_and_ends_as_the_carrier_says() {
    let telnyx = Telnyx::open().await;
    let (world, voxflow) = start(&telnyx, json!([{ "type": "hangup" }])).await;
    let body = json!({ "source": { "type": "tel", "target": OURS },
        "destinations": [{ "type": "tel", "target": ANN, "target_name": "Ann" }],
        "actions": [{ "type": "detect_machine" }, { "type": "hangup" }] });
    let made = http()
        .post(format!("http://{}/v1.0/calls", voxflow.at))
        .bearer_auth(ACCESS_KEY)
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(made.status().as_u16(), 200);
    let made: Value = serde_json::from_str(&made.text().await.unwrap()).unwrap();
    let call = &made["calls"][0];
    // Twilio comes first of the carriers that can dial.
    assert_eq!((&call["carrier"], &call["status"]), (&json!("twilio"), &json!("dialing")));
    let (sid, form) = world.twilio.dialed().find("a dial", |dialed| Some(dialed.clone())).await;
    assert_eq!((field(&form, "To"), field(&form, "From")), (ANN, OURS));
    assert_eq!(field(&form, "MachineDetection"), "Enable");
    python::run("conform_twiml.py", &[field(&form, "Twiml")]).await;
    let callback = field(&form, "StatusCallback");
    let said = |status: &str| {
        let fields =
            [("CallSid", sid.as_str()), ("CallStatus", status), ("From", OURS), ("To", ANN)];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    };
    let network = world.network(&voxflow);
    for status in ["ringing", "busy"] {
        assert_eq!(network.webhook(callback, &said(status)).await.0, 204);
        let path = format!("/v1.0/calls/{}", call["id"].as_str().unwrap());
        until("what the carrier said", || async {
            (voxflow.get(&path).await["status"] == status).then_some(())
        })
        .await;
    }
    voxflow.stop().await;
}
