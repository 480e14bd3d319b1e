//! Calls whose process dies, freezes or stops: another one goes on with them, or closes them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use call::{Dialled, Inbound, Switchboard};
use conversation::Tenant;
use flow::Outcome;
use jiff::SignedDuration;
use serde_json::json;
use store::{CallRow, Write};
use tokio_util::sync::CancellationToken;

use crate::calls::{Caller, naps, waits};
use crate::rig::{OURS, PEER, Rig};
use crate::world::soon;

/// Two runtimes on one store; calls come to the first.
async fn two(actions: serde_json::Value) -> Rig {
    let mut rig = Rig::calls(actions).await;
    rig.start();
    rig
}

#[tokio::test]
async fn a_call_goes_on_in_another_process_and_the_old_one_writes_nothing_more() {
    let rig = two(waits()).await;
    let old = Caller::calls(&rig, PEER);
    let run = naps(&rig).await;
    let other = rig.other();
    assert_eq!(other.brought_back("twilio", "CA2").await, None);
    let arrival = other.brought_back("twilio", "CA1").await.unwrap();
    assert_eq!((arrival.from.as_str(), arrival.to.as_str()), (PEER, OURS));
    let new = Caller::comes_back(other, PEER, None);
    rig.until("the call to be taken", async || {
        rig.store.live(&run).await.unwrap().is_some_and(|live| live.worker == "w2")
    })
    .await;
    assert!(rig.runtime().is_taken("twilio", "CA1").await);

    // Both see that the nap is over; one of them may say so.
    rig.pass(3600);
    let [hung_up, released] = [&old.hung_up, &old.released].map(std::sync::Arc::clone);
    old.over().await;
    assert!(released.load(Ordering::SeqCst) && !hung_up.load(Ordering::SeqCst));
    let ended = std::sync::Arc::clone(&new.hung_up);
    new.over().await;
    assert!(ended.load(Ordering::SeqCst));
    let runs = rig.ended(1).await;
    assert_eq!((runs.len(), runs[0].outcome), (1, Some(Outcome::Finished)));
    assert_eq!(rig.steps(&run).await, ["hello done", "nap done", "bye ended"]);
    let call = rig.store.call(&runs[0].subject).await.unwrap().unwrap();
    assert_eq!(call.status, "completed");
    assert_eq!(rig.store.live(&run).await.unwrap(), None);
    assert_eq!(other.brought_back("twilio", "CA1").await, None, "it is over");
}

/// The caller says something, and is given it back by an `echo`: the loudest of it.
async fn echoed(rig: &Rig, caller: &Caller) -> u16 {
    let before = caller.heard.lock().unwrap().len();
    let samples = vec![321; audio::Frame::samples_per_frame(8000)];
    let frame = audio::Frame { rate: 8000, samples };
    rig.until("an echo", async || {
        let _ = caller.ear.try_send(Inbound::Frame(frame.clone()));
        caller.heard.lock().unwrap().len() > before + 3
    })
    .await;
    caller.heard.lock().unwrap().iter().copied().max().unwrap()
}

#[tokio::test]
async fn who_was_mute_is_so_in_another_process() {
    let echo = json!({ "type": "echo", "option": { "duration_s": 3600 } });
    for (flow, loudest) in [(json!([{ "type": "mute" }, echo]), 0), (json!([echo]), 321)] {
        let rig = two(flow).await;
        let old = Caller::calls(&rig, PEER);
        assert_eq!(echoed(&rig, &old).await, loudest);
        let new = Caller::comes_back(rig.other(), PEER, None);
        assert_eq!(echoed(&rig, &new).await, loudest);
        new.hangs_up().await;
        new.over().await;
        old.hangs_up().await;
        old.over().await;
    }
}

#[tokio::test]
async fn who_wakes_late_finds_the_run_ended_and_leaves_it_so() {
    let rig = two(waits()).await;
    let old = Caller::calls(&rig, PEER);
    let run = naps(&rig).await;
    let new = Caller::comes_back(rig.other(), PEER, None);
    rig.until("the call to be taken", async || {
        rig.store.live(&run).await.unwrap().is_some_and(|live| live.epoch == 1)
    })
    .await;
    new.hangs_up().await;
    new.over().await;
    let ended = rig.ended(1).await.remove(0);
    assert_eq!(ended.outcome, Some(Outcome::HungUp));
    rig.pass(3600);
    old.over().await;
    assert_eq!(rig.runs().await, [ended]);
}

#[tokio::test]
async fn a_dial_that_the_carrier_has_bridged_ends_as_it_says() {
    let desk = json!([
        { "id": "desk", "type": "connect_call", "option": { "destinations": [
            { "type": "tel", "target": "+15550003000" }] },
          "on": { "no_answer": "away", "failed": "broken" } },
        { "id": "done", "type": "hangup" },
        { "id": "away", "type": "hangup" },
        { "id": "broken", "type": "hangup" },
    ]);
    for (end, steps) in [
        (Some(Dialled::AnsweredAndDone), ["desk done", "done ended"]),
        (Some(Dialled::NoAnswer), ["desk no_answer", "away ended"]),
        (None, ["desk failed", "broken ended"]),
    ] {
        let rig = two(desk.clone()).await;
        let old = Caller::dials_for_ever(&rig, PEER);
        rig.until("the run to dial", async || {
            let runs = rig.runs().await;
            runs.first().is_some_and(|run| run.state.waiting().is_some())
        })
        .await;
        let new = Caller::comes_back(rig.other(), PEER, end);
        new.over().await;
        let runs = rig.ended(1).await;
        assert_eq!(rig.steps(&runs[0].id).await, steps);
        old.hangs_up().await;
        old.over().await;
        assert_eq!(rig.runs().await, runs);
    }
}

