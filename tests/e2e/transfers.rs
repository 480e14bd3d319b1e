//! Calls that are handed over: unseen and after a word, by SIP between real telephones, by Twilio
//! and by Telnyx.

use std::time::Duration;

use serde_json::{Value, json};
use tests::double::openai::Reply;
use tests::double::telnyx::Telnyx;
use tests::phone::{Dialling, What};
use tests::python;
use tests::rig::{OURS, Setup, World};
use tests::softphone::{Habit, Softphone};
use tests::sound;

use super::calls::{exits, finished_run};
use super::dials::{CALL, Stream, start, tell};
use super::sip::House;

/// Who takes the calls.
const DESK: &str = "+15551230000";
const WORDS: &str = "this is the other side speaking";
const SUMMARY: &str = "a caller has lost an order please press one";

/// A flow that hands every call over.
fn handing_over(option: &Value) -> Value {
    json!({ "name": "over", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "over", "type": "transfer_call", "option": option, "on": { "failed": "back" } },
        { "id": "back", "type": "talk", "option": { "text": "you are back" } },
        { "id": "bye", "type": "hangup" } ] })
}

/// A telephone that takes every call and says its words again and again.
async fn desk() -> Softphone {
    let mut habit = Habit::of("PCMU/8000/1;answermode=auto");
    habit.user = DESK.into();
    let speech = sound::speech(WORDS);
    habit.says = (0..30).flat_map(|_| sound::padded(700, &speech, 700)).collect();
    Softphone::start(habit).await
}

fn trunk(desk: &Softphone) -> String {
    let host = desk.uri.split('@').nth(1).unwrap();
    format!("[[sip.trunk]]\nname = \"desk\"\nhost = \"{host}\"\n")
}

/// A caller, who is handed over once the desk was told who comes; it has picked up.
async fn a_word_before() -> (House, Softphone, Softphone) {
    let mut desk = desk().await;
    let option = json!({ "destination": { "target": DESK }, "attended": true,
        "announce": SUMMARY, "accept_on": "1" });
    let house = House::open(&handing_over(&option), &trunk(&desk)).await;
    let mut phone = Softphone::start(Habit::of("PCMU/8000/1")).await;
    phone.tell("dial", &house.uri()).await;
    desk.event("CALL_ESTABLISHED").await;
    (house, phone, desk)
}

/// The run is over for us, and not by an exit of ours.
async fn is_theirs(house: &House) {
    let run = finished_run(&house.voxflow).await;
    assert_eq!(run["outcome"], "hung_up", "{run:#}");
    let last = exits(&run).pop().unwrap();
    assert_eq!(last, ("over".into(), "hung_up".into()), "{run:#}");
}

#[tokio::test]
async fn a_telephone_is_handed_over_unseen() {
    let mut desk = desk().await;
    let option = json!({ "destination": { "type": "sip", "target": desk.uri } });
    let house = House::open(&handing_over(&option), "").await;
    let mut phone = Softphone::start(Habit::of("PCMU/8000/1")).await;
    phone.tell("dial", &house.uri()).await;
    desk.event("CALL_ESTABLISHED").await;
    is_theirs(&house).await;
    // We are gone, and they talk.
    house.voxflow.kill().await;
    phone.hears(WORDS, &[]).await;
}

#[tokio::test]
async fn a_telephone_whom_nobody_takes_is_back() {
    let mut desk = Softphone::start(Habit::of("PCMU/8000/1")).await;
    let option = json!({ "destination": { "type": "sip", "target": desk.uri } });
    let house = House::open(&handing_over(&option), "").await;
    let mut phone = Softphone::start(Habit::of("PCMU/8000/1")).await;
    phone.tell("dial", &house.uri()).await;
    phone.event("CALL_ESTABLISHED").await;
    desk.event("CALL_INCOMING").await;
    desk.tell("hangup", "").await;
    phone.hears("you are back", &[]).await;
    let run = finished_run(&house.voxflow).await;
    assert!(exits(&run).contains(&("over".into(), "failed".into())), "{run:#}");
}

