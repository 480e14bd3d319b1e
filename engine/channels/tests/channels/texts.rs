//! Texts: in by webhook, out by REST, receipts.

use std::time::Duration;

use conversation::{Address, Messenger, Outgoing, Refusal, Status, Tenant};

use crate::house::{ACCOUNT, House, OURS, PEER, PUBLIC, Reply};

const NOTHING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response />";

fn outgoing() -> Outgoing {
    Outgoing {
        key: "run/1/1".into(),
        tenant: Tenant::default(),
        channel: "twilio".into(),
        ours: Address::phone(OURS).unwrap(),
        peer: Address::phone(PEER).unwrap(),
        text: "héllo & bye".into(),
        media: vec!["https://a.example/1.jpg".into(), "https://a.example/2.jpg".into()],
        prompted: true,
        trace: None,
    }
}

#[tokio::test]
async fn a_text_is_stored_once_and_answered_empty() {
    let house = House::open().await;
    let mut form = vec![
        ("MessageSid", "SM1"),
        ("From", PEER),
        ("To", "+1 (555) 000-1000"),
        ("Body", "Grüße ✓ 1+1=2 & more"),
        ("NumMedia", "2"),
        ("MediaUrl0", "https://m.example/0"),
        ("MediaContentType0", "image/jpeg"),
        ("MediaUrl1", "https://m.example/1"),
        ("MediaContentType1", "image/png"),
        ("NumSegments", "1"),
    ];
    for _ in 0..2 {
        assert_eq!(house.post("/twilio/messages", &form).await, (200, NOTHING.into()));
    }
    form[0].1 = "SM2";
    form[3].1 = "STOP";
    form[4].1 = "a lot";
    form.push(("OptOutType", "STOP"));
    assert_eq!(house.post("/twilio/messages", &form).await.0, 200);
    let odd = [("SmsSid", "SM3"), ("From", "whatsapp:+15550002000"), ("To", OURS), ("Body", "")];
    assert_eq!(house.post("/twilio/messages", &odd).await.0, 200);
    let messages = house.desk.messages.lock().unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[0].text, "Grüße ✓ 1+1=2 & more");
    assert_eq!(messages[0].ours.as_str(), OURS);
    assert_eq!(messages[0].peer.as_str(), PEER);
    assert_eq!(messages[0].id.as_deref(), Some("SM1"));
    assert_eq!(messages[0].media.len(), 2);
    assert_eq!(messages[0].media[1].content_type, "image/png");
    assert!(!messages[0].answered_by_carrier);
    assert!(messages[1].answered_by_carrier && messages[1].media.is_empty());
    assert_eq!(
        (messages[2].peer.as_str(), messages[2].text.as_str()),
        ("whatsapp:+15550002000", "")
    );
}

#[tokio::test]
async fn unknown_numbers_and_busy_stores_are_told_apart() {
    let house = House::open().await;
    let unknown = [("MessageSid", "SM1"), ("From", PEER), ("To", "+15559999999"), ("Body", "hi")];
    let (status, body) = house.post("/twilio/messages", &unknown).await;
    assert_eq!(status, 404);
    assert!(body.contains("unknown_number") && body.contains("+15559999999"), "{body}");
    *house.desk.busy.lock().unwrap() = true;
    let known = [("MessageSid", "SM1"), ("From", PEER), ("To", OURS), ("Body", "hi")];
    let (status, body) = house.post("/twilio/messages", &known).await;
    assert_eq!(status, 503);
    assert!(body.contains("the disk is full"), "{body}");
    assert!(house.desk.messages.lock().unwrap().is_empty());
}

#[tokio::test]
async fn receipts_say_how_far_a_text_came() {
    let house = House::open().await;
    for (word, status) in [
        ("queued", Some(Status::Sent)),
        ("sent", Some(Status::Sent)),
        ("delivered", Some(Status::Delivered)),
        ("read", Some(Status::Delivered)),
        ("undelivered", Some(Status::Failed)),
        ("receiving", None),
        ("from the future", None),
    ] {
        house.desk.receipts.lock().unwrap().clear();
        let form = [("MessageSid", "SM1"), ("MessageStatus", word), ("ErrorCode", "30003")];
        assert_eq!(house.post("/twilio/message-status", &form).await.0, 204);
        let receipts = house.desk.receipts.lock().unwrap();
        assert_eq!(receipts.first().map(|receipt| receipt.status), status, "{word}");
        if let Some(receipt) = receipts.first() {
            assert_eq!(
                (receipt.carrier_id.as_str(), receipt.code.as_deref()),
                ("SM1", Some("30003"))
            );
        }
    }
}

