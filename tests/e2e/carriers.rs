//! A text in and the reply out, by every carrier but Twilio; and webhooks that are none of theirs.

use serde_json::{Value, json};
use tests::double::hook::{self, Hook};
use tests::double::line::{self, Line};
use tests::double::openai::Reply;
use tests::double::telnyx::{PUBLIC_KEY, SEED, Telnyx};
use tests::double::twilio::field;
use tests::double::voipms::{USERNAME, VoipMs};
use tests::double::{Fault, KEY};
use tests::python;
use tests::record::until;
use tests::rig::{OURS, PEER, PUBLIC, Setup, Voxflow, World, http};

/// A flow that answers every text.
fn echo() -> Value {
    json!({ "name": "echo", "actions": [
        { "type": "send_message", "option": { "text": "re: ${message.text}" } } ] })
}

async fn start(more: String) -> (World, Voxflow) {
    let world = World::open(|_| Reply::say("nothing"), &[]).await;
    let setup = Setup { message_flow: Some(echo()), more, ..Setup::default() };
    let voxflow = world.start(setup).await;
    (world, voxflow)
}

/// Posts a body with these headers; the status.
async fn post(voxflow: &Voxflow, path: &str, headers: &Value, body: &str) -> u16 {
    let mut request = http().post(format!("http://{}{path}", voxflow.at)).body(body.to_owned());
    for (name, value) in headers.as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    request.send().await.unwrap().status().as_u16()
}

/// Posts a body that is signed as the vendor signs; the status.
async fn signed(voxflow: &Voxflow, path: &str, kind: &str, key: &str, body: &Value) -> u16 {
    let body = body.to_string();
    let headers = python::run("webhooks.py", &[kind, key, "one", &body]).await;
    post(voxflow, path, &serde_json::from_str(&headers).unwrap(), &body).await
}

/// A hundred webhooks, good and bad: what the vendor's own library believes, and nothing else, is
/// believed. `good` is what a good one is answered.
async fn a_hundred(voxflow: &Voxflow, path: &str, kind: &str, key: &str, good: u16) {
    let made = python::run("webhooks.py", &[kind, key, "many", "100"]).await;
    let made: Vec<Value> = serde_json::from_str(&made).unwrap();
    let mut counts = [0, 0];
    for webhook in &made {
        let status =
            post(voxflow, path, &webhook["headers"], webhook["body"].as_str().unwrap()).await;
        let believed = webhook["good"].as_bool().unwrap();
        assert_eq!(status, if believed { good } else { 403 }, "{webhook:#}");
        counts[usize::from(believed)] += 1;
    }
    assert!(counts[0] > 20 && counts[1] >= 50, "{counts:?}");
}

fn telnyx_settings(telnyx: &Telnyx) -> String {
    let base = telnyx.base();
    format!(
        "[telnyx]\napi_key = \"{KEY}\"\nwebhook_public_key = \"{PUBLIC_KEY}\"\nbase_url = \"{base}\"\n"
    )
}

fn telnyx_text(id: &str, text: &str) -> Value {
    json!({ "data": { "event_type": "message.received", "id": id, "payload": {
        "id": id, "from": { "phone_number": PEER }, "to": [{ "phone_number": OURS }],
        "text": text, "media": [] } } })
}

#[tokio::test]
async fn a_text_by_telnyx_is_answered_by_telnyx() {
    let telnyx = Telnyx::open().await;
    let (world, voxflow) = start(telnyx_settings(&telnyx)).await;
    // The second is the same again.
    for _ in 0..2 {
        let body = telnyx_text("m1", "hello");
        assert_eq!(signed(&voxflow, "/telnyx/webhook", "telnyx", SEED, &body).await, 200);
    }
    let sent = telnyx.sent().reach(1, "replies").await;
    assert_eq!(
        (sent[0].body["text"].as_str(), sent[0].body["to"].as_str()),
        (Some("re: hello"), Some(PEER))
    );
    assert_eq!(sent[0].body["from"], OURS);
    assert_eq!(sent[0].body["webhook_url"], format!("{PUBLIC}/telnyx/webhook"));
    assert!(world.twilio.sent().is_empty());

    // Telnyx knows of a STOP that we do not know of: the pair is blocked from then on.
    telnyx.opt_out(PEER);
    for id in ["m2", "m3"] {
        let body = telnyx_text(id, "more");
        assert_eq!(signed(&voxflow, "/api/webhooks/telnyx", "telnyx", SEED, &body).await, 200);
    }
    until("two texts that did not leave", || async {
        (voxflow.metric("voxflow_outbox_sent_total").await > 2.5).then_some(())
    })
    .await;
    assert_eq!(telnyx.sent().len(), 1);
    voxflow.stop().await;
}

#[tokio::test]
async fn telnyx_is_believed_as_its_library_believes_it() {
    let telnyx = Telnyx::open().await;
    let (_world, voxflow) = start(telnyx_settings(&telnyx)).await;
    // They are to a number that is not ours.
    a_hundred(&voxflow, "/telnyx/webhook", "telnyx", SEED, 404).await;
    telnyx.fail(Fault::Refuse);
    assert!(telnyx.sent().is_empty());
}

