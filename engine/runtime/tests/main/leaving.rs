//! How texts leave: lanes, quiet hours, cuts; receipts; and threads in human hands.

use conversation::{Inbox, Receipt, Status};
use jiff::SignedDuration;
use runtime::Texting;
use serde_json::json;

use crate::rig::{Rig, talks};

fn echo() -> serde_json::Value {
    json!([{ "id": "say", "type": "send_message", "option": { "text": "hi ${message.text}" } }])
}

#[tokio::test]
async fn a_number_sends_as_fast_as_it_may_and_in_order() {
    let mut rig = Rig::idle(echo()).await;
    rig.texting = Texting { per_second: Some(0.5), ..Texting::default() };
    rig.start();
    let began = rig.now();
    for text in ["one", "two", "three"] {
        rig.text(text).await;
    }
    rig.carrier.sent(1).await;
    rig.handled(3).await;
    // Not so fast that a busy machine sleeps through its claims: that would be a try.
    tokio::select! {
        _ = rig.carrier.sent(3) => {}
        () = rig.goes_on() => unreachable!(),
    }
    assert_eq!(rig.carrier.texts(), ["hi one", "hi two", "hi three"]);
    assert!(rig.now() >= began + SignedDuration::from_secs(4));
    // To wait for the lane was no try.
    let runs = rig.ended(3).await;
    let key = &rig.carrier.all()[2].key;
    assert_eq!(rig.store.outbox(key).await.unwrap().unwrap().attempts, 1);
    assert_eq!(runs.len(), 3);
}

#[tokio::test]
async fn what_nobody_asked_for_waits_for_the_morning_even_over_a_restart() {
    let mut rig = Rig::idle(json!([
        { "id": "ack", "type": "send_message", "option": { "text": "ok" } },
        { "id": "tell", "type": "send_message",
          "option": { "text": "sale", "destinations": [{ "target": "+12125550100" }] } },
    ]))
    .await;
    // It is 03:00 in New York, and night at the peer's too: but the peer has asked.
    let quiet = conversation::quiet::Quiet::new("21:00", "08:00", "UTC").unwrap();
    rig.texting = Texting { quiet: Some(quiet), ..Texting::default() };
    rig.start();
    rig.text("hello").await;
    rig.carrier.sent(1).await;
    let morning = "2027-01-15T13:00:00Z".parse().unwrap();
    rig.until("the other text to be kept for the morning", async || {
        rig.store.next_outbox().await.unwrap() == Some(morning)
    })
    .await;
    rig.stop().await;
    rig.start();
    // The run waits for as long as its text does.
    let timer = async || rig.store.next_due().await.unwrap().unwrap();
    let first = timer().await;
    rig.pass(5 * 3600 - 1);
    rig.until("the run to look after its text", async || timer().await > first).await;
    assert!(timer().await > morning);
    assert!(rig.runs().await[0].outcome.is_none());
    assert_eq!(rig.carrier.texts(), ["ok"]);
    rig.pass(1);
    assert_eq!(rig.carrier.sent(2).await[1].text, "sale");
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["ack done", "tell done"]);
}

#[tokio::test]
async fn a_reply_that_is_cut_offers_the_rest_and_gives_it_when_asked() {
    let rig = Rig::texts(talks(json!({ "max_segments": 1 }))).await;
    rig.text("tell me all").await;
    let sentence = format!("{}.", "word ".repeat(20).trim_end());
    let whole = [sentence.as_str(); 2].join(" ");
    rig.model.asked().await.say(&whole).await;
    let first = rig.carrier.sent(1).await[0].text.clone();
    assert_eq!(first, format!("{sentence} Reply MORE for the rest."));
    // The model is not asked for what it has said already.
    rig.text("More").await;
    assert_eq!(rig.carrier.sent(2).await[1].text, sentence);
    rig.text("more").await;
    rig.model.asked().await.say("More of what?").await;
    assert_eq!(rig.carrier.sent(3).await[2].text, "More of what?");
}

#[tokio::test]
async fn typographic_signs_are_made_plain_on_the_way_out() {
    let mut rig = Rig::idle(json!([
        { "id": "say", "type": "send_message", "option": { "text": "it\u{2019}s \u{201c}so\u{201d}" } },
    ]))
    .await;
    rig.texting = Texting { smart: true, ..Texting::default() };
    rig.start();
    rig.text("hello").await;
    assert_eq!(rig.carrier.sent(1).await[0].text, "it's \"so\"");
}

