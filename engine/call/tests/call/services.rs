//! What actions ask of a call by their own names.

use std::sync::Arc;
use std::time::Duration;

use audio::{Frame, dtmf};
use call::room::Rooms;
use call::waiting::Waiting;
use call::{HangupCause, Inbound, Means, Picked};
use flow::{Deed, Event};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::phone::{Marks, Phone, Seen};
use crate::vendors::{Habit, Shelf, Studio};

fn phone() -> Phone {
    Phone::call(Arc::new(Studio(Vec::new())), Arc::new(Shelf), Marks::Answered)
}

fn service(name: &str, option: Value) -> Deed {
    Deed::Service { name: name.into(), option }
}

#[tokio::test(start_paused = true)]
async fn an_echo_lasts_as_long_as_it_was_asked_to() {
    let mut phone = phone();
    phone.order("1", service("echo", json!({ "duration_s": 1.5 }))).await;
    sleep(Duration::from_millis(10)).await;
    for _ in 0..10 {
        let frame = Frame { rate: 8000, samples: vec![321; 160] };
        phone.caller.send(Inbound::Frame(frame)).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(phone.exit("1").await, "done");
    assert_eq!((phone.now(), phone.heard().len()), (1500, 10));
    assert!(phone.record.lock().unwrap().iter().all(|(_, seen)| *seen == Seen::Frame(321)));
}

/// A caller who says this sample and is in the room; the far side has said its own for a while.
fn caller_of(rooms: &Rooms) -> Phone {
    let means = Means {
        vendors: Arc::new(Studio(Vec::new())),
        library: Arc::new(Shelf),
        dialers: Arc::new([]),
        recordings: None,
        rooms: rooms.of("a tenant"),
        waiting: Waiting::default(),
    };
    Phone::by(means, Marks::Answered)
}

/// Says a sample for so many frames.
async fn say(phone: &Phone, sample: i16, frames: usize) {
    for _ in 0..frames {
        let frame = Frame { rate: 8000, samples: vec![sample; 160] };
        phone.caller.send(Inbound::Frame(frame)).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
}

/// The last sample that the caller has heard.
fn last(phone: &Phone) -> i16 {
    let record = phone.record.lock().unwrap();
    let mut frames = record.iter().rev().filter_map(|(_, seen)| match seen {
        Seen::Frame(sample) => Some(*sample),
        _ => None,
    });
    frames.next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_conference_hear_each_other_but_not_one_who_is_mute() {
    let rooms = Rooms::default();
    let mut phones = [caller_of(&rooms), caller_of(&rooms), caller_of(&rooms)];
    let alone = caller_of(&rooms);
    phones[2].order("0", service("mute", json!({}))).await;
    assert_eq!(phones[2].exit("0").await, "done");
    for phone in &phones {
        phone.order("1", service("join_conference", json!({ "conference": "team" }))).await;
    }
    alone.order("1", service("join_bridge", json!({ "bridge": "team" }))).await;
    let [anna, ben, carl] = &phones;
    tokio::join!(say(anna, 1000, 30), say(ben, 300, 30), say(carl, 50, 30), say(&alone, 7, 30));
    // The waves of the resampler have settled.
    let near = |heard: i16, said: i16| (heard - said).abs() <= said / 50 + 1;
    assert!(near(last(anna), 300), "{}", last(anna));
    assert!(near(last(ben), 1000), "{}", last(ben));
    assert!(near(last(carl), 1300), "{}", last(carl));
    assert_eq!(last(&alone), 0);
    // Who leaves goes on with the flow, and is heard no more.
    phones[0].order("stop", Deed::StopService).await;
    assert_eq!(phones[0].exit("stop").await, "done");
    assert_eq!(phones[0].exit("1").await, "done");
    let [_, ben, carl] = &phones;
    tokio::join!(say(ben, 300, 30), say(carl, 50, 30));
    assert!(near(last(carl), 300) && last(ben) == 0, "{} {}", last(carl), last(ben));
}

#[tokio::test(start_paused = true)]
async fn keys_are_tones_where_the_carrier_has_no_other_way() {
    let mut phone = phone();
    let keys = json!({ "digits": "59#", "duration_ms": 200, "interval_ms": 100 });
    phone.order("1", service("send_digits", keys)).await;
    assert_eq!(phone.exit("1").await, "done");
    // Three times 300 ms, all of them heard.
    assert_eq!(phone.heard().len(), 45);
    let middles: Vec<i16> = {
        let record = phone.record.lock().unwrap();
        record
            .iter()
            .filter_map(|(_, seen)| match seen {
                Seen::Frame(sample) => Some(*sample),
                _ => None,
            })
            .collect()
    };
    let made: Vec<i16> = "59#".chars().flat_map(|key| dtmf::tone(key, 8000, 200, 100)).collect();
    let expected: Vec<i16> = made.chunks(160).map(|frame| frame[80]).collect();
    assert_eq!(middles, expected);
}

#[tokio::test(start_paused = true)]
async fn what_a_call_cannot_do_fails_with_a_reason() {
    let mut phone = phone();
    for (name, option, said) in [
        (
            "detect_machine",
            json!({ "on_machine": "continue", "wait": true }),
            "this carrier cannot",
        ),
        ("echo", json!({}), "duration_s"),
        ("join_queue", json!({ "queue": "sales" }), "`sales`"),
        ("fly", json!({}), "`fly`"),
    ] {
        phone.order(name, service(name, option)).await;
        let Event::Done { exit, why, .. } = phone.event().await else { panic!() };
        assert!(exit == "failed" && why.contains(said), "{name}: {exit} {why}");
    }
    phone.caller.send(Inbound::Gone).await.unwrap();
    assert_eq!(phone.hung_up().await, HangupCause::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_handed_over_or_goes_on() {
    let mut phone = phone();
    let to = |target: &str| {
        json!({
        "destination": { "type": "tel", "target": target }, "attended": false, "announce": null,
        "accept_on": "", "music": null, "ring_s": 30 })
    };
    phone.order("1", service("transfer_call", to(""))).await;
    let Event::Done { exit, why, .. } = phone.event().await else { panic!() };
    assert_eq!((exit.as_str(), why.as_str()), ("failed", "nobody answers"));
    phone.order("2", service("transfer_call", to("+15550003000"))).await;
    let record = Arc::clone(&phone.record);
    assert_eq!(phone.hung_up().await, HangupCause::Normal);
    let record = record.lock().unwrap();
    assert!(record.iter().any(|(_, seen)| *seen == Seen::Transfer("+15550003000".into())));
}

#[tokio::test(start_paused = true)]
async fn a_flow_goes_on_while_it_is_found_out_who_picked_up() {
    let mut phone = phone();
    phone.picked.send_replace(Some(None));
    let option = json!({ "on_machine": "hangup", "wait": false });
    phone.order("1", service("detect_machine", option)).await;
    assert_eq!(phone.exit("1").await, "done");
    // A little later it is known, and a machine is hung up on.
    sleep(Duration::from_secs(3)).await;
    assert!(phone.acts().is_empty());
    phone.picked.send_replace(Some(Some(Picked::Machine)));
    let record = Arc::clone(&phone.record);
    assert_eq!(phone.hung_up().await, HangupCause::Normal);
    let record = record.lock().unwrap();
    assert!(record.iter().any(|(_, seen)| matches!(seen, Seen::Hangup(_))));
}

#[tokio::test(start_paused = true)]
async fn a_recording_holds_both_sides_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::keeping(
        Arc::new(Studio(vec![Habit::Speaks(8000)])),
        Arc::new(Shelf),
        Marks::Answered,
        Arc::new([]),
        Some(folder.path().into()),
    );
    let start = json!({ "format": "wav", "silence_s": 0, "finish_on": "", "max_s": 0,
        "beep": false, "on_end": null });
    phone.order("r1/rec/1/1", service("start_recording", start.clone())).await;
    let Event::Done { exit, values, .. } = phone.event().await else { panic!() };
    assert_eq!((exit.as_str(), &values["file"]), ("done", &json!("r1_rec_1_1.wav")));
    phone.order("again", service("start_recording", start)).await;
    assert_eq!(phone.exit("again").await, "failed");
    let say = Deed::Say {
        text: "0123456789".into(),
        language: None,
        tts_type: None,
        voice_id: None,
        stop_on_digit: false,
    };
    phone.order("say", say).await;
    for _ in 0..60 {
        let frame = Frame { rate: 8000, samples: vec![321; 160] };
        phone.caller.send(Inbound::Frame(frame)).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(phone.exit("say").await, "done");
    phone.order("stop", service("stop_recording", json!({}))).await;
    assert_eq!(phone.exit("stop").await, "done");
    phone.order("none", service("stop_recording", json!({}))).await;
    assert_eq!(phone.exit("none").await, "failed");
    // The file is whole only when its writer, which has a thread of its own, has ended.
    let file = folder.path().join("r1_rec_1_1.wav");
    let began = std::time::Instant::now();
    let wav = loop {
        let wav = audio::wav::read(&std::fs::read(&file).unwrap()).unwrap();
        if wav.samples.len() >= 2 * 9200 {
            break wav;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{} samples", wav.samples.len());
        tokio::task::yield_now().await;
    };
    assert_eq!((wav.rate, wav.channels), (8000, 2));
    let (caller, ours): (Vec<i16>, Vec<i16>) =
        wav.samples.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
    // A second of speech that began at once, 1.2 s of the caller.
    let loud = |voice: &[i16], sample| voice.iter().filter(|s| **s == sample).count();
    assert!((7840..=8160).contains(&loud(&ours, 1000)), "{}", loud(&ours, 1000));
    assert!((9200..=9600).contains(&loud(&caller, 321)), "{}", loud(&caller, 321));
    assert!(ours[..1600].contains(&1000) && caller[..1600].contains(&321));
    // The call is heard on.
    phone
        .order(
            "keys",
            Deed::ReceiveDigits {
                max_digits: 1,
                finish_on: String::new(),
                timeout_ms: 1000,
                between_ms: 0,
                window_ms: None,
            },
        )
        .await;
    phone.press("7").await;
    assert_eq!(phone.exit("keys").await, "done 7");
}
