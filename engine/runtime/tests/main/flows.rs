//! Flows that others name or servers give, what follows on a run, and runs that nobody texted for.

use conversation::Tenant;
use flow::{Outcome, Vars};
use runtime::{Begin, NotBegun, Wanted};
use serde_json::{Value, json};

use crate::calls::Caller;
use crate::rig::{PEER, Rig};

fn say(id: &str, text: &str) -> Value {
    json!({ "id": id, "type": "send_message", "option": { "text": text } })
}

/// A flow that calls another and says what came of it.
fn calls(flow: &str) -> Value {
    json!([
        { "id": "call", "type": "call_flow", "option": { "flow": flow }, "on": { "failed": "no" } },
        { "id": "yes", "type": "send_message", "option": { "text": "and back" }, "next": "end" },
        say("no", "there is none"),
    ])
}

#[tokio::test]
async fn a_flow_of_the_same_tenant_is_called_by_name() {
    let mut rig = Rig::idle(calls("greeting")).await;
    rig.knows("default", &json!({ "name": "greeting", "actions": [say("hi", "hello")] }));
    rig.start();
    rig.text("hi").await;
    rig.ended(1).await;
    let texts: Vec<_> = rig.carrier.sent(2).await.into_iter().map(|text| text.text).collect();
    assert_eq!(texts, ["hello", "and back"]);
}

#[tokio::test]
async fn a_flow_of_another_tenant_does_not_exist() {
    let mut rig = Rig::idle(calls("greeting")).await;
    rig.knows("somebody else", &json!({ "name": "greeting", "actions": [say("hi", "hello")] }));
    rig.start();
    rig.text("hi").await;
    let run = rig.ended(1).await.remove(0);
    assert_eq!(rig.carrier.sent(1).await[0].text, "there is none");
    let taken = rig.store.taken(&run.id).await.unwrap();
    assert!(taken[0].why.contains("there is no flow `greeting`"), "{}", taken[0].why);
}

fn fetches() -> Value {
    json!([
        { "id": "get", "type": "fetch", "option": { "url": "https://example.com/flow", "method": "POST" },
          "on": { "failed": "no" } },
        { "id": "yes", "type": "send_message", "option": { "text": "and back" }, "next": "end" },
        say("no", "there is none"),
    ])
}

#[tokio::test]
async fn a_server_gives_a_flow_which_outlives_the_process() {
    let mut rig = Rig::texts(fetches()).await;
    rig.text("hi").await;
    let requested = rig.web.asked().await;
    let run = rig.runs().await[0].clone();
    let body = json!({ "activeflow_id": run.id, "reference_id": run.subject });
    assert_eq!(requested.asking.body, Some(body));
    let given = json!([
        { "id": "nap", "type": "sleep", "option": { "duration_s": 60 } },
        say("hi", "hello from afar"),
    ]);
    requested.answer(200, &given.to_string());
    rig.until("the run to sleep", async || rig.runs().await[0].state.awaits("sleep")).await;
    rig.kill().await;
    rig.start();
    rig.pass(121);
    rig.ended(1).await;
    let texts: Vec<_> = rig.carrier.sent(2).await.into_iter().map(|text| text.text).collect();
    assert_eq!(texts, ["hello from afar", "and back"]);
}

#[tokio::test]
async fn a_faulty_flow_of_a_server_is_refused_with_its_first_fault() {
    let rig = Rig::texts(fetches()).await;
    rig.text("hi").await;
    rig.web.asked().await.answer(200, "[{ \"type\": \"tlak\" }]");
    let run = rig.ended(1).await.remove(0);
    let taken = rig.store.taken(&run.id).await.unwrap();
    assert!(taken[0].why.contains("F001 in line 1"), "{}", taken[0].why);
    rig.text("hi").await;
    rig.web.asked().await.answer(500, "");
    let run = rig.ended(2).await.remove(1);
    let taken = rig.store.taken(&run.id).await.unwrap();
    assert!(taken[0].why.contains("answered 500"), "{}", taken[0].why);
}

#[tokio::test]
async fn a_flow_follows_on_the_end_of_another_with_its_variables() {
    let first = json!({ "name": "first", "on_complete": "after", "actions": [
        { "id": "set", "type": "set_variables", "option": { "variables": { "mood": "good" } } } ] });
    let mut rig = Rig::idle(first).await;
    rig.knows("default", &json!({ "name": "after", "actions": [say("say", "mood: ${mood}")] }));
    rig.start();
    rig.text("hi").await;
    assert_eq!(rig.carrier.sent(1).await[0].text, "mood: good");
    let runs = rig.ended(2).await;
    let next = runs.iter().find(|run| run.flow_name == "after").unwrap();
    let before = runs.iter().find(|run| run.flow_name == "first").unwrap();
    assert_eq!(next.state.vars["run.parent"], json!(before.id));
    assert_eq!((&next.subject, next.state.chain), (&before.subject, 1));
}

