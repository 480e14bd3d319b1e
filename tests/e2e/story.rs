//! `voxflow runs show` tells the whole story of a text.

use serde_json::json;
use tests::double::openai::Reply;
use tests::double::twilio::ACCOUNT;
use tests::record::until;
use tests::rig::{OURS, PEER, PUBLIC, Setup, Voxflow, World, binary, text_form};
use tokio::process::Command;

/// What the command prints, run beside the process that serves.
async fn show(voxflow: &Voxflow, id: &str) -> String {
    let args = ["runs", "show", id, "--config", "voxflow.toml"];
    let mut command = Command::new(binary());
    let output = command.args(args).current_dir(&voxflow.home).env_clear().output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A receipt, as Twilio posts it.
async fn receipt(world: &World, voxflow: &Voxflow, sid: &str, status: &str) {
    let fields = [
        ("MessageSid", sid),
        ("SmsSid", sid),
        ("AccountSid", ACCOUNT),
        ("From", OURS),
        ("To", PEER),
        ("MessageStatus", status),
        ("SmsStatus", status),
        ("ApiVersion", "2010-04-01"),
    ];
    let form: Vec<_> = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let url = format!("{PUBLIC}/twilio/message-status");
    assert_eq!(world.network(voxflow).webhook(&url, &form).await.0, 204);
}

#[tokio::test]
async fn a_run_tells_what_came_what_it_did_and_what_became_of_its_texts() {
    let world = World::open(|_| Reply::say("unasked"), &[]).await;
    let flow = json!({ "name": "story", "actions": [
        { "id": "greet", "type": "send_message", "option": { "text": "What is your name?" } },
        { "id": "name", "type": "wait_message", "option": { "timeout_s": 3600 } },
        { "id": "back", "type": "send_message", "option": { "text": "Hello ${message.text}" } } ] });
    let voxflow = world.start(Setup { message_flow: Some(flow), ..Setup::default() }).await;
    let form = text_form(PEER, "good morning");
    let url = format!("{PUBLIC}/twilio/messages");
    assert_eq!(world.network(&voxflow).webhook(&url, &form).await.0, 200);
    let asked = world.twilio.sent().reach(1, "the question").await.remove(0);
    let run = until("a run that waits for a text", || async {
        let runs = voxflow.get("/v1.0/activeflows").await;
        let run = &runs["result"][0];
        (run["waiting_for"]["what"] == "message").then(|| run["id"].as_str().unwrap().to_owned())
    })
    .await;
    receipt(&world, &voxflow, &asked.sid, "delivered").await;
    assert_eq!(world.text(&voxflow, PEER, "Ada").await, 200);
    let hello = world.twilio.sent().reach(2, "the greeting").await.remove(1);
    until("the end of the run", || async {
        let run = voxflow.get(&format!("/v1.0/activeflows/{run}")).await;
        (run["status"] == "ended").then_some(())
    })
    .await;
    receipt(&world, &voxflow, &hello.sid, "undelivered").await;

    let told = show(&voxflow, &run).await;
    let sid = &form[0].1;
    let mut rest = told.as_str();
    for part in [
        &format!("text in from {PEER}: good morning [id:{sid}]"),
        &format!("text out to {PEER}: What is your name?"),
        &format!("try 1: taken by twilio as {}", asked.sid),
        "greet (send_message) -> done",
        "twilio says delivered",
        &format!("text in from {PEER}: Ada ["),
        "name (wait_message) -> ",
        &format!("text out to {PEER}: Hello Ada"),
        &format!("taken by twilio as {}", hello.sid),
        "back (send_message) -> done",
        "twilio says failed",
    ] {
        let at =
            rest.find(part).unwrap_or_else(|| panic!("`{part}` is not told in its place:\n{told}"));
        rest = &rest[at..];
    }

    // What there was to count was counted, under the names that monitoring knows.
    for (name, at_least) in [
        ("voxflow_texts_received_total", 2.0),
        ("voxflow_runs_total", 1.0),
        ("voxflow_steps_total", 3.0),
        ("voxflow_jobs_published_total", 2.0),
        ("voxflow_jobs_delivered_total", 2.0),
        ("voxflow_jobs_acknowledged_total", 2.0),
        ("voxflow_jobs_worked_total", 2.0),
        ("voxflow_jobs_seconds_count", 2.0),
        ("voxflow_outbox_sent_total", 2.0),
        ("voxflow_outbox_seconds_count", 2.0),
        ("voxflow_outbox_receipts_total", 2.0),
        ("voxflow_store_commits_total", 2.0),
    ] {
        let counted = voxflow.metric(name).await;
        assert!(counted >= at_least, "{name} is {counted}");
    }
    let all = voxflow.metrics().await;
    for gauge in [
        "voxflow_sessions_active{kind=\"text\"} 0",
        "voxflow_sessions_active{kind=\"call\"} 0",
        "voxflow_outbox_queued 0",
        "voxflow_outbox_unsure 0",
        "voxflow_threads_unhandled 0",
        "voxflow_runs_total{outcome=\"finished\"} 1",
    ] {
        assert!(all.lines().any(|line| line == gauge), "no `{gauge}` in\n{all}");
    }
    voxflow.stop().await;
}
