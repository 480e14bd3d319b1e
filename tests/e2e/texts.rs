//! A real text: Twilio's signed webhook in, Twilio's REST API out, an agent's session in between.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::double::openai::{Reply, last_user, text_of};
use tests::double::twilio::Form;
use tests::record::until;
use tests::rig::{OURS, PEER, PUBLIC, Setup, World, text_form};

/// An agent that answers texts.
pub(crate) fn desk() -> Value {
    json!({ "name": "desk_chat", "actions": [
        { "id": "agent", "type": "ai_talk", "option": { "ai": {
            "name": "desk", "engine_model": "openai.gpt-4o-mini", "init_prompt": "You are the desk of a bakery.",
            "tool_names": ["stop_service"], "debounce_ms": 0 } } } ] })
}

/// What the model knows.
fn baker(request: &Value) -> Reply {
    let last = request["messages"].as_array().unwrap().last().unwrap();
    if last["role"] == "tool" {
        return Reply::say("Goodbye then.");
    }
    match last_user(request).as_str() {
        "What do you sell?" => Reply::say("Bread, and only bread."),
        "Since when?" => Reply::say("Since 1901."),
        "That is all" => Reply::say("Goodbye then.").and_call("stop_service", &json!({})),
        words => Reply::say(&format!("You said: {words}")),
    }
}

/// The words of a request's users and assistants, in order.
fn conversation(request: &Value) -> Vec<String> {
    let messages = request["messages"].as_array().unwrap().iter();
    messages
        .filter(|message| message["role"] == "user" || message["role"] == "assistant")
        .map(|message| text_of(&message["content"]))
        .collect()
}

async fn replied(world: &World, n: usize) -> String {
    let sent = world.twilio.sent().reach(n, "texts").await;
    assert_eq!(sent.len(), n, "{sent:#?}");
    assert_eq!(sent[n - 1].to(), PEER);
    assert!(sent[n - 1].form.contains(&("From".to_owned(), OURS.to_owned())));
    sent[n - 1].body().to_owned()
}

