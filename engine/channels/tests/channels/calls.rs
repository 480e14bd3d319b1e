//! Calls: ringing, the media stream, dials, ends of every kind.

use std::time::Duration;

use audio::Frame;
use audio::g711::Law;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use call::leg::Unable;
use call::{Destination, Dial, Dialled, HangupCause, Inbound, Leg, Outbound};
use tokio::time::timeout;

use crate::house::{ACCOUNT, CALL, House, OURS, PEER, SOON, Socket, start, tasks, token, until};

fn media(bytes: &[u8]) -> String {
    let payload = BASE64_STANDARD.encode(bytes);
    format!(
        r#"{{"event":"media","sequenceNumber":"2","streamSid":"MZ1","media":{{"track":"inbound","chunk":"1","timestamp":"0","payload":"{payload}"}}}}"#
    )
}

async fn hear(leg: &mut Leg) -> Inbound {
    timeout(SOON, leg.inbound.recv()).await.expect("nothing came").unwrap()
}

async fn gone(leg: &mut Leg) {
    while hear(leg).await != Inbound::Gone {}
    assert_eq!(leg.inbound.recv().await, None);
}

async fn call(house: &mut House) -> (Socket, Leg) {
    let token = house.ring().await;
    let socket = house.stream(&token).await;
    (socket, house.leg().await)
}

fn dial() -> Dial {
    let to = |kind: &str, target: &str| Destination {
        kind: kind.into(),
        target: target.into(),
        name: None,
    };
    Dial {
        destinations: vec![to("tel", "+15550003000"), to("sip", "sip:desk@example.com")],
        source: None,
        ring: Duration::from_secs(20),
        early_media: false,
        anonymous: false,
        music: None,
        announce: None,
        end_on: String::new(),
    }
}

#[tokio::test]
async fn a_call_is_answered_with_a_stream_and_an_unknown_number_with_words() {
    let house = House::open().await;
    let form = [("CallSid", CALL), ("From", PEER), ("To", OURS)];
    let (status, answer) = house.post("/twilio/voice", &form).await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
             <Connect action=\"https://voice.example.com/twilio/streamed\">\
             <Stream url=\"wss://voice.example.com/twilio/media\">\
             <Parameter name=\"token\" value=\"{}\" /></Stream></Connect></Response>",
            token(&answer)
        )
    );
    let unknown = [("CallSid", CALL), ("From", PEER), ("To", "+15559999999")];
    let (status, answer) = house.post("/twilio/voice", &unknown).await;
    assert_eq!(status, 200);
    assert!(answer.contains("<Say>This number is not configured"), "{answer}");
    assert!(answer.ends_with("<Hangup /></Response>"), "{answer}");
    *house.desk.busy.lock().unwrap() = true;
    let another = [("CallSid", "CA0busy"), ("From", PEER), ("To", OURS)];
    let (_, answer) = house.post("/twilio/voice", &another).await;
    assert!(answer.contains("<Say>All our lines are busy"), "{answer}");
    *house.desk.busy.lock().unwrap() = false;
    // A webhook that is repeated gets the same answer, another one another.
    let repeated = [("I-Twilio-Idempotency-Token", "t1")];
    let first = house.post_with("/twilio/voice", &form, &repeated).await;
    assert_eq!(house.post_with("/twilio/voice", &form, &repeated).await, first);
    let other = [("I-Twilio-Idempotency-Token", "t2")];
    assert_ne!(house.post_with("/twilio/voice", &form, &other).await, first);
}

#[tokio::test]
async fn a_stream_may_come_to_another_process_than_its_webhook() {
    let (one, mut other) = (House::open().await, House::open().await);
    let token = one.ring().await;
    let mut changed = token.clone();
    changed.replace_range(..1, if token.starts_with('f') { "e" } else { "f" });
    assert_eq!(other.stream(&changed).await.closed().await, Some(1008));
    let socket = other.stream(&token).await;
    let leg = other.leg().await;
    assert_eq!(leg.arrival.carrier_id, CALL);
    assert_eq!((leg.arrival.from.as_str(), leg.arrival.to.as_str()), (PEER, OURS));
    // Once, also there, and also when the call is over.
    assert_eq!(other.stream(&token).await.closed().await, Some(1008));
    drop((socket, leg));
    assert_eq!(other.stream(&token).await.closed().await, Some(1008));
}

