//! A real call: Twilio's webhooks and media stream, Deepgram, OpenAI and ElevenLabs on their own
//! wires.

use std::time::Duration;

use serde_json::{Value, json};
use tests::double::openai::{Reply, last_user};
use tests::phone::{Dialling, Phone, What};
use tests::python;
use tests::record::until;
use tests::rig::{OURS, PEER, Setup, Voxflow, World};
use tests::sound;

/// What the agent says first.
pub(crate) const GREETING: &str = "Hello, this is the bakery.";

/// The agent of a call.
pub(crate) fn baker() -> Value {
    json!({ "name": "desk", "engine_model": "openai.gpt-4o-mini", "init_prompt": "You are the desk of a bakery.",
            "greeting": GREETING, "tool_names": ["connect_call", "stop_service"],
            "stt_type": "deepgram", "tts_type": "elevenlabs", "fallback": "Sorry, something is broken here." })
}

/// A line that goes on after its agent.
pub(crate) fn line(ai: &Value) -> Value {
    json!({ "name": "desk_line", "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "agent", "type": "ai_talk", "option": { "ai": ai, "duration": 60 }, "on": { "failed": "sorry" } },
        { "id": "thanks", "type": "send_message", "option": { "text": "Thanks for calling." } },
        { "id": "bye", "type": "hangup" },
        { "id": "sorry", "type": "send_message", "option": { "text": "Sorry, we could not talk." }, "next": "bye" } ] })
}

/// The run of the only call, once it is over.
pub(crate) async fn finished_run(voxflow: &Voxflow) -> Value {
    until("the end of the run", || async {
        let runs = voxflow.get("/v1.0/activeflows").await;
        let run = runs["result"].as_array().unwrap().first().cloned()?;
        (!run["outcome"].is_null()).then_some(())?;
        Some(voxflow.get(&format!("/v1.0/activeflows/{}", run["id"].as_str().unwrap())).await)
    })
    .await
}

