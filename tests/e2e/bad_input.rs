//! Bad input at every door: a clear answer, no panic, nothing left behind.

use std::time::Duration;

use serde_json::json;
use tests::double::openai::Reply;
use tests::double::twilio::field;
use tests::phone::{Dialling, bare_socket};
use tests::rig::{ACCESS_KEY, OURS, PEER, PUBLIC, Setup, Voxflow, World, http, text_form};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::calls::{baker, line};
use super::texts::desk;

async fn opened() -> (World, Voxflow) {
    let world = World::open(|_| Reply::say("Hello."), &[]).await;
    let setup =
        Setup { call_flow: Some(line(&baker())), message_flow: Some(desk()), ..Setup::default() };
    let voxflow = world.start(setup).await;
    (world, voxflow)
}

fn at(voxflow: &Voxflow, path: &str) -> String {
    format!("http://{}{path}", voxflow.at)
}

#[tokio::test]
async fn http_doors_answer_clearly() {
    let (world, mut voxflow) = opened().await;
    let url = format!("{PUBLIC}/twilio/messages");

    // Not a form.
    for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
        let request = http()
            .post(at(&voxflow, "/twilio/messages"))
            .header("content-type", kind)
            .body("{\"a\": 1}");
        let signature = world.signer.sign(&url, &[]).await;
        let status =
            request.header("X-Twilio-Signature", signature).send().await.unwrap().status().as_u16();
        assert!((400..500).contains(&status), "{kind}: {status}");
    }
    // Larger than a mebibyte, signed and all.
    let form = text_form(PEER, &"x".repeat(1 << 20));
    assert_eq!(world.network(&voxflow).webhook(&url, &form).await.0, 413);
    // A number that is not ours: text and call.
    let mut form = text_form(PEER, "Hello");
    form.iter_mut().find(|(name, _)| name == "To").unwrap().1 = "+15559999999".into();
    assert_eq!(world.network(&voxflow).webhook(&url, &form).await.0, 404);
    // A text without what it needs.
    let form = vec![("Body".to_owned(), "Hello".to_owned()), ("To".to_owned(), OURS.to_owned())];
    let (status, _) = world.network(&voxflow).webhook(&url, &form).await;
    assert!((400..500).contains(&status), "{status}");
    // Methods and paths that are not there.
    let status =
        http().get(at(&voxflow, "/twilio/messages")).send().await.unwrap().status().as_u16();
    assert!((400..500).contains(&status), "{status}");
    assert_eq!(
        http().get(at(&voxflow, "/nothing/here")).send().await.unwrap().status().as_u16(),
        404
    );

    // The API: no key, no JSON, too large.
    let bare = http().get(at(&voxflow, "/v1.0/activeflows")).send().await.unwrap();
    assert_eq!(bare.status().as_u16(), 401);
    let post = |body: String| {
        let url = at(&voxflow, "/v1.0/flows/validate");
        let request = http().post(url).bearer_auth(ACCESS_KEY);
        request.header("content-type", "application/json").body(body).send()
    };
    let answer = post("{\"actions\": [".into()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let checked: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert!(checked["links"] == false && checked["diagnostics"][0]["line"] == 1, "{checked}");
    let flow =
        json!({ "actions": [{ "type": "talk", "option": { "text": "x".repeat(1 << 20) } }] });
    assert_eq!(post(flow.to_string()).await.unwrap().status().as_u16(), 413);
    let path = "/v1.0/activeflows?page_token=yesterday";
    let answer = http().get(at(&voxflow, path)).bearer_auth(ACCESS_KEY).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 400);
    let error: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert!(error["error"]["message"].is_string(), "{error}");

    assert!(voxflow.alive());
    assert!(world.twilio.sent().is_empty() && world.openai.requests().is_empty());
}

/// A caller of a number that is not ours hears that, or is turned away: TwiML either way.
#[tokio::test]
async fn a_call_to_an_unknown_number_is_turned_away() {
    let (world, voxflow) = opened().await;
    let network = world.network(&voxflow);
    let phone = tests::phone::Phone::call(&network, PEER, "+15559999999", Dialling::default());
    let why = phone.ends().await;
    assert!(!why.contains("answered 5"), "{why}");
    let streams =
        phone.seen.all().iter().filter(|seen| seen.what == tests::phone::What::Stream).count();
    assert_eq!(streams, 0, "an unknown number got a stream");
}

