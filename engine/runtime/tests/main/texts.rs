//! Texts come in: once, in order, words of leaving first.

use conversation::{Accepted, Receipt, Status};
use serde_json::json;

use crate::rig::{PEER, Rig};

fn says(text: &str) -> serde_json::Value {
    json!([{ "id": "say", "type": "send_message", "option": { "text": text } }])
}

#[tokio::test]
async fn a_text_starts_a_run_that_knows_it() {
    let rig = Rig::texts(says(
        "${message.from} to ${message.to}: ${message.text} (${conversation.channel})",
    ))
    .await;
    rig.text("hello ${secret}").await;
    let sent = rig.carrier.sent(1).await;
    assert_eq!(sent[0].text, "+15557654321 to +15550001000: hello ${secret} (twilio)");
    let runs = rig.ended(1).await;
    assert_eq!(runs[0].outcome, Some(flow::Outcome::Finished));
    assert_eq!(runs[0].subject, rig.thread_id());
    assert_eq!(rig.steps(&runs[0].id).await, ["say done"]);
}

#[tokio::test]
async fn the_same_id_is_one_message() {
    let rig = Rig::texts(says("${message.text}")).await;
    let text = rig.message(PEER, "one", Some("SM1"));
    assert_eq!(rig.receive(text.clone()).await.unwrap(), Accepted::New);
    assert_eq!(rig.receive(text.clone()).await.unwrap(), Accepted::Again);
    rig.handled(1).await;
    assert_eq!(rig.receive(text).await.unwrap(), Accepted::Again);
    rig.text("two").await;
    rig.carrier.sent(2).await;
    assert_eq!(rig.carrier.texts(), ["one", "two"]);
    assert_eq!(rig.ended(2).await.len(), 2);
}

#[tokio::test]
async fn without_an_id_the_same_words_are_one_message_for_a_moment() {
    let rig = Rig::texts(json!([{ "type": "wait_message", "option": { "timeout_s": 60 } }])).await;
    let text = || rig.message(PEER, "1", None);
    assert_eq!(rig.receive(text()).await.unwrap(), Accepted::New);
    assert_eq!(rig.receive(text()).await.unwrap(), Accepted::Again);
    rig.pass(5);
    assert_eq!(rig.receive(text()).await.unwrap(), Accepted::New);
}

#[tokio::test]
async fn without_an_id_the_same_words_are_an_answer_after_we_have_asked() {
    let rig = Rig::texts(says("which one? 1 or 2?")).await;
    let text = || rig.message(PEER, "1", None);
    assert_eq!(rig.receive(text()).await.unwrap(), Accepted::New);
    rig.carrier.sent(1).await;
    rig.ended(1).await;
    assert_eq!(rig.receive(text()).await.unwrap(), Accepted::New);
}

#[tokio::test]
async fn texts_of_a_thread_are_handled_in_their_order() {
    let rig = Rig::texts(says("${message.text}")).await;
    let all: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    for text in &all {
        rig.text(text).await;
    }
    rig.carrier.sent(40).await;
    assert_eq!(rig.carrier.texts(), all);
}

#[tokio::test]
async fn who_leaves_is_told_once_and_hears_no_more() {
    let rig = Rig::texts(says("you wrote ${message.text}")).await;
    rig.text(" Stop ").await;
    let confirmation = rig.carrier.sent(1).await[0].text.clone();
    assert!(confirmation.contains("START"), "{confirmation}");
    // A flow still runs, and learns that nothing can be sent.
    rig.text("hello?").await;
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["say opted_out"]);

    rig.text("start").await;
    rig.carrier.sent(2).await;
    rig.text("hello").await;
    rig.carrier.sent(3).await;
    let texts = rig.carrier.texts();
    assert_ne!(texts[1], confirmation);
    assert_eq!(texts[2], "you wrote hello");
}

#[tokio::test]
async fn who_has_left_is_not_told_again() {
    let rig = Rig::texts(says("you wrote ${message.text}")).await;
    rig.text("STOP").await;
    rig.carrier.sent(1).await;
    rig.text("STOP").await;
    rig.text("unstop").await;
    let sent = rig.carrier.sent(2).await;
    assert!(sent[1].text.contains("STOP"), "the second is the welcome: {}", sent[1].text);
    rig.text("hello").await;
    rig.carrier.sent(3).await;
    assert_eq!(rig.carrier.texts()[2], "you wrote hello");
}

#[tokio::test]
async fn a_word_of_leaving_in_a_sentence_is_an_ordinary_one() {
    let rig = Rig::texts(says("you wrote ${message.text}")).await;
    rig.text("STOP 12345").await;
    rig.text("yes").await;
    rig.carrier.sent(2).await;
    assert_eq!(rig.carrier.texts(), ["you wrote STOP 12345", "you wrote yes"]);
}

#[tokio::test]
async fn a_call_for_help_is_answered_without_a_flow() {
    let rig = Rig::texts(says("you wrote ${message.text}")).await;
    rig.text("HELP").await;
    assert!(!rig.carrier.sent(1).await[0].text.starts_with("you wrote"));
    assert!(rig.runs().await.is_empty());
}

#[tokio::test]
async fn what_the_carrier_has_answered_is_not_answered_again() {
    let rig = Rig::texts(says("you wrote ${message.text}")).await;
    let mut text = rig.message(PEER, "STOP", Some("SM1"));
    text.answered_by_carrier = true;
    rig.receive(text).await.unwrap();
    rig.handled(1).await;
    rig.text("hello?").await;
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["say opted_out"]);
    assert_eq!(rig.carrier.texts(), [""; 0]);
}

#[tokio::test]
async fn a_receipt_moves_a_text_forward() {
    let rig = Rig::texts(says("hi")).await;
    rig.text("hello").await;
    let sent = rig.carrier.sent(1).await;
    rig.ended(1).await;
    let receipt =
        |status| Receipt { channel: "twilio".into(), carrier_id: "SM1".into(), status, code: None };
    use conversation::Inbox;
    rig.runtime().receipt(receipt(Status::Delivered)).await.unwrap();
    rig.runtime().receipt(receipt(Status::Sent)).await.unwrap();
    let row = rig.store.outbox(&sent[0].key).await.unwrap().unwrap();
    assert_eq!(row.status, Status::Delivered);
}
