//! LINE: signed events in, replies and pushes out.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use channels::Unsigned;
use channels::line::{Line, Settings};
use conversation::{Address, Outgoing, Refusal};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::post::{Post, answer, outgoing};

const SECRET: &str = "channelsecret";
const USER: &str = "U4af4980629";

async fn open(change: impl FnOnce(&mut Settings)) -> Post {
    Post::open(
        |base_url| {
            let mut settings = Settings {
                channel_secret: Some(SECRET.into()),
                channel_token: Some("TOKEN1".into()),
                base_url,
                unsigned: Unsigned::Refuse,
            };
            change(&mut settings);
            Line::new(settings).unwrap()
        },
        |line, inbox| line.router(inbox),
    )
    .await
}

fn sign(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

async fn tell(post: &Post, events: &[Value]) -> (u16, String) {
    let body = json!({ "destination": "Uxxx", "events": events }).to_string();
    post.post("/line/webhook", &[("x-line-signature", &sign(&body))], &body).await
}

fn event(id: &str, message: Value) -> Value {
    json!({ "type": "message", "mode": "active", "timestamp": Timestamp::now().as_millisecond(),
        "webhookEventId": id, "deliveryContext": { "isRedelivery": false },
        "source": { "type": "user", "userId": USER }, "replyToken": format!("token-{id}"),
        "message": message })
}

fn hello(id: &str) -> Value {
    event(id, json!({ "id": "100", "type": "text", "text": "hello" }))
}

fn out(text: &str) -> Outgoing {
    Outgoing { ours: Address::id("line"), peer: Address::id(USER), ..outgoing("line", text) }
}

#[tokio::test]
async fn several_events_come_at_once_and_each_counts_once() {
    let post = open(|_| {}).await;
    // The console asks whether we are there; the vector is the vendor's.
    let body = r#"{"destination":"Uxxx","events":[]}"#;
    assert_eq!(sign(body), "EE1C1NfdN1wpozp6iEbH+HvdsdCpK3P6Zdfq1G/vQ38=");
    assert_eq!(post.post("/line/webhook", &[("X-Line-Signature", &sign(body))], body).await.0, 200);
    let mut again = hello("e1");
    again["deliveryContext"]["isRedelivery"] = true.into();
    let mut standby = hello("e9");
    standby["mode"] = "standby".into();
    let mut group = hello("e2");
    group["source"] = json!({ "type": "group", "groupId": "C1", "userId": USER });
    let picture = event(
        "e3",
        json!({ "id": "101", "type": "image",
        "contentProvider": { "type": "line" } }),
    );
    let place = event(
        "e4",
        json!({ "id": "102", "type": "location", "title": "Shop",
        "address": "Main St 1", "latitude": 35.5, "longitude": 139.7 }),
    );
    let mut left = event("e5", json!(null));
    left["type"] = "unfollow".into();
    let events = [
        hello("e1"),
        group,
        standby,
        json!({ "type": "from the future" }),
        again,
        picture,
        place,
        left,
    ];
    assert_eq!(tell(&post, &events).await.0, 200);
    let messages = post.messages();
    let told: Vec<_> = messages
        .iter()
        .map(|m| (m.peer.as_str(), m.text.as_str(), m.answered_by_carrier))
        .collect();
    assert_eq!(
        told,
        [
            (USER, "hello", false),
            ("C1", "hello", false),
            (USER, "", false),
            (USER, "Shop, Main St 1, 35.5,139.7", false),
            (USER, "STOP", true),
        ]
    );
    assert_eq!((messages[0].ours.as_str(), messages[0].tenant.0.as_str()), ("line", "acme"));
    assert!(messages[2].media[0].url.ends_with("/v2/bot/message/101/content"));
}

#[tokio::test]
async fn nothing_is_believed_that_line_did_not_sign() {
    let post = open(|_| {}).await;
    let body = json!({ "events": [hello("e1")] }).to_string();
    let good = sign(&body);
    for wrong in ["", "AAAA", &good[1..], &sign("{}")] {
        let headers = [("x-line-signature", wrong)];
        assert_eq!(post.post("/line/webhook", &headers, &body).await.0, 403, "{wrong}");
    }
    assert_eq!(post.post("/line/webhook", &[], &body).await.0, 403);
    assert!(post.messages().is_empty());
    let unset = open(|settings| settings.channel_secret = None).await;
    let (status, said) = unset.post("/line/webhook", &[], &body).await;
    assert!(status == 403 && said.contains("LINE_CHANNEL_SECRET"), "{said}");
}

#[tokio::test]
async fn the_first_answer_is_a_reply_and_the_next_a_push() {
    let post = open(|_| {}).await;
    assert_eq!(tell(&post, &[hello("e1")]).await.0, 200);
    let taken = || answer(200, r#"{"sentMessages":[{"id":"s1","quoteToken":"q"}]}"#);
    assert_eq!(post.sends(&out("hi"), taken()).await.unwrap().carrier_id, "s1");
    let asked = post.asked();
    assert_eq!(asked.path, "/v2/bot/message/reply");
    assert_eq!(asked.authorization, "Bearer TOKEN1");
    assert!(!asked.headers.contains_key("x-line-retry-key"));
    assert_eq!(
        asked.json(),
        json!({ "replyToken": "token-e1", "messages": [{ "type": "text", "text": "hi" }] })
    );
    let mut with_picture = out("see");
    with_picture.media = vec!["https://a.example/1.png".into(), "https://a.example/1.pdf".into()];
    post.sends(&with_picture, taken()).await.unwrap();
    let asked = post.asked();
    assert_eq!(asked.path, "/v2/bot/message/push");
    let key = asked.header("x-line-retry-key").to_owned();
    assert_eq!(key.len(), 36);
    assert_eq!(asked.json()["to"], USER);
    assert_eq!(asked.json()["messages"][0]["text"], "see\nhttps://a.example/1.pdf");
    assert_eq!(asked.json()["messages"][1]["originalContentUrl"], "https://a.example/1.png");
    // The same text has the same key, and LINE tells that it has it.
    let known = answer(409, r#"{"message":"accepted before","sentMessages":[{"id":"s2"}]}"#);
    assert_eq!(post.sends(&with_picture, known).await.unwrap().carrier_id, "s2");
    assert_eq!(post.asked().header("x-line-retry-key"), key);
}

#[tokio::test]
async fn a_reply_that_comes_too_late_becomes_a_push() {
    let post = open(|_| {}).await;
    assert_eq!(tell(&post, &[hello("e1")]).await.0, 200);
    let late = answer(400, r#"{"message":"Invalid reply token"}"#);
    post.rest.replies.lock().unwrap().push_back(late);
    let taken = answer(200, r#"{"sentMessages":[{"id":"s1"}]}"#);
    assert_eq!(post.sends(&out("hi"), taken).await.unwrap().carrier_id, "s1");
    let paths = post.rest.asked.lock().unwrap().iter().map(|a| a.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths, ["/v2/bot/message/reply", "/v2/bot/message/push"]);
    // An event that was brought late has no token that is any good.
    let mut old = hello("e2");
    old["timestamp"] = 1_700_000_000_000_i64.into();
    assert_eq!(tell(&post, &[old]).await.0, 200);
    post.sends(&out("hi"), answer(200, "{}")).await.unwrap();
    assert_eq!(post.asked().path, "/v2/bot/message/push");
}

#[tokio::test]
async fn refusals_say_what_to_do_next() {
    let post = open(|_| {}).await;
    let text = out("hi");
    let refused = |status, body: &'static str| post.sends(&text, answer(status, body));
    let limit = r#"{"message":"You have reached your monthly limit."}"#;
    assert!(
        matches!(refused(429, limit).await, Err(Refusal::Never { code, .. }) if code == "monthly_limit")
    );
    assert!(matches!(refused(429, r#"{"message":"slow"}"#).await, Err(Refusal::Full { .. })));
    assert!(matches!(refused(500, "").await, Err(Refusal::Unknown { .. })));
    let bad = refused(400, r#"{"message":"bad"}"#).await;
    assert_eq!(bad, Err(Refusal::Never { code: "400".into(), why: "bad".into() }));
    let long = out(&"a".repeat(25_001));
    assert!(
        matches!(post.carrier.send(&long).await, Err(Refusal::Never { code, .. }) if code == "too_long")
    );
    let whole = out(&"a".repeat(25_000));
    post.sends(&whole, answer(200, "{}")).await.unwrap();
    assert_eq!(post.asked().json()["messages"].as_array().unwrap().len(), 5);
}