#[tokio::test]
async fn media_sockets_without_manners_are_closed() {
    let (world, mut voxflow) = opened().await;
    let rest = voxflow.tasks_at_rest().await;
    let media = format!("ws://{}/twilio/media", voxflow.at);
    let start = |token: &str| {
        json!({ "event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": {
            "accountSid": "AC1", "streamSid": "MZ1", "callSid": "CA1", "tracks": ["inbound"],
            "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 },
            "customParameters": { "token": token } } })
        .to_string()
    };
    let no_start = json!({ "event": "media", "media": { "payload": "////" } }).to_string();
    // No JSON; no event; sound before the start; a token of nobody; a start without a start.
    for said in [
        "{\"event\": ",
        "[]",
        "\"connected\"",
        &no_start,
        &start("nobody"),
        "{\"event\":\"start\",\"start\":7}",
    ] {
        let Ok(mut socket) = bare_socket(&media).await else { continue };
        socket.text(said).await;
        let code = socket.close_code().await;
        assert!(code != Some(1000), "{said} was taken: {code:?}");
    }
    let mut socket = bare_socket(&media).await.expect("the media door is open");
    socket.binary(&[0; 320]).await;
    assert!(socket.close_code().await != Some(1000));
    // Silent from the start: closed, not kept.
    let mut socket = bare_socket(&media).await.expect("the media door is open");
    socket.close_code().await;
    assert!(voxflow.alive());
    voxflow.settles_at(rest + 1.0).await;
    assert!(world.openai.requests().is_empty());
}

/// A media stream whose messages turn bad in the middle of a call.
#[tokio::test]
async fn a_call_survives_or_ends_when_its_stream_turns_bad() {
    let (world, mut voxflow) = opened().await;
    let rest = voxflow.tasks_at_rest().await;
    let network = world.network(&voxflow);
    let sid = format!("CA{:032x}", 99);
    let form: Vec<(String, String)> =
        [("CallSid", sid.as_str()), ("AccountSid", "AC1"), ("From", PEER), ("To", OURS)]
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
    let (status, twiml) = network.webhook(&format!("{PUBLIC}/twilio/voice"), &form).await;
    assert_eq!(status, 200, "{twiml}");
    let document = roxmltree::Document::parse(&twiml).unwrap();
    let custom: serde_json::Map<String, serde_json::Value> = document
        .descendants()
        .filter(|node| node.has_tag_name("Parameter"))
        .map(|node| {
            (node.attribute("name").unwrap().to_owned(), json!(node.attribute("value").unwrap()))
        })
        .collect();
    assert!(!custom.is_empty(), "no token in {twiml}");
    let start = json!({ "event": "start", "sequenceNumber": "1", "streamSid": "MZ9", "start": {
        "accountSid": "AC1", "streamSid": "MZ9", "callSid": sid, "tracks": ["inbound"],
        "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 }, "customParameters": custom } });
    let mut socket = bare_socket(&format!("ws://{}/twilio/media", voxflow.at))
        .await
        .expect("the media door is open");
    socket.text(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#).await;
    socket.text(&start.to_string()).await;
    for bad in [
        r#"{"event":"media","streamSid":"MZ9","media":{"payload":"not base64 !!"}}"#,
        r#"{"event":"media","streamSid":"MZ9","media":{}}"#,
        r#"{"event":"dtmf","streamSid":"MZ9","dtmf":{"digit":"ten"}}"#,
        r#"{"event":"mark","streamSid":"MZ9","mark":{"name":"nobody's"}}"#,
        r#"{"event":"something new","streamSid":"MZ9"}"#,
        r#"{"event":"#,
    ] {
        socket.text(bad).await;
    }
    drop(socket); // Half-open: the connection is gone without a close.
    super::calls::finished_run(&voxflow).await;
    assert!(voxflow.alive());
    voxflow.settles_at(rest + 1.0).await;
    // The token was for one use.
    let mut socket = bare_socket(&format!("ws://{}/twilio/media", voxflow.at))
        .await
        .expect("the media door is open");
    socket.text(&start.to_string()).await;
    assert!(socket.close_code().await != Some(1000));
    assert!(!field(&form, "CallSid").is_empty());
}

/// Connections that begin and do not go on.
#[tokio::test]
async fn half_requests_do_not_stay() {
    let (_world, mut voxflow) = opened().await;
    let rest = voxflow.tasks_at_rest().await;
    let mut halves = Vec::new();
    for _ in 0..20 {
        let mut half = TcpStream::connect(voxflow.at).await.unwrap();
        half.write_all(
            b"POST /twilio/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nBody=",
        )
        .await
        .unwrap();
        halves.push(half);
    }
    drop(halves);
    // Rubbish instead of HTTP is answered with 400, or cut.
    let mut rubbish = TcpStream::connect(voxflow.at).await.unwrap();
    rubbish.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), rubbish.read_to_end(&mut answer))
        .await
        .expect("kept open");
    voxflow.settles_at(rest + 1.0).await;
    assert!(voxflow.alive());
}
