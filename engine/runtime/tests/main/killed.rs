//! Processes that die in the middle of their work, again and again.

use std::collections::HashMap;
use std::sync::Arc;

use conversation::{Refusal, Status};
use serde_json::json;
use store::OutboxRow;

use crate::rig::{Rig, talks};
use crate::world::{Asked, Carrier};

const THREADS: usize = 6;
const TEXTS: usize = 5;

fn peer(thread: usize) -> String {
    format!("+1555000{thread:04}")
}

/// What each peer got.
fn got(carrier: &Carrier) -> HashMap<String, Vec<String>> {
    let mut got: HashMap<String, Vec<String>> = HashMap::new();
    for text in carrier.all() {
        got.entry(text.peer.to_string()).or_default().push(text.text);
    }
    got
}

fn count(carrier: &Carrier) -> usize {
    got(carrier).values().map(Vec::len).sum()
}

/// A process lives until so many texts have left. What the dead ones had in their hands comes back
/// when their time is over.
async fn a_life(rig: &mut Rig, until: usize) {
    rig.pass(61);
    rig.start();
    rig.until("texts to leave", async || count(&rig.carrier) >= until).await;
    rig.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_wait_in_line_are_all_answered_in_order() {
    let say = json!([
        { "id": "say", "type": "send_message", "option": { "text": "${message.text}" } },
    ]);
    let mut rig = Rig::texts(say).await;
    for n in 0..TEXTS {
        for thread in 0..THREADS {
            let text = rig.message(&peer(thread), &n.to_string(), Some(&format!("{n}/{thread}")));
            rig.receive(text).await.unwrap();
        }
    }
    rig.kill().await;
    while count(&rig.carrier) < THREADS * TEXTS {
        let more = count(&rig.carrier) + 2;
        a_life(&mut rig, more.min(THREADS * TEXTS)).await;
    }
    for thread in 0..THREADS {
        let texts = &got(&rig.carrier)[&peer(thread)];
        assert_eq!(*texts, ["0", "1", "2", "3", "4"], "to {thread}");
    }
    rig.pass(61);
    rig.start();
    assert_eq!(rig.ended(THREADS * TEXTS).await.len(), THREADS * TEXTS);
}

#[tokio::test]
async fn a_text_is_given_up_by_a_carrier_and_not_by_processes_that_die_with_it() {
    let say = json!([{ "id": "say", "type": "send_message", "option": { "text": "hi" } }]);
    let mut rig = Rig::texts(say).await;
    rig.carrier.refuse(Refusal::Later { why: "not now".into(), after: None });
    rig.text("hello").await;
    let key = rig.carrier.tried(1).await[0].key.clone();
    let row = async |rig: &Rig| rig.store.outbox(&key).await.unwrap().unwrap();
    rig.until("the refusal to be stored", async || row(&rig).await.refused == 1).await;
    rig.kill().await;
    for death in 0..12 {
        rig.pass(61);
        let claimed = rig.store.claim_outbox(&format!("dead {death}"), rig.now(), 24, 10).await;
        assert_eq!(claimed.unwrap().len(), 1);
    }
    rig.pass(61);
    rig.start();
    assert_eq!(rig.carrier.sent(1).await[0].key, key);
    rig.until("it to be known", async || row(&rig).await.status == Status::Sent).await;
    let OutboxRow { attempts, refused, .. } = row(&rig).await;
    assert!(attempts > 12 && refused == 1, "{attempts} tries, {refused} refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_answers_each_text_once_and_forgets_nothing() {
    let mut rig = Rig::idle(talks(json!({}))).await;
    let model = Arc::clone(&rig.model);
    let echo = |asked: &Asked| format!("re: {}", asked.heard().pop().unwrap_or_default());
    let answering = tokio::spawn(async move {
        loop {
            let asked = model.asked().await;
            let words = echo(&asked);
            asked.say(&words).await;
        }
    });
    for n in 0..TEXTS {
        rig.start();
        for thread in 0..THREADS {
            let text = rig.message(&peer(thread), &n.to_string(), Some(&format!("{n}/{thread}")));
            rig.receive(text).await.unwrap();
        }
        rig.kill().await;
        let all = |rig: &Rig| {
            let got = got(&rig.carrier);
            got.len() == THREADS && got.values().all(|texts| texts.len() > n)
        };
        while !all(&rig) {
            let more = count(&rig.carrier) + 1;
            a_life(&mut rig, more).await;
        }
    }
    answering.abort();
    let expected: Vec<String> = (0..TEXTS).map(|n| format!("re: {n}")).collect();
    for thread in 0..THREADS {
        assert_eq!(got(&rig.carrier)[&peer(thread)], expected, "to {thread}");
    }
}