#[tokio::test]
async fn a_text_leaves_as_twilios_library_would_send_it() {
    let house = House::open().await;
    let sent = house.twilio.send(&outgoing()).await.unwrap();
    assert_eq!(sent.carrier_id, "SM1");
    let asked = house.rest.wait(1).await.remove(0);
    assert_eq!(asked.path, format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json"));
    // `AC...1:12345`
    assert_eq!(
        asked.authorization,
        "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMToxMjM0NQ=="
    );
    let callback = format!("{PUBLIC}/twilio/message-status");
    let expected = [
        ("To", PEER),
        ("From", OURS),
        ("Body", "héllo & bye"),
        ("StatusCallback", &callback),
        ("MediaUrl", "https://a.example/1.jpg"),
        ("MediaUrl", "https://a.example/2.jpg"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(asked.form, expected);
}

#[tokio::test]
async fn refusals_say_what_to_do_next() {
    let house = House::open().await;
    let send = async |reply: Reply| {
        house.rest.replies.lock().unwrap().push_back(reply);
        house.twilio.send(&outgoing()).await.unwrap_err()
    };
    let answer = |status: u16, body: &str| Some((status, Vec::new(), body.to_owned()));
    assert_eq!(
        send(answer(400, r#"{"code":21610,"message":"unsubscribed","status":400}"#)).await,
        Refusal::OptedOut { code: "21610".into() }
    );
    assert_eq!(
        send(answer(400, r#"{"code":21211,"message":"bad To","status":400}"#)).await,
        Refusal::Never { code: "21211".into(), why: "bad To".into() }
    );
    let slow = Some((429, vec![("retry-after", "7")], r#"{"code":20429,"message":"slow"}"#.into()));
    let after = Some(Duration::from_secs(7));
    assert_eq!(send(slow).await, Refusal::Full { why: "slow".into(), after });
    assert!(matches!(send(answer(503, "<html>")).await, Refusal::Later { after: None, .. }));
    assert!(matches!(send(answer(404, "")).await, Refusal::Never { code, .. } if code == "404"));
    assert!(matches!(send(answer(302, "")).await, Refusal::Never { code, .. } if code == "302"));
    assert!(matches!(send(answer(201, "what?")).await, Refusal::Unknown { .. }));
    assert!(matches!(send(answer(201, "{}")).await, Refusal::Unknown { .. }));
    // A gateway broke, before or after Twilio took it.
    assert!(matches!(send(answer(502, "<html>")).await, Refusal::Unknown { .. }));
    // No answer: it may have been sent.
    assert!(matches!(send(None).await, Refusal::Unknown { .. }));
    // No connection: it was not.
    let nobody = House::with(|settings| settings.base_url = "http://127.0.0.1:9".into()).await;
    let refusal = nobody.twilio.send(&outgoing()).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Later { .. }), "{refusal:?}");
    // No account.
    let poor = House::with(|settings| settings.account_sid = String::new()).await;
    assert!(matches!(poor.twilio.send(&outgoing()).await, Err(Refusal::Never { .. })));
}

#[tokio::test]
async fn what_twilio_took_is_found_by_ends_words_and_time() {
    let house = House::open().await;
    let since = "2026-11-20T10:00:00.7Z".parse().unwrap();
    let listed = |sid: &str, body: &str, at: &str| {
        serde_json::json!({ "sid": sid, "body": body, "date_sent": null,
            "date_created": format!("Fri, 20 Nov 2026 {at} +0000") })
    };
    let page = serde_json::json!({ "messages": [
        listed("SM4", "héllo & bye", "10:00:09"), listed("SM3", "another", "10:00:08"),
        listed("SM2", "héllo & bye", "10:00:00"), listed("SM1", "héllo & bye", "09:59:59"),
    ] });
    house.rest.reply(200, &page.to_string());
    let taken = house.twilio.taken(&outgoing(), since).await.unwrap();
    let ids: Vec<_> = taken.iter().map(|sent| sent.carrier_id.as_str()).collect();
    assert_eq!(ids, ["SM4", "SM2"]);
    let asked = house.rest.wait(1).await.remove(0);
    assert_eq!(asked.path, format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json"));
    for (status, body) in [(500, ""), (429, ""), (200, "<html>")] {
        house.rest.reply(status, body);
        let refusal = house.twilio.taken(&outgoing(), since).await.unwrap_err();
        let waits = matches!(refusal, Refusal::Later { .. } | Refusal::Full { .. });
        assert!(waits, "{status}: {refusal:?}");
    }
    house.rest.reply(401, r#"{"code":20003,"message":"Authenticate"}"#);
    let refusal = house.twilio.taken(&outgoing(), since).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Never { .. }), "{refusal:?}");
}
