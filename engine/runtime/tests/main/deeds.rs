//! Deeds outside: servers are asked, once in effect, whatever dies in between.

use flow::Outcome;
use runtime::web::Unanswered;
use serde_json::{Value, json};

use crate::calls::Caller;
use crate::rig::{PEER, Rig};
use crate::world::soon;

fn request() -> Value {
    json!({ "deed": "request", "method": "POST", "url": "https://example.com/orders",
            "headers": { "X-Shop": "7" }, "body": { "said": "${message.text}" }, "timeout_s": 10 })
}

fn asks() -> Value {
    json!([
        { "id": "ask", "type": "wish", "option": { "deed": request() },
          "on": { "timeout": "late", "failed": "no" } },
        { "id": "tell", "type": "send_message", "option": { "text": "${status}: ${body.word}" }, "next": "end" },
        { "id": "late", "type": "send_message", "option": { "text": "too late" }, "next": "end" },
        { "id": "no", "type": "send_message", "option": { "text": "no answer" }, "next": "end" },
    ])
}

#[tokio::test]
async fn a_server_is_asked_and_its_answer_goes_on_in_the_run() {
    let rig = Rig::texts(asks()).await;
    rig.text("shoes").await;
    let requested = rig.web.asked().await;
    let run = rig.runs().await[0].id.clone();
    let asking = &requested.asking;
    assert_eq!(asking.key, format!("{run}/ask/1/1"));
    assert_eq!((asking.method.as_str(), asking.timeout.as_secs()), ("POST", 10));
    assert_eq!(asking.url, "https://example.com/orders");
    assert_eq!(asking.headers["X-Shop"], "7");
    assert_eq!(asking.body, Some(json!({ "said": "shoes" })));
    requested.answer(201, "{\"word\": \"taken\"}");
    rig.ended(1).await;
    assert_eq!(rig.carrier.sent(1).await[0].text, "201: taken");
    assert_eq!(rig.steps(&run).await, ["ask done", "tell done"]);
    assert!(rig.store.deed(&format!("{run}/ask/1/1")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_process_that_dies_while_it_asks_asks_again_under_the_same_key() {
    let mut rig = Rig::texts(asks()).await;
    rig.text("shoes").await;
    let first = rig.web.asked().await;
    rig.kill().await;
    rig.start();
    // Another process leaves it alone for as long as the first may be at it.
    rig.pass(24);
    rig.receive(rig.message("+15550002222", "HELP", Some("SM9"))).await.unwrap();
    rig.carrier.sent(1).await;
    assert_eq!(rig.steps(&rig.runs().await[0].id).await, [""; 0]);
    rig.pass(2);
    let second = rig.web.asked().await;
    assert_eq!(second.asking, first.asking);
    second.answer(200, "{\"word\": \"taken\"}");
    rig.ended(1).await;
    assert_eq!(rig.carrier.sent(2).await[1].text, "200: taken");
}

#[tokio::test]
async fn no_answer_is_told_apart_from_one_that_is_too_late() {
    let rig = Rig::texts(asks()).await;
    rig.text("shoes").await;
    let why = Unanswered::TooSlow(std::time::Duration::from_secs(10));
    rig.web.asked().await.fail(why);
    assert_eq!(rig.carrier.sent(1).await[0].text, "too late");
    let run = rig.ended(1).await[0].id.clone();
    let taken = rig.store.taken(&run).await.unwrap();
    assert!(taken[0].why.contains("within 10s"), "{}", taken[0].why);

    rig.text("boots").await;
    rig.web.asked().await.fail(Unanswered::Failed("nobody is at home".into()));
    assert_eq!(rig.carrier.sent(2).await[1].text, "no answer");
}

#[tokio::test]
async fn an_answer_that_a_variable_cannot_hold_fails_with_the_reason() {
    let rig = Rig::texts(asks()).await;
    rig.text("shoes").await;
    rig.web.asked().await.answer(200, &"x".repeat(40_000));
    assert_eq!(rig.carrier.sent(1).await[0].text, "no answer");
    let run = rig.ended(1).await[0].id.clone();
    let taken = rig.store.taken(&run).await.unwrap();
    assert!(taken[0].why.contains("`body` would take 40002 bytes"), "{}", taken[0].why);
}

#[tokio::test]
async fn a_call_goes_on_with_what_a_server_said() {
    let rig = Rig::calls(json!([
        { "id": "hello", "type": "answer" },
        { "id": "ask", "type": "wish", "option": { "deed": request() } },
        { "id": "text", "type": "send_message", "option": { "text": "${body.word}" } },
        { "id": "bye", "type": "hangup" },
    ]))
    .await;
    let caller = Caller::calls(&rig, PEER);
    rig.web.asked().await.answer(200, "{\"word\": \"welcome\"}");
    caller.over().await;
    assert_eq!(rig.carrier.sent(1).await[0].text, "welcome");
    let runs = rig.ended(1).await;
    assert_eq!(rig.steps(&runs[0].id).await, ["hello done", "ask done", "text done", "bye ended"]);
    assert_eq!(runs[0].outcome, Some(Outcome::Finished));
}

#[tokio::test]
async fn what_nobody_waits_for_outlives_the_call_and_the_process() {
    let mut rig = Rig::calls(json!([
        { "id": "tell", "type": "wish", "option": { "forget": true, "deed": request() } },
        { "id": "bye", "type": "hangup" },
    ]))
    .await;
    Caller::calls(&rig, PEER).over().await;
    let run = rig.ended(1).await[0].id.clone();
    let first = rig.web.asked().await;
    rig.kill().await;
    rig.start();
    rig.pass(61);
    let second = rig.web.asked().await;
    assert_eq!(second.asking.key, first.asking.key);
    second.fail(Unanswered::Failed("nobody is at home".into()));
    rig.until("the failure to be noted", async || {
        let said = rig.store.transcript(&run).await.unwrap();
        said.iter().any(|line| line.who == "note" && line.text.contains("nobody is at home"))
    })
    .await;
    soon("the deed to be gone", async {
        while rig.store.deed(&second_key(&run)).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn second_key(run: &str) -> String {
    format!("{run}/tell/1/1")
}

#[tokio::test]
async fn a_text_goes_into_another_thread_of_the_same_tenant() {
    let rig = Rig::texts(json!([
        { "id": "tell", "type": "send_to_conversation", "option": {
            "conversation": "${message.text}", "text": "somebody wrote" }, "on": { "failed": "no" } },
        { "id": "yes", "type": "send_message", "option": { "text": "told" }, "next": "end" },
        { "id": "no", "type": "send_message", "option": { "text": "not told" } },
    ]))
    .await;
    rig.text("hi").await;
    let run = rig.ended(1).await.remove(0);
    assert_eq!(rig.carrier.sent(1).await[0].text, "not told");
    let taken = rig.store.taken(&run.id).await.unwrap();
    assert!(taken[0].why.contains("no conversation has the id `hi`"), "{}", taken[0].why);
    let thread = rig.thread_id();
    rig.receive(rig.message("+15550002222", &thread, Some("SM9"))).await.unwrap();
    let sent = rig.carrier.sent(3).await;
    assert_eq!((sent[1].peer.as_str(), sent[1].text.as_str()), (PEER, "somebody wrote"));
    assert_eq!((sent[2].peer.as_str(), sent[2].text.as_str()), ("+15550002222", "told"));
}

#[tokio::test]
async fn a_text_into_the_thread_of_somebody_who_has_left_takes_its_exit() {
    let rig = Rig::texts(json!([
        { "id": "tell", "type": "send_to_conversation", "option": {
            "conversation": "${message.text}", "text": "somebody wrote" }, "on": { "opted_out": "no" } },
        { "id": "yes", "type": "send_message", "option": { "text": "told" }, "next": "end" },
        { "id": "no", "type": "send_message", "option": { "text": "gone" } },
    ]))
    .await;
    rig.text("STOP").await;
    rig.carrier.sent(1).await;
    rig.receive(rig.message("+15550002222", &rig.thread_id(), Some("SM9"))).await.unwrap();
    let sent = rig.carrier.sent(2).await;
    assert_eq!((sent[1].peer.as_str(), sent[1].text.as_str()), ("+15550002222", "gone"));
}

#[tokio::test]
async fn a_service_that_is_not_there_fails_by_name() {
    let rig = Rig::texts(json!([
        { "id": "wish", "type": "wish", "option": {
            "deed": { "deed": "service", "name": "join_queue", "option": {} } } },
    ]))
    .await;
    rig.text("hi").await;
    let run = rig.ended(1).await.remove(0);
    let taken = rig.store.taken(&run.id).await.unwrap();
    assert!(
        taken[0].why.contains("no service `join_queue` is configured here"),
        "{}",
        taken[0].why
    );
}
