//! What actions ask of a call by their own names.

use std::sync::Arc;
use std::time::Duration;

use audio::{Frame, dtmf};
use call::{HangupCause, Inbound};
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
        ("detect_machine", json!({ "on_machine": "continue" }), "this carrier cannot"),
        ("echo", json!({}), "duration_s"),
        ("join_queue", json!({}), "join_queue"),
    ] {
        phone.order(name, service(name, option)).await;
        let Event::Done { exit, why, .. } = phone.event().await else { panic!() };
        assert!(exit == "failed" && why.contains(said), "{name}: {exit} {why}");
    }
    phone.caller.send(Inbound::Gone).await.unwrap();
    assert_eq!(phone.hung_up().await, HangupCause::Normal);
}
