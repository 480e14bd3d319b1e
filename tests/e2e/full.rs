//! A process that has no room for another call.

use serde_json::{Value, json};
use tests::double::openai::Reply;
use tests::double::twilio::field;
use tests::phone::{Dialling, What};
use tests::record::until;
use tests::rig::{ACCESS_KEY, OURS, PEER, PUBLIC, Setup, Voxflow, World, http};

/// Who is to be called.
const OTHER: &str = "+15558300001";

async fn calls(voxflow: &Voxflow) -> String {
    let ready = http().get(format!("http://{}/readyz", voxflow.at)).send().await.unwrap();
    ready.json::<Value>().await.unwrap()["calls"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_process_without_room_takes_and_makes_no_more_calls_until_it_has_some() {
    let world = World::open(|_| Reply::say("Yes?"), &[]).await;
    let stays = json!({ "name": "stays", "actions": [
        { "type": "answer" }, { "type": "sleep", "option": { "duration": 120_000 } } ] });
    let rings = json!({ "name": "rings", "actions": [
        { "type": "create_call", "option": {
            "destinations": [{ "type": "tel", "target": OTHER }], "actions": [{ "type": "answer" }] } },
        { "type": "send_message", "option": { "text": "we call you" } } ] });
    let setup = Setup {
        call_flow: Some(stays),
        message_flow: Some(rings),
        // Whatever is late at all is too late: one call fills it.
        environment: vec![("VOXFLOW_FULL_ABOVE_MS", "0".into())],
        ..Setup::default()
    };
    let voxflow = world.start(setup).await;
    assert_eq!(calls(&voxflow).await, "ready");
    let first = world.call(&voxflow, Dialling::default());
    first.sees(0, "its stream", |what| matches!(what, What::Stream)).await;
    until("it to be full", || async {
        calls(&voxflow).await.starts_with("no more calls: ticks are ").then_some(())
    })
    .await;

    let form = [("CallSid", "CA2"), ("From", PEER), ("To", OURS), ("CallStatus", "ringing")];
    let form: Vec<_> = form.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let (status, twiml) =
        world.network(&voxflow).webhook(&format!("{PUBLIC}/twilio/voice"), &form).await;
    assert!(status == 200 && twiml.contains("<Say") && !twiml.contains("<Stream"), "{twiml}");

    let new = json!({ "actions": [{ "type": "answer" }], "destinations": [{ "target": OTHER }] });
    let refused = http()
        .post(format!("http://{}/v1.0/calls", voxflow.at))
        .bearer_auth(ACCESS_KEY)
        .body(new.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("no more calls: ticks are "));

    // A text is answered all the same, and the call that it asks for is made later.
    assert_eq!(world.text(&voxflow, PEER, "call me").await, 200);
    until("the call to wait", || async {
        voxflow.log().contains("a call that is to be made waits for room").then_some(())
    })
    .await;
    assert_eq!(world.twilio.dialed().len(), 0);
    first.hang_up();
    let (_, dialed) = world.twilio.dialed().find("a dial", |dialed| Some(dialed.clone())).await;
    assert_eq!(field(&dialed, "To"), OTHER);
    assert_eq!(world.twilio.sent().reach(1, "the reply").await[0].body(), "we call you");
    until("room", || async { (calls(&voxflow).await == "ready").then_some(()) }).await;
    voxflow.stop().await;
}
