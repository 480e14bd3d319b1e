//! What a call does with orders, and with a caller who does what callers do.

use std::sync::Arc;
use std::time::Duration;

use agent::{Floor, Item, Standing};
use call::{Dialled, HangupCause, Inbound, Report};
use flow::{Deed, Destination, Event};
use serde_json::json;
use tokio::time::sleep;

use crate::phone::{Marks, Phone, Seen};
use crate::vendors::{Habit, Shelf, Studio};

fn phone(voices: &[Habit]) -> Phone {
    Phone::call(Arc::new(Studio(voices.to_vec())), Arc::new(Shelf), Marks::Answered)
}

fn say(text: &str) -> Deed {
    Deed::Say {
        text: text.into(),
        language: None,
        tts_type: None,
        voice_id: None,
        stop_on_digit: false,
    }
}

fn menu(text: &str) -> Deed {
    let mut deed = say(text);
    if let Deed::Say { stop_on_digit, .. } = &mut deed {
        *stop_on_digit = true;
    }
    deed
}

fn digits(max_digits: u32, finish_on: &str) -> Deed {
    let finish_on = finish_on.into();
    Deed::ReceiveDigits {
        max_digits,
        finish_on,
        timeout_ms: 5000,
        between_ms: 2000,
        window_ms: None,
    }
}

fn talk(agent: serde_json::Value) -> Deed {
    Deed::Talk { agent, duration_s: 600, wait: true }
}

