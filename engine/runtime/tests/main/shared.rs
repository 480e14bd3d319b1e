//! Several processes on one store and queue, and what fails while they work.

use std::collections::HashMap;
use std::sync::Arc;

use conversation::{Inbox, Media};
use serde_json::json;

use crate::faults::{Deaf, Fault, Faulty};
use crate::rig::{PEER, Rig, talks};

fn echoes() -> serde_json::Value {
    json!([
        { "id": "say", "type": "send_message", "option": { "text": "${message.text}" } },
        { "id": "nap", "type": "sleep", "option": { "duration_s": 1 } },
        { "id": "more", "type": "send_message", "option": { "text": "${message.text}!" } },
    ])
}

#[tokio::test]
async fn two_processes_share_the_work_and_do_nothing_twice() {
    let mut rig = Rig::texts(echoes()).await;
    rig.start();
    let (threads, each) = (12, 4);
    for n in 0..each {
        for thread in 0..threads {
            let peer = format!("+1555000{thread:04}");
            let id = format!("{thread}/{n}");
            let text = rig.message(&peer, &n.to_string(), Some(&id));
            rig.receive(text.clone()).await.unwrap();
            rig.receive(text).await.unwrap();
        }
    }
    rig.carrier.sent(threads * each).await;
    tokio::select! {
        _ = rig.ended(threads * each) => {}
        () = rig.goes_on() => unreachable!(),
    }
    let mut sent: HashMap<String, Vec<String>> = HashMap::new();
    for text in rig.carrier.sent(2 * threads * each).await {
        sent.entry(text.peer.to_string()).or_default().push(text.text);
    }
    assert_eq!(sent.len(), threads);
    for (peer, texts) in sent {
        let first: Vec<_> = texts.iter().filter(|text| !text.ends_with('!')).collect();
        assert_eq!(first, ["0", "1", "2", "3"], "of {peer}");
        assert_eq!(texts.len(), 2 * each, "to {peer}: {texts:?}");
    }
}

#[tokio::test]
async fn a_reply_that_died_with_its_process_is_made_by_another() {
    let mut rig = Rig::texts(talks(json!({}))).await;
    rig.text("hello").await;
    let dying = rig.model.asked().await;
    rig.kill().await;
    dying.dropped().await;
    rig.start();
    // The wake-up was in the hands of the one that died; it comes back when its time is over.
    let asked = loop {
        rig.pass(30);
        tokio::select! {
            asked = rig.model.wanted() => break asked,
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
        }
    };
    assert_eq!(asked.heard(), ["hello"]);
    asked.say("hi").await;
    rig.carrier.sent(1).await;
    rig.text("thanks").await;
    // What the dead one had in its hands may come back only now, and then it is thought about anew.
    let answers = async {
        loop {
            rig.model.wanted().await.say("welcome").await;
        }
    };
    tokio::select! {
        () = answers => {}
        _ = rig.carrier.sent(2) => {}
    }
    assert_eq!(rig.carrier.texts(), ["hi", "welcome"]);
}

#[tokio::test]
async fn texts_that_came_while_nothing_ran_are_handled() {
    let queue = Deaf::new().await;
    let store = store::open("sqlite::memory:").await.unwrap();
    let mut rig = Rig::on(store, Arc::clone(&queue) as _, None, Some(echoes()));
    rig.start();
    // The job is lost, the text is not.
    queue.deaf(true);
    rig.text("one").await;
    queue.deaf(false);
    rig.until("the sweep to find it", async || {
        rig.pass(1);
        !rig.carrier.texts().is_empty()
    })
    .await;
    assert_eq!(rig.carrier.texts()[0], "one");
}

#[tokio::test]
async fn a_store_that_is_down_refuses_at_the_door_and_loses_nothing() {
    let store = Faulty::new().await;
    let queue = queue::open("embedded").await.unwrap();
    let mut rig = Rig::on(Arc::clone(&store) as _, queue, None, Some(talks(json!({}))));
    rig.start();
    store.is(Fault::Down);
    let text = rig.message(PEER, "hello", Some("SM1"));
    assert!(rig.receive(text.clone()).await.is_err());
    store.is(Fault::None);
    rig.receive(text).await.unwrap();
    let asked = rig.model.wanted().await;
    // The answer cannot be stored for a while.
    store.is(Fault::Down);
    asked.say("hi").await;
    let busy = rig.receive(rig.message(PEER, "more", Some("SM2"))).await;
    assert!(busy.is_err());
    store.is(Fault::None);
    // Whether the answer is kept or made again, it leaves once.
    let answers = async {
        loop {
            rig.model.wanted().await.say("hi").await;
        }
    };
    tokio::select! {
        () = answers => {}
        _ = rig.carrier.sent(1) => {}
    }
    assert_eq!(rig.carrier.texts(), ["hi"]);
}

#[tokio::test]
async fn the_door_knows_which_numbers_answer() {
    let rig = Rig::texts(talks(json!({}))).await;
    let whose = Some(conversation::Tenant::default());
    assert_eq!(rig.runtime().answers("twilio", crate::rig::OURS), whose);
    assert_eq!(rig.runtime().answers("browser", crate::rig::OURS), whose);
    assert_eq!(rig.runtime().answers("twilio", "+15550008888"), None);
}

#[tokio::test]
async fn a_picture_without_words_is_a_text_too() {
    let rig = Rig::texts(json!([
        { "id": "say", "type": "send_message", "option": { "text": "got ${message.media}" } },
    ]))
    .await;
    let mut text = rig.message(PEER, "", Some("SM1"));
    text.media =
        vec![Media { url: "https://example.com/a.jpg".into(), content_type: "image/jpeg".into() }];
    rig.receive(text).await.unwrap();
    assert!(rig.carrier.sent(1).await[0].text.contains("https://example.com/a.jpg"));
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_done_twice() {
    let store = Faulty::new().await;
    let queue = queue::open("embedded").await.unwrap();
    let mut rig = Rig::on(Arc::clone(&store) as _, queue, None, Some(talks(json!({}))));
    rig.start();
    for n in 0..3 {
        store.is(Fault::Mute);
        let text = rig.message(PEER, &n.to_string(), Some(&format!("SM{n}")));
        // The carrier brings it again when it hears nothing.
        if rig.receive(text.clone()).await.is_err() {
            assert_eq!(rig.receive(text).await.unwrap(), conversation::Accepted::Again);
        }
        // What was stored but not announced is found by the sweep.
        let asked = tokio::select! {
            asked = rig.model.wanted() => asked,
            () = rig.goes_on() => unreachable!(),
        };
        assert_eq!(asked.heard().len(), n + 1);
        store.is(Fault::Mute);
        asked.say(&format!("re: {n}")).await;
        rig.carrier.sent(n + 1).await;
    }
    assert_eq!(rig.carrier.texts(), ["re: 0", "re: 1", "re: 2"]);
}
