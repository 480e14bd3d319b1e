//! Runs that wait: for a text, for time, across the life of a process.

use flow::{Activeflow, Event, Linking, Medium, Needs, Outcome};
use serde_json::json;

use crate::rig::Rig;

fn asks() -> serde_json::Value {
    json!([
        { "id": "ask", "type": "send_message", "option": { "text": "your name?" } },
        { "id": "wait", "type": "wait_message", "option": { "timeout_s": 3600, "into": "name" },
          "on": { "timeout": "late" } },
        { "id": "greet", "type": "send_message", "option": { "text": "hello ${name}" }, "next": "end" },
        { "id": "late", "type": "send_message", "option": { "text": "too late" } },
    ])
}

async fn waits_for_a_text(rig: &Rig, run: usize) {
    rig.until("the run to wait for a text", async || {
        let runs = rig.runs().await;
        runs.get(run).and_then(|run| run.state.waiting()).is_some_and(|w| w.what == "message")
    })
    .await;
}

#[tokio::test]
async fn a_run_that_waits_for_a_text_gets_it() {
    let rig = Rig::texts(asks()).await;
    rig.text("hi").await;
    waits_for_a_text(&rig, 0).await;
    rig.text("Ada").await;
    let runs = rig.ended(1).await;
    assert_eq!(runs.len(), 1);
    assert_eq!(rig.steps(&runs[0].id).await, ["ask done", "wait done", "greet done"]);
    // The next text begins anew.
    rig.text("hi again").await;
    waits_for_a_text(&rig, 1).await;
    assert_eq!(rig.carrier.texts(), ["your name?", "hello Ada", "your name?"]);
}

#[tokio::test]
async fn a_wait_ends_when_its_time_is_over() {
    let rig = Rig::texts(asks()).await;
    rig.text("hi").await;
    waits_for_a_text(&rig, 0).await;
    rig.pass(3601);
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["ask done", "wait timeout", "late done"]);
    rig.text("Ada").await;
    waits_for_a_text(&rig, 1).await;
    assert_eq!(rig.carrier.texts(), ["your name?", "too late", "your name?"]);
}

#[tokio::test]
async fn a_run_can_be_played_again_from_its_history() {
    let rig = Rig::texts(asks()).await;
    rig.text("hi").await;
    waits_for_a_text(&rig, 0).await;
    rig.pass(60);
    rig.text("Ada").await;
    let run = rig.ended(1).await.remove(0);
    let history = rig.store.taken(&run.id).await.unwrap();
    let given = history[0].cause.clone().unwrap().given.unwrap();
    assert_eq!(given["message.text"], "hi");
    let linking = Linking { catalog: actions::ALL, medium: Needs::Text };
    let (flow, _) = flow::link(&asks().to_string(), linking).unwrap();
    let mut again = Activeflow::new(&run.id, &flow, Medium::Text, given);
    again.advance(&flow, run.created, Event::Started);
    for taken in &history {
        if let Some(cause) = &taken.cause {
            assert!(!again.advance(&flow, taken.at, cause.event.clone()).dropped);
        }
    }
    assert_eq!(again, run.state);
}

#[tokio::test]
async fn another_process_goes_on_with_a_run_that_sleeps() {
    let flow = json!([
        { "id": "nap", "type": "sleep", "option": { "duration_s": 60 } },
        { "id": "up", "type": "send_message", "option": { "text": "awake" } },
    ]);
    let mut rig = Rig::texts(flow).await;
    rig.text("good night").await;
    rig.handled(1).await;
    rig.stop().await;
    rig.pass(120);
    assert_eq!(rig.carrier.texts(), [""; 0]);
    rig.start();
    rig.carrier.sent(1).await;
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["nap done", "up done"]);
}

#[tokio::test]
async fn a_deadline_is_exact_and_not_early() {
    let flow = json!([
        { "id": "nap", "type": "sleep", "option": { "duration_s": 60 } },
        { "id": "up", "type": "send_message", "option": { "text": "awake at ${now}" } },
    ]);
    let rig = Rig::texts(flow).await;
    rig.text("good night").await;
    rig.handled(1).await;
    rig.pass(59);
    // Another thread's text is handled after the moment at which an early timer would have fired.
    rig.receive(rig.message("+15550002222", "STOP", Some("SM9"))).await.unwrap();
    rig.carrier.sent(1).await;
    assert!(rig.runs().await[0].outcome.is_none());
    rig.pass(1);
    rig.carrier.sent(2).await;
    assert!(rig.ended(1).await[0].outcome == Some(Outcome::Finished));
}

#[tokio::test]
async fn a_run_is_stopped_from_outside() {
    let rig = Rig::texts(asks()).await;
    rig.text("hi").await;
    waits_for_a_text(&rig, 0).await;
    let run = rig.runs().await[0].id.clone();
    assert!(rig.runtime().stop_run(&run, "enough").await.unwrap());
    assert_eq!(rig.ended(1).await[0].outcome, Some(Outcome::Stopped));
    assert!(!rig.runtime().stop_run(&run, "again").await.unwrap());
    assert!(!rig.runtime().stop_run("no such run", "").await.unwrap());
    // The next text is not for the run that is over.
    rig.text("hi").await;
    waits_for_a_text(&rig, 1).await;
}

#[tokio::test]
async fn onlookers_see_what_a_run_does() {
    let rig = Rig::texts(asks()).await;
    let mut happenings = rig.runtime().watch.listen();
    rig.text("hi").await;
    waits_for_a_text(&rig, 0).await;
    rig.text("Ada").await;
    rig.ended(1).await;
    let mut kinds = Vec::new();
    while kinds.last() != Some(&"run_ended") {
        let happening = crate::world::soon("run_ended", happenings.recv()).await.unwrap();
        kinds.push(happening.kind);
    }
    for kind in ["text_in", "run_started", "action", "waiting", "text_out", "run_ended"] {
        assert!(kinds.contains(&kind), "no {kind} in {kinds:?}");
    }
}
