//! Texts leave: what a carrier refuses, and what a run learns of it.

use std::time::Duration;

use conversation::{Refusal, Status};
use serde_json::json;

use crate::rig::Rig;

async fn rig() -> Rig {
    Rig::texts(json!([
        { "id": "say", "type": "send_message", "option": { "text": "hi ${message.text}" },
          "on": { "failed": "note", "opted_out": "note" } },
        { "id": "note", "type": "set_variables", "option": { "variables": { "noted": "yes" } } },
    ]))
    .await
}

fn later(after: Option<u64>) -> Refusal {
    Refusal::Later { why: "too many".into(), after: after.map(Duration::from_secs) }
}

#[tokio::test]
async fn a_carrier_that_is_busy_is_tried_again_with_the_same_key() {
    let rig = rig().await;
    rig.carrier.refuse(later(None));
    rig.carrier.refuse(later(Some(20)));
    rig.text("one").await;
    let first = rig.carrier.tried(1).await;
    rig.until("the first try to be stored", async || {
        rig.store.outbox(&first[0].key).await.unwrap().unwrap().attempts == 1
    })
    .await;
    rig.pass(5);
    rig.carrier.tried(2).await;
    rig.until("the second try to be stored", async || {
        rig.store.outbox(&first[0].key).await.unwrap().unwrap().attempts == 2
    })
    .await;
    // The carrier asked for 20 s.
    let row = rig.store.outbox(&first[0].key).await.unwrap().unwrap();
    assert!(row.not_before >= rig.now() + jiff::SignedDuration::from_secs(15));
    rig.pass(20);
    let sent = rig.carrier.sent(1).await;
    assert_eq!(sent[0].key, first[0].key);
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await[0], "say done");
}

#[tokio::test]
async fn a_later_text_does_not_overtake_one_that_is_tried_again() {
    let rig = rig().await;
    rig.carrier.refuse(later(None));
    rig.text("one").await;
    rig.carrier.tried(1).await;
    rig.text("two").await;
    rig.handled(2).await;
    rig.until("the pause to be stored and to be over", async || {
        rig.pass(1);
        rig.carrier.texts().len() == 2
    })
    .await;
    assert_eq!(rig.carrier.texts(), ["hi one", "hi two"]);
}

#[tokio::test]
async fn a_carrier_that_stays_busy_is_given_up() {
    let rig = rig().await;
    for _ in 0..20 {
        rig.carrier.refuse(later(None));
    }
    rig.text("one").await;
    // The run's own patience is 5 minutes; both ends are `failed` or `timeout`, none is a hang.
    rig.until("the run to end", async || {
        rig.pass(10);
        rig.runs().await.first().is_some_and(|run| run.outcome.is_some())
    })
    .await;
    assert_eq!(rig.carrier.texts(), [""; 0]);
    // Tries that were late before they began are no refusals: time flies here.
    let key = &rig.carrier.tried(8).await[0].key;
    let row = rig.store.outbox(key).await.unwrap().unwrap();
    assert_eq!((row.status, row.refused), (Status::Failed, 8));
}

#[tokio::test]
async fn a_carrier_that_is_full_is_waited_for_however_often_it_says_so() {
    let rig = rig().await;
    let full = |after: Option<u64>| Refusal::Full {
        why: "queue is full".into(),
        after: after.map(Duration::from_secs),
    };
    rig.carrier.refuse(full(Some(60)));
    for _ in 0..19 {
        rig.carrier.refuse(full(None));
    }
    let began = rig.now();
    rig.text("one").await;
    let key = rig.carrier.tried(1).await[0].key.clone();
    rig.until("the wait to be stored", async || {
        rig.store.outbox(&key).await.unwrap().unwrap().not_before > began
    })
    .await;
    let row = rig.store.outbox(&key).await.unwrap().unwrap();
    assert!(row.not_before >= began + jiff::SignedDuration::from_secs(59));
    assert!(row.why.unwrap().contains("queue is full"));
    // Nor is anything else of that number sent before.
    rig.receive(rig.message("+15550000009", "other", Some("SM-other"))).await.unwrap();
    // Time passes while nobody has it in hand.
    rig.until("the carrier to take it", async || {
        let row = rig.store.outbox(&key).await.unwrap().unwrap();
        let left = row.not_before.duration_since(rig.now()).as_secs();
        if row.claimed_by.is_none() && left >= 0 {
            rig.pass(left + 1);
        }
        row.status == Status::Sent
    })
    .await;
    // Those were waits and no tries, and the run has waited longer than it does otherwise.
    assert_eq!(rig.store.outbox(&key).await.unwrap().unwrap().attempts, 1);
    let mut texts = rig.carrier.sent(2).await.into_iter().map(|sent| sent.text).collect::<Vec<_>>();
    texts.sort();
    assert_eq!(texts, ["hi one", "hi other"]);
    assert!(rig.now() > began + jiff::SignedDuration::from_mins(5));
    let runs = rig.ended(2).await;
    for run in runs {
        assert_eq!(rig.steps(&run.id).await[0], "say done");
    }
}

#[tokio::test]
async fn what_is_refused_for_good_fails_and_says_why() {
    let rig = rig().await;
    rig.carrier.refuse(Refusal::Never { code: "21211".into(), why: "no such number".into() });
    rig.text("one").await;
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["say failed", "note done"]);
    let taken = rig.store.taken(&runs[0].id).await.unwrap();
    assert!(taken[0].why.contains("21211"), "{}", taken[0].why);
    let key = &rig.carrier.tried(1).await[0].key;
    let row = rig.store.outbox(key).await.unwrap().unwrap();
    assert_eq!((row.status, row.attempts), (Status::Failed, 1));
}

