//! An agent answers texts: its session, and what it remembers.

use serde_json::json;

use crate::rig::{Rig, talks};

#[tokio::test]
async fn the_reply_comes_after_the_flow_went_on() {
    let rig = Rig::texts(talks(json!({}))).await;
    rig.text("hello").await;
    let asked = rig.model.asked().await;
    // The model has not answered, and the run is over.
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["agent done"]);
    assert_eq!(rig.carrier.texts(), [""; 0]);

    asked.say("hi there").await;
    let sent = rig.carrier.sent(1).await;
    assert_eq!(sent[0].text, "hi there");
    assert_eq!(
        (sent[0].ours.as_str(), sent[0].peer.as_str()),
        (crate::rig::OURS, crate::rig::PEER)
    );
}

#[tokio::test]
async fn a_flow_names_an_agent_that_is_configured() {
    const ID: &str = "0b9f2f5e-1c2d-4f3a-9a6b-7c8d9e0f1a2b";
    let older = json!([{ "id": "agent", "type": "ai_talk",
        "option": { "assistance_type": "ai", "assistance_id": ID } }]);
    let mut rig = Rig::texts(older).await;
    rig.text("hello").await;
    let run = rig.ended(1).await.remove(0);
    rig.stop().await;
    assert_eq!(rig.carrier.texts(), [""; 0], "nobody was configured yet");
    assert_eq!(rig.steps(&run.id).await, ["agent failed"]);
    let desk = agent::Config {
        init_prompt: "You are the desk.".into(),
        debounce_ms: 0,
        ..Default::default()
    };
    rig.agents.0.insert(ID.into(), desk);
    rig.start();
    rig.text("hello again").await;
    let asked = rig.model.asked().await;
    assert_eq!(asked.ask.config.init_prompt, "You are the desk.");
    asked.say("The desk is here.").await;
    assert_eq!(rig.carrier.sent(1).await[0].text, "The desk is here.");
    // The run has not waited for that.
    let run = rig.ended(2).await.remove(1);
    assert_eq!(rig.steps(&run.id).await, ["agent done"]);
}

#[tokio::test]
async fn the_next_text_goes_on_with_the_session_and_what_was_said() {
    let rig = Rig::texts(talks(json!({}))).await;
    rig.text("my name is Ada").await;
    let first = rig.model.asked().await;
    let session = first.ask.session.clone();
    first.say("hello Ada").await;
    rig.carrier.sent(1).await;

    rig.text("what is my name?").await;
    let second = rig.model.asked().await;
    assert_eq!(second.ask.session, session);
    assert_eq!(second.heard(), ["my name is Ada", "what is my name?"]);
    assert_eq!(second.said(), ["hello Ada"]);
    second.say("Ada").await;
    assert_eq!(rig.carrier.sent(2).await[1].text, "Ada");
    // A run each, one session.
    assert_eq!(rig.ended(2).await.len(), 2);
}

#[tokio::test]
async fn after_stop_service_the_next_text_begins_anew() {
    let rig = Rig::texts(talks(json!({ "tool_names": ["stop_service"] }))).await;
    rig.text("bye").await;
    let first = rig.model.asked().await;
    assert_eq!(
        first.ask.tools.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
        ["stop_service"]
    );
    let session = first.ask.session.clone();
    first.take("Goodbye!", "stop_service", "{}").await;
    // The goodbye is sent once, joined from before and after the tool if there is more.
    assert_eq!(rig.carrier.sent(1).await[0].text, "Goodbye!");

    rig.text("me again").await;
    let second = rig.model.asked().await;
    assert_ne!(second.ask.session, session);
    assert_eq!(second.heard(), ["me again"]);
    assert_eq!(second.said(), [""; 0]);
    second.say("welcome back").await;
    assert_eq!(rig.carrier.sent(2).await[1].text, "welcome back");
}

#[tokio::test]
async fn the_action_stop_service_ends_the_session_of_the_thread() {
    let flow = json!([
        { "id": "over", "type": "branch", "option": { "cases": [
            { "when": "message.text == \"over\"", "target": "stop" } ], "otherwise": "agent" } },
        { "id": "agent", "type": "ai_talk", "next": "end", "option": { "ai": { "debounce_ms": 0 } } },
        { "id": "stop", "type": "stop_service" },
    ]);
    let rig = Rig::texts(flow).await;
    rig.text("hello").await;
    let first = rig.model.asked().await;
    let session = first.ask.session.clone();
    first.say("hi").await;
    rig.carrier.sent(1).await;
    rig.text("over").await;
    rig.ended(2).await;
    rig.text("hello again").await;
    let second = rig.model.asked().await;
    assert_ne!(second.ask.session, session);
    assert_eq!(second.heard(), ["hello again"]);
}

#[tokio::test]
async fn a_day_of_silence_ends_the_session_and_less_does_not() {
    let rig = Rig::texts(talks(json!({}))).await;
    rig.text("one").await;
    let first = rig.model.asked().await;
    let session = first.ask.session.clone();
    first.say("first").await;
    rig.carrier.sent(1).await;

    // Each text begins the day anew, so that the timer must have been set again.
    rig.pass(23 * 3600);
    rig.text("two").await;
    let second = rig.model.asked().await;
    assert_eq!(second.ask.session, session);
    second.say("second").await;
    rig.carrier.sent(2).await;
    rig.pass(23 * 3600);
    rig.text("three").await;
    let third = rig.model.asked().await;
    assert_eq!((third.ask.session.as_str(), third.heard().len()), (session.as_str(), 3));
    third.say("third").await;
    rig.carrier.sent(3).await;

    // The timer ends it, without any text.
    rig.pass(24 * 3600 + 1);
    rig.until("the session to expire", async || {
        rig.store.session(&rig.thread_id()).await.unwrap().is_none()
    })
    .await;
    let ended = rig.store.session_by_id(&session).await.unwrap().unwrap();
    assert_eq!(ended.ended.as_deref(), Some("idle"));

    rig.text("four").await;
    let fourth = rig.model.asked().await;
    assert_ne!(fourth.ask.session, session);
    assert_eq!(fourth.heard(), ["four"]);
}