#[tokio::test]
async fn a_text_is_answered_and_the_next_knows_what_was_said() {
    let world = World::open(baker, &[]).await;
    let voxflow = world.start(Setup { message_flow: Some(desk()), ..Setup::default() }).await;

    // Answered at once and empty: the reply goes out by REST.
    let form = text_form(PEER, "What do you sell?");
    let began = Instant::now();
    let (status, twiml) =
        world.network(&voxflow).webhook(&format!("{PUBLIC}/twilio/messages"), &form).await;
    assert_eq!(status, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    if !twiml.is_empty() {
        let document = roxmltree::Document::parse(&twiml).unwrap();
        assert!(
            document.root_element().has_tag_name("Response")
                && !document.root_element().has_children(),
            "{twiml}"
        );
    }
    assert_eq!(replied(&world, 1).await, "Bread, and only bread.");

    // The same webhook again is the same text: nothing happens.
    let again = world.network(&voxflow).webhook(&format!("{PUBLIC}/twilio/messages"), &form).await;
    assert_eq!(again.0, 200);

    // The next text finds the session and its history.
    assert_eq!(world.text(&voxflow, PEER, "Since when?").await, 200);
    assert_eq!(replied(&world, 2).await, "Since 1901.");
    let requests = world.openai.requests().all();
    assert_eq!(
        conversation(requests.last().unwrap()),
        ["What do you sell?", "Bread, and only bread.", "Since when?"]
    );
    let told = requests[0]["messages"].as_array().unwrap().iter();
    let mut told = told.filter(|message| message["role"] == "system");
    assert!(told.any(|message| text_of(&message["content"]).contains("bakery")), "{}", requests[0]);

    // Each text was a run of its own, which went on past the agent and ended.
    let runs = voxflow.get("/v1.0/activeflows").await;
    let runs = runs["result"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{runs:#?}");
    assert!(runs.iter().all(|run| run["outcome"] == "finished"), "{runs:#?}");
    assert!(world.openai.violations().is_empty(), "{:?}", world.openai.violations());
    voxflow.stop().await;
}

#[tokio::test]
async fn after_stop_service_a_new_session_begins() {
    let world = World::open(baker, &[]).await;
    let voxflow = world.start(Setup { message_flow: Some(desk()), ..Setup::default() }).await;
    assert_eq!(world.text(&voxflow, PEER, "What do you sell?").await, 200);
    replied(&world, 1).await;
    assert_eq!(world.text(&voxflow, PEER, "That is all").await, 200);
    assert_eq!(replied(&world, 2).await, "Goodbye then.");

    assert_eq!(world.text(&voxflow, PEER, "Hello again").await, 200);
    assert_eq!(replied(&world, 3).await, "You said: Hello again");
    let requests = world.openai.requests().all();
    assert_eq!(conversation(requests.last().unwrap()), ["Hello again"]);
    assert!(world.openai.violations().is_empty(), "{:?}", world.openai.violations());
}

#[tokio::test]
async fn sessions_survive_a_restart() {
    let world = World::open(baker, &[]).await;
    let setup = || Setup {
        message_flow: Some(desk()),
        database: Some(format!("sqlite:{}", world.folder.path().join("kept.db").display())),
        ..Setup::default()
    };
    let voxflow = world.start(setup()).await;
    assert_eq!(world.text(&voxflow, PEER, "What do you sell?").await, 200);
    replied(&world, 1).await;
    // It knows that the text has left: else it would have to wait whether it has.
    until("the text's end", || async {
        (voxflow.metric("voxflow_outbox_sent_total").await > 0.0).then_some(())
    })
    .await;
    drop(voxflow); // Killed, not stopped.
    let voxflow = world.start(setup()).await;
    assert_eq!(world.text(&voxflow, PEER, "Since when?").await, 200);
    assert_eq!(replied(&world, 2).await, "Since 1901.");
    let requests = world.openai.requests().all();
    assert_eq!(conversation(requests.last().unwrap()).len(), 3);
}

#[tokio::test]
async fn a_wrong_signature_changes_nothing() {
    let world = World::open(baker, &[]).await;
    let voxflow = world.start(Setup { message_flow: Some(desk()), ..Setup::default() }).await;
    let network = world.network(&voxflow);
    let url = format!("{PUBLIC}/twilio/messages");

    let form = text_form(PEER, "forged");
    let other = network.signer.sign(&url, &text_form(PEER, "another")).await;
    assert_eq!(network.post(&url, &form, Some(&other)).await.0, 403);
    assert_eq!(network.post(&url, &form, Some("!no base64!")).await.0, 403);
    let (status, _) = network.post(&url, &form, None).await;
    assert!(status == 400 || status == 403, "{status}");
    // Signed for another address of ours.
    let elsewhere = network.signer.sign(&format!("{PUBLIC}/twilio/voice"), &form).await;
    assert_eq!(network.post(&url, &form, Some(&elsewhere)).await.0, 403);

    // What is signed well is answered, and knows nothing of what was not.
    assert_eq!(world.text(&voxflow, PEER, "Hello").await, 200);
    assert_eq!(replied(&world, 1).await, "You said: Hello");
    assert_eq!(world.openai.requests().len(), 1);
    assert_eq!(conversation(&world.openai.requests().all()[0]), ["Hello"]);
    assert_eq!(voxflow.get("/v1.0/activeflows").await["result"].as_array().unwrap().len(), 1);
}

/// A hundred forms of odd letters, empty and doubled fields, signed by Twilio's own library.
#[tokio::test]
async fn signatures_are_checked_as_twilio_makes_them() {
    let world = World::open(baker, &[]).await;
    let voxflow = world.start(Setup { message_flow: Some(desk()), ..Setup::default() }).await;
    let network = world.network(&voxflow);
    let url = format!("{PUBLIC}/twilio/messages");
    for made in network.signer.made_up(&url, 100).await {
        let mut form: Form = serde_json::from_value(made["form"].clone()).unwrap();
        let signature = made["signature"].as_str().unwrap();
        // Signed well, for a number that is not ours.
        let (status, answer) = network.post(&url, &form, Some(signature)).await;
        assert_eq!(status, 404, "{answer}: {form:?}");
        // One letter more.
        form[0].1.push('x');
        let (status, _) = network.post(&url, &form, Some(signature)).await;
        assert_eq!(status, 403, "{form:?}");
    }
    assert!(world.openai.requests().is_empty() && world.twilio.sent().is_empty());
}

/// The carrier's opt-out word is obeyed before any flow, and lifted again.
#[tokio::test]
async fn a_peer_that_says_stop_hears_no_more() {
    let world = World::open(baker, &[]).await;
    let voxflow = world.start(Setup { message_flow: Some(desk()), ..Setup::default() }).await;
    assert_eq!(world.text(&voxflow, PEER, "stop").await, 200);
    let confirmed = replied(&world, 1).await;
    assert!(!confirmed.starts_with("You said"), "{confirmed}");
    assert_eq!(world.text(&voxflow, PEER, "start").await, 200);
    replied(&world, 2).await;
    assert_eq!(world.text(&voxflow, PEER, "Hello").await, 200);
    assert_eq!(replied(&world, 3).await, "You said: Hello");
    assert_eq!(world.openai.requests().len(), 1);
}