#[tokio::test]
async fn whom_the_carrier_calls_opted_out_is_blocked() {
    let rig = rig().await;
    rig.carrier.refuse(Refusal::OptedOut { code: "21610".into() });
    rig.text("one").await;
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["say opted_out", "note done"]);
    rig.text("two").await;
    let runs = rig.ended(2).await;
    assert_eq!(rig.steps(&runs[1].id).await, ["say opted_out", "note done"]);
    // The second was not even tried.
    assert_eq!(rig.carrier.tried(1).await.len(), 1);
}

#[tokio::test]
async fn what_may_have_left_is_not_sent_twice_by_default() {
    let rig = rig().await;
    rig.carrier.keeps_silent();
    rig.carrier.refuse(Refusal::Unknown { why: "the answer was lost".into() });
    rig.text("one").await;
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["say failed", "note done"]);
    let taken = rig.store.taken(&runs[0].id).await.unwrap();
    assert!(taken[0].why.contains("unknown"), "{}", taken[0].why);
    let told = rig.store.transcript(&runs[0].id).await.unwrap();
    assert_eq!((told.len(), told[0].who.as_str()), (1, "note"));
    assert!(told[0].text.contains("at_most_once"), "{}", told[0].text);
    rig.pass(600);
    rig.text("two").await;
    rig.carrier.sent(1).await;
    assert_eq!(rig.carrier.tried(2).await.len(), 2);
    assert_eq!(rig.carrier.texts(), ["hi two"]);
}

#[tokio::test]
async fn a_text_to_somebody_else_leaves_from_our_numbers_only() {
    let to = |source: &str| {
        json!([{ "id": "say", "type": "send_message", "option": {
            "text": "hi", "source": { "target": source },
            "destinations": [{ "target": "+15550009999" }] } }])
    };
    let rig = Rig::texts(to(crate::rig::OURS)).await;
    rig.text("go").await;
    let sent = rig.carrier.sent(1).await;
    assert_eq!((sent[0].ours.as_str(), sent[0].peer.as_str()), (crate::rig::OURS, "+15550009999"));

    let rig = Rig::texts(to("+15550008888")).await;
    rig.text("go").await;
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["say failed"]);
}

/// A text whose answer was lost, to a carrier that took it, or not.
async fn lost_answer(rig: &Rig) -> String {
    rig.carrier.refuse(Refusal::Unknown { why: "the answer was lost".into() });
    rig.text("one").await;
    rig.until("the run to end", async || {
        rig.pass(1);
        rig.runs().await.first().is_some_and(|run| run.outcome.is_some())
    })
    .await;
    let run = &rig.runs().await[0];
    assert_eq!(rig.steps(&run.id).await[0], "say done");
    let told = rig.store.transcript(&run.id).await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].text.clone()
}

#[tokio::test]
async fn a_carrier_that_never_got_it_is_given_it_again() {
    let rig = rig().await;
    let told = lost_answer(&rig).await;
    assert!(told.contains("has not got it"), "{told}");
    assert_eq!(rig.carrier.texts(), ["hi one"]);
}

#[tokio::test]
async fn a_carrier_that_has_it_is_believed() {
    let rig = rig().await;
    // The carrier takes it, and its answer is lost.
    rig.carrier.swallows(1);
    rig.text("one").await;
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await[0], "say done");
    let told = rig.store.transcript(&runs[0].id).await.unwrap();
    assert!(told[0].text.contains("the carrier has it"), "{told:?}");
    // The same words again are another text, though the carrier has such a one.
    rig.carrier.refuse(Refusal::Unknown { why: "the answer was lost".into() });
    rig.text("one").await;
    rig.until("the second text to leave", async || {
        rig.pass(1);
        rig.carrier.texts().len() == 2
    })
    .await;
    assert_eq!(rig.carrier.texts(), ["hi one", "hi one"]);
}

#[tokio::test]
async fn a_channel_may_rather_send_twice_than_never() {
    let mut rig = Rig::idle(json!([
        { "id": "say", "type": "send_message", "option": { "text": "hi ${message.text}" } },
    ]))
    .await;
    rig.delivery = conversation::Delivery::AtLeastOnce;
    rig.start();
    rig.carrier.keeps_silent();
    let told = lost_answer(&rig).await;
    assert!(told.contains("(at_least_once), so it is sent again"), "{told}");
    assert_eq!(rig.carrier.texts(), ["hi one"]);
}

#[tokio::test]
async fn a_carrier_that_never_answers_is_given_up_too() {
    let mut rig = Rig::idle(json!([
        { "id": "say", "type": "send_message", "option": { "text": "hi" } },
    ]))
    .await;
    rig.delivery = conversation::Delivery::AtLeastOnce;
    rig.start();
    rig.carrier.keeps_silent();
    for _ in 0..20 {
        rig.carrier.refuse(Refusal::Unknown { why: "the answer was lost".into() });
    }
    rig.text("hello").await;
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["say failed"]);
    assert_eq!(rig.carrier.tried(8).await.len(), 8);
    let told = rig.store.transcript(&runs[0].id).await.unwrap();
    assert!(told[7].text.ends_with("it is not sent again"), "{}", told[7].text);
}