#[tokio::test]
async fn a_day_that_passed_while_nothing_ran_counts() {
    let mut rig = Rig::texts(talks(json!({}))).await;
    rig.text("one").await;
    let first = rig.model.asked().await;
    let session = first.ask.session.clone();
    first.say("first").await;
    rig.carrier.sent(1).await;
    rig.stop().await;

    rig.pass(25 * 3600);
    rig.start();
    // Whether the timer or the text comes first makes no difference.
    rig.text("two").await;
    let second = rig.model.asked().await;
    assert_ne!(second.ask.session, session);
    assert_eq!(second.heard(), ["two"]);
}

#[tokio::test]
async fn another_agent_begins_another_session() {
    let flow = json!([
        { "id": "which", "type": "branch", "option": { "cases": [
            { "when": "message.text == \"sales\"", "target": "sales" } ], "otherwise": "help" } },
        { "id": "help", "type": "ai_talk", "next": "end",
          "option": { "ai": { "name": "help", "debounce_ms": 0 } } },
        { "id": "sales", "type": "ai_talk", "option": { "ai": { "name": "sales", "debounce_ms": 0 } } },
    ]);
    let rig = Rig::texts(flow).await;
    rig.text("hello").await;
    let first = rig.model.asked().await;
    let session = first.ask.session.clone();
    first.say("hi").await;
    rig.carrier.sent(1).await;
    rig.text("sales").await;
    let second = rig.model.asked().await;
    assert_eq!(
        (second.ask.config.name.as_str(), second.heard()),
        ("sales", vec!["sales".to_owned()])
    );
    let ended = rig.store.session_by_id(&session).await.unwrap().unwrap();
    assert_eq!(ended.ended.as_deref(), Some("agent_changed"));
}

#[tokio::test]
async fn an_agent_hears_the_text_although_the_flow_did_something_first() {
    let mut flow = talks(json!({}));
    let say = json!({ "type": "send_message", "option": { "text": "one moment" } });
    flow.as_array_mut().unwrap().insert(0, say);
    let rig = Rig::texts(flow).await;
    rig.text("where is my order?").await;
    let asked = rig.model.asked().await;
    assert_eq!(asked.heard(), ["where is my order?"]);
    asked.say("on its way").await;
    rig.carrier.sent(2).await;
    assert_eq!(rig.carrier.texts(), ["one moment", "on its way"]);
}

#[tokio::test]
async fn an_agent_hears_of_attachments() {
    let rig = Rig::texts(talks(json!({}))).await;
    let mut text = rig.message(crate::rig::PEER, "", Some("SM1"));
    text.media = vec![conversation::Media {
        url: "https://example.com/a.jpg".into(),
        content_type: "image/jpeg".into(),
    }];
    rig.receive(text).await.unwrap();
    assert_eq!(rig.model.asked().await.heard(), ["[attachment: https://example.com/a.jpg]"]);
}

#[tokio::test]
async fn a_flow_that_ends_the_session_at_once_still_gets_its_reply() {
    let mut flow = talks(json!({}));
    flow.as_array_mut().unwrap().push(json!({ "type": "stop_service" }));
    let rig = Rig::texts(flow).await;
    rig.text("hello").await;
    rig.model.asked().await.say("hi").await;
    rig.carrier.sent(1).await;
    // And remembers nothing.
    rig.text("again").await;
    let second = rig.model.asked().await;
    assert_eq!(second.heard(), ["again"]);
    second.say("hi again").await;
    rig.carrier.sent(2).await;
    assert_eq!(rig.carrier.texts(), ["hi", "hi again"]);
}

#[tokio::test]
async fn an_agent_that_nobody_has_configured_is_a_failure_that_a_flow_can_catch() {
    let nobody =
        json!({ "id": "agent", "type": "ai_talk", "option": { "ai": { "id": "nobody" } } });
    let rig = Rig::texts(json!([nobody])).await;
    rig.text("hello").await;
    let run = rig.ended(1).await.remove(0);
    assert_eq!(rig.steps(&run.id).await, ["agent failed"]);
    assert_eq!(run.outcome, Some(flow::Outcome::Failed));
    assert!(run.state.why.contains("no agent `nobody` is configured"), "{}", run.state.why);

    let mut caught = nobody;
    caught["on"] = json!({ "failed": "sorry" });
    let rig = Rig::texts(json!([
        caught,
        { "id": "hang", "type": "stop" },
        { "id": "sorry", "type": "send_message", "option": { "text": "Nobody is here." } },
    ]))
    .await;
    rig.text("hello").await;
    rig.carrier.sent(1).await;
    let run = rig.ended(1).await.remove(0);
    assert_eq!(rig.steps(&run.id).await, ["agent failed", "sorry done"]);
    assert_eq!(run.outcome, Some(flow::Outcome::Finished));
}
