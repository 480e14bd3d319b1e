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
use crate::vendors::{Shelf, Studio};

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
