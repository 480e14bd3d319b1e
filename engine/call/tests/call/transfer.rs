//! Callers who are handed over to somebody who was asked first.

use std::sync::Arc;
use std::time::Duration;

use audio::Frame;
use call::room::Rooms;
use call::waiting::Waiting;
use call::{Dialled, HangupCause, Inbound, Means};
use flow::{Deed, Event};
use serde_json::json;
use tokio::time::sleep;

use crate::others::{Does, Others, There, Way};
use crate::phone::{Marks, Phone, Seen};
use crate::vendors::{Habit, Shelf, Studio};

const ANN: &str = "+15550003000";

/// A caller of a carrier that joins legs of its own (`Some(true)`), fails to, or cannot, while
/// somebody is asked to take the caller by `1`.
async fn asked(does: Does, carrier: &str, joins: Option<bool>) -> (Phone, Arc<Others>) {
    let others = Others::new(8000, true, &[(ANN, does)]);
    let means = Means {
        vendors: Arc::new(Studio(vec![Habit::Speaks(8000)])),
        library: Arc::new(Shelf),
        dialers: Arc::new([Arc::new(Way(Arc::clone(&others)))]),
        recordings: None,
        rooms: Rooms::default(),
        waiting: Waiting::default(),
    };
    let phone = Phone::of(carrier, joins, means, Marks::Answered);
    let option = json!({
        "destination": { "type": "tel", "target": ANN }, "attended": true, "ring_s": 20,
        "announce": "a caller with an order", "accept_on": "1", "music": null });
    phone.order("1", Deed::Service { name: "transfer_call".into(), option }).await;
    sleep(Duration::from_millis(3000)).await;
    (phone, others)
}

/// The outcome, and why.
async fn not_taken(phone: &mut Phone) -> (String, String) {
    let Event::Done { exit, values, why, .. } = phone.event().await else { panic!() };
    assert_eq!(exit, "failed");
    (values["outcome"].as_str().unwrap().to_owned(), why)
}

#[tokio::test(start_paused = true)]
async fn who_takes_the_caller_hears_first_who_comes_and_then_the_caller() {
    for joins in [None, Some(false)] {
        let (phone, others) = asked(Does::Answers(1000), "other", joins).await;
        assert!(!others.heard(ANN).is_empty(), "nobody told who comes");
        let told = others.heard(ANN).len();
        others.say(ANN, Inbound::Digit('1')).await;
        sleep(Duration::from_millis(500)).await;
        assert!(phone.acts().contains(&Seen::Join(ANN.into())));
        for _ in 0..10 {
            let frame = Frame { rate: 8000, samples: vec![777; 160] };
            phone.caller.send(Inbound::Frame(frame)).await.unwrap();
            others.speak(ANN, 999).await;
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_millis(100)).await;
        assert!(others.heard(ANN)[told..].iter().any(|(_, _, sample)| *sample == 777));
        let record = Arc::clone(&phone.record);
        others.say(ANN, Inbound::Gone).await;
        assert_eq!(phone.hung_up().await, HangupCause::Normal);
        let record = record.lock().unwrap();
        assert!(record.iter().any(|(_, seen)| *seen == Seen::Frame(999)));
        assert!(record.iter().any(|(_, seen)| matches!(seen, Seen::Hangup(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn the_carrier_joins_both_where_it_can_and_our_legs_go() {
    let (phone, others) = asked(Does::Answers(0), "other", Some(true)).await;
    others.say(ANN, Inbound::Digit('1')).await;
    let record = Arc::clone(&phone.record);
    assert_eq!(phone.hung_up().await, HangupCause::Normal);
    let acts: Vec<Seen> = record.lock().unwrap().iter().map(|(_, seen)| seen.clone()).collect();
    assert!(acts.contains(&Seen::Join(ANN.into())) && acts.contains(&Seen::Answer));
    assert!(!acts.iter().any(|seen| matches!(seen, Seen::Hangup(_))), "they talk on");
    sleep(Duration::from_millis(10)).await;
    assert_eq!(others.acts(ANN).last().unwrap().1, There::LetGo);
    // Two carriers cannot.
    let (phone, others) = asked(Does::Answers(0), "test", Some(true)).await;
    others.say(ANN, Inbound::Digit('1')).await;
    sleep(Duration::from_millis(500)).await;
    assert!(!phone.acts().contains(&Seen::Join(ANN.into())));
}

#[tokio::test(start_paused = true)]
async fn a_caller_whom_nobody_takes_goes_on_here() {
    for (does, outcome) in [
        (Does::Ends(100, Dialled::Busy), "busy"),
        (Does::Nothing, "no_answer"),
        (Does::Refused, "failed"),
    ] {
        let (mut phone, _others) = asked(does, "other", Some(true)).await;
        assert_eq!(not_taken(&mut phone).await.0, outcome);
    }
    let (mut phone, others) = asked(Does::Answers(0), "other", Some(true)).await;
    others.say(ANN, Inbound::Digit('2')).await;
    let refused = ("rejected".to_owned(), "they refused by `2`".to_owned());
    assert_eq!(not_taken(&mut phone).await, refused);
    let (mut phone, others) = asked(Does::Answers(0), "other", Some(true)).await;
    others.say(ANN, Inbound::Gone).await;
    assert!(not_taken(&mut phone).await.1.contains("hung up"));
    // Whoever says nothing, such as a machine, does not get the caller either.
    let (mut phone, others) = asked(Does::Answers(0), "other", Some(true)).await;
    assert!(not_taken(&mut phone).await.1.contains("did not say"));
    assert!(!phone.acts().contains(&Seen::Answer) && phone.now() > 20_000);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(others.acts(ANN).last().unwrap().1, There::LetGo);
}