#[tokio::test]
async fn a_telephone_takes_a_caller_after_it_was_told_who_comes() {
    let (house, phone, mut desk) = a_word_before().await;
    desk.hears(SUMMARY, &[]).await;
    desk.tell("sndcode", "1").await;
    is_theirs(&house).await;
    house.voxflow.kill().await;
    phone.hears(WORDS, &[]).await;
}

#[tokio::test]
async fn a_telephone_refuses_a_caller_who_is_back_then() {
    let (house, mut phone, mut desk) = a_word_before().await;
    desk.tell("sndcode", "2").await;
    desk.event("CALL_CLOSED").await;
    phone.event("CALL_CLOSED").await;
    let run = finished_run(&house.voxflow).await;
    assert_eq!(run["variables"]["transfer_call.outcome"], "rejected", "{run:#}");
    assert!(exits(&run).contains(&("back".into(), "done".into())), "{run:#}");
}

#[tokio::test]
async fn a_telephone_is_told_that_its_call_ends_when_voxflow_stops() {
    let flow = json!({ "name": "wait", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "wait", "type": "receive_digits", "option": { "timeout_s": 60 } } ] });
    let house = House::with(&flow, "", &[("VOXFLOW_DRAIN_S", "14")]).await;
    let mut phone = Softphone::start(Habit::of("PCMU/8000/1")).await;
    phone.tell("dial", &house.uri()).await;
    phone.event("CALL_ESTABLISHED").await;
    house.voxflow.signal("TERM").await;
    phone.event("CALL_CLOSED").await;
    let notice = "we are sorry this call has to end now please call again in a moment";
    phone.hears(notice, &[]).await;
    house.voxflow.stop().await;
}

#[tokio::test]
async fn twilio_is_told_to_dial_and_the_call_is_its_own() {
    let world = World::open(|_| Reply::say("nothing"), &[]).await;
    let option = json!({ "destination": { "target": DESK } });
    let flow = Some(handing_over(&option));
    let voxflow = world.start(Setup { call_flow: flow, ..Setup::default() }).await;
    let phone =
        world.call(&voxflow, Dialling { status: "completed", after: Duration::from_millis(200) });
    let dialled = phone.seen.find("a dial", |seen| match &seen.what {
        What::Dial { numbers, .. } => Some(numbers.clone()),
        _ => None,
    });
    assert_eq!(dialled.await, [DESK]);
    phone.ends().await;
    let (sid, update) = world.twilio.updates().all().pop().unwrap();
    let twiml = &update.iter().find(|(name, _)| name == "Twiml").unwrap().1;
    python::run("conform_twiml.py", &[twiml]).await;
    // Nobody is asked what comes after it.
    assert!(sid == phone.sid && twiml.contains(OURS) && !twiml.contains("action"), "{twiml}");
    assert_eq!(phone.violations(), [""; 0]);
    assert_eq!(finished_run(&voxflow).await["outcome"], "hung_up");
    voxflow.stop().await;
}

#[tokio::test]
async fn telnyx_transfers_and_the_call_is_its_own() {
    let telnyx = Telnyx::open().await;
    let option = json!({ "destination": { "target": DESK } });
    let (_world, voxflow) = start(&telnyx, handing_over(&option)).await;
    tell(&voxflow, CALL, "call.initiated", json!({ "direction": "incoming", "state": "parked" }))
        .await;
    let asked = |action: &'static str| {
        let found = move |asked: &tests::double::telnyx::Asked| {
            (asked.action == action).then(|| asked.clone())
        };
        telnyx.asked().find(action, found)
    };
    let answer = asked("answer").await;
    let stream = Stream::open(&voxflow, &answer, "PCMU").await;
    tell(&voxflow, CALL, "call.answered", json!({ "state": "answered" })).await;
    let transfer = asked("transfer").await;
    assert_eq!(transfer.call, CALL);
    assert_eq!((&transfer.body["to"], &transfer.body["from"]), (&json!(DESK), &json!(OURS)));
    // They talk; then the caller hangs up.
    let bridged = json!({ "state": "bridged" });
    tell(&voxflow, CALL, "call.bridged", bridged).await;
    tell(&voxflow, CALL, "call.hangup", json!({ "hangup_cause": "normal_clearing" })).await;
    stream.closed().await;
    assert_eq!(finished_run(&voxflow).await["outcome"], "hung_up");
    voxflow.stop().await;
}