#[tokio::test]
async fn a_chain_of_flows_ends_with_the_sixth_which_is_not_begun() {
    // One that names itself is refused by the linker; two that name each other it cannot see.
    let round = |name: &str, next: &str| json!({ "name": name, "on_complete": next, "actions": [say("say", "again")] });
    let mut rig = Rig::idle(round("ping", "pong")).await;
    rig.knows("default", &round("ping", "pong"));
    rig.knows("default", &round("pong", "ping"));
    rig.start();
    rig.text("hi").await;
    rig.carrier.sent(6).await;
    let runs = rig.ended(6).await;
    let last = runs.iter().max_by_key(|run| run.state.chain).unwrap();
    rig.until("the refusal to be said", async || {
        rig.steps(&last.id).await.contains(&"on_complete failed".to_owned())
    })
    .await;
    assert_eq!((rig.runs().await.len(), last.state.chain), (6, 5));
    let taken = rig.store.taken(&last.id).await.unwrap();
    assert!(taken[1].why.contains("`ping` is not started"), "{}", taken[1].why);
}

#[tokio::test]
async fn what_follows_a_call_can_text_its_caller_and_not_speak() {
    let call = json!({ "name": "call", "on_complete": "after", "actions": [
        { "id": "hello", "type": "answer" }, { "id": "bye", "type": "hangup" } ] });
    let mut rig = Rig::idle_calls(call).await;
    rig.knows(
        "default",
        &json!({ "name": "after", "actions": [
            { "id": "speak", "type": "talk", "option": { "text": "hello" }, "on": { "failed": "write" } },
            say("write", "thank you for calling, ${caller.number}") ] }),
    );
    rig.start();
    Caller::calls(&rig, PEER).over().await;
    let sent = rig.carrier.sent(1).await;
    assert_eq!(sent[0].text, "thank you for calling, +15557654321");
    assert_eq!(sent[0].peer.as_str(), PEER);
    let runs = rig.ended(2).await;
    let next = runs.iter().find(|run| run.flow_name == "after").unwrap();
    assert_eq!(rig.steps(&next.id).await, ["speak failed", "write done"]);
    assert_eq!(next.outcome, Some(Outcome::Finished));
}

fn begin(flow: Wanted, thread: Option<String>) -> Begin {
    let vars = Vars::from([("name".into(), json!("Ada"))]);
    Begin { tenant: Tenant::default(), flow, thread, vars }
}

#[tokio::test]
async fn a_run_is_begun_from_outside_about_nobody_or_about_a_thread() {
    let mut rig = Rig::idle(json!([say("hi", "hi")])).await;
    rig.knows("default", &json!({ "name": "notice", "actions": [say("say", "hello ${name}")] }));
    rig.start();
    rig.text("hi").await;
    rig.carrier.sent(1).await;
    let (wanted, thread) = (Wanted::Named("notice".into()), rig.thread_id());
    rig.runtime().begin_run(begin(wanted, Some(thread))).await.unwrap();
    assert_eq!(rig.carrier.sent(2).await[1].text, "hello Ada");

    let to = json!([{ "target": "+15550002222" }]);
    let option = json!({ "text": "hi ${name}", "destinations": to, "source": { "target": crate::rig::OURS } });
    let text = json!([{ "id": "say", "type": "send_message", "option": option }]).to_string();
    let run = rig.runtime().begin_run(begin(Wanted::Text(text), None)).await.unwrap();
    let sent = rig.carrier.sent(3).await;
    assert_eq!((sent[2].peer.as_str(), sent[2].text.as_str()), ("+15550002222", "hi Ada"));
    rig.ended(3).await;
    assert_eq!(rig.steps(&run.id).await, ["say done"]);

    let nobody =
        rig.runtime().begin_run(begin(Wanted::Named("notice".into()), None)).await.unwrap();
    rig.ended(4).await;
    let taken = rig.store.taken(&nobody.id).await.unwrap();
    assert!(taken[0].why.contains("none of our numbers"), "{}", taken[0].why);
}

#[tokio::test]
async fn what_cannot_be_begun_says_why() {
    let rig = Rig::texts(json!([say("hi", "hi")])).await;
    let runtime = rig.runtime();
    let refused = runtime.begin_run(begin(Wanted::Named("none".into()), None)).await;
    assert!(matches!(refused, Err(NotBegun::Unknown(why)) if why.contains("`none`")));
    let refused = runtime.begin_run(begin(Wanted::Text("[]".into()), None)).await;
    assert!(matches!(refused, Err(NotBegun::Faulty(_))));
    let wanted = begin(Wanted::Text("[{ \"type\": \"stop\" }]".into()), Some("no thread".into()));
    assert!(matches!(runtime.begin_run(wanted).await, Err(NotBegun::Unknown(_))));
}
