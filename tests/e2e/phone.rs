//! The phone itself: its marks and clears are Twilio's, and what it says arrives.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::double::Door;
use tests::double::twilio::Twilio;
use tests::phone::{Dialling, Network, Phone, What};
use tests::python::Signer;
use tests::record::Record;
use tests::rig::{OURS, PEER, PUBLIC};
use tests::sound;

const TWIML: &str = r#"<Response><Connect><Stream url="wss://voice.example.com/media"><Parameter name="token" value="a&amp;b"/></Stream></Connect><Hangup/></Response>"#;

async fn receive(socket: &mut WebSocket, event: &str) -> Value {
    while let Some(Ok(Message::Text(text))) = socket.recv().await {
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["event"] == event {
            return frame;
        }
    }
    panic!("no {event} came");
}

/// Plays, marks and clears as voxflow would; reaches `end` only when all went well.
async fn server(mut socket: WebSocket, end: Arc<Record<()>>) {
    let start = receive(&mut socket, "start").await;
    assert_eq!(start["start"]["customParameters"]["token"], "a&b");
    let stream = start["streamSid"].clone();
    let media = |ms| {
        let payload = STANDARD.encode(sound::mulaw(&sound::tone(ms, 8000)));
        json!({ "event": "media", "streamSid": stream, "media": { "payload": payload } })
            .to_string()
    };
    let mark = |name: &str| {
        json!({ "event": "mark", "streamSid": stream, "mark": { "name": name } }).to_string()
    };

    // A mark comes back when what was before it was played: in real time.
    let began = tokio::time::Instant::now();
    socket.send(Message::text(media(500))).await.unwrap();
    socket.send(Message::text(mark("played"))).await.unwrap();
    assert_eq!(receive(&mut socket, "mark").await["mark"]["name"], "played");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(480), "played within {took:?}");
    // A clear drops what was not played, and its mark comes at once.
    let began = tokio::time::Instant::now();
    socket.send(Message::text(media(60_000))).await.unwrap();
    socket.send(Message::text(mark("dropped"))).await.unwrap();
    socket
        .send(Message::text(json!({ "event": "clear", "streamSid": stream }).to_string()))
        .await
        .unwrap();
    assert_eq!(receive(&mut socket, "mark").await["mark"]["name"], "dropped");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "a dropped mark after {:?}",
        began.elapsed()
    );
    assert_eq!(receive(&mut socket, "dtmf").await["dtmf"]["digit"], "7");
    // The caller's sound.
    loop {
        let frame = receive(&mut socket, "media").await;
        let bytes = STANDARD.decode(frame["media"]["payload"].as_str().unwrap()).unwrap();
        assert_eq!(bytes.len(), sound::FRAME);
        if sound::audible(&bytes) {
            break;
        }
    }
    socket.send(Message::Close(None)).await.unwrap();
    end.push(());
}

#[tokio::test]
async fn it_plays_marks_and_clears_as_twilio_does() {
    let end = Arc::new(Record::default());
    let served = Arc::clone(&end);
    let router = Router::new().route("/twilio/voice", post(|| async { TWIML })).route(
        "/media",
        get(|upgrade: WebSocketUpgrade| async {
            upgrade.on_upgrade(|socket| server(socket, served))
        }),
    );
    let door = Door::open(router).await;
    let twilio = Arc::new(Twilio::open().await);
    let signer = Arc::new(Signer::start());
    let network = Network { server: door.at, public: PUBLIC.into(), twilio, signer };
    let phone = Phone::call(&network, PEER, OURS, Dialling::default());
    phone.sees(0, "the clear", |what| matches!(what, What::Clear(_))).await;
    phone.press('7');
    phone.say(&sound::tone(100, 8000));
    assert_eq!(phone.ends().await, "<Hangup>");
    end.reach(1, "ends of the server").await;
    assert_eq!(phone.violations(), [""; 0]);
    let seen = phone.seen.all();
    assert!(
        seen.iter().any(|seen| matches!(seen.what, What::Silence(ms) if ms >= 480)),
        "{seen:#?}"
    );
    let dropped =
        seen.iter().find_map(|seen| if let What::Clear(ms) = seen.what { Some(ms) } else { None });
    assert!(dropped.unwrap() > 50_000, "{dropped:?}");
    assert!(seen.iter().any(|seen| seen.what == What::StreamClosed("voxflow")), "{seen:#?}");
}