/// `(who, text)` of what was said in a run.
pub(crate) fn transcript(run: &Value) -> Vec<(String, String)> {
    let lines = run["transcript"].as_array().unwrap().iter();
    lines
        .filter(|line| line["who"] == "caller" || line["who"] == "agent")
        .map(|line| {
            (line["who"].as_str().unwrap().to_owned(), line["text"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// `(action, exit)` of a run's history.
pub(crate) fn exits(run: &Value) -> Vec<(String, String)> {
    let taken = run["executed_actions"].as_array().unwrap().iter();
    taken
        .map(|step| {
            (step["action"].as_str().unwrap().to_owned(), step["exit"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// Nothing was said that a vendor would have refused, and Twilio's own library could have written
/// our TwiML.
async fn nobody_complained(world: &World, phone: &Phone) {
    let seen = phone.seen.all().into_iter();
    let documents: Vec<String> = seen
        .filter_map(
            |seen| if let What::Twiml(document) = seen.what { Some(document) } else { None },
        )
        .collect();
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    assert!(!documents.is_empty());
    python::run("conform_twiml.py", &documents).await;
    assert_eq!(phone.violations(), [""; 0]);
    assert_eq!(world.openai.violations(), [""; 0]);
    assert_eq!(world.deepgram.violations(), [""; 0]);
    assert_eq!(world.elevenlabs.violations(), [""; 0]);
}

#[tokio::test]
async fn a_caller_asks_interrupts_and_is_connected() {
    let long = "We bake bread. We bake rolls. We bake cakes for every day of the week, and on Sundays we bake \
                a very large one that nobody has ever eaten alone. Shall I tell you more about it?";
    let world = World::open(
        move |request| match last_user(request).as_str() {
            "what do you sell" => Reply::say(long),
            "please connect me to sales" => Reply::say("I connect you now. ").and_call(
                "connect_call",
                &json!({ "destinations": [{ "type": "tel", "target": "+15551230000" }] }),
            ),
            words => Reply::say(&format!("You said: {words}")),
        },
        &["what do you sell", "please connect me to sales"],
    )
    .await;
    let voxflow = world.start(Setup { call_flow: Some(line(&baker())), ..Setup::default() }).await;
    let phone =
        world.call(&voxflow, Dialling { status: "completed", after: Duration::from_millis(400) });

    // The greeting, out loud and to its end.
    let first = phone.hears(0, "the greeting").await;
    assert!(first < Duration::from_secs(3), "{first:?}");
    let greeted = phone.seen.find("the end of the greeting", |seen| match seen.what {
        What::Silence(ms) => Some(ms),
        _ => None,
    });
    let wanted = GREETING.chars().count() as u64 * 25;
    let greeted = greeted.await;
    assert!(greeted.abs_diff(wanted) <= 60, "the greeting lasts {wanted} ms, {greeted} were heard");

    // A question; in the middle of the answer, the caller speaks again.
    let before = phone.count();
    phone.say(&sound::padded(0, &sound::speech("what do you sell"), 0));
    phone.hears(before, "the answer").await;
    world
        .elevenlabs
        .spoken()
        .find("the answer's words", |text| text.contains("We bake bread.").then_some(()))
        .await;
    let before = phone.count();
    phone.say(&sound::speech("please connect me to sales"));
    let dropped = phone.seen.find_after(before, "a clear", |seen| match seen.what {
        What::Clear(ms) => Some(ms),
        _ => None,
    });
    dropped.await;

    // The goodbye is heard to its end, then the call is redirected.
    let (sid, update) =
        world.twilio.updates().find("a redirect", |update| Some(update.clone())).await;
    assert_eq!(sid, phone.sid);
    assert!(
        update.iter().any(|(name, value)| name == "Twiml" && value.contains("<Dial")),
        "{update:?}"
    );
    let dialled = phone.seen.find("a dial", |seen| match &seen.what {
        What::Dial { numbers, .. } => Some(numbers.clone()),
        _ => None,
    });
    assert_eq!(dialled.await, ["+15551230000"]);
    let goodbye = world.elevenlabs.spoken().all().pop().unwrap();
    assert_eq!(goodbye, "I connect you now.");
    let seen = phone.seen.all();
    let closed = seen.iter().position(|seen| matches!(seen.what, What::StreamClosed(_))).unwrap();
    assert_eq!(seen[closed].what, What::StreamClosed("REST"));
    let heard = seen[..closed].iter().rev().find_map(|seen| match seen.what {
        What::Silence(ms) => Some(ms),
        _ => None,
    });
    let wanted = goodbye.chars().count() as u64 * 25;
    assert!(
        heard.unwrap().abs_diff(wanted) <= 60,
        "the goodbye lasts {wanted} ms, {heard:?} were heard"
    );

    // After the dial the call comes back, and the flow goes on: a text, and the end.
    let thanks = world.twilio.sent().find("the text", |sent| Some(sent.clone())).await;
    assert_eq!((thanks.to(), thanks.body()), (PEER, "Thanks for calling."));
    phone.ends().await;

    let run = finished_run(&voxflow).await;
    let said = transcript(&run);
    assert_eq!(said[0], ("agent".into(), GREETING.into()));
    assert_eq!(said[1], ("caller".into(), "what do you sell".into()));
    assert_eq!(said[2].0, "agent");
    assert!(long.starts_with(said[2].1.trim_end_matches(['.', ' ', '…', '-', '—'])), "{said:?}");
    assert!(said[2].1.len() < long.len(), "what was cut off was not heard: {said:?}");
    assert_eq!(said[3], ("caller".into(), "please connect me to sales".into()));
    assert!(said.contains(&("agent".into(), "I connect you now.".into())), "{said:?}");
    let exits = exits(&run);
    assert!(exits.contains(&("agent".into(), "done".into())), "{exits:?}");
    assert!(exits.contains(&("thanks".into(), "done".into())), "{exits:?}");
    // The model was told what was heard of its answer, no more.
    let asked = world.openai.requests().all();
    assert!(
        !asked.last().unwrap().to_string().contains("tell you more about it"),
        "{:#}",
        asked.last().unwrap()
    );
    nobody_complained(&world, &phone).await;
}

#[tokio::test]
async fn stop_service_ends_the_talk_and_the_flow_goes_on() {
    let world = World::open(
        |_| Reply::say("Goodbye, and thank you. ").and_call("stop_service", &json!({})),
        &["that was all"],
    )
    .await;
    let voxflow = world.start(Setup { call_flow: Some(line(&baker())), ..Setup::default() }).await;
    let phone = world.call(&voxflow, Dialling::default());
    phone.hears_out(0, "the greeting").await;
    let before = phone.count();
    phone.say(&sound::speech("that was all"));
    phone.hears_out(before, "the goodbye").await;
    let thanks = world.twilio.sent().find("the text", |sent| Some(sent.clone())).await;
    assert_eq!((thanks.to(), thanks.body()), (PEER, "Thanks for calling."));
    assert!(thanks.form.contains(&("From".to_owned(), OURS.to_owned())));
    phone.ends().await;
    let run = finished_run(&voxflow).await;
    assert_eq!(
        exits(&run).iter().map(|(action, _)| action.as_str()).collect::<Vec<_>>(),
        ["hello", "agent", "agent.then", "thanks", "bye"]
    );
    nobody_complained(&world, &phone).await;
}

#[tokio::test]
async fn keys_are_received_and_decide() {
    let flow = json!({ "name": "menu", "actions": [
        { "type": "answer" },
        { "id": "ask", "type": "talk", "option": { "text": "Press a key.", "tts_type": "elevenlabs" } },
        { "id": "keys", "type": "receive_digits", "option": { "max_digits": 2, "timeout_s": 10 } },
        { "id": "which", "type": "branch", "option": { "cases": { "42": "right" } } },
        { "id": "wrong", "type": "send_message", "option": { "text": "wrong: ${call.digits}" }, "next": "bye" },
        { "id": "right", "type": "send_message", "option": { "text": "right: ${call.digits}" } },
        { "id": "bye", "type": "hangup" } ] });
    let world = World::open(|_| Reply::say("-"), &[]).await;
    let voxflow = world.start(Setup { call_flow: Some(flow), ..Setup::default() }).await;
    let phone = world.call(&voxflow, Dialling::default());
    phone.hears_out(0, "the question").await;
    phone.press('4');
    phone.press('2');
    let sent = world.twilio.sent().find("the text", |sent| Some(sent.body().to_owned())).await;
    assert_eq!(sent, "right: 42");
    phone.ends().await;
    nobody_complained(&world, &phone).await;
}

/// Callers who hang up end their runs, and nothing of their calls stays alive.
#[tokio::test]
async fn callers_who_hang_up_leave_nothing_behind() {
    let world = World::open(|_| Reply::say("You said something."), &[]).await;
    let voxflow = world.start(Setup { call_flow: Some(line(&baker())), ..Setup::default() }).await;
    // The first call warms up what is kept on purpose, such as connections to vendors.
    let first = world.call(&voxflow, Dialling::default());
    first.hears(0, "the greeting").await;
    first.hang_up();
    assert_eq!(first.ends().await, "the caller hung up");
    let run = finished_run(&voxflow).await;
    assert_eq!(run["outcome"], "hung_up", "{run:#}");
    let rest = voxflow.tasks_at_rest().await;

    let phones: Vec<Phone> = (0..4).map(|_| world.call(&voxflow, Dialling::default())).collect();
    for phone in &phones {
        phone.hears(0, "the greeting").await;
    }
    assert!(voxflow.tasks().await >= rest + 4.0);
    for (n, phone) in phones.iter().enumerate() {
        // Some say goodbye, some are cut off.
        if n % 2 == 0 {
            phone.hang_up();
            phone.ends().await;
        }
    }
    drop(phones);
    voxflow.settles_at(rest + 1.0).await;
    nobody_complained(&world, &first).await;
}
