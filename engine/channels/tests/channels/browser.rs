//! The page's phone and text box.

use std::time::Duration;

use audio::Frame;
use call::{Destination, Dial, HangupCause, Inbound, Outbound};
use conversation::{Address, Messenger, Outgoing, Status, Tenant};
use futures_util::FutureExt;
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::MaybeTlsStream;

use crate::house::{House, OURS, SOON, Socket, tasks, until};

fn text(key: &str, visitor: &str) -> Outgoing {
    Outgoing {
        key: key.into(),
        tenant: Tenant("acme".into()),
        channel: "browser".into(),
        ours: Address::phone(OURS).unwrap(),
        peer: Address::id(visitor),
        text: format!("text {key}"),
        media: Vec::new(),
        prompted: true,
        trace: None,
    }
}

#[tokio::test]
async fn a_page_calls() {
    let mut house = House::open().await;
    let mut page = house.socket("/browser/call?number=%2B15550001000", &[]).await;
    page.say(r#"{"type":"start","from":"browser"}"#).await;
    let id = page.json().await;
    let mut leg = house.leg().await;
    assert_eq!(id, json!({ "type": "call", "id": leg.arrival.carrier_id }));
    assert_eq!((leg.arrival.carrier.as_str(), leg.arrival.to.as_str()), ("browser", OURS));
    assert_eq!(leg.rate, 16_000);
    leg.control.answer().await.unwrap();
    assert_eq!(page.json().await, json!({ "type": "answered" }));
    let samples: Vec<i16> = (0..320).map(|n| n * 100 - 16_000).collect();
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    page.give(&bytes[..100]).await;
    page.give(&bytes[100..]).await;
    let frame = Frame { rate: 16_000, samples };
    let heard = timeout(SOON, leg.inbound.recv()).await.unwrap();
    assert_eq!(heard, Some(Inbound::Frame(frame.clone())));
    page.say(r#"{"type":"digit","digit":"5"}"#).await;
    assert_eq!(leg.inbound.recv().await, Some(Inbound::Digit('5')));
    for sound in [Outbound::Frame(frame), Outbound::Mark(9), Outbound::Clear] {
        leg.outbound.send(sound).await.unwrap();
    }
    assert_eq!(page.hear().await.unwrap().into_data(), bytes);
    assert_eq!(page.json().await, json!({ "type": "mark", "id": 9 }));
    assert_eq!(page.json().await, json!({ "type": "clear" }));
    page.say(r#"{"type":"mark","id":9}"#).await;
    assert_eq!(leg.inbound.recv().await, Some(Inbound::Mark(9)));
    let to = Destination { kind: "tel".into(), target: "+15550003000".into(), name: None };
    let dial = Dial {
        destinations: vec![to],
        source: None,
        ring: Duration::from_secs(5),
        early_media: false,
        anonymous: false,
        music: None,
        announce: None,
        end_on: String::new(),
    };
    assert!(leg.control.connect(dial).await.unwrap_err().contains("browser"));
    let dialing = page.json().await;
    assert_eq!(dialing["type"], "dialing");
    assert_eq!(dialing["destinations"][0]["target"], "+15550003000");
    leg.control.hangup(HangupCause::NoAnswer).await.unwrap();
    assert_eq!(page.json().await, json!({ "type": "ended", "cause": "no_answer" }));
    assert_eq!(page.closed().await, Some(1000));
    assert_eq!(leg.inbound.recv().await, Some(Inbound::Gone));
}

#[tokio::test]
async fn a_page_that_hangs_up_misbehaves_or_vanishes_is_gone() {
    let mut house = House::open().await;
    let mut before = None;
    for (said, code) in [
        (Some(r#"{"type":"hangup"}"#), Some(1000)),
        (Some("nonsense"), Some(1008)),
        (Some(r#"{"type":"digit","digit":"x"}"#), Some(1008)),
        (Some(r#"{"type":"digit","digit":"12"}"#), Some(1008)),
        (None, None),
    ] {
        let mut page = house.socket("/browser/call", &[]).await;
        page.say(&format!(r#"{{"type":"start","to":"{OURS}","from":"browser"}}"#)).await;
        let mut leg = house.leg().await;
        if let Some(said) = said {
            page.say(said).await;
            assert_eq!(page.closed().await, code, "{said}");
        }
        // The last page does not read, and so answers no ping.
        assert_eq!(timeout(SOON, leg.inbound.recv()).await.unwrap(), Some(Inbound::Gone));
        drop((page, leg));
        let most = *before.get_or_insert(tasks());
        until(|| tasks() <= most).await;
    }
    let mut page = house.socket("/browser/call", &[]).await;
    page.say(r#"{"type":"start","to":"+15559999999"}"#).await;
    assert_eq!(page.json().await["type"], "error");
    assert_eq!(page.json().await["type"], "ended");
    assert_eq!(page.closed().await, Some(1008));
    let mut page = house.socket("/browser/call", &[]).await;
    assert_eq!(page.closed().await, Some(1008));
}

#[tokio::test]
async fn foreign_pages_may_not_connect() {
    let house = House::open().await;
    for path in ["/browser/call", "/browser/chat?number=%2B15550001000"] {
        assert!(house.try_socket(path, &[("origin", "https://evil.example")]).await.is_err());
        assert!(house.try_socket(path, &[("origin", "null")]).await.is_err());
        let own = format!("http://{}", house.at);
        assert!(house.try_socket(path, &[("origin", &own)]).await.is_ok());
    }
    let bad = "/browser/chat?number=%2B15550001000&visitor=a%20b";
    assert!(house.try_socket(bad, &[]).await.is_err());
}

#[tokio::test]
async fn a_page_texts_and_is_texted() {
    let house = House::open().await;
    let chat = "/browser/chat?number=%2B15550001000";
    let mut page = house.socket(chat, &[]).await;
    let hello = page.json().await;
    assert_eq!(hello["type"], "visitor");
    let visitor = hello["id"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        page.say(r#"{"type":"text","text":"hi ✓","id":"1"}"#).await;
        assert_eq!(page.json().await, json!({ "type": "accepted", "id": "1" }));
    }
    {
        let messages = house.desk.messages.lock().unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].text, "hi ✓");
        assert_eq!(
            (messages[0].peer.as_str(), messages[0].channel.as_str()),
            (&*visitor, "browser")
        );
    }
    for bad in [
        r#"{"type":"text","text":"  ","id":"2"}"#.to_owned(),
        json!({"type":"text","text":"x".repeat(5000)}).to_string(),
    ] {
        page.say(&bad).await;
        assert_eq!(page.json().await["type"], "error");
    }
    *house.desk.busy.lock().unwrap() = true;
    page.say(r#"{"type":"text","text":"hi","id":"3"}"#).await;
    assert_eq!(page.json().await["id"], "3");
    page.say("nonsense").await;
    assert_eq!(page.closed().await, Some(1008));
    let mut page = house.socket("/browser/chat?number=%2B15559999999", &[]).await;
    assert_eq!(page.json().await["type"], "error");
    assert_eq!(page.closed().await, Some(1008));
}

impl House {
    /// A text of ours is sent.
    async fn writes(&self, key: &str, visitor: &str) {
        let text = text(key, visitor);
        assert_eq!(self.browser.send(&text).await.unwrap().carrier_id, key);
        self.desk.sent.send_modify(|sent| sent.push(text));
    }

    /// Keys of texts of which is known that they were delivered.
    fn delivered(&self) -> Vec<String> {
        let receipts = self.desk.receipts.lock().unwrap();
        let delivered = receipts.iter().filter(|receipt| receipt.status == Status::Delivered);
        delivered.map(|receipt| receipt.carrier_id.clone()).collect()
    }
}

/// Something that is answered, and before it whatever waits.
async fn round(page: &mut Socket) {
    page.say(r#"{"type":"text","text":"hi","id":"1"}"#).await;
    assert_eq!(page.json().await["type"], "accepted");
}

#[tokio::test]
async fn a_page_gets_what_was_sent_after_what_it_has_seen() {
    let house = House::open().await;
    let chat = "/browser/chat?number=%2B15550001000&visitor=ann";
    house.writes("k1", "ann").await;
    house.writes("x1", "bob").await;
    let mut page = house.socket(chat, &[]).await;
    assert_eq!(page.json().await, json!({ "type": "text", "text": "text k1", "key": "k1" }));
    // What comes while it is open.
    for key in ["k2", "k3"] {
        house.writes(key, "ann").await;
        assert_eq!(page.json().await["key"], key);
    }
    round(&mut page).await;
    until(|| house.delivered() == ["k1", "k2", "k3"]).await;
    drop(page);
    let mut page = house.socket(&format!("{chat}&seen=k1"), &[]).await;
    assert_eq!([page.json().await["key"].clone(), page.json().await["key"].clone()], ["k2", "k3"]);
    // Two pages of one visitor each get all.
    let mut other = house.socket(&format!("{chat}&seen=k3"), &[]).await;
    round(&mut other).await;
    house.writes("k4", "ann").await;
    for page in [&mut page, &mut other] {
        assert_eq!(page.json().await["key"], "k4");
    }
}

#[tokio::test]
async fn a_text_is_delivered_when_the_page_has_answered_a_ping_behind_it() {
    let house = House::open().await;
    let chat = "/browser/chat?number=%2B15550001000&visitor=ann";
    let page = house.socket(chat, &[]).await;
    house.writes("k1", "ann").await;
    // It has come to the page's machine; the page does not read it, and answers nothing.
    let MaybeTlsStream::Plain(tcp) = page.0.get_ref() else { panic!("no TCP") };
    until(|| {
        let mut come = [0; 1024];
        let size = tcp.peek(&mut come).now_or_never().map_or(0, Result::unwrap);
        String::from_utf8_lossy(&come[..size]).contains("text k1")
    })
    .await;
    drop(page);
    let mut page = house.socket(&format!("{chat}&seen=k1"), &[]).await;
    round(&mut page).await;
    assert_eq!(house.delivered(), [""; 0]);
    let mut page = house.socket(chat, &[]).await;
    assert_eq!(page.json().await["key"], "k1");
    round(&mut page).await;
    until(|| house.delivered() == ["k1"]).await;
}
