//! Two processes share the work over RabbitMQ and PostgreSQL.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::double::openai::{Reply, last_user};
use tests::double::twilio::field;
use tests::record::until;
use tests::rig::{ACCESS_KEY, OURS, PUBLIC, Setup, World, http, text_form};

fn variable(name: &str) -> String {
    std::env::var(name).expect("these tests are started by tests/run.sh")
}

fn setup(message_flow: Value) -> Setup {
    Setup {
        message_flow: Some(message_flow),
        database: Some(variable("VOXFLOW_TEST_POSTGRES_E2E")),
        queue: Some(variable("VOXFLOW_TEST_AMQP_E2E")),
        ..Setup::default()
    }
}

fn peer(n: usize) -> String {
    format!("+1555800{n:04}")
}

/// One test for both kinds of flow: the processes share one database and one queue, and so would
/// two tests.
#[tokio::test]
async fn forty_texts_are_each_answered_once_and_in_order() {
    let world =
        World::open(|request| Reply::say(&format!("You said: {}", last_user(request))), &[]).await;
    let echo = json!({ "name": "echo", "actions": [
        { "type": "send_message", "option": { "text": "re: ${message.text}" } } ] });
    let one = world.start(setup(echo.clone())).await;
    let two = world.start(setup(echo)).await;

    // Four texts of each of ten people, all at once, each to the other process than the one before.
    let url = format!("{PUBLIC}/twilio/messages");
    for round in 0..4 {
        for person in 0..10 {
            let form = text_form(&peer(person), &format!("text {round}"));
            let to = if (round + person) % 2 == 0 { &one } else { &two };
            assert_eq!(world.network(to).webhook(&url, &form).await.0, 200);
        }
    }
    let sent = world.twilio.sent().reach(40, "replies").await;
    let mut replies: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for text in &sent {
        replies.entry(text.to().to_owned()).or_default().push(text.body().to_owned());
    }
    assert_eq!(replies.len(), 10);
    for (to, bodies) in &replies {
        assert_eq!(*bodies, ["re: text 0", "re: text 1", "re: text 2", "re: text 3"], "{to}");
    }

    // The runs hear that their texts have left, and end: forty steps, and no more.
    until("forty runs that are over", || async {
        let steps = one.metric("voxflow_steps_total").await;
        (steps + two.metric("voxflow_steps_total").await >= 40.0).then_some(())
    })
    .await;
    let steps = [one.metric("voxflow_steps_total").await, two.metric("voxflow_steps_total").await];
    assert!((steps[0] + steps[1] - 40.0).abs() < 0.1, "{steps:?}");
    // Both worked.
    for voxflow in [&one, &two] {
        assert!(voxflow.metric("voxflow_jobs_acknowledged_total").await > 0.0);
    }
    assert!(steps.iter().all(|steps| *steps > 0.0), "{steps:?}");
    assert_eq!(world.twilio.sent().len(), 40);
    one.stop().await;
    two.stop().await;

    // An agent's session goes from one process to the other with its history.
    let one = world.start(setup(super::texts::desk())).await;
    let two = world.start(setup(super::texts::desk())).await;
    for (round, to) in [&one, &two, &one].into_iter().enumerate() {
        assert_eq!(world.text(to, &peer(90), &format!("turn {round}")).await, 200);
        let sent = world.twilio.sent().reach(41 + round, "replies").await;
        assert_eq!(sent[40 + round].body(), format!("You said: turn {round}"));
    }
    let last = world.openai.requests().all().pop().unwrap();
    let users =
        last["messages"].as_array().unwrap().iter().filter(|message| message["role"] == "user");
    assert_eq!(users.count(), 3, "{last:#}");
    one.stop().await;
    two.stop().await;

    // Doors here, work there.
    let part = |role| Setup { role: Some(role), ..setup(super::texts::desk()) };
    let edge = world.start(part("edge")).await;
    let worker = world.start(part("worker")).await;
    assert_eq!(world.text(&worker, &peer(91), "hello").await, 404, "it has no such door");
    assert_eq!(world.text(&edge, &peer(91), "hello").await, 200);
    let sent = world.twilio.sent().reach(44, "the reply").await;
    assert_eq!((sent[43].to(), sent[43].body()), (&*peer(91), "You said: hello"));
    assert!(worker.metric("voxflow_jobs_worked_total").await > 0.0);
    assert!(edge.metric("voxflow_jobs_worked_total").await < 0.5, "{}", edge.metrics().await);

    // A text that comes in by the API is stored by one, and sent by the other.
    let written = http()
        .post(format!("http://{}/v1.0/conversations/{}/messages", edge.at, peer(91)))
        .bearer_auth(ACCESS_KEY)
        .body(json!({ "text": "one more thing" }).to_string())
        .send()
        .await
        .unwrap();
    assert!(written.status().is_success(), "{written:?}");
    let sent = world.twilio.sent().reach(45, "the text of the API").await;
    assert_eq!(sent[44].body(), "one more thing");
    let told = |metrics: &str| {
        let line = r#"voxflow_jobs_worked_total{kind="outbox",outcome="done"}"#;
        metrics.lines().any(|found| found.starts_with(line))
    };
    assert!(told(&worker.metrics().await), "{}", worker.metrics().await);
    super::chat::a_page_hears_what_another_process_sends(&edge, &worker).await;
    edge.stop().await;
    worker.stop().await;

    // A text's flow makes a call: whoever works the text has no door for its sound.
    let rings = json!({ "name": "rings", "actions": [
        { "type": "create_call", "option": {
            "destinations": [{ "type": "tel", "target": peer(93) }], "actions": [{ "type": "answer" }] } },
        { "type": "send_message", "option": { "text": "we call you" } } ] });
    let part = |role| Setup { role: Some(role), ..setup(rings.clone()) };
    let edge = world.start(part("edge")).await;
    let worker = world.start(part("worker")).await;
    assert_eq!(world.text(&edge, &peer(92), "call me").await, 200);
    let (_, dialed) = world.twilio.dialed().find("a dial", |dialed| Some(dialed.clone())).await;
    assert_eq!((field(&dialed, "To"), field(&dialed, "From")), (&*peer(93), OURS));
    let sent = world.twilio.sent().reach(46, "the reply").await;
    assert_eq!((sent[45].to(), sent[45].body()), (&*peer(92), "we call you"));
    assert_eq!(world.twilio.dialed().len(), 1);
    edge.stop().await;
    worker.stop().await;
}
