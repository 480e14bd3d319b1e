//! Events from outside, for runs about threads and for calls of this process and of another.

use flow::{Event, Outcome, Vars};
use runtime::Told;
use serde_json::{Value, json};

use crate::calls::Caller;
use crate::rig::{PEER, Rig};

fn waits() -> Value {
    json!([
        { "id": "wait", "type": "wait_event", "option": { "name": "paid", "timeout_s": 3600 },
          "on": { "timeout": "end" } },
        { "id": "say", "type": "send_message", "option": { "text": "got ${event.sum}" } },
    ])
}

fn signal(name: &str) -> Event {
    Event::Signal { name: name.into(), values: Vars::from([("sum".into(), json!(7))]) }
}

async fn waiting(rig: &Rig) -> String {
    rig.until("the run to wait", async || {
        rig.runs().await.first().is_some_and(|run| run.state.waits().next().is_some())
    })
    .await;
    rig.runs().await[0].id.clone()
}

#[tokio::test]
async fn a_run_that_waits_for_an_event_gets_it_once() {
    let rig = Rig::texts(waits()).await;
    rig.text("hi").await;
    let run = waiting(&rig).await;
    let tell = async |event| rig.runtime().tell_run(&run, event).await.unwrap();
    assert_eq!(tell(signal("shipped")).await, Told::Unwanted);
    assert_eq!(tell(signal("paid")).await, Told::Taken);
    assert_eq!(rig.carrier.sent(1).await[0].text, "got 7");
    rig.ended(1).await;
    assert_eq!(tell(signal("paid")).await, Told::Over);
    assert_eq!(rig.runtime().tell_run("none", signal("paid")).await.unwrap(), Told::Unknown);
}

#[tokio::test]
async fn a_call_of_another_process_is_reached_through_the_store() {
    let mut rig = Rig::calls(waits()).await;
    rig.start();
    let caller = Caller::calls(&rig, PEER);
    let run = waiting(&rig).await;
    let other = rig.other();
    assert_eq!(other.live_calls(), 0);
    assert_eq!(other.tell_run(&run, signal("paid")).await.unwrap(), Told::Taken);
    assert_eq!(rig.carrier.sent(1).await[0].text, "got 7");
    caller.over().await;
    assert_eq!(rig.ended(1).await[0].outcome, Some(Outcome::Finished));
    assert!(rig.store.told(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_call_of_another_process_is_stopped_through_the_store() {
    let mut rig = Rig::calls(waits()).await;
    rig.start();
    let caller = Caller::calls(&rig, PEER);
    let run = waiting(&rig).await;
    assert!(rig.other().stop_run(&run, "enough").await.unwrap());
    caller.over().await;
    assert_eq!(rig.ended(1).await[0].outcome, Some(Outcome::Stopped));
}