#[tokio::test]
async fn a_run_learns_how_far_its_text_came() {
    let rig = Rig::texts(json!([
        { "id": "say", "type": "send_message", "option": { "text": "hi" } },
        { "id": "wait", "type": "wait_message", "option": { "timeout_s": 3600 } },
    ]))
    .await;
    rig.text("hello").await;
    rig.carrier.sent(1).await;
    let receipt = |status, code: Option<&str>| Receipt {
        channel: "twilio".into(),
        carrier_id: "SM1".into(),
        status,
        code: code.map(Into::into),
    };
    rig.until("the run to wait", async || {
        let runs = rig.runs().await;
        runs.first().and_then(|run| run.state.waiting()).is_some_and(|w| w.what == "message")
    })
    .await;
    rig.runtime().receipt(receipt(Status::Delivered, None)).await.unwrap();
    assert_eq!(rig.runs().await[0].state.vars["message.status"], "delivered");
    // What is delivered is delivered, whatever comes late.
    rig.runtime().receipt(receipt(Status::Failed, Some("21610"))).await.unwrap();
    let run = rig.runs().await.remove(0);
    assert_eq!(run.state.vars["message.status"], "delivered");
    assert!(run.outcome.is_none());
    let thread = rig.store.thread(&rig.thread_id()).await.unwrap().unwrap();
    assert!(!rig.store.opted_out(&thread.id).await.unwrap());
}

/// The carrier tells that the peer had left when it was given this text.
async fn refused(rig: &Rig, carrier_id: &str) {
    let receipt = Receipt {
        channel: "twilio".into(),
        carrier_id: carrier_id.into(),
        status: Status::Failed,
        code: Some("21610".into()),
    };
    rig.runtime().receipt(receipt).await.unwrap();
}

#[tokio::test]
async fn a_receipt_can_say_that_the_peer_has_left() {
    let rig = Rig::texts(echo()).await;
    rig.text("hello").await;
    rig.carrier.sent(1).await;
    rig.ended(1).await;
    refused(&rig, "SM1").await;
    assert!(rig.store.opted_out(&rig.thread_id()).await.unwrap());
}

#[tokio::test]
async fn what_a_carrier_tells_late_does_not_undo_a_return() {
    let rig = Rig::texts(echo()).await;
    let left = async || rig.store.opted_out(&rig.thread_id()).await.unwrap();
    rig.text("hello").await;
    rig.carrier.sent(1).await;
    rig.pass(10);
    rig.text("STOP").await;
    rig.carrier.sent(2).await;
    rig.pass(10);
    rig.text("START").await;
    rig.carrier.sent(3).await;
    // Late, and once more: it is about a text from before the return.
    refused(&rig, "SM1").await;
    refused(&rig, "SM1").await;
    assert!(!left().await);
    rig.pass(1);
    rig.text("hello again").await;
    assert_eq!(rig.carrier.sent(4).await[3].text, "hi hello again");
    rig.ended(2).await;
    refused(&rig, "SM4").await;
    assert!(left().await, "the carrier has not let the peer return");
}

#[tokio::test]
async fn who_returns_from_what_only_the_carrier_knew_stays() {
    let rig = Rig::texts(echo()).await;
    rig.text("hello").await;
    rig.carrier.sent(1).await;
    // The carrier took the STOP for itself. To us, START is a text like any other.
    rig.pass(10);
    rig.text("START").await;
    rig.carrier.sent(2).await;
    refused(&rig, "SM1").await;
    assert!(!rig.store.opted_out(&rig.thread_id()).await.unwrap());
}

#[tokio::test]
async fn a_thread_in_human_hands_runs_no_flow_until_it_is_given_back() {
    let rig = Rig::texts(talks(json!({}))).await;
    rig.text("hello").await;
    let asked = rig.model.asked().await;
    let thread = rig.thread_id();
    let row = rig.runtime().assign(&thread, Some("anna")).await.unwrap().unwrap();
    assert_eq!(row.assigned.as_deref(), Some("anna"));
    // What the agent was about to say is not said.
    asked.say("I am the agent").await;
    rig.text("is somebody there?").await;
    rig.handled(2).await;
    assert_eq!(rig.runs().await.len(), 1);
    rig.runtime().write(&thread, "Anna here.", Vec::new()).await.unwrap().unwrap();
    assert_eq!(rig.carrier.sent(1).await[0].text, "Anna here.");
    rig.runtime().assign(&thread, None).await.unwrap().unwrap();
    rig.text("bye").await;
    rig.model.asked().await.say("Goodbye.").await;
    assert_eq!(rig.carrier.sent(2).await[1].text, "Goodbye.");
    assert!(rig.runtime().assign("no such thread", None).await.unwrap().is_none());
}
