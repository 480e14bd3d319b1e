//! Callers who are connected to others.

use std::sync::Arc;
use std::time::Duration;

use audio::Frame;
use call::room::Rooms;
use call::waiting::{self, Waiting};
use call::{Dialled, HangupCause, Inbound, Means};
use flow::{Deed, Destination, Event};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::others::{Does, Others, There, Way};
use crate::phone::{Marks, Phone, Seen};
use crate::vendors::{Habit, Shelf, Studio};

const ANN: &str = "+15550003000";
const BOB: &str = "+15550003001";

fn call(others: &Arc<Others>) -> Phone {
    let (studio, shelf) = (Arc::new(Studio(vec![Habit::Speaks(8000)])), Arc::new(Shelf));
    Phone::with(studio, shelf, Marks::Answered, Arc::new([Arc::new(Way(Arc::clone(others)))]))
}

fn dial(to: &[&str]) -> Deed {
    let destination =
        |to: &&str| Destination { kind: "tel".into(), target: (*to).into(), name: None };
    Deed::Connect {
        destinations: to.iter().map(destination).collect(),
        source: None,
        ring_s: 20,
        early_media: false,
        anonymous: false,
        music: None,
        announce: None,
        end_on: String::new(),
    }
}

fn passes(millis: u64) -> tokio::time::Sleep {
    sleep(Duration::from_millis(millis))
}

/// What the caller hears, by the sample in the middle of each frame.
fn frames(phone: &Phone) -> Vec<i16> {
    let record = phone.record.lock().unwrap();
    let frame = |seen: &Seen| match seen {
        Seen::Frame(sample) => Some(*sample),
        _ => None,
    };
    record.iter().filter_map(|(_, seen)| frame(seen)).collect()
}

