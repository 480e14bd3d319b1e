//! Telnyx: calls that come in and calls that are dialed, their streams and their ends.

use std::sync::Arc;
use std::time::Duration;

use audio::Frame;
use audio::g711::Law;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use call::{
    Destination, Dialer, Dialled, HangupCause, Inbound, Leg, Outbound, Picked, Progress, Ringing,
    Unable, Wanted,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::booth::{Booth, ID, media};
use crate::house::{OURS, PEER, SOON, Socket, tasks};

async fn hear(leg: &mut Leg) -> Inbound {
    timeout(SOON, leg.inbound.recv()).await.expect("nothing came").unwrap()
}

async fn gone(leg: &mut Leg) {
    while hear(leg).await != Inbound::Gone {}
    assert_eq!(leg.inbound.recv().await, None);
}

fn frame(sample: i16) -> Frame {
    Frame { rate: 8000, samples: vec![sample; 160] }
}

/// A call that is answered and has its stream.
async fn call(booth: &mut Booth, encoding: &str) -> (Socket, Leg) {
    let leg = booth.rings().await;
    let control = Arc::clone(&leg.control);
    let answering = tokio::spawn(async move { control.answer().await });
    let (path, asked) = booth.asked(1).await;
    assert_eq!(path, "/calls/ID/actions/answer");
    let socket = booth.stream(&asked, encoding).await;
    booth.tell("call.answered", json!({ "state": "answered" })).await;
    assert_eq!(answering.await.unwrap(), Ok(()));
    (socket, leg)
}

fn wanted() -> Wanted {
    Wanted {
        from: OURS.into(),
        to: Destination { kind: "tel".into(), target: PEER.into(), name: None },
        ring: Duration::from_secs(20),
        early_media: true,
        anonymous: false,
        detect_machine: false,
    }
}

async fn dials(booth: &Booth, wanted: Wanted) -> (Ringing, serde_json::Value) {
    let answer = json!({ "data": { "call_control_id": ID, "call_leg_id": "l",
        "call_session_id": "s", "is_alive": false, "record_type": "call" } });
    booth.rest.reply(200, &answer.to_string());
    let ringing = booth.telnyx.dial(wanted).await.unwrap();
    let (path, asked) = booth.asked(1).await;
    assert_eq!((path.as_str(), ringing.carrier_id.as_str()), ("/calls", ID));
    (ringing, asked)
}

#[tokio::test]
async fn a_call_is_parked_until_the_flow_picks_up() {
    let mut booth = Booth::open(|_| {}).await;
    let leg = booth.rings().await;
    assert_eq!((leg.arrival.carrier.as_str(), leg.rate), ("telnyx", 8000));
    assert_eq!((leg.arrival.from.as_str(), leg.arrival.to.as_str()), (PEER, OURS));
    assert_eq!(leg.arrival.carrier_id, ID);
    // Telnyx repeats what it has told.
    booth.tell_as("e0", "call.initiated", json!({ "direction": "incoming" })).await;
    assert!(booth.nobody_rings() && booth.rest.asked.lock().unwrap().is_empty());
    // A mark has nothing to wait for; the first sound answers.
    leg.outbound.send(Outbound::Mark(3)).await.unwrap();
    let mut leg = leg;
    assert_eq!(hear(&mut leg).await, Inbound::Mark(3));
    leg.outbound.send(Outbound::Frame(frame(1000))).await.unwrap();
    let (path, asked) = booth.asked(1).await;
    assert_eq!(path, "/calls/ID/actions/answer");
    assert_eq!(asked["stream_bidirectional_mode"], "rtp");
    assert_eq!(asked["stream_bidirectional_codec"], "PCMU");
    let mut socket = booth.stream(&asked, "PCMU").await;
    // What answered it is heard.
    let said = socket.json().await;
    let payload = BASE64_STANDARD.decode(said["media"]["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload, Law::Mu.encode(&[1000; 160]));
    let control = Arc::clone(&leg.control);
    assert_eq!(control.answer().await, Ok(()));
    // A number without a flow is turned away.
    booth
        .tell(
            "call.initiated",
            json!({ "direction": "incoming", "call_control_id": "v3:b",
        "to": "+15559999999" }),
        )
        .await;
    let (path, asked) = booth.asked(2).await;
    assert_eq!(
        (path.as_str(), asked),
        ("/calls/v3:b/actions/reject", json!({ "cause": "NOT_FOUND" }))
    );
}

#[tokio::test]
async fn sound_comes_in_the_coding_of_the_telephone_and_in_its_order() {
    for (encoding, law) in [("PCMU", Law::Mu), ("PCMA", Law::A)] {
        let mut booth = Booth::open(|_| {}).await;
        let (mut socket, mut leg) = call(&mut booth, encoding).await;
        for chunk in [1_u64, 3, 2, 4] {
            socket.say(&media(chunk, &law.encode(&[chunk as i16 * 1000; 160]))).await;
        }
        for chunk in 1..=4_i16 {
            let Inbound::Frame(heard) = hear(&mut leg).await else { panic!() };
            assert!((heard.samples[80] - chunk * 1000).abs() < 140, "{encoding} {chunk}");
        }
        socket.say(r##"{"event":"dtmf","stream_id":"32DE","dtmf":{"digit":"#"}}"##).await;
        assert_eq!(hear(&mut leg).await, Inbound::Digit('#'));
        // The other way is PCMU always.
        for sound in [Outbound::Frame(frame(500)), Outbound::Mark(7), Outbound::Clear] {
            leg.outbound.send(sound).await.unwrap();
        }
        let said = socket.json().await;
        let payload = BASE64_STANDARD.decode(said["media"]["payload"].as_str().unwrap()).unwrap();
        assert_eq!((said["event"].as_str(), payload), (Some("media"), Law::Mu.encode(&[500; 160])));
        let mark = socket.json().await;
        assert_eq!(socket.json().await, json!({ "event": "clear" }));
        socket.say(&json!({ "event": "mark", "mark": mark["mark"] }).to_string()).await;
        assert_eq!(hear(&mut leg).await, Inbound::Mark(7));
        booth.tell("call.hangup", json!({ "hangup_cause": "normal_clearing" })).await;
        gone(&mut leg).await;
        assert_eq!(socket.closed().await, Some(1000));
    }
}

#[tokio::test]
async fn a_call_that_telnyx_has_taken_over_is_gone_and_not_hung_up() {
    let to = Destination { kind: "tel".into(), target: "+15550003000".into(), name: None };
    for beside in [false, true] {
        let mut booth = Booth::open(|_| {}).await;
        let (socket, mut leg) = call(&mut booth, "PCMU").await;
        let mut other = booth.rings_by("v3:other").await;
        let (control, arrival, to) = (Arc::clone(&leg.control), other.arrival.clone(), to.clone());
        let handing = tokio::spawn(async move {
            if beside { control.join(&arrival).await } else { control.transfer(&to).await }
        });
        let (path, asked) = booth.asked(2).await;
        if beside {
            assert_eq!(path, "/calls/ID/actions/bridge");
            assert_eq!(asked, json!({ "call_control_id": "v3:other" }));
        }
        // Until then the caller is here.
        leg.outbound.send(Outbound::Clear).await.unwrap();
        booth.tell("call.bridged", json!({ "state": "bridged" })).await;
        assert_eq!(handing.await.unwrap(), Ok(()));
        gone(&mut leg).await;
        if beside {
            gone(&mut other).await;
        }
        drop((leg, other));
        let mut socket = socket;
        while socket.closed().await != Some(1000) {}
        let asked = booth.rest.asked.lock().unwrap().len();
        assert_eq!(asked, if beside { 2 } else { 3 }, "only the one who stayed is turned away");
    }
}

#[tokio::test]
async fn a_call_is_hung_up_turned_away_or_let_go() {
    let mut booth = Booth::open(|_| {}).await;
    let (mut socket, mut leg) = call(&mut booth, "PCMU").await;
    assert_eq!(leg.control.send_digits("1w2#").await, Ok(()));
    let (path, asked) = booth.asked(2).await;
    assert_eq!(
        (path.as_str(), asked),
        ("/calls/ID/actions/send_dtmf", json!({ "digits": "1w2#" }))
    );
    let to = Destination { kind: "tel".into(), target: "+15550003000".into(), name: None };
    let control = Arc::clone(&leg.control);
    let tried = to.clone();
    let transfer = tokio::spawn(async move { control.transfer(&tried).await });
    let (path, asked) = booth.asked(3).await;
    assert_eq!(path, "/calls/ID/actions/transfer");
    let state = &asked["target_leg_client_state"];
    let wanted = json!({ "to": "+15550003000", "from": OURS, "target_leg_client_state": state });
    assert_eq!(asked, wanted);
    // The leg that Telnyx dials tells by its state whose it is; nobody picks up there.
    let there = |more: Value| {
        let mut all = json!({ "call_control_id": "v3:there", "client_state": state });
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    };
    booth.tell("call.initiated", there(json!({ "direction": "outgoing" }))).await;
    booth.tell("call.hangup", there(json!({ "hangup_cause": "user_busy" }))).await;
    let failed = transfer.await.unwrap();
    assert!(matches!(&failed, Err(Unable::Failed(why)) if why.contains("taken")), "{failed:?}");
    booth.rest.reply(422, r#"{"errors":[{"code":"90034","title":"t","detail":"not now"}]}"#);
    let refused = leg.control.transfer(&to).await;
    assert!(matches!(&refused, Err(Unable::Failed(why)) if why.contains("not now")), "{refused:?}");
    booth.rest.reply(422, r#"{"errors":[{"code":"90018","title":"Call has already ended"}]}"#);
    leg.control.hangup(HangupCause::Normal).await.unwrap();
    assert_eq!(booth.asked(5).await.0, "/calls/ID/actions/hangup");
    gone(&mut leg).await;
    assert_eq!(socket.closed().await, Some(1000));
    drop((socket, leg));

    let mut busy = booth.rings_by("v3:busy").await;
    busy.control.hangup(HangupCause::Busy).await.unwrap();
    let (path, asked) = booth.asked(6).await;
    assert_eq!(
        (path.as_str(), asked),
        ("/calls/v3:busy/actions/reject", json!({ "cause": "USER_BUSY" }))
    );
    gone(&mut busy).await;
    drop(busy);

    // Whatever was left of those has ended with the next ones.
    let mut asked = 6;
    let mut counted = Vec::new();
    for call in 0..8 {
        drop(booth.rings_by(&format!("v3:{call}")).await);
        asked += 1;
        assert_eq!(booth.asked(asked).await.0, format!("/calls/v3:{call}/actions/reject"));
        counted.push(tasks());
    }
    assert!(counted[7] <= counted[0] + 2, "{counted:?}");
}

#[tokio::test]
async fn a_stream_needs_its_token_and_its_call() {
    let mut booth = Booth::open(|_| {}).await;
    assert!(booth.socket("/telnyx/media/nonsense").await.is_err());
    let leg = booth.rings().await;
    leg.outbound.send(Outbound::Frame(frame(1))).await.unwrap();
    let (_, asked) = booth.asked(1).await;
    let mut silent = booth.stream(&asked, "OPUS").await;
    assert_eq!(silent.closed().await, Some(1003));
    let path = asked["stream_url"].as_str().unwrap().replace("wss://voice.example.com", "");
    let mut other = booth.socket(&path).await.unwrap();
    other.say(r#"{"event":"start","start":{"call_control_id":"v3:other"}}"#).await;
    assert_eq!(other.closed().await, None);
    let mut rubbish = booth.socket(&path).await.unwrap();
    rubbish.say("hello").await;
    assert_eq!(rubbish.closed().await, Some(1008));
    let mut mine = booth.stream(&asked, "PCMU").await;
    assert_eq!(mine.json().await["event"], "media");
}

#[tokio::test]
async fn a_stream_that_is_lost_is_asked_for_again() {
    let mut booth = Booth::open(|_| {}).await;
    let (socket, mut leg) = call(&mut booth, "PCMU").await;
    leg.outbound.send(Outbound::Mark(9)).await.unwrap();
    let mut socket = socket;
    assert_eq!(socket.json().await["event"], "mark");
    drop(socket);
    let (path, asked) = booth.asked(2).await;
    assert_eq!(path, "/calls/ID/actions/streaming_start");
    assert_eq!(hear(&mut leg).await, Inbound::Mark(9));
    let mut socket = booth.stream(&asked, "PCMU").await;
    leg.outbound.send(Outbound::Frame(frame(700))).await.unwrap();
    assert_eq!(socket.json().await["event"], "media");
    // One that does not come back is gone.
    drop(socket);
    gone(&mut leg).await;
    assert_eq!(booth.asked(4).await.0, "/calls/ID/actions/hangup");
}

#[tokio::test]
async fn a_dial_becomes_a_leg_when_somebody_picks_up() {
    let booth = Booth::open(|_| {}).await;
    let (mut ringing, asked) = dials(&booth, wanted()).await;
    assert_eq!((asked["to"].as_str(), asked["from"].as_str()), (Some(PEER), Some(OURS)));
    assert_eq!(asked["connection_id"], "1494404757140276705");
    assert_eq!(asked["timeout_secs"], 20);
    assert_eq!(asked["webhook_url"], "https://voice.example.com/telnyx/webhook");
    assert!(asked.get("privacy").is_none() && asked.get("answering_machine_detection").is_none());
    let state = json!({ "direction": "outgoing", "client_state": asked["client_state"] });
    booth.tell("call.initiated", state.clone()).await;
    assert!(matches!(ringing.next().await, Progress::Ringing));
    // The stream may come before or after the answer.
    booth.tell("call.answered", state).await;
    let mut socket = booth.stream(&asked, "PCMU").await;
    let Progress::Answered(Some(mut leg)) = ringing.next().await else { panic!() };
    drop(ringing);
    assert_eq!((leg.arrival.from.as_str(), leg.arrival.to.as_str()), (OURS, PEER));
    leg.outbound.send(Outbound::Frame(frame(700))).await.unwrap();
    assert_eq!(socket.json().await["event"], "media");
    assert!(leg.control.picked_up().await.is_err());
    booth.tell("call.hangup", json!({ "hangup_cause": "normal_clearing" })).await;
    gone(&mut leg).await;
}

#[tokio::test]
async fn early_media_and_who_picked_up_are_told() {
    let booth = Booth::open(|_| {}).await;
    let hidden = Wanted { anonymous: true, detect_machine: true, ..wanted() };
    let (mut ringing, asked) = dials(&booth, hidden).await;
    assert_eq!(
        (&asked["privacy"], &asked["answering_machine_detection"]),
        (&json!("id"), &json!("detect"))
    );
    let mut socket = booth.stream(&asked, "PCMA").await;
    let Progress::EarlyMedia(mut leg) = ringing.next().await else { panic!() };
    socket.say(&media(1, &Law::A.encode(&[900; 160]))).await;
    assert!(matches!(hear(&mut leg).await, Inbound::Frame(_)));
    booth.tell("call.answered", json!({})).await;
    assert!(matches!(ringing.next().await, Progress::Answered(None)));
    let control = Arc::clone(&leg.control);
    let who = tokio::spawn(async move { control.picked_up().await });
    booth.tell("call.machine.detection.ended", json!({ "result": "machine" })).await;
    assert_eq!(who.await.unwrap(), Ok(Picked::Machine));
    drop(leg);
    assert_eq!(booth.asked(2).await.0, "/calls/ID/actions/hangup");
}

#[tokio::test]
async fn a_dial_that_reaches_nobody_says_why_and_one_that_is_not_wanted_is_cancelled() {
    for (cause, how) in [
        ("user_busy", Dialled::Busy),
        ("timeout", Dialled::NoAnswer),
        ("call_rejected", Dialled::Rejected),
        ("not_found", Dialled::Failed),
    ] {
        let booth = Booth::open(|_| {}).await;
        let (mut ringing, _) = dials(&booth, wanted()).await;
        booth.tell("call.hangup", json!({ "hangup_cause": cause, "sip_hangup_cause": "0" })).await;
        let Progress::Ended(end) = ringing.next().await else { panic!() };
        assert_eq!(end.how, how, "{}", end.why);
    }
    let booth = Booth::open(|_| {}).await;
    let (ringing, _) = dials(&booth, wanted()).await;
    drop(ringing);
    assert_eq!(booth.asked(2).await.0, "/calls/ID/actions/hangup");
    booth.rest.reply(422, r#"{"errors":[{"code":"10015","title":"t","detail":"invalid number"}]}"#);
    let refused = booth.telnyx.dial(wanted()).await.unwrap_err();
    assert!(refused.how == Dialled::Failed && refused.why.contains("invalid number"), "{refused}");
    let poor = Booth::open(|settings| settings.connection_id = None).await;
    assert!(!poor.telnyx.reaches(&wanted().to));
    assert!(poor.telnyx.dial(wanted()).await.is_err());
}