#[tokio::test]
async fn a_call_that_its_carrier_does_not_bring_back_is_closed() {
    let mut rig = Rig::calls(waits()).await;
    let caller = Caller::calls(&rig, PEER);
    let run = naps(&rig).await;
    // It says no more that it is alive, and hosts its call all the same.
    rig.stop().await;
    rig.start();
    assert_eq!(rig.runs().await[0].outcome, None);
    let ended = async {
        tokio::select! {
            () = rig.goes_on() => unreachable!(),
            runs = rig.ended(1) => runs,
        }
    };
    let runs = ended.await;
    assert_eq!(
        (runs[0].outcome, runs[0].state.why.as_str()),
        (Some(Outcome::HungUp), "the call ended: failed",)
    );
    let call = rig.store.call(&runs[0].subject).await.unwrap().unwrap();
    assert_eq!((call.status.as_str(), call.ended.is_some()), ("failed", true));
    assert_eq!(rig.store.live(&run).await.unwrap(), None);
    caller.hangs_up().await;
    caller.over().await;
    assert_eq!(rig.runs().await, runs, "who was dead has changed it");
}

#[tokio::test]
async fn what_its_carrier_says_is_over_is_closed_at_once() {
    let mut rig = Rig::calls(waits()).await;
    let caller = Caller::calls(&rig, PEER);
    naps(&rig).await;
    rig.start();
    // Its process is alive, as long as time passes, and knows better.
    tokio::select! {
        () = rig.goes_on() => unreachable!(),
        () = rig.other().ended("twilio", "CA1") => {}
    }
    assert_eq!(rig.runs().await[0].outcome, None);
    rig.stop().await;
    rig.start();
    rig.runtime().ended("twilio", "CA1").await;
    let runs = rig.ended(1).await;
    assert_eq!(runs[0].outcome, Some(Outcome::HungUp));
    let call = rig.store.call(&runs[0].subject).await.unwrap().unwrap();
    assert_eq!(call.status, "completed");
    caller.hangs_up().await;
    caller.over().await;
}

#[tokio::test]
async fn a_call_whose_process_died_while_dialing_is_closed() {
    let mut rig = Rig::idle_calls(waits()).await;
    let call = CallRow {
        id: "c1".into(),
        tenant: Tenant::default(),
        carrier: "twilio".into(),
        carrier_id: "CA7".into(),
        from: OURS.into(),
        to: PEER.into(),
        run: "r1".into(),
        status: "dialing".into(),
        started: rig.now().checked_sub(SignedDuration::from_mins(5)).unwrap(),
        ended: None,
    };
    rig.store.commit(vec![Write::Call(call)]).await.unwrap();
    rig.start();
    rig.until("the call to be closed", async || {
        rig.store.call("c1").await.unwrap().unwrap().status == "failed"
    })
    .await;
}

#[tokio::test]
async fn who_stops_hands_its_calls_over_where_somebody_is() {
    let rig = two(waits()).await;
    let old = Caller::calls(&rig, PEER);
    let run = naps(&rig).await;
    rig.until("both to be known", async || rig.store.workers().await.unwrap().len() == 2).await;
    let doors = CancellationToken::new();
    let first = std::sync::Arc::clone(rig.runtime());
    let closing = doors.clone();
    let drained = tokio::spawn(async move { first.drain(Duration::from_secs(8), &closing).await });
    let [hung_up, released] = [&old.hung_up, &old.released].map(std::sync::Arc::clone);
    old.over().await;
    assert!(doors.is_cancelled(), "it answers still");
    assert!(released.load(Ordering::SeqCst) && !hung_up.load(Ordering::SeqCst));
    soon("the end of the drain", drained).await.unwrap();
    let live = rig.store.live(&run).await.unwrap().unwrap();
    assert_eq!((live.worker.as_str(), live.epoch), ("", 0));
    // Nobody needs to watch whether its process lives.
    assert!(rig.other().orphaned("twilio", "CA1").await.is_some());
    let new = Caller::comes_back(rig.other(), PEER, None);
    rig.until("the call to be taken", async || {
        rig.store.live(&run).await.unwrap().is_some_and(|live| live.worker == "w2")
    })
    .await;
    rig.pass(3600);
    new.over().await;
    assert_eq!(rig.ended(1).await[0].outcome, Some(Outcome::Finished));
    assert_eq!(rig.steps(&run).await, ["hello done", "nap done", "bye ended"]);
}

#[tokio::test]
async fn who_stops_alone_says_goodbye() {
    let rig = Rig::calls(waits()).await;
    let caller = Caller::calls(&rig, PEER);
    naps(&rig).await;
    let doors = CancellationToken::new();
    let [hung_up, released] = [&caller.hung_up, &caller.released].map(std::sync::Arc::clone);
    rig.runtime().drain(Duration::from_secs(2), &doors).await;
    caller.over().await;
    assert!(!doors.is_cancelled());
    assert!(hung_up.load(Ordering::SeqCst) && !released.load(Ordering::SeqCst));
    let runs = rig.ended(1).await;
    assert_eq!(runs[0].outcome, Some(Outcome::Stopped));
}