async fn speak(phone: &Phone, sample: i16) {
    let frame = Frame { rate: 8000, samples: vec![sample; 160] };
    phone.caller.send(Inbound::Frame(frame)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn both_hear_each_other_at_their_own_rates_until_the_far_side_hangs_up() {
    let others = Others::new(16_000, true, &[(ANN, Does::Answers(3000))]);
    let mut phone = call(&others);
    phone.order("1", dial(&[ANN])).await;
    passes(2900).await;
    // Until then it rings.
    assert!(frames(&phone).len() > 100 && frames(&phone).iter().any(|sample| *sample != 0));
    assert_eq!(others.heard(ANN), []);
    passes(200).await;
    let rung = frames(&phone).len();
    for _ in 0..10 {
        speak(&phone, 1000).await;
        others.speak(ANN, 3000).await;
        passes(20).await;
    }
    phone.press("5").await;
    others.say(ANN, Inbound::Digit('7')).await;
    passes(300).await;
    let there = others.heard(ANN);
    assert_eq!(there.len(), 10);
    assert!(there.iter().all(|(rate, length, _)| (*rate, *length) == (16_000, 320)));
    assert!((990..=1010).contains(&there[5].2), "{there:?}");
    let here = frames(&phone)[rung..].to_vec();
    assert_eq!(here.len(), 10);
    assert!((2990..=3010).contains(&here[5]), "{here:?}");
    let acts = others.acts(ANN);
    assert_eq!(acts[0], (0, There::Wanted("+15550001000".into(), 20)));
    assert_eq!(acts[1].1, There::Key('5'));
    others.say(ANN, Inbound::Gone).await;
    let Event::Done { exit, values, .. } = phone.event().await else { panic!() };
    assert_eq!(exit, "done");
    assert_eq!(values["destination"], ANN);
    assert_eq!(others.acts(ANN).last().unwrap().1, There::LetGo);
    // The caller is back in the flow, and is heard there.
    let digits = Deed::ReceiveDigits {
        max_digits: 1,
        finish_on: String::new(),
        timeout_ms: 1000,
        between_ms: 0,
        window_ms: None,
    };
    phone.order("2", digits).await;
    phone.press("9").await;
    assert_eq!(phone.exit("2").await, "done 9");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_carrier_cannot_press_is_heard_as_a_tone() {
    let others = Others::new(8000, false, &[(ANN, Does::Answers(0))]);
    let mut phone = call(&others);
    phone.order("1", dial(&[ANN])).await;
    passes(100).await;
    for at in 0..20 {
        if at == 5 {
            phone.press("#").await;
        }
        speak(&phone, 1000).await;
        passes(20).await;
    }
    let heard: Vec<i16> = others.heard(ANN).iter().map(|(_, _, sample)| *sample).collect();
    assert_eq!(heard[..6], [1000; 6]);
    // 100 ms of tone, 100 ms of silence, and the voice again.
    assert!(heard[6..11].iter().any(|sample| *sample != 1000), "{heard:?}");
    assert_eq!(heard[11..16], [0; 5], "{heard:?}");
    assert_eq!(heard[16..], [1000; 4], "{heard:?}");
    others.say(ANN, Inbound::Gone).await;
    assert_eq!(phone.exit("1").await, "done");
}

#[tokio::test(start_paused = true)]
async fn the_first_who_picks_up_wins_and_the_others_are_cancelled() {
    let others =
        Others::new(8000, true, &[(ANN, Does::Nothing), (BOB, Does::PlaysAndAnswers(100, 900))]);
    let mut phone = call(&others);
    phone.order("1", dial(&[ANN, BOB])).await;
    passes(1100).await;
    assert_eq!(others.acts(ANN).last().unwrap(), &(1000, There::Cancelled));
    others.speak(BOB, 500).await;
    passes(100).await;
    assert_eq!(frames(&phone).last(), Some(&500));
    others.say(BOB, Inbound::Gone).await;
    assert_eq!(phone.exit("1").await, "done");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_reached_in_as_many_ways_as_there_are() {
    for (manners, exit, at) in [
        (vec![(ANN, Does::Nothing)], "no_answer", 20_000),
        (vec![(ANN, Does::Ends(500, Dialled::Busy))], "busy", 500),
        (vec![(ANN, Does::Ends(500, Dialled::Rejected))], "rejected", 500),
        (vec![(ANN, Does::Refused)], "failed", 0),
        // Who is busy says more than who could not be dialed.
        (vec![(ANN, Does::Ends(500, Dialled::Busy)), (BOB, Does::Refused)], "busy", 500),
        (
            vec![
                (ANN, Does::Ends(700, Dialled::NoAnswer)),
                (BOB, Does::Ends(100, Dialled::Failed)),
            ],
            "no_answer",
            700,
        ),
    ] {
        let others = Others::new(8000, true, &manners);
        let mut phone = call(&others);
        let to: Vec<&str> = manners.iter().map(|(to, _)| *to).collect();
        phone.order("1", dial(&to)).await;
        assert_eq!(phone.exit("1").await, exit);
        assert!((at..at + 30).contains(&phone.now()), "{exit} at {}", phone.now());
        // What was still to be heard of the ringing is not.
        assert_eq!(phone.acts(), [Seen::Clear]);
        passes(10).await;
        let nothing = There::Cancelled;
        let still = others.acts(ANN).iter().any(|(_, there)| *there == nothing);
        assert_eq!(still, exit == "no_answer" && manners.len() == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn no_carrier_that_dials_is_a_failure_with_a_reason() {
    let others = Others::new(8000, true, &[]);
    let mut phone = call(&others);
    let mut deed = dial(&[ANN]);
    if let Deed::Connect { destinations, announce, .. } = &mut deed {
        destinations[0].kind = "pigeon".into();
        *announce = Some("hello".into());
    }
    phone.order("1", deed).await;
    phone.dialled.send(Err("no such bird".into())).await.unwrap();
    let Event::Done { exit, why, .. } = phone.event().await else { panic!() };
    assert_eq!((exit.as_str(), why.as_str()), ("failed", "no such bird"));
}

#[tokio::test(start_paused = true)]
async fn early_media_is_heard_when_it_is_wanted() {
    let others = Others::new(8000, true, &[(ANN, Does::PlaysAndEnds(1000, 1000))]);
    for wanted in [true, false] {
        let mut phone = call(&others);
        let mut deed = dial(&[ANN]);
        if let Deed::Connect { early_media, .. } = &mut deed {
            *early_media = wanted;
        }
        phone.order("1", deed).await;
        passes(1500).await;
        others.speak(ANN, 4321).await;
        passes(200).await;
        assert_eq!(frames(&phone).contains(&4321), wanted);
        assert_eq!(phone.exit("1").await, "busy");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_cancels_the_dial() {
    let others = Others::new(8000, true, &[(ANN, Does::Nothing), (BOB, Does::Answers(0))]);
    let phone = call(&others);
    phone.order("1", dial(&[ANN])).await;
    passes(500).await;
    phone.caller.send(Inbound::Gone).await.unwrap();
    assert_eq!(phone.hung_up().await, HangupCause::Normal);
    passes(10).await;
    assert_eq!(others.acts(ANN).last().unwrap(), &(500, There::Cancelled));
    // And one who hangs up in the conversation ends it for the other.
    let phone = call(&others);
    phone.order("1", dial(&[BOB])).await;
    passes(500).await;
    phone.caller.send(Inbound::Gone).await.unwrap();
    assert_eq!(phone.hung_up().await, HangupCause::Normal);
    passes(10).await;
    assert_eq!(others.acts(BOB).last().unwrap().1, There::LetGo);
}

#[tokio::test(start_paused = true)]
async fn whoever_picks_up_is_told_before_the_caller_is_put_through() {
    let others = Others::new(8000, true, &[(ANN, Does::Answers(1000))]);
    let mut phone = call(&others);
    let mut deed = dial(&[ANN]);
    if let Deed::Connect { announce, music, .. } = &mut deed {
        *announce = Some("0123456789".into());
        *music = Some("good.wav".into());
    }
    phone.order("1", deed).await;
    passes(1500).await;
    speak(&phone, 77).await;
    passes(1500).await;
    speak(&phone, 88).await;
    passes(100).await;
    let heard: Vec<i16> = others.heard(ANN).iter().map(|(_, _, sample)| *sample).collect();
    // A second of speech; the caller is heard only afterwards.
    assert!((49..=51).contains(&heard.iter().filter(|sample| **sample == 1000).count()));
    assert!(!heard.contains(&77));
    assert_eq!(heard.last(), Some(&88));
    // Meanwhile the caller hears music, which goes on and on.
    let music = frames(&phone);
    assert!(music.len() > 85 && music.iter().all(|sample| *sample == 500), "{music:?}");
    others.say(ANN, Inbound::Gone).await;
    assert_eq!(phone.exit("1").await, "done");
}

#[tokio::test(start_paused = true)]
async fn a_key_brings_the_caller_back() {
    let others = Others::new(8000, true, &[(ANN, Does::Answers(0))]);
    let mut phone = call(&others);
    let mut deed = dial(&[ANN]);
    if let Deed::Connect { end_on, .. } = &mut deed {
        *end_on = "*#".into();
    }
    phone.order("1", deed).await;
    passes(100).await;
    phone.press("1").await;
    phone.press("#").await;
    assert_eq!(phone.exit("1").await, "done");
    passes(10).await;
    let acts: Vec<There> = others.acts(ANN).into_iter().map(|(_, there)| there).collect();
    assert_eq!(acts[1..], [There::Key('1'), There::LetGo]);
}

/// Callers of one waiting line with these members.
fn waiting_for(others: &Arc<Others>, members: &[&str], longest: Option<u64>) -> impl Fn() -> Phone {
    let member = |to: &&str| Destination { kind: "tel".into(), target: (*to).into(), name: None };
    let terms = waiting::Terms {
        members: members.iter().map(member).collect(),
        ring: Duration::from_secs(20),
        longest: longest.map(Duration::from_secs),
        music: None,
        announce: None,
    };
    let lines = Waiting::new([(("shop".into(), "sales".into()), terms)]).of("shop");
    let others = Arc::clone(others);
    move || {
        let means = Means {
            vendors: Arc::new(Studio(Vec::new())),
            library: Arc::new(Shelf),
            dialers: Arc::new([Arc::new(Way(Arc::clone(&others)))]),
            recordings: None,
            rooms: Rooms::default(),
            waiting: lines.clone(),
        };
        Phone::by(means, Marks::Answered)
    }
}

fn join() -> Deed {
    Deed::Service { name: "join_queue".into(), option: json!({ "queue": "sales" }) }
}

async fn queued(phone: &mut Phone) -> (String, Value, Value) {
    let Event::Done { exit, values, .. } = phone.event().await else { panic!() };
    let value = |name| values.get(name).cloned().unwrap_or_default();
    (exit, value("member"), value("waited_s"))
}

#[tokio::test(start_paused = true)]
async fn callers_wait_in_their_order_for_whoever_is_free() {
    let others = Others::new(8000, true, &[(ANN, Does::Answers(1000)), (BOB, Does::Nothing)]);
    let caller = waiting_for(&others, &[BOB, ANN], None);
    let (mut first, mut second, third) = (caller(), caller(), caller());
    for phone in [&first, &second, &third] {
        phone.order("1", join()).await;
        passes(100).await;
    }
    // Bob is rung for the first and does not pick up, so the second has Ann first.
    passes(2000).await;
    others.say(ANN, Inbound::Gone).await;
    assert_eq!(queued(&mut second).await, ("done".into(), ANN.into(), json!(0)));
    // The third hangs up while Ann is rung for him; she is free for the first when Bob is given up.
    third.caller.send(Inbound::Gone).await.unwrap();
    passes(20_000).await;
    others.say(ANN, Inbound::Gone).await;
    assert_eq!(queued(&mut first).await, ("done".into(), ANN.into(), json!(20)));
    // All the time there was something to hear.
    assert!(frames(&first).len() > 1000);
    let rung =
        |who| others.acts(who).iter().filter(|(_, it)| matches!(it, There::Wanted(..))).count();
    assert_eq!((rung(BOB), rung(ANN)), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_has_waited_long_enough_goes_on_with_the_flow() {
    let others = Others::new(8000, true, &[(ANN, Does::Answers(0))]);
    let caller = waiting_for(&others, &[ANN], Some(15));
    let (first, mut second) = (caller(), caller());
    first.order("1", join()).await;
    passes(100).await;
    second.order("1", join()).await;
    assert_eq!(queued(&mut second).await.0, "timeout");
    assert_eq!(second.now(), 15_100);
}
