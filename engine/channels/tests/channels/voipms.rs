//! voip.ms: texts in by an address that holds a secret, texts out in pieces.

use channels::Unsigned;
use channels::voipms::{Settings, VoipMs};
use conversation::Refusal;
use serde_json::json;

use crate::house::{OURS, PEER};
use crate::post::{Post, answer, outgoing};

async fn open(change: impl FnOnce(&mut Settings)) -> Post {
    Post::open(
        |base| {
            let mut settings = Settings {
                api_username: Some("shop@example.com".into()),
                api_password: Some("hunter2".into()),
                webhook_secret: Some("s3cret".into()),
                base_url: format!("{base}/api/v1/rest.php"),
                unsigned: Unsigned::Refuse,
            };
            change(&mut settings);
            VoipMs::new(settings).unwrap()
        },
        |voipms, inbox| voipms.router(inbox),
    )
    .await
}

async fn call_back(post: &Post, query: &str) -> (u16, String) {
    let url = format!("http://{}/voipms/sms?{query}", post.at);
    let answer = post.http.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_text_comes_by_callback_or_by_webhook_and_is_answered_ok() {
    let post = open(|_| {}).await;
    let query = "secret=s3cret&to=5550001000&from=5550002000&message=Gr%C3%BC%C3%9Fe+%26&id=77";
    for _ in 0..2 {
        assert_eq!(call_back(&post, query).await, (200, "ok".into()));
    }
    let body = json!({ "data": { "event_type": "message.received", "payload": { "id": 78,
        "from": { "phone_number": "5550002000" }, "to": [{ "phone_number": "5550001000" }],
        "text": "pic", "media": [{ "url": "https://m.example/1.jpg" }] } } });
    let path = "/voipms/sms?secret=s3cret";
    assert_eq!(post.post(path, &[], &body.to_string()).await, (200, "ok".into()));
    let messages = post.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!((messages[0].ours.as_str(), messages[0].peer.as_str()), (OURS, PEER));
    assert_eq!((messages[0].text.as_str(), messages[0].id.as_deref()), ("Grüße &", Some("77")));
    assert_eq!(messages[0].tenant.0, "acme");
    assert_eq!(messages[1].media[0].url, "https://m.example/1.jpg");
    assert_eq!(call_back(&post, "secret=s3cret&to=5550001000").await.0, 400);
    assert_eq!(post.post(path, &[], "not JSON").await.0, 400);
    assert_eq!(call_back(&post, "secret=s3cret&to=5559999999&from=5550002000").await.0, 404);
    for wrong in ["", "secret=", "secret=s3cre", "secret=s3cret2"] {
        let query = format!("{wrong}&to=5550001000&from=5550002000&message=x");
        assert_eq!(call_back(&post, &query).await.0, 403, "{wrong}");
        assert_eq!(post.post(&format!("/voipms/sms?{wrong}"), &[], "not JSON").await.0, 403);
    }
    assert_eq!(post.messages().len(), 2);
    let unset = open(|settings| settings.webhook_secret = None).await;
    assert_eq!(call_back(&unset, query).await.0, 403);
}

#[tokio::test]
async fn a_text_leaves_by_post_with_ten_digits() {
    let post = open(|_| {}).await;
    let said = answer(200, r#"{"status":"success","sms":23434}"#);
    let sent = post.sends(&outgoing("voipms", "héllo"), said).await;
    assert_eq!(sent.unwrap().carrier_id, "23434");
    let asked = post.asked();
    assert_eq!(asked.path, "/api/v1/rest.php");
    for (name, value) in [
        ("api_username", "shop@example.com"),
        ("api_password", "hunter2"),
        ("method", "sendSMS"),
        ("did", "5550001000"),
        ("dst", "5550002000"),
        ("message", "héllo"),
    ] {
        assert_eq!(asked.get(name), value);
    }
    let mut picture = outgoing("voipms", "see");
    picture.media.push("https://a.example/1.jpg".into());
    let sent = post.sends(&picture, answer(200, r#"{"status":"success","mms":"9"}"#)).await;
    assert_eq!(sent.unwrap().carrier_id, "9");
    assert_eq!(
        (post.asked().get("method"), post.asked().get("media1")),
        ("sendMMS", "https://a.example/1.jpg")
    );
}

#[tokio::test]
async fn a_long_text_leaves_in_pieces_and_waits_are_waited_for() {
    let post = open(|_| {}).await;
    let long = outgoing("voipms", &format!("{}end", "word ".repeat(50)));
    for said in ["success", "sms_wait_message", "success"] {
        post.rest.reply(200, &format!(r#"{{"status":"{said}","sms":1}}"#));
    }
    assert_eq!(post.carrier.send(&long).await.unwrap().carrier_id, "1,1");
    let asked = post.rest.asked.lock().unwrap().clone();
    let pieces: Vec<&str> = asked.iter().map(|asked| asked.get("message")).collect();
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[1], pieces[2]);
    assert_eq!(format!("{} {}", pieces[0], pieces[1]), long.text);
    // What has begun to leave and cannot go on is not begun anew.
    for said in ["success", "invalid_dst"] {
        post.rest.reply(200, &format!(r#"{{"status":"{said}","sms":1}}"#));
    }
    let broken = post.carrier.send(&long).await;
    assert!(matches!(broken, Err(Refusal::Unknown { why }) if why.starts_with("1 of 2 pieces")));
}

#[tokio::test]
async fn refusals_say_what_to_do_next() {
    let post = open(|_| {}).await;
    let text = outgoing("voipms", "hi");
    let refused = async |word: &str| {
        let said = answer(200, &format!(r#"{{"status":"{word}"}}"#));
        post.sends(&text, said).await.unwrap_err()
    };
    assert!(matches!(refused("limit_reached").await, Refusal::Full { .. }));
    let Refusal::Never { code, why } = refused("ip_not_enabled").await else { panic!() };
    assert!(code == "ip_not_enabled" && why.contains("blocks everybody"), "{why}");
    let Refusal::Never { why, .. } = refused("invalid_credentials").await else { panic!() };
    assert!(why.contains("e-mail") && !why.contains("hunter2"), "{why}");
    assert!(matches!(post.sends(&text, answer(200, "")).await, Err(Refusal::Unknown { .. })));
    assert!(matches!(post.sends(&text, answer(500, "")).await, Err(Refusal::Unknown { .. })));
    let abroad = conversation::Outgoing {
        peer: conversation::Address::phone("+447700900123").unwrap(),
        ..text.clone()
    };
    assert!(matches!(post.carrier.send(&abroad).await, Err(Refusal::Never { .. })));
    let half = VoipMs::new(Settings {
        api_username: Some("x".into()),
        api_password: None,
        webhook_secret: None,
        base_url: channels::voipms::BASE_URL.into(),
        unsigned: Unsigned::Refuse,
    });
    assert!(half.err().unwrap().contains("set both"));
}
