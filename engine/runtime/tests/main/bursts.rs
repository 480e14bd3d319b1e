//! One reply for a burst; what is made for an older text is never sent.

use serde_json::json;

use crate::faults::{Fault, Faulty};
use crate::rig::{Rig, talks};

#[tokio::test]
async fn a_burst_has_one_reply() {
    let rig = Rig::texts(talks(json!({ "debounce_ms": 1200 }))).await;
    for text in ["hi", "are you there?", "I need help"] {
        rig.text(text).await;
    }
    rig.handled(3).await;
    rig.pass(2);
    let asked = rig.model.asked().await;
    assert_eq!(asked.heard(), ["hi", "are you there?", "I need help"]);
    asked.say("here I am").await;
    rig.carrier.sent(1).await;

    // Nothing else was under way: the next reply is the second text that leaves.
    rig.text("thanks").await;
    rig.handled(4).await;
    rig.pass(2);
    rig.model.asked().await.say("welcome").await;
    rig.carrier.sent(2).await;
    assert_eq!(rig.carrier.texts(), ["here I am", "welcome"]);
}

#[tokio::test]
async fn a_newer_text_takes_the_place_of_a_reply_that_is_being_made() {
    let rig = Rig::texts(talks(json!({}))).await;
    rig.text("where is").await;
    let older = rig.model.asked().await;
    rig.text("my order?").await;
    let newer = rig.model.wanted().await;
    assert_eq!(newer.heard(), ["where is", "my order?"]);
    older.dropped().await;
    older.say("where is what?").await;
    newer.say("on its way").await;
    rig.carrier.sent(1).await;
    rig.text("thanks").await;
    let last = rig.model.wanted().await;
    assert_eq!(last.said(), ["on its way"]);
    last.say("welcome").await;
    rig.carrier.sent(2).await;
    assert_eq!(rig.carrier.texts(), ["on its way", "welcome"]);
}

#[tokio::test]
async fn a_reply_that_is_stored_leaves_though_a_newer_text_comes_at_that_moment() {
    let store = Faulty::new().await;
    let queue = queue::open("embedded").await.unwrap();
    let mut rig = Rig::on(store.clone(), queue, None, Some(talks(json!({}))));
    rig.start();
    rig.text("one").await;
    let first = rig.model.asked().await;
    store.is(Fault::Slow);
    first.say("to one").await;
    rig.until("the reply to be stored", async || rig.store.next_outbox().await.unwrap().is_some())
        .await;
    // Whoever stored it does not know it yet, and is stopped.
    rig.text("two").await;
    let second = rig.model.asked().await;
    assert_eq!(second.said(), ["to one"]);
    store.answers();
    rig.carrier.sent(1).await;
    second.say("to two").await;
    rig.carrier.sent(2).await;
    assert_eq!(rig.carrier.texts(), ["to one", "to two"]);
}

#[tokio::test]
async fn a_reply_that_comes_too_late_waits_for_the_rest_of_the_burst() {
    let rig = Rig::texts(talks(json!({ "debounce_ms": 1200 }))).await;
    rig.text("one").await;
    rig.handled(1).await;
    rig.pass(2);
    let first = rig.model.asked().await;
    // While it is thought about another text comes, and the answer to the first is not wanted.
    rig.text("two").await;
    rig.handled(2).await;
    first.say("to one").await;
    // The burst is not over: a third text belongs to it.
    rig.text("three").await;
    rig.handled(3).await;
    rig.pass(2);
    let all = rig.model.wanted().await;
    assert_eq!(all.heard(), ["one", "two", "three"]);
    all.say("to all").await;
    rig.carrier.sent(1).await;
    assert_eq!(rig.carrier.texts(), ["to all"]);
}

#[tokio::test]
async fn a_superseded_tool_does_not_act() {
    let rig = Rig::texts(talks(json!({ "tool_names": ["send_message"] }))).await;
    rig.text("text my sister").await;
    let older = rig.model.asked().await;
    let to_sister = json!({ "text": "hi sister", "destinations": [{ "target": "+15550009999" }] });
    older.take("", "send_message", &to_sister.to_string()).await;
    // The tool was taken, and the model is asked for the rest when a newer text comes.
    let rest = rig.model.asked().await;
    assert_eq!(rest.results().len(), 1);
    rig.text("no, wait").await;
    let newer = rig.model.wanted().await;
    rest.dropped().await;
    newer.say("all right").await;
    rig.carrier.sent(1).await;
    rig.text("thanks").await;
    rig.model.wanted().await.say("welcome").await;
    rig.carrier.sent(2).await;
    assert_eq!(rig.carrier.texts(), ["all right", "welcome"]);
}

#[tokio::test]
async fn nothing_is_apologised_for_when_a_newer_text_has_come() {
    let rig = Rig::texts(talks(json!({ "fallback": "Sorry, later.", "debounce_ms": 1200 }))).await;
    rig.text("one").await;
    rig.handled(1).await;
    rig.pass(2);
    let first = rig.model.asked().await;
    rig.text("two").await;
    rig.handled(2).await;
    first.fail().await;
    rig.pass(2);
    let second = rig.model.wanted().await;
    assert_eq!(second.heard(), ["one", "two"]);
    second.say("to both").await;
    rig.carrier.sent(1).await;
    assert_eq!(rig.carrier.texts(), ["to both"]);
}

#[tokio::test]
async fn a_run_that_waits_for_a_superseded_reply_goes_on() {
    let mut flow = talks(json!({}));
    flow[0]["option"]["wait"] = true.into();
    let rig = Rig::texts(flow).await;
    rig.text("one").await;
    let first = rig.model.asked().await;
    rig.text("two").await;
    let second = rig.model.wanted().await;
    first.dropped().await;
    rig.until("the first run to end", async || rig.runs().await[0].outcome.is_some()).await;
    assert_eq!(rig.steps(&rig.runs().await[0].id).await, ["agent done"]);
    assert!(rig.runs().await[1].outcome.is_none());
    second.say("to both").await;
    rig.carrier.sent(1).await;
    let runs = rig.ended(2).await;
    assert_eq!(rig.steps(&runs[1].id).await, ["agent done"]);
    assert_eq!(rig.carrier.texts(), ["to both"]);
}
