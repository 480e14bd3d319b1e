//! Signed webhooks: texts and receipts in, texts out, both signed alike.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use channels::hook::{Hook, Hooks};
use conversation::{Address, Outgoing, Refusal, Status};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::post::{Post, answer, outgoing};

const SECRET: &str = "correct horse";

async fn open() -> Post {
    Post::open(
        |base| {
            let hook = |name: &str, url| Hook { name: name.into(), secret: SECRET.into(), url };
            let url = Some(format!("{base}/in"));
            Hooks::new(vec![hook("orders", url), hook("silent", None)]).unwrap()
        },
        |hooks, inbox| hooks.router(inbox),
    )
    .await
}

fn sign(id: &str, at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

async fn tell(post: &Post, name: &str, id: &str, late: i64, body: &str) -> (u16, String) {
    let at = Timestamp::now().as_second() - late;
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", &at.to_string()),
        ("webhook-signature", &sign(id, at, body.as_bytes())),
    ];
    post.post(&format!("/hooks/{name}"), &headers, body).await
}

fn out() -> Outgoing {
    Outgoing {
        ours: Address::id("hook:orders"),
        peer: Address::id("anna"),
        ..outgoing("hook", "héllo")
    }
}

#[tokio::test]
async fn a_text_comes_in_once_and_only_signed_just_now() {
    let post = open().await;
    let body = r#"{"from":"anna","text":"hi","media":[{"url":"https://m.example/1"}]}"#;
    for _ in 0..2 {
        assert_eq!(tell(&post, "orders", "w1", 0, body).await.0, 200);
    }
    assert_eq!(tell(&post, "orders", "w2", 0, r#"{"from":"+1 555 000 2000"}"#).await.0, 200);
    let messages = post.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!((messages[0].ours.as_str(), messages[0].peer.as_str()), ("hook:orders", "anna"));
    assert_eq!((messages[0].text.as_str(), messages[0].id.as_deref()), ("hi", Some("w1")));
    assert_eq!(messages[0].tenant.0, "acme");
    assert_eq!(messages[1].peer.as_str(), "+15550002000");

    assert_eq!(tell(&post, "orders", "w3", 400, body).await.0, 403);
    assert_eq!(tell(&post, "nobody", "w3", 0, body).await.0, 404);
    assert_eq!(post.post("/hooks/orders", &[], body).await.0, 403);
    for wrong in ["not JSON", "[]", "{}", r#"{"from":""}"#, r#"{"type":"dance","from":"a"}"#] {
        assert_eq!(tell(&post, "orders", "w4", 0, wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(post.messages().len(), 2);
}

#[tokio::test]
async fn a_receipt_says_how_far_a_text_came() {
    let post = open().await;
    let body = r#"{"type":"receipt","id":"o1","status":"failed","code":"away"}"#;
    assert_eq!(tell(&post, "orders", "w1", 0, body).await.0, 200);
    let receipts = post.desk.receipts.lock().unwrap();
    assert_eq!((receipts[0].carrier_id.as_str(), receipts[0].status), ("o1", Status::Failed));
    assert_eq!(receipts[0].code.as_deref(), Some("away"));
}

#[tokio::test]
async fn a_text_leaves_signed_and_with_its_key() {
    let post = open().await;
    let named = post.sends(&out(), answer(202, r#"{"id":"o1"}"#)).await.unwrap();
    assert_eq!(named.carrier_id, "o1");
    let asked = post.asked();
    assert_eq!(asked.path, "/in");
    assert_eq!(asked.header("webhook-id"), "run/1/1");
    let at: i64 = asked.header("webhook-timestamp").parse().unwrap();
    assert!(Timestamp::now().as_second() - at < 60);
    assert_eq!(asked.header("webhook-signature"), sign("run/1/1", at, &asked.body));
    let said = asked.json();
    assert_eq!((said["from"].as_str(), said["to"].as_str()), (Some("hook:orders"), Some("anna")));
    assert_eq!((said["type"].as_str(), said["text"].as_str()), (Some("message"), Some("héllo")));
    // Without a name of theirs, ours counts.
    assert_eq!(post.sends(&out(), answer(204, "")).await.unwrap().carrier_id, "run/1/1");

    let gone = Refusal::OptedOut { code: "410".into() };
    assert_eq!(post.sends(&out(), answer(410, "")).await, Err(gone));
    assert!(matches!(post.sends(&out(), answer(503, "")).await, Err(Refusal::Later { .. })));
    assert!(matches!(post.sends(&out(), answer(404, "")).await, Err(Refusal::Never { .. })));
    let silent = Outgoing { ours: Address::id("hook:silent"), ..out() };
    assert!(matches!(post.carrier.send(&silent).await, Err(Refusal::Never { .. })));
}

#[test]
fn settings_that_cannot_be_are_named() {
    let hook = |name: &str, url: Option<&str>| Hook {
        name: name.into(),
        secret: SECRET.into(),
        url: url.map(Into::into),
    };
    let wrong = |hooks| Hooks::new(hooks).err().unwrap();
    assert!(wrong(vec![hook("a/b", None)]).contains("`a/b`"));
    assert!(wrong(vec![hook("a", Some("ftp://x"))]).contains("hook `a`: url"));
    assert!(wrong(vec![hook("a", None), hook("a", None)]).contains("twice"));
}
