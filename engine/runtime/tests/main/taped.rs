//! Recordings of calls: the flow that follows on the end of one begins once, however it ends.

use std::time::Duration;

use call::Switchboard;
use serde_json::{Value, json};
use store::RunRow;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::calls::{Caller, naps};
use crate::rig::{PEER, Rig};

/// A call that is recorded until its first nap is over; then it naps again.
fn tape(on_end: &str) -> Value {
    let nap = |id: &str| json!({ "id": id, "type": "sleep", "option": { "duration_s": 3600 } });
    json!([
        { "id": "hello", "type": "answer" },
        { "id": "mood", "type": "set_variables", "option": { "variables": { "mood": "good" } } },
        { "id": "tape", "type": "start_recording", "option": { "on_end_flow_id": on_end } },
        nap("nap"),
        { "id": "stop", "type": "stop_recording" },
        nap("again"),
        { "id": "bye", "type": "hangup" },
    ])
}

/// Runtimes that keep recordings, and the folder.
async fn rig(on_end: &str, runtimes: usize) -> (TempDir, Rig) {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::idle_calls(tape(on_end)).await;
    let kept: std::sync::Arc<std::path::Path> = folder.path().into();
    rig.alter = Some(Box::new(move |parts| parts.recordings = Some(kept.clone())));
    rig.knows(
        "default",
        &json!({ "name": "after", "actions": [
        { "id": "note", "type": "set_variables", "option": { "variables": {
            "heard": "${voipbin.recording.filenames} of a ${mood} call" } } } ] }),
    );
    for _ in 0..runtimes {
        rig.start();
    }
    (folder, rig)
}

/// The run that follows, once it has ended.
async fn follows(rig: &Rig) -> RunRow {
    let of = |runs: Vec<RunRow>| {
        runs.into_iter().find(|run| run.flow_name == "after" && run.outcome.is_some())
    };
    rig.until("what follows to end", async || of(rig.runs().await).is_some()).await;
    of(rig.runs().await).unwrap()
}

/// What follows is about the recording of the call, whose file is whole, and came once.
async fn check(rig: &Rig, folder: &TempDir) {
    let runs = rig.ended(2).await;
    assert_eq!(runs.len(), 2, "{runs:?}");
    let next = follows(rig).await;
    let call = runs.iter().find(|run| run.id != next.id).unwrap();
    let id = format!("{}_tape_3_1", call.id);
    let vars = &next.state.vars;
    let known = |name: &str| vars.get(name).and_then(Value::as_str).unwrap_or("nothing");
    for (name, value) in [
        ("id", id.as_str()),
        ("reference_type", "call"),
        ("reference_id", &call.subject),
        ("format", "wav"),
        ("recording_name", &id),
        ("filenames", &format!("{id}.wav")),
    ] {
        assert_eq!(known(&format!("recording.{name}")), value, "{name}");
        assert_eq!(known(&format!("voipbin.recording.{name}")), value, "{name}");
    }
    for name in ["run.parent", "voipbin.activeflow.reference_activeflow_id"] {
        assert_eq!(known(name), call.id, "{name}");
    }
    assert_eq!(known("heard"), format!("{id}.wav of a good call"));
    assert_eq!(next.state.chain, 1);
    let file = std::fs::read(folder.path().join(format!("{id}.wav"))).unwrap();
    audio::wav::read(&file).unwrap();
    assert!(rig.store.live(&call.id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_flow_follows_on_a_recording_while_the_call_goes_on() {
    let (folder, rig) = rig("after", 1).await;
    let caller = Caller::calls(&rig, PEER);
    let run = naps(&rig).await;
    let live = rig.store.live(&run).await.unwrap().unwrap();
    assert_eq!(live.pending.len(), 1, "it is kept as long as it goes on");
    rig.pass(3600);
    follows(&rig).await;
    assert_eq!(rig.runs().await[0].outcome, None);
    let live = rig.store.live(&run).await.unwrap().unwrap();
    assert_eq!(live.pending, []);
    caller.hangs_up().await;
    caller.over().await;
    check(&rig, &folder).await;
}

#[tokio::test]
async fn a_flow_follows_on_a_recording_that_ends_with_its_call() {
    let (folder, rig) = rig("after", 1).await;
    let caller = Caller::calls(&rig, PEER);
    naps(&rig).await;
    caller.hangs_up().await;
    caller.over().await;
    check(&rig, &folder).await;
}

#[tokio::test]
async fn a_flow_follows_once_when_another_process_has_taken_the_call() {
    let (folder, rig) = rig("after", 2).await;
    let old = Caller::calls(&rig, PEER);
    let run = naps(&rig).await;
    let new = Caller::comes_back(rig.other(), PEER, None);
    follows(&rig).await;
    assert_eq!(rig.store.live(&run).await.unwrap().unwrap().worker, "w2");
    // Who had it before ends the recording, too, and finds that it has nothing to say.
    old.hangs_up().await;
    old.over().await;
    new.hangs_up().await;
    new.over().await;
    check(&rig, &folder).await;
}

#[tokio::test]
async fn a_flow_follows_once_when_a_process_hands_its_call_over() {
    let (folder, rig) = rig("after", 2).await;
    let old = Caller::calls(&rig, PEER);
    naps(&rig).await;
    rig.until("both to be known", async || rig.store.workers().await.unwrap().len() == 2).await;
    let (first, doors) = (std::sync::Arc::clone(rig.runtime()), CancellationToken::new());
    let drained = tokio::spawn(async move { first.drain(Duration::from_secs(8), &doors).await });
    old.over().await;
    drained.await.unwrap();
    let new = Caller::comes_back(rig.other(), PEER, None);
    follows(&rig).await;
    new.hangs_up().await;
    new.over().await;
    check(&rig, &folder).await;
}

#[tokio::test]
async fn a_flow_follows_on_the_recording_of_a_call_that_nobody_brings_back() {
    let (folder, mut rig) = rig("after", 1).await;
    let caller = Caller::calls(&rig, PEER);
    naps(&rig).await;
    rig.stop().await;
    rig.start();
    rig.runtime().ended("twilio", "CA1").await;
    follows(&rig).await;
    caller.hangs_up().await;
    caller.over().await;
    check(&rig, &folder).await;
}

#[tokio::test]
async fn a_recording_that_no_flow_can_follow_on_says_so() {
    let (_folder, rig) = rig("nobody", 1).await;
    let caller = Caller::calls(&rig, PEER);
    let run = naps(&rig).await;
    caller.hangs_up().await;
    caller.over().await;
    rig.until("a note", async || {
        let lines = rig.store.transcript(&run).await.unwrap();
        lines.iter().any(|line| line.text.contains("there is no flow `nobody`"))
    })
    .await;
    assert_eq!(rig.ended(1).await.len(), 1);
}