#[tokio::test]
async fn a_stream_needs_a_token_that_is_good_once() {
    let mut house = House::open().await;
    let token = house.ring().await;
    assert_eq!(house.stream("nonsense").await.closed().await, Some(1008));
    let socket = house.stream(&token).await;
    let leg = house.leg().await;
    assert_eq!(leg.arrival.carrier_id, CALL);
    assert_eq!((leg.arrival.from.as_str(), leg.arrival.to.as_str()), (PEER, OURS));
    assert_eq!((leg.arrival.carrier.as_str(), leg.rate), ("twilio", 8000));
    assert_eq!(house.stream(&token).await.closed().await, Some(1008));
    // A call has one stream.
    let second = house.ring().await;
    assert_eq!(house.stream(&second).await.closed().await, Some(1008));
    drop((socket, leg));
}

#[tokio::test]
async fn sound_keys_and_marks_go_both_ways() {
    let mut house = House::open().await;
    let (mut socket, mut leg) = call(&mut house).await;
    // Any cadence becomes 20 ms.
    let sound: Vec<u8> = (0..480).map(|n| n as u8).collect();
    for piece in [&sound[..7], &sound[7..400], &sound[400..]] {
        socket.say(&media(piece)).await;
    }
    let expected = Law::Mu.decode(&sound);
    for samples in expected.chunks(160) {
        let frame = Frame { rate: 8000, samples: samples.to_vec() };
        assert_eq!(hear(&mut leg).await, Inbound::Frame(frame));
    }
    socket.say(r##"{"event":"dtmf","dtmf":{"track":"inbound_track","digit":"#"}}"##).await;
    assert_eq!(hear(&mut leg).await, Inbound::Digit('#'));
    // The other way.
    let frame = Frame { rate: 8000, samples: expected[..160].to_vec() };
    for sound in [Outbound::Frame(frame), Outbound::Mark(7), Outbound::Clear, Outbound::Mark(8)] {
        leg.outbound.send(sound).await.unwrap();
    }
    let said = socket.json().await;
    assert_eq!((said["event"].as_str(), said["streamSid"].as_str()), (Some("media"), Some("MZ1")));
    let payload = BASE64_STANDARD.decode(said["media"]["payload"].as_str().unwrap()).unwrap();
    assert_eq!(Law::Mu.decode(&payload), expected[..160]);
    let mark = socket.json().await;
    assert_eq!(mark["event"], "mark");
    assert_eq!(socket.json().await, serde_json::json!({ "event": "clear", "streamSid": "MZ1" }));
    let other = socket.json().await["mark"]["name"].as_str().unwrap().to_owned();
    // Foreign names and repetitions mean nothing.
    for name in ["m99", "resp-1", "", mark["mark"]["name"].as_str().unwrap()] {
        socket.say(&format!(r#"{{"event":"mark","mark":{{"name":"{name}"}}}}"#)).await;
    }
    assert_eq!(hear(&mut leg).await, Inbound::Mark(7));
    socket.say(&format!(r#"{{"event":"mark","mark":{}}}"#, mark["mark"])).await;
    socket.say(&format!(r#"{{"event":"mark","mark":{{"name":"{other}"}}}}"#)).await;
    assert_eq!(hear(&mut leg).await, Inbound::Mark(8));
    socket.say(r#"{"event":"stop","streamSid":"MZ1","stop":{"callSid":"CA1"}}"#).await;
    gone(&mut leg).await;
    assert_eq!(socket.closed().await, Some(1000));
}

#[tokio::test]
async fn a_call_that_does_not_listen_loses_sound_but_no_key() {
    let mut house = House::open().await;
    let (mut socket, mut leg) = call(&mut house).await;
    for _ in 0..100 {
        socket.say(&media(&[0xFF; 160])).await;
    }
    socket.say(r#"{"event":"dtmf","dtmf":{"digit":"1"}}"#).await;
    socket.say(r#"{"event":"dtmf","dtmf":{"digit":"2"}}"#).await;
    // A mark's echo proves that all before it was read.
    leg.outbound.send(Outbound::Mark(1)).await.unwrap();
    let mark = socket.json().await["mark"].clone();
    socket.say(&format!(r#"{{"event":"mark","mark":{mark}}}"#)).await;
    socket.say(&media(&[0xFF; 160])).await;
    let (mut frames, mut rest) = (0, Vec::new());
    while rest.len() < 3 {
        match hear(&mut leg).await {
            Inbound::Frame(_) => {
                frames += 1;
                // Sound goes on, and brings what waits.
                socket.say(&media(&[0xFF; 160])).await;
            }
            other => rest.push(other),
        }
    }
    assert!((64..150).contains(&frames), "{frames}");
    assert_eq!(rest, [Inbound::Digit('1'), Inbound::Digit('2'), Inbound::Mark(1)]);
}

#[tokio::test]
async fn streams_that_misbehave_are_closed() {
    let mut house = House::open().await;
    // Before the start.
    for text in ["hello", "[]", &media(&[1]), r#"{"event":"start"}"#] {
        let mut socket = house.socket("/twilio/media", &[]).await;
        socket.say(text).await;
        assert_eq!(socket.closed().await, Some(1008), "{text}");
    }
    let mut socket = house.socket("/twilio/media", &[]).await;
    socket.give(&[1, 2, 3]).await;
    assert_eq!(socket.closed().await, Some(1003));
    // No start at all.
    let mut socket = house.socket("/twilio/media", &[]).await;
    assert_eq!(socket.closed().await, Some(1008));
    // Sound that is no mu-law.
    let token = house.ring().await;
    let mut socket = house.socket("/twilio/media", &[]).await;
    socket.say(&start(&token).replace("audio/x-mulaw", "audio/opus")).await;
    assert_eq!(socket.closed().await, Some(1003));
    // In a call.
    for (text, code) in [("{", 1008), (r#"{"event":"media","media":{"payload":"%"}}"#, 1008)] {
        let (mut socket, mut leg) = call(&mut house).await;
        socket.say(text).await;
        assert_eq!(socket.closed().await, Some(code));
        gone(&mut leg).await;
        // Its place is free once it is over.
        until_free(&house).await;
    }
    let (mut socket, mut leg) = call(&mut house).await;
    socket.give(&[0; 160]).await;
    assert_eq!(socket.closed().await, Some(1003));
    gone(&mut leg).await;
    until_free(&house).await;
    let (mut socket, mut leg) = call(&mut house).await;
    // The server closes while this is still being written.
    let _ = futures_util::SinkExt::send(
        &mut socket.0,
        tokio_tungstenite::tungstenite::Message::text("x".repeat(2 * 1024 * 1024)),
    )
    .await;
    gone(&mut leg).await;
}

/// Waits until the last call has ended for good: then a hangup by Twilio finds nobody.
async fn until_free(house: &House) {
    timeout(SOON, async {
        loop {
            let form = [("CallSid", CALL), ("DialCallStatus", "completed")];
            let (_, answer) = house.post("/twilio/dialed", &form).await;
            if answer.contains("<Hangup />") {
                return;
            }
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn half_open_sockets_are_noticed() {
    for (ping, silence) in [(100, 60_000), (60_000, 300)] {
        let mut house = House::with(|settings| {
            settings.limits.ping = Duration::from_millis(ping);
            settings.limits.silence = Duration::from_millis(silence);
        })
        .await;
        // This socket is open, but nobody reads it: no pong, no sound.
        let (_socket, mut leg) = call(&mut house).await;
        gone(&mut leg).await;
    }
    // One that answers pings and brings sound stays.
    let mut house = House::with(|settings| {
        settings.limits.ping = Duration::from_millis(50);
        settings.limits.silence = Duration::from_millis(400);
    })
    .await;
    let (mut socket, mut leg) = call(&mut house).await;
    for _ in 0..30 {
        socket.say(&media(&[0xFF; 160])).await;
        let _ = timeout(Duration::from_millis(30), socket.hear()).await;
        assert!(matches!(hear(&mut leg).await, Inbound::Frame(_)));
    }
    // A socket that is dropped without a word is noticed at once.
    drop(socket);
    gone(&mut leg).await;
}

#[tokio::test]
async fn a_stream_that_is_lost_is_replaced_and_the_leg_goes_on() {
    let mut house = House::with(|settings| settings.limits.lost = SOON).await;
    let (socket, mut leg) = call(&mut house).await;
    let form = [("CallSid", CALL), ("CallStatus", "in-progress")];
    // Its end is seen here first, then by Twilio first.
    let mut old = Some(socket);
    for seen in [true, false] {
        leg.outbound.send(Outbound::Mark(1)).await.unwrap();
        assert_eq!(old.as_mut().unwrap().json().await["event"], "mark");
        let kept = old.take().filter(|_| !seen);
        if seen {
            // What was not played will not be.
            assert_eq!(hear(&mut leg).await, Inbound::Mark(1));
            // What is said meanwhile waits.
            leg.outbound.send(Outbound::Mark(2)).await.unwrap();
        }
        let (status, answer) = house.post("/twilio/streamed", &form).await;
        assert_eq!(status, 200);
        let mut new = house.stream(&token(&answer)).await;
        if seen {
            let mark = new.json().await["mark"].clone();
            new.say(&format!(r#"{{"event":"mark","mark":{mark}}}"#)).await;
            assert_eq!(hear(&mut leg).await, Inbound::Mark(2));
        } else {
            assert_eq!(hear(&mut leg).await, Inbound::Mark(1));
        }
        new.say(&media(&[0xFF; 160])).await;
        assert!(matches!(hear(&mut leg).await, Inbound::Frame(_)));
        drop(kept);
        old = Some(new);
    }
    // The call is hung up while its stream is lost: nothing follows.
    drop(old);
    leg.control.hangup(HangupCause::Normal).await.unwrap();
    gone(&mut leg).await;
    let (_, answer) = house.post("/twilio/streamed", &form).await;
    assert!(answer.ends_with("<Response><Hangup /></Response>"), "{answer}");
}

#[tokio::test]
async fn what_follows_a_stream_depends_on_who_knows_the_call() {
    let mut poor = House::with(|settings| settings.account_sid = String::new()).await;
    let form = [("CallSid", CALL), ("CallStatus", "in-progress")];
    // Nobody: another process had it.
    let (_, answer) = poor.post("/twilio/streamed", &form).await;
    assert!(answer.contains("<Say>Sorry"), "{answer}");
    assert!(answer.ends_with("<Hangup /></Response>"), "{answer}");
    // We ended it, by closing its stream; Twilio asks as soon as it is closed.
    let (mut socket, mut leg) = call(&mut poor).await;
    leg.control.hangup(HangupCause::Normal).await.unwrap();
    assert!(matches!(socket.hear().await, Err(Some(1000))));
    let (_, answer) = poor.post("/twilio/streamed", &form).await;
    assert!(answer.ends_with("<Response><Hangup /></Response>"), "{answer}");
    gone(&mut leg).await;
    // The caller hung up while the stream was being replaced.
    let mut house = House::with(|settings| settings.limits.lost = SOON).await;
    let (socket, mut leg) = call(&mut house).await;
    drop(socket);
    let over = [("CallSid", CALL), ("CallStatus", "completed")];
    let (_, answer) = house.post("/twilio/streamed", &over).await;
    assert!(answer.ends_with("<Response />"), "{answer}");
    gone(&mut leg).await;
}

#[tokio::test]
async fn a_hangup_ends_the_call_by_rest_and_closes_the_stream() {
    let mut house = House::open().await;
    for (status, body) in [
        (200, "{}"),
        (404, r#"{"code":20404,"message":"not found"}"#),
        (400, r#"{"code":21220,"message":"not in progress"}"#),
        (500, "broken"),
    ] {
        house.rest.asked.lock().unwrap().clear();
        house.rest.reply(status, body);
        let (mut socket, mut leg) = call(&mut house).await;
        leg.control.answer().await.unwrap();
        leg.control.hangup(HangupCause::Normal).await.unwrap();
        assert_eq!(socket.closed().await, Some(1000));
        gone(&mut leg).await;
        let asked = house.rest.wait(1).await.remove(0);
        assert_eq!(asked.path, format!("/2010-04-01/Accounts/{ACCOUNT}/Calls/{CALL}.json"));
        assert_eq!(asked.get("Status"), "completed");
        until_free(&house).await;
    }
    // Without credentials the end of the stream must do.
    let mut poor = House::with(|settings| settings.account_sid = String::new()).await;
    let (mut socket, mut leg) = call(&mut poor).await;
    assert!(leg.control.connect(dial()).await.unwrap_err().contains("TWILIO_ACCOUNT_SID"));
    leg.control.hangup(HangupCause::Normal).await.unwrap();
    assert_eq!(socket.closed().await, Some(1000));
    gone(&mut leg).await;
    assert!(poor.rest.asked.lock().unwrap().is_empty());
    // A leg that is simply dropped is hung up too.
    let (mut socket, leg) = call(&mut house).await;
    house.rest.asked.lock().unwrap().clear();
    drop(leg);
    assert_eq!(socket.closed().await, Some(1000));
    assert_eq!(house.rest.wait(1).await[0].get("Status"), "completed");
}

#[tokio::test]
async fn a_dial_takes_the_caller_away_and_brings_him_back() {
    let mut house = House::open().await;
    let (socket, mut leg) = call(&mut house).await;
    let mut socket = Some(socket);
    for (status, extra, end) in [
        ("completed", "200", Dialled::AnsweredAndDone),
        ("busy", "", Dialled::Busy),
        ("no-answer", "", Dialled::NoAnswer),
        ("failed", "603", Dialled::Rejected),
        ("failed", "", Dialled::Failed),
    ] {
        house.rest.asked.lock().unwrap().clear();
        house.rest.reply(200, "{}");
        let control = leg.control.clone();
        let dialing = tokio::spawn(async move { control.connect(dial()).await });
        let asked = house.rest.wait(1).await.remove(0);
        assert_eq!(asked.path, format!("/2010-04-01/Accounts/{ACCOUNT}/Calls/{CALL}.json"));
        assert_eq!(
            asked.get("Twiml"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
             <Dial action=\"https://voice.example.com/twilio/dialed\" callerId=\"+15550001000\" \
             timeout=\"20\"><Number>+15550003000</Number><Sip>sip:desk@example.com</Sip></Dial>\
             </Response>"
        );
        // The redirect ends the stream, by a stop or, as it happens, without.
        let mut old = socket.take().unwrap();
        if status == "busy" {
            old.0.close(None).await.unwrap();
        } else {
            old.say(r#"{"event":"stop","streamSid":"MZ1"}"#).await;
        }
        // Nobody hears what is said meanwhile, and nobody waits for it.
        leg.outbound.send(Outbound::Mark(5)).await.unwrap();
        assert_eq!(hear(&mut leg).await, Inbound::Mark(5));
        let form = [
            ("CallSid", CALL),
            ("CallStatus", "in-progress"),
            ("DialCallStatus", status),
            ("DialSipResponseCode", extra),
        ];
        let (code, answer) = house.post("/twilio/dialed", &form).await;
        assert_eq!(code, 200);
        assert!(!dialing.is_finished());
        let mut new = house.stream(&token(&answer)).await;
        assert_eq!(timeout(SOON, dialing).await.unwrap().unwrap(), Ok(end));
        // The same leg goes on.
        new.say(&media(&[0xFF; 160])).await;
        assert!(matches!(hear(&mut leg).await, Inbound::Frame(_)));
        leg.outbound.send(Outbound::Clear).await.unwrap();
        assert_eq!(new.json().await["event"], "clear");
        socket = Some(new);
    }
    // A dial that Twilio does not take leaves the stream as it is.
    house.rest.reply(400, r#"{"code":21220,"message":"not in progress"}"#);
    let why = leg.control.connect(dial()).await.unwrap_err();
    assert!(why.contains("21220"), "{why}");
    leg.outbound.send(Outbound::Clear).await.unwrap();
    assert_eq!(socket.as_mut().unwrap().json().await["event"], "clear");
    drop(socket);
    gone(&mut leg).await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_during_a_dial_is_gone() {
    for door in ["dialed", "status", "nothing"] {
        let mut house = House::with(|settings| {
            settings.limits.back = Duration::from_millis(200);
        })
        .await;
        let (mut socket, mut leg) = call(&mut house).await;
        let control = leg.control.clone();
        let dialing = tokio::spawn(async move { control.connect(dial()).await });
        house.rest.wait(1).await;
        socket.say(r#"{"event":"stop","streamSid":"MZ1"}"#).await;
        match door {
            "dialed" => {
                let form = [
                    ("CallSid", CALL),
                    ("CallStatus", "completed"),
                    ("DialCallStatus", "canceled"),
                ];
                let (_, answer) = house.post("/twilio/dialed", &form).await;
                assert!(answer.ends_with("<Response />"), "{answer}");
            }
            "status" => {
                let form = [("CallSid", CALL), ("CallStatus", "completed")];
                assert_eq!(house.post("/twilio/status", &form).await.0, 204);
            }
            _ => {
                // The dial ends, and the caller does not come back.
                let form = [("CallSid", CALL), ("DialCallStatus", "no-answer")];
                assert_eq!(house.post("/twilio/dialed", &form).await.0, 200);
            }
        }
        gone(&mut leg).await;
        assert!(timeout(SOON, dialing).await.unwrap().unwrap().is_err());
    }
}

#[tokio::test]
async fn a_dial_that_nobody_waits_for_is_taken_back() {
    let mut house = House::open().await;
    let (mut socket, mut leg) = call(&mut house).await;
    let control = leg.control.clone();
    let dialing = tokio::spawn(async move { control.connect(dial()).await });
    house.rest.wait(1).await;
    socket.say(r#"{"event":"stop","streamSid":"MZ1"}"#).await;
    dialing.abort();
    let asked = house.rest.wait(2).await.remove(1);
    let mut new = house.stream(&token(asked.get("Twiml"))).await;
    leg.outbound.send(Outbound::Clear).await.unwrap();
    assert_eq!(new.json().await["event"], "clear");
    // The end of the call as Twilio tells it.
    let form = [("CallSid", CALL), ("CallStatus", "completed")];
    assert_eq!(house.post("/twilio/status", &form).await.0, 204);
    gone(&mut leg).await;
    assert_eq!(new.closed().await, Some(1000));
}

#[tokio::test]
async fn nothing_is_left_of_a_call() {
    let mut house = House::open().await;
    // The connection to Twilio has tasks too, and is kept.
    let (socket, mut leg) = call(&mut house).await;
    leg.control.hangup(HangupCause::Normal).await.unwrap();
    drop(socket);
    gone(&mut leg).await;
    drop(leg);
    until_free(&house).await;
    let before = settled().await;
    for n in 0..10 {
        let (mut socket, mut leg) = call(&mut house).await;
        match n % 3 {
            0 => {}
            1 => socket.say("nonsense").await,
            _ => leg.control.hangup(HangupCause::Normal).await.unwrap(),
        }
        drop(socket);
        gone(&mut leg).await;
        drop(leg);
        until_free(&house).await;
        let mut unclaimed = house.socket("/twilio/media", &[]).await;
        unclaimed.say("nonsense").await;
    }
    until(|| tasks() <= before).await;
}

/// The count of tasks once it does not change any more.
async fn settled() -> usize {
    let mut count = tasks();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = tasks();
        if now == count {
            return count;
        }
        count = now;
    }
}

#[tokio::test]
async fn a_call_is_handed_over_to_somebody_else() {
    let mut house = House::open().await;
    let (mut socket, mut leg) = call(&mut house).await;
    let to = |kind: &str, target: &str| Destination {
        kind: kind.into(),
        target: target.into(),
        name: None,
    };
    // What Twilio does not take leaves the call as it is.
    house.rest.reply(400, r#"{"code":21220,"message":"not in progress"}"#);
    for (to, why) in [(to("tel", "+15550003000"), "21220"), (to("agent", "7"), "agent")] {
        let refused = leg.control.transfer(&to).await;
        assert!(matches!(&refused, Err(Unable::Failed(said)) if said.contains(why)), "{refused:?}");
    }
    leg.outbound.send(Outbound::Clear).await.unwrap();
    assert_eq!(socket.json().await["event"], "clear");
    house.rest.asked.lock().unwrap().clear();
    house.rest.reply(200, "{}");
    leg.control.transfer(&to("tel", "+15550003000")).await.unwrap();
    let asked = house.rest.wait(1).await.remove(0);
    assert_eq!(asked.path, format!("/2010-04-01/Accounts/{ACCOUNT}/Calls/{CALL}.json"));
    assert_eq!(
        asked.get("Twiml"),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
         <Dial callerId=\"+15550001000\"><Number>+15550003000</Number></Dial></Response>"
    );
    // Here the call is over, and nobody hangs it up.
    gone(&mut leg).await;
    assert_eq!(socket.closed().await, Some(1000));
    drop(leg);
    until_free(&house).await;
    assert_eq!(house.rest.asked.lock().unwrap().len(), 1);
}
