//! Telnyx: signed texts and receipts in, texts out.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use channels::Unsigned;
use channels::telnyx::{Limits, Settings, Telnyx};
use conversation::{Refusal, Status};
use jiff::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::house::{Desk, OURS, PEER};
use crate::post::{Post, answer, outgoing};

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

async fn open(change: impl FnOnce(&mut Settings)) -> Post {
    Post::open(
        |base| {
            let mut settings = Settings {
                api_key: Some("KEY1".into()),
                connection_id: None,
                public_key: Some(BASE64_STANDARD.encode(pair().public_key())),
                webhook_secret: None,
                base_url: format!("{base}/v2"),
                public_url: "https://voice.example.com/".into(),
                process: None,
                unsigned: Unsigned::Refuse,
                limits: Limits::default(),
            };
            change(&mut settings);
            Telnyx::new(settings).unwrap()
        },
        |telnyx, inbox| telnyx.router(inbox, Arc::new(Desk::default())),
    )
    .await
}

async fn tell(post: &Post, event: &str, payload: Value) -> (u16, String) {
    let body = json!({ "data": { "event_type": event, "id": "e1", "payload": payload } });
    signed(post, &body.to_string(), Timestamp::now().as_second()).await
}

async fn signed(post: &Post, body: &str, at: i64) -> (u16, String) {
    let signature = pair().sign(format!("{at}|{body}").as_bytes());
    let signature = BASE64_STANDARD.encode(signature);
    let headers = [("telnyx-timestamp", at.to_string()), ("telnyx-signature-ed25519", signature)];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    post.post("/telnyx/webhook", &headers, body).await
}

fn text(id: &str) -> Value {
    json!({ "id": id, "direction": "inbound", "type": "MMS", "text": "Grüße ✓",
        "from": { "phone_number": PEER, "carrier": "", "line_type": "" },
        "to": [{ "phone_number": "+15559990000", "status": "webhook_delivered" },
               { "phone_number": OURS, "status": "webhook_delivered" }],
        "media": [{ "url": "https://m.example/1.jpg", "content_type": "image/jpeg", "size": 9 }],
        "autoresponse_type": null, "errors": [] })
}

#[tokio::test]
async fn a_text_is_taken_once_by_the_number_of_ours_that_it_names() {
    let post = open(|_| {}).await;
    for _ in 0..2 {
        assert_eq!(tell(&post, "message.received", text("m1")).await.0, 200);
    }
    let mut stop = text("m2");
    (stop["autoresponse_type"], stop["text"]) = ("opt_out".into(), "STOP".into());
    (stop["to"], stop["media"]) = (OURS.into(), json!([]));
    assert_eq!(tell(&post, "message.received", stop).await.0, 200);
    // What is not about texts is answered, or Telnyx would bring it again and again.
    assert_eq!(tell(&post, "call.initiated", json!({ "x": 1 })).await.0, 200);
    let messages = post.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!((messages[0].ours.as_str(), messages[0].peer.as_str()), (OURS, PEER));
    assert_eq!((messages[0].text.as_str(), messages[0].tenant.0.as_str()), ("Grüße ✓", "acme"));
    assert_eq!(messages[0].media[0].content_type, "image/jpeg");
    assert!(messages[1].answered_by_carrier && messages[1].media.is_empty());
    let mut stranger = text("m3");
    stranger["to"] = json!([{ "phone_number": "+15559990000" }]);
    assert_eq!(tell(&post, "message.received", stranger).await.0, 404);
    assert_eq!(tell(&post, "message.received", json!({ "id": "m4" })).await.0, 400);
    assert_eq!(tell(&post, "message.received", json!(null)).await.0, 400);
    *post.desk.busy.lock().unwrap() = true;
    assert_eq!(tell(&post, "message.received", text("m5")).await.0, 503);
}

