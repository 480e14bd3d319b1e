//! Who may come in, and what is answered to those who may not.

use channels::Unsigned;

use crate::house::{CALL, House, OURS, PEER, PUBLIC, TOKEN, sign};

const TEXT: [(&str, &str); 4] =
    [("MessageSid", "SM1"), ("From", PEER), ("To", OURS), ("Body", "hi")];

fn reason(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(body["error"]["message"].is_string(), "{body}");
    format!(
        "{} {}",
        body["error"]["status"].as_str().unwrap(),
        body["error"]["reason"].as_str().unwrap()
    )
}

#[tokio::test]
async fn only_what_twilio_signed_comes_in() {
    let house = House::open().await;
    for path in [
        "/twilio/messages",
        "/twilio/voice",
        "/twilio/status",
        "/twilio/dialed",
        "/twilio/message-status",
    ] {
        let url = format!("http://{}{path}", house.at);
        let right = sign(&format!("{PUBLIC}{path}"), &TEXT);
        let other_url = sign(&format!("{PUBLIC}{path}?x=1"), &TEXT);
        let other_body = sign(&format!("{PUBLIC}{path}"), &TEXT[..3]);
        // What the request says about its host is not believed.
        let host = sign(&format!("http://{}{path}", house.at), &TEXT);
        for wrong in
            [&other_url, &other_body, &host, "", "nonsense", &right[1..], &right.to_lowercase()]
        {
            let answer =
                house.http.post(&url).header("X-Twilio-Signature", wrong).form(&TEXT).send();
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), 403, "{wrong}");
            assert_eq!(reason(&answer.text().await.unwrap()), "PERMISSION_DENIED wrong_signature");
        }
        let answer = house.http.post(&url).form(&TEXT).send().await.unwrap();
        assert_eq!(answer.status(), 403);
        assert_eq!(reason(&answer.text().await.unwrap()), "PERMISSION_DENIED no_signature");
        assert_eq!(house.http.get(&url).send().await.unwrap().status(), 405);
    }
    assert!(house.desk.messages.lock().unwrap().is_empty());
    assert_eq!(house.post("/twilio/messages", &TEXT).await.0, 200);
    // The port that the scheme means anyway may be signed or not.
    let answer = house
        .http
        .post(format!("http://{}/twilio/messages?flow=7&x=a%20b", house.at))
        .header(
            "X-Twilio-Signature",
            sign("https://voice.example.com:443/twilio/messages?flow=7&x=a%20b", &TEXT),
        )
        .form(&TEXT)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn bad_bodies_are_refused_clearly() {
    let house = House::open().await;
    let path = "/twilio/messages";
    let url = format!("http://{}{path}", house.at);
    let bare = sign(&format!("{PUBLIC}{path}"), &[]);
    let send = |kind: &'static str, body: Vec<u8>, signature: &str| {
        let request = house.http.post(&url).header("X-Twilio-Signature", signature);
        let request = request.header("content-type", kind).body(body);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), reason(&answer.text().await.unwrap()))
        }
    };
    // The signature comes first.
    assert_eq!(send("text/plain", b"x".into(), "wrong").await.0, 403);
    let refused = (415, "UNSUPPORTED_MEDIA_TYPE no_form".to_owned());
    assert_eq!(send("text/plain", vec![], &bare).await, refused);
    let signed = format!(
        "{PUBLIC}{path}?bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    );
    let answer = house
        .http
        .post(signed.replace(PUBLIC, &format!("http://{}", house.at)))
        .header("X-Twilio-Signature", sign(&signed, &[]))
        .header("content-type", "application/json")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 415);
    let form = "application/x-www-form-urlencoded";
    assert_eq!(
        send(form, vec![b'a'; 1024 * 1024 + 1], &bare).await,
        (413, "PAYLOAD_TOO_LARGE too_large".into())
    );
    assert_eq!(
        send(form, vec![b'a'; 8 * 1024 * 1024], &bare).await,
        (413, "PAYLOAD_TOO_LARGE too_large".into())
    );
    assert_eq!(send(form, vec![], &bare).await, (400, "INVALID_ARGUMENT missing_field".into()));
    let odd = sign(&format!("{PUBLIC}{path}"), &[("\u{fffd}", "")]);
    assert_eq!(
        send(form, b"\xff".into(), &odd).await,
        (400, "INVALID_ARGUMENT unreadable_form".into())
    );
    for (path, form) in [
        ("/twilio/messages", [("MessageSid", "SM1"), ("From", PEER), ("To", "")]),
        ("/twilio/messages", [("MessageSid", ""), ("From", PEER), ("To", OURS)]),
        ("/twilio/voice", [("CallSid", CALL), ("From", PEER), ("x", "y")]),
        ("/twilio/dialed", [("CallSid", CALL), ("From", PEER), ("x", "y")]),
        ("/twilio/status", [("CallSid", CALL), ("From", PEER), ("x", "y")]),
        ("/twilio/message-status", [("MessageSid", "SM1"), ("From", PEER), ("x", "y")]),
    ] {
        let (status, body) = house.post(path, &form).await;
        assert_eq!((status, reason(&body).as_str()), (400, "INVALID_ARGUMENT missing_field"));
    }
    assert!(house.desk.messages.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_secret_only_this_machine_is_believed_and_only_when_told_so() {
    let refusing = House::with(|settings| settings.auth_token = None).await;
    let post = |house: &House, headers: &[(&'static str, &'static str)]| {
        let mut request =
            house.http.post(format!("http://{}/twilio/messages", house.at)).form(&TEXT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(post(&refusing, &[]).await, 403);
    let demo = House::with(|settings| {
        settings.auth_token = None;
        settings.unsigned = Unsigned::FromLoopback;
    })
    .await;
    assert_eq!(post(&demo, &[]).await, 200);
    assert_eq!(post(&demo, &[("x-forwarded-for", "203.0.113.7")]).await, 403);
    assert_eq!(post(&demo, &[("origin", "https://evil.example")]).await, 403);
    assert_eq!(demo.desk.messages.lock().unwrap().len(), 1);
    // With a secret nobody is believed unsigned.
    let strict = House::with(|settings| settings.unsigned = Unsigned::FromLoopback).await;
    assert_eq!(post(&strict, &[]).await, 403);
    assert_eq!(TOKEN, "12345");
}

#[tokio::test]
async fn a_media_stream_is_refused_with_a_wrong_signature_and_taken_without_one() {
    let house = House::open().await;
    let right = sign("wss://voice.example.com/twilio/media", &[]);
    let wrong = sign("wss://evil.example/twilio/media", &[]);
    assert!(house.try_socket("/twilio/media", &[("x-twilio-signature", &right)]).await.is_ok());
    assert!(house.try_socket("/twilio/media", &[]).await.is_ok());
    match house.try_socket("/twilio/media", &[("x-twilio-signature", &wrong)]).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
            assert_eq!(answer.status(), 403)
        }
        _ => panic!("it was taken"),
    }
    let answer = house.http.get(format!("http://{}/twilio/media", house.at)).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(reason(&answer.text().await.unwrap()), "INVALID_ARGUMENT no_upgrade");
}