#[tokio::test]
async fn a_text_by_line_is_replied_to_and_a_later_one_pushed() {
    let api = Line::open().await;
    let (_world, voxflow) = start(format!(
        "[line]\nchannel_secret = \"{}\"\nchannel_token = \"{KEY}\"\nbase_url = \"{}\"\n\
         [[number]]\nnumber = \"line\"\nmessage_flow = \"message_flow.json\"\n",
        line::SECRET,
        api.base()
    ))
    .await;
    let event = |id: &str, text: &str| {
        json!({ "type": "message", "mode": "active", "timestamp": soon_ms(), "webhookEventId": id,
            "deliveryContext": { "isRedelivery": false }, "source": { "type": "user", "userId": "U7" },
            "replyToken": id, "message": { "id": "1", "type": "text", "text": text } })
    };
    api.grant("e1");
    let events = json!({ "destination": "Uxxx", "events": [event("e1", "hello")] });
    for _ in 0..2 {
        assert_eq!(signed(&voxflow, "/line/webhook", "line", line::SECRET, &events).await, 200);
    }
    let sent = api.sent().reach(1, "replies").await;
    assert_eq!((sent[0].0.as_str(), sent[0].1["replyToken"].as_str()), ("reply", Some("e1")));
    assert_eq!(sent[0].1["messages"][0]["text"], "re: hello");
    // This token is none that LINE knows any more.
    let events = json!({ "destination": "Uxxx", "events": [event("e2", "late")] });
    assert_eq!(signed(&voxflow, "/line/webhook", "line", line::SECRET, &events).await, 200);
    let sent = api.sent().reach(2, "replies").await;
    assert_eq!((sent[1].0.as_str(), sent[1].1["to"].as_str()), ("push", Some("U7")));
    assert_eq!(sent[1].1["messages"][0]["text"], "re: late");

    a_hundred(&voxflow, "/line/webhook", "line", line::SECRET, 200).await;
    voxflow.stop().await;
}

/// Milliseconds since 1970, a minute ahead: to sign takes its time on a busy machine, and a reply
/// token is good for less than that.
fn soon_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap() + 60_000
}

#[tokio::test]
async fn a_text_by_voipms_is_answered_in_pieces() {
    let api = VoipMs::open().await;
    let (_world, voxflow) = start(format!(
        "[voipms]\napi_username = \"{USERNAME}\"\napi_password = \"{KEY}\"\n\
         webhook_secret = \"s3cret\"\nbase_url = \"{}\"\n",
        api.base()
    ))
    .await;
    let words = "word ".repeat(40);
    let get = async |secret: &str, id: &str| {
        let query = [
            ("secret", secret),
            ("to", &OURS[2..]),
            ("from", &PEER[2..]),
            ("message", words.trim()),
            ("id", id),
        ];
        let url = format!("http://{}/voipms/sms", voxflow.at);
        let answer = http().get(url).query(&query).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for _ in 0..2 {
        assert_eq!(get("s3cret", "77").await, (200, "ok".into()));
    }
    assert_eq!(get("s3cre7", "78").await.0, 403);
    let sent = api.sent().reach(2, "pieces").await;
    let pieces: Vec<&str> = sent.iter().map(|form| field(form, "message")).collect();
    assert_eq!(pieces.join(" "), format!("re: {}", words.trim()));
    assert_eq!((field(&sent[0], "did"), field(&sent[0], "dst")), (&OURS[2..], &PEER[2..]));
    assert!(!voxflow.log().contains("s3cret") && !voxflow.log().contains(KEY));
    voxflow.stop().await;
}

#[tokio::test]
async fn a_text_by_a_signed_webhook_is_answered_by_one() {
    let api = Hook::open().await;
    let (_world, voxflow) = start(format!(
        "[[hook]]\nname = \"orders\"\nsecret = \"{}\"\nurl = \"{}\"\n\
         [[number]]\nnumber = \"hook:orders\"\nmessage_flow = \"message_flow.json\"\ntenant = \"acme\"\n",
        hook::SECRET,
        api.url()
    ))
    .await;
    let body = json!({ "from": "anna", "text": "hello" });
    assert_eq!(signed(&voxflow, "/hooks/orders", "hook", hook::SECRET, &body).await, 200);
    let (headers, body) = api.came().reach(1, "replies").await.remove(0);
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((said["to"].as_str(), said["text"].as_str()), (Some("anna"), Some("re: hello")));
    python::run("conform_hook.py", &[hook::SECRET, &json!(headers).to_string(), &body]).await;

    a_hundred(&voxflow, "/hooks/orders", "hook", hook::SECRET, 200).await;
    let body = json!({ "from": "anna", "text": "hello" });
    assert_eq!(signed(&voxflow, "/hooks/order", "hook", hook::SECRET, &body).await, 404);
    voxflow.stop().await;
}

#[tokio::test]
async fn without_a_secret_every_door_is_shut() {
    let (_world, voxflow) = start(String::new()).await;
    let none = json!({});
    for path in ["/telnyx/webhook", "/api/webhooks/telnyx", "/line/webhook", "/voipms/sms"] {
        assert_eq!(post(&voxflow, path, &none, "{}").await, 403, "{path}");
    }
    assert_eq!(post(&voxflow, "/hooks/any", &none, "{}").await, 404);
}