#[tokio::test]
async fn nothing_is_believed_that_is_not_signed_by_telnyx_just_now() {
    let post = open(|_| {}).await;
    let now = Timestamp::now().as_second();
    let body = json!({ "data": { "event_type": "message.received", "payload": text("m1") } });
    let body = body.to_string();
    let (status, said) = signed(&post, &body, now - 400).await;
    assert!(status == 403 && said.contains("stale_signature"), "{said}");
    let (status, said) = post.post("/telnyx/webhook", &[], &body).await;
    assert!(status == 403 && said.contains("no_signature"), "{said}");
    // The signature comes before the reading.
    let forged =
        [("telnyx-timestamp", now.to_string()), ("telnyx-signature-ed25519", "AAAA".into())];
    let forged = forged.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(post.post("/api/webhooks/telnyx", &forged, "not JSON").await.0, 403);
    assert_eq!(signed(&post, "not JSON", now).await.0, 400);
    assert!(post.messages().is_empty());

    let open_to_nobody = open(|settings| settings.public_key = None).await;
    let (status, said) = open_to_nobody.post("/telnyx/webhook", &[], &body).await;
    assert!(status == 403 && said.contains("TELNYX_WEBHOOK_PUBLIC_KEY"), "{said}");
    let demo = open(|settings| {
        settings.public_key = None;
        settings.unsigned = Unsigned::FromLoopback;
    })
    .await;
    assert_eq!(demo.post("/telnyx/webhook", &[], &body).await.0, 200);
    let forwarded = [("x-forwarded-for", "203.0.113.7")];
    assert_eq!(demo.post("/telnyx/webhook", &forwarded, &body).await.0, 403);
}

#[tokio::test]
async fn receipts_say_how_far_a_text_came() {
    let post = open(|_| {}).await;
    for (event, word, status) in [
        ("message.sent", "sent", Some(Status::Sent)),
        ("message.finalized", "delivered", Some(Status::Delivered)),
        ("message.finalized", "delivery_failed", Some(Status::Failed)),
        ("message.finalized", "sending_failed", Some(Status::Failed)),
        ("message.finalized", "delivery_unconfirmed", Some(Status::Sent)),
        ("message.finalized", "from the future", None),
    ] {
        post.desk.receipts.lock().unwrap().clear();
        let payload = json!({ "id": "out1", "to": [{ "phone_number": PEER, "status": word }],
            "errors": [{ "code": "40008", "title": "Undeliverable" }] });
        assert_eq!(tell(&post, event, payload).await.0, 200);
        let receipts = post.desk.receipts.lock().unwrap();
        assert_eq!(receipts.first().map(|receipt| receipt.status), status, "{word}");
        if let Some(receipt) = receipts.first() {
            assert_eq!(
                (receipt.carrier_id.as_str(), receipt.code.as_deref()),
                ("out1", Some("40008"))
            );
        }
    }
}

#[tokio::test]
async fn a_text_leaves_with_its_key_and_refusals_say_what_to_do_next() {
    let post = open(|_| {}).await;
    let mut out = outgoing("telnyx", "héllo");
    out.media.push("https://a.example/1.jpg".into());
    let taken = answer(200, r#"{"data":{"id":"out1","to":[{"status":"queued"}]}}"#);
    assert_eq!(post.sends(&out, taken).await.unwrap().carrier_id, "out1");
    let asked = post.asked();
    assert_eq!(
        (asked.path.as_str(), asked.authorization.as_str()),
        ("/v2/messages", "Bearer KEY1")
    );
    assert_eq!(asked.header("idempotency-key"), "run/1/1");
    assert_eq!(
        asked.json(),
        json!({ "from": OURS, "to": PEER, "text": "héllo",
            "webhook_url": "https://voice.example.com/telnyx/webhook",
            "media_urls": ["https://a.example/1.jpg"] })
    );
    let error =
        |code: &str| format!(r#"{{"errors":[{{"code":"{code}","title":"t","detail":"d"}}]}}"#);
    let refused = |status, code| post.sends(&out, answer(status, &error(code)));
    assert_eq!(refused(400, "40300").await, Err(Refusal::OptedOut { code: "40300".into() }));
    assert!(matches!(refused(429, "10011").await, Err(Refusal::Full { .. })));
    assert!(matches!(refused(400, "40318").await, Err(Refusal::Full { .. })));
    let never = Refusal::Never { code: "40310".into(), why: "d".into() };
    assert_eq!(refused(400, "40310").await, Err(never));
    assert!(matches!(post.sends(&out, answer(503, "<html>")).await, Err(Refusal::Later { .. })));
    assert!(matches!(post.sends(&out, answer(502, "<html>")).await, Err(Refusal::Unknown { .. })));
    assert!(matches!(post.sends(&out, answer(200, "{}")).await, Err(Refusal::Unknown { .. })));
    let poor = open(|settings| settings.api_key = None).await;
    assert!(matches!(poor.carrier.send(&out).await, Err(Refusal::Never { .. })));
}