fn dial() -> Deed {
    let to = Destination { kind: "tel".into(), target: "+15550003000".into(), name: None };
    Deed::Connect {
        destinations: vec![to],
        source: None,
        ring_s: 20,
        early_media: false,
        anonymous: false,
        music: None,
        announce: None,
        end_on: String::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn orders_are_carried_out_one_after_the_other() {
    let mut phone = phone(&[Habit::Speaks(24_000)]);
    phone.order("1", Deed::Answer).await;
    phone.order("2", say("0123456789")).await;
    phone.order("3", Deed::Hangup { cause: HangupCause::Busy }).await;
    assert_eq!(phone.exit("1").await, "done");
    assert_eq!(phone.exit("2").await, "done");
    // All of it was heard, without a gap, in its time.
    let heard = phone.heard();
    assert!((49..=51).contains(&heard.len()), "{}", heard.len());
    assert!(heard.windows(2).all(|pair| pair[1] - pair[0] == 20), "{heard:?}");
    assert!(phone.now() >= *heard.last().unwrap());
    assert_eq!(phone.exit("3").await, "done");
    assert_eq!(phone.acts(), [Seen::Answer, Seen::Hangup(HangupCause::Busy)]);
    assert_eq!(phone.hung_up().await, HangupCause::Busy);
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_fails_is_replaced_unless_it_was_heard() {
    let mut one = phone(&[Habit::Closed, Habit::Mute, Habit::Breaks(0), Habit::Speaks(8000)]);
    one.order("1", say("hello")).await;
    assert_eq!(one.exit("1").await, "done");
    assert_eq!(one.heard().len(), 25);
    let mut other = phone(&[Habit::Breaks(10), Habit::Speaks(8000)]);
    other.order("1", say("hello")).await;
    assert_eq!(other.exit("1").await, "failed");
    assert_eq!(other.heard().len(), 3);
    other.order("2", say("")).await;
    assert_eq!(other.exit("2").await, "done");
    let mut none = phone(&[]);
    none.order("1", say("hello")).await;
    assert_eq!(none.exit("1").await, "failed");
}

#[tokio::test(start_paused = true)]
async fn a_key_interrupts_a_menu_and_is_the_first_digit_of_an_answer() {
    let mut phone = phone(&[Habit::Speaks(8000)]);
    phone.order("1", menu(&"x".repeat(100))).await;
    sleep(Duration::from_millis(500)).await;
    phone.press("1").await;
    assert_eq!(phone.exit("1").await, "done 1");
    assert!(phone.now() < 550);
    assert_eq!(phone.acts(), [Seen::Clear]);
    phone.order("2", digits(2, "")).await;
    phone.press("2").await;
    assert_eq!(phone.exit("2").await, "done 12");
    // A menu that another text follows was answered by its key.
    phone.order("3", menu(&"x".repeat(100))).await;
    sleep(Duration::from_millis(500)).await;
    phone.press("3").await;
    assert_eq!(phone.exit("3").await, "done 3");
    phone.order("4", say("ok")).await;
    assert_eq!(phone.exit("4").await, "done");
    phone.order("5", digits(1, "")).await;
    phone.press("4").await;
    assert_eq!(phone.exit("5").await, "done 4");
}

#[tokio::test(start_paused = true)]
async fn digits_end_in_each_of_their_ways() {
    let mut phone = phone(&[]);
    phone.order("none", digits(0, "#")).await;
    assert_eq!(phone.exit("none").await, "no_input ");
    assert_eq!(phone.now(), 5000);
    // Typed ahead, in part.
    phone.press("12").await;
    phone.order("ended", digits(0, "#*")).await;
    sleep(Duration::from_secs(1)).await;
    phone.press("3*9").await;
    assert_eq!(phone.exit("ended").await, "done 123");
    phone.order("late", digits(4, "#")).await;
    assert_eq!(phone.exit("late").await, "done 9");
    assert_eq!(phone.now(), 8000);
    phone.press("#").await;
    phone.order("empty", digits(4, "#")).await;
    assert_eq!(phone.exit("empty").await, "done ");
    // What is typed ahead is bounded.
    phone.press(&"5".repeat(100)).await;
    sleep(Duration::from_secs(1)).await;
    phone.order("many", digits(0, "#")).await;
    assert_eq!(phone.exit("many").await, format!("done {}", "5".repeat(32)));
}

#[tokio::test(start_paused = true)]
async fn files_are_played_to_their_end() {
    let mut phone = phone(&[]);
    let sources = vec!["good.wav".into(), "good.wav".into()];
    phone.order("1", Deed::Play { sources }).await;
    assert_eq!(phone.exit("1").await, "done");
    // Twice 300 ms; what the resampler holds back may begin one more frame each time.
    assert!((30..=32).contains(&phone.heard().len()));
    assert!((600..=640).contains(&phone.now()), "{}", phone.now());
    for (key, source) in [("2", "bad.wav"), ("3", "missing.wav")] {
        phone.order(key, Deed::Play { sources: vec![source.into()] }).await;
        match phone.event().await {
            Event::Done { exit, why, .. } => {
                assert_eq!(exit, "failed");
                assert!(why.contains(source), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_mark_does_not_hold_up_the_flow() {
    let studio = Studio(vec![Habit::Speaks(8000)]);
    let mut phone = Phone::call(Arc::new(studio), Arc::new(Shelf), Marks::Lost);
    phone.order("1", say("hello")).await;
    assert_eq!(phone.exit("1").await, "done");
    assert!((5_400..5_700).contains(&phone.now()), "{}", phone.now());
    phone.order("2", Deed::Hangup { cause: HangupCause::Normal }).await;
    assert_eq!(phone.exit("2").await, "done");
    assert_eq!(phone.hung_up().await, HangupCause::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_dial_ends_by_the_exit_of_its_end() {
    let mut phone = phone(&[]);
    for (n, (end, exit)) in [
        (Ok(Dialled::AnsweredAndDone), "done"),
        (Ok(Dialled::Busy), "busy"),
        (Ok(Dialled::NoAnswer), "no_answer"),
        (Ok(Dialled::Rejected), "rejected"),
        (Ok(Dialled::Failed), "failed"),
        (Err("no line".to_owned()), "failed"),
    ]
    .into_iter()
    .enumerate()
    {
        let key = n.to_string();
        phone.order(&key, dial()).await;
        phone.dialled.send(end).await.unwrap();
        assert_eq!(phone.exit(&key).await, exit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_gone_ends_everything() {
    for deed in [say(&"x".repeat(100)), digits(0, ""), dial(), talk(json!({}))] {
        let phone = phone(&[Habit::Speaks(8000)]);
        phone.order("1", deed).await;
        sleep(Duration::from_millis(300)).await;
        phone.caller.send(Inbound::Gone).await.unwrap();
        assert_eq!(phone.hung_up().await, HangupCause::Normal);
    }
    // And between deeds.
    let phone = phone(&[]);
    phone.caller.send(Inbound::Gone).await.unwrap();
    assert_eq!(phone.hung_up().await, HangupCause::Normal);
}

#[tokio::test(start_paused = true)]
async fn the_leg_is_hung_up_when_nobody_orders_any_more() {
    for deed in [None, Some(say(&"x".repeat(100))), Some(dial()), Some(talk(json!({})))] {
        let mut phone = phone(&[Habit::Speaks(8000)]);
        let stopped = deed.is_some();
        if let Some(deed) = deed {
            phone.order("1", deed).await;
        }
        sleep(Duration::from_millis(300)).await;
        phone.orders = None;
        if stopped {
            assert_eq!(phone.exit("1").await, "done");
        }
        let record = Arc::clone(&phone.record);
        assert_eq!(phone.hung_up().await, HangupCause::Normal);
        let hung_up = (Seen::Hangup(HangupCause::Normal), 300..2300);
        let record = record.lock().unwrap();
        assert!(record.iter().any(|(at, s)| *s == hung_up.0 && hung_up.1.contains(at)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_from_outside_ends_the_deed_and_the_next_goes_on() {
    let mut phone = phone(&[Habit::Speaks(8000)]);
    phone.order("1", say(&"x".repeat(100))).await;
    phone.order("2", say("hello")).await;
    sleep(Duration::from_millis(300)).await;
    phone.order("stop", Deed::StopService).await;
    assert_eq!(phone.exit("stop").await, "done");
    assert_eq!(phone.exit("1").await, "done");
    assert_eq!(phone.acts(), [Seen::Clear]);
    assert_eq!(phone.exit("2").await, "done");
    assert!((700..900).contains(&phone.now()), "{}", phone.now());
    // With nothing running it is done at once.
    phone.order("stop again", Deed::StopService).await;
    assert_eq!(phone.exit("stop again").await, "done");
    phone.order("3", dial()).await;
    sleep(Duration::from_millis(300)).await;
    phone.order("stop a dial", Deed::StopService).await;
    assert_eq!(phone.exit("stop a dial").await, "done");
    assert_eq!(phone.exit("3").await, "done");
    assert!(phone.acts().contains(&Seen::DialDropped));
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_stopped_keeps_its_history() {
    let mut phone = phone(&[Habit::Speaks(8000)]);
    phone.order("1", talk(json!({ "greeting": "Hello." }))).await;
    sleep(Duration::from_secs(3)).await;
    assert!(!phone.heard().is_empty());
    phone.order("stop", Deed::StopService).await;
    let mut stood = None;
    loop {
        match phone.report().await {
            Report::Stands(latest) => stood = latest.take().or(stood),
            Report::Event(event) => {
                if let Event::Done { key, exit, .. } = *event
                    && key.0 == "1"
                {
                    assert_eq!(exit, "done");
                    break;
                }
            }
            _ => {}
        }
    }
    let said = Item::Assistant { text: "Hello.".into(), calls: Vec::new() };
    assert_eq!(stood.map(|standing| standing.items), Some(vec![said]));
    assert!(phone.now() < 3_200);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_ends_by_the_exit_of_its_end() {
    let mut one = phone(&[Habit::Speaks(8000)]);
    let silent = json!({ "greeting": "Hello.", "idle_timeout_s": 5 });
    one.order("1", talk(silent)).await;
    assert_eq!(one.exit("1").await, "no_input");
    one.order("2", talk(json!({ "no such": "option" }))).await;
    assert_eq!(one.exit("2").await, "failed");
    let mut other = phone(&[Habit::Closed]);
    other.order("1", talk(json!({ "greeting": "Hello." }))).await;
    assert_eq!(other.exit("1").await, "failed");
    other.order("2", Deed::Hangup { cause: HangupCause::Failed }).await;
    assert_eq!(other.exit("2").await, "done");
    assert_eq!(other.hung_up().await, HangupCause::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_leaves_tells_how_it_stands_and_does_not_hang_up() {
    for deed in [None, Some(say(&"x".repeat(100))), Some(digits(0, "")), Some(dial())] {
        let phone = phone(&[Habit::Speaks(8000)]);
        if let Some(deed) = deed {
            phone.order("1", deed).await;
            sleep(Duration::from_millis(200)).await;
        }
        phone.leave.cancel();
        let before = phone.left().await;
        assert!(before.is_empty(), "its end was reported: {before:?}");
    }

    let phone = phone(&[Habit::Speaks(8000)]);
    phone.order("1", talk(json!({ "greeting": "Hello." }))).await;
    sleep(Duration::from_secs(5)).await;
    phone.leave.cancel();
    let before = phone.left().await;
    let standing = before.iter().rev().find_map(|report| match report {
        Report::Stands(latest) => latest.take(),
        _ => None,
    });
    assert_eq!(before.iter().filter(|report| matches!(report, Report::Stands(_))).count(), 1);
    let hello = Item::Assistant { text: "Hello.".into(), calls: Vec::new() };
    let wanted = Standing { items: vec![hello], floor: Floor::Free, words: String::new() };
    assert_eq!(standing, Some(wanted));
    assert!(!before.iter().any(|report| matches!(report, Report::Event(_))), "{before:?}");
}
