//! A text's way through voxflow, as a collector of spans is told it.

use serde_json::json;
use tests::double::collector::{Collector, attribute};
use tests::double::openai::{Reply, last_user};
use tests::record::until;
use tests::rig::{PEER, Setup, World};
use tests::servers::Servers;

/// The spans from the sending of a text back to where it all began: `(name, attributes)`.
async fn way(collector: &Collector, text: &str, world: &World) -> Vec<String> {
    let sid = world
        .twilio
        .sent()
        .find("the text", |sent| (sent.body() == text).then(|| sent.sid.clone()));
    let sid = sid.await;
    until("the whole way of a text", || async {
        let spans = collector.spans().all();
        let sent = spans.iter().find(|span| attribute(span, "carrier_id") == sid)?;
        let mut way = vec![sent];
        while !way.last()?.parent_span_id.is_empty() {
            let parent = &way.last()?.parent_span_id;
            way.push(spans.iter().find(|span| span.span_id == *parent)?);
        }
        assert!(way.iter().all(|span| span.trace_id == sent.trace_id), "{way:#?}");
        let told = |what: &str| {
            spans.iter().any(|span| span.trace_id == sent.trace_id && span.name == what)
        };
        assert!(told("POST /twilio/messages"), "{way:#?}");
        Some(way.iter().rev().map(|span| span.name.clone()).collect())
    })
    .await
}

#[tokio::test]
async fn a_text_is_followed_from_the_webhook_to_the_carrier() {
    let collector = Collector::open().await;
    let world =
        World::open(|request| Reply::say(&format!("You said: {}", last_user(request))), &[]).await;
    let environment = || {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".into()),
        ]
    };
    let echo = json!({ "name": "echo", "actions": [
        { "id": "back", "type": "send_message", "option": { "text": "re: ${message.text}" } } ] });
    let setup = Setup { message_flow: Some(echo), environment: environment(), ..Setup::default() };
    let voxflow = world.start(setup).await;
    assert_eq!(world.text(&voxflow, PEER, "hello").await, 200);
    let hello = way(&collector, "re: hello", &world).await;
    assert_eq!(hello, ["POST /twilio/messages", "job thread", "run echo", "send twilio"]);
    // What became of the run afterwards is told in the same trace.
    let after = collector.spans().find("the run to go on", |span| {
        (attribute(span, "steps") == "back -> done").then(|| span.clone())
    });
    let webhook = collector.spans().pick(|span| span.name == "POST /twilio/messages");
    assert_eq!(after.await.trace_id, webhook[0].trace_id);
    // The log does not repeat it, and no secret is told.
    assert!(!voxflow.log().contains("voxflow_way"), "{}", voxflow.log());
    voxflow.stop().await;

    // An agent thinks in a job of its own, which a timer began.
    let desk = super::texts::desk();
    let setup = Setup { message_flow: Some(desk), environment: environment(), ..Setup::default() };
    let voxflow = world.start(setup).await;
    assert_eq!(world.text(&voxflow, PEER, "good morning").await, 200);
    let thought = way(&collector, "You said: good morning", &world).await;
    let expected =
        ["POST /twilio/messages", "job thread", "run desk_chat", "job reply", "send twilio"];
    assert_eq!(thought, expected);
    voxflow.stop().await;
}

/// Two processes, each with a collector of its own: what the door of one took, a worker of the other
/// goes on with in the same trace.
#[tokio::test]
async fn a_text_is_followed_from_one_process_into_another() {
    let servers = Servers::start().await;
    let world = World::open(|_| Reply::say("unasked"), &[]).await;
    let echo = json!({ "name": "echo", "actions": [
        { "id": "back", "type": "send_message", "option": { "text": "re: ${message.text}" } } ] });
    let (door, work) = (Collector::open().await, Collector::open().await);
    let setup = |collector: &Collector| Setup {
        message_flow: Some(echo.clone()),
        database: Some(servers.postgres()),
        queue: Some(servers.amqp()),
        environment: vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".into()),
        ],
        ..Setup::default()
    };
    let first = world.start(setup(&door)).await;
    let second = world.start(setup(&work)).await;
    // The broker gives jobs to both in turn.
    for n in 0..4 {
        let peer = format!("+1555765{n:04}");
        assert_eq!(world.text(&first, &peer, &format!("text {n}")).await, 200);
    }
    world.twilio.sent().reach(4, "echoes").await;
    let way = until("a way through both", || async {
        let (doors, works) = (door.spans().all(), work.spans().all());
        let job = works.iter().find(|span| span.name == "job thread")?;
        let run = works.iter().find(|span| span.parent_span_id == job.span_id)?;
        let mut way = vec![job];
        while !way.last()?.parent_span_id.is_empty() {
            let parent = &way.last()?.parent_span_id;
            way.push(doors.iter().find(|span| span.span_id == *parent)?);
        }
        let sent =
            works.iter().any(|span| span.name == "send twilio" && span.trace_id == job.trace_id);
        assert!(way.iter().all(|span| span.trace_id == run.trace_id), "{way:#?}");
        sent.then(|| way.iter().rev().map(|span| span.name.clone()).collect::<Vec<_>>())
    })
    .await;
    assert_eq!(way.first().map(String::as_str), Some("POST /twilio/messages"), "{way:?}");
    assert_eq!(way.last().map(String::as_str), Some("job thread"), "{way:?}");
    assert!(work.spans().pick(|span| span.name == "POST /twilio/messages").is_empty());
    first.stop().await;
    second.stop().await;
}
