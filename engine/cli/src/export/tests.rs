//! Runs that were, exported and played.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use conversation::{Accepted, Inbox, Message};
use flow::{Activeflow, Event, Flow, Flows, HangupCause, Medium, Needs, Taken, Vars};
use jiff::{SignedDuration, Timestamp};
use runtime::Happening;
use serde_json::{Value, json};
use store::RunRow;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

use super::Versions;
use crate::play::scenario::Source;
use crate::settings::{Number, Settings};
use crate::wire::{self, WithoutTwilio};

const PEER: &str = "+15557650001";

const SHOP: &str = r#"{ "on_error": "end", "actions": [
    { "id": "ask", "type": "send_message", "option": { "text": "1 for hours, 2 for a word with us" } },
    { "id": "choice", "type": "wait_message", "option": { "timeout_s": 3600 } },
    { "id": "choose", "type": "branch", "option": { "variable": "message.text", "cases": { "2": "word" }, "otherwise": "ask" } },
    { "id": "word", "type": "wait_message", "option": { "timeout_s": 3600, "into": "word" } },
    { "id": "thanks", "type": "send_message", "option": { "text": "You, ${from}, wrote: ${word}" } }
] }"#;

async fn text(inbox: &dyn Inbox, n: u32, words: &str) {
    let message: Message = serde_json::from_value(json!({
        "tenant": "default", "channel": "twilio", "ours": "+15550001000", "peer": PEER,
        "id": format!("SM{n}"), "text": words, "at": Timestamp::now(),
    }))
    .unwrap();
    assert!(matches!(inbox.receive(message).await, Ok(Accepted::New)));
}

async fn until(happenings: &mut Receiver<Happening>, kind: &str, what: Option<&str>) -> String {
    loop {
        let happening = happenings.recv().await.unwrap();
        if happening.kind == kind && what.is_none_or(|what| happening.data["what"] == what) {
            return happening.run;
        }
    }
}

#[track_caller]
fn plays_green(file: &Path) {
    let report = crate::play::play(&[file.to_owned()], actions::ALL).unwrap();
    assert!(report.passed(), "{}", crate::play::human(&report, false, None));
}

#[tokio::test]
async fn a_run_of_texts_becomes_a_scenario_that_plays_green() {
    let folder = tempfile::tempdir().unwrap();
    let flow = folder.path().join("shop.json");
    std::fs::write(&flow, SHOP).unwrap();
    let settings = Settings {
        database: format!("sqlite:{}", folder.path().join("runs.db").display()).into(),
        number: vec![Number {
            number: "+15550001000".into(),
            call_flow: None,
            message_flow: Some(flow.clone()),
            idle_hours: None,
            carrier: None,
            tenant: None,
        }],
        ..Settings::default()
    };
    let stop = CancellationToken::new();
    let carrier = WithoutTwilio::Demo(Arc::new(crate::demo::Shown));
    let house = wire::build(&settings, carrier, runtime::Role::All, &stop).await.unwrap();
    let runtime = house.runtime;
    let mut happenings = runtime.watch.listen();
    let served = tokio::spawn(Arc::clone(&runtime).serve(stop.clone()));
    let secret = "I am Ada, ada@shop.example, call +4930123456, card 4111111111111111";
    for (n, words) in [(0, "hello from me"), (1, "2"), (2, secret)] {
        text(&*runtime, n, words).await;
        if n < 2 {
            until(&mut happenings, "waiting", Some("message")).await;
        }
    }
    let run = until(&mut happenings, "run_ended", None).await;
    stop.cancel();
    served.await.unwrap();

    let file = folder.path().join("deep/bug.json");
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    let export = async |keep| {
        let told = crate::runs::export(settings.clone(), &run, keep, Some(&file)).await.unwrap();
        std::fs::write(&file, &told).unwrap();
        plays_green(&file);
        serde_json::from_str::<Value>(&told).unwrap()
    };
    let kept = export(true).await;
    assert_eq!(kept["flow"], "../shop.json");
    assert_eq!(kept["ends"], "finished");
    let thanks = |scenario: &Value| {
        let last = scenario["play"].as_array().unwrap().last().unwrap();
        last["with"]["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(thanks(&kept), format!("You, {PEER}, wrote: {secret}"));

    let shared = export(false).await;
    let told = shared.to_string();
    for private in [PEER, "Ada", "ada@", "4930123456", "4111", "from me"] {
        assert!(!told.contains(private), "{private} in {shared:#}");
    }
    assert!(shared["play"].as_array().unwrap().contains(&json!({ "text": "2" })), "{shared:#}");
    let from = shared["given"]["from"].as_str().unwrap();
    assert!(thanks(&shared).starts_with(&format!("You, {from}, wrote: text ")), "{shared:#}");

    // The flow has changed since: the scenario brings along the version that ran.
    std::fs::write(&flow, SHOP.replace("You,", "Dear")).unwrap();
    let alone = export(false).await;
    assert!(alone["flow"]["actions"].is_array(), "{alone:#}");
}

/// A run as the runtime keeps it.
struct Kept {
    flow: Arc<Flow>,
    run: Activeflow,
    now: Timestamp,
    history: Vec<Taken>,
    /// Versions of flows that it may call, each with its document.
    called: BTreeMap<String, (Arc<Flow>, Value)>,
}

impl Kept {
    fn call(flow: &str, vars: Value) -> Self {
        Self::about(Medium::Call, flow, vars)
    }

    fn about(medium: Medium, flow: &str, vars: Value) -> Self {
        let flow = crate::play::link(Path::new("f"), flow, actions::ALL, Needs::Nothing).unwrap();
        let mut vars: Vars = serde_json::from_value(vars).unwrap();
        vars.insert("from".into(), json!(PEER));
        let run = Activeflow::new("0199", &flow, medium, vars);
        let now = "2026-11-20T20:00:00.25Z".parse().unwrap();
        let (history, called) = (Vec::new(), BTreeMap::new());
        let mut kept = Self { flow, run, now, history, called };
        kept.give(Event::Started);
        kept
    }

    fn give(&mut self, event: Event) {
        let linked = self.called.iter().map(|(id, (flow, _))| (id.clone(), Arc::clone(flow)));
        let linked = linked.collect();
        let flows = Flows::new(&self.flow, &linked);
        let advance = self.run.advance_noted(flows, self.now, event.clone());
        assert!(!advance.dropped, "{event:?}");
        self.history.extend(advance.taken);
    }

    /// The deed that runs ends after some milliseconds.
    fn done(&mut self, after_ms: i64, exit: &str, values: Value, then: Option<Value>) {
        self.now += SignedDuration::from_millis(after_ms);
        let key = self.run.waiting().unwrap().key.clone();
        let (exit, values) = (exit.into(), serde_json::from_value(values).unwrap());
        self.give(Event::Done { key, exit, values, why: "why".into(), then });
    }

    fn timed_out(&mut self) {
        let waiting = self.run.waiting().unwrap();
        let key = waiting.key.clone();
        self.now = waiting.until.unwrap() + SignedDuration::from_millis(30);
        self.give(Event::TimedOut { key });
    }

    fn exported(&self, keep: bool) -> Result<Value, String> {
        let run = RunRow {
            id: "0199".into(),
            tenant: Default::default(),
            flow: "v".into(),
            flow_name: "line".into(),
            medium: self.run.medium,
            subject: "c".into(),
            seq: 1,
            state: self.run.clone(),
            outcome: self.run.outcome,
            created: "2026-11-20T20:00:00.25Z".parse().unwrap(),
            updated: self.now,
        };
        let source = Source::File("line.json".into());
        let called = self.called.iter().map(|(id, it)| (id.clone(), (it.0.clone(), it.1.clone())));
        let flows = Versions { own: Arc::clone(&self.flow), called: called.collect() };
        super::scenario(&run, &self.history, &flows, source, keep).map(|it| json!(it))
    }
}

const LINE: &str = r#"{ "on_error": "bye", "actions": [
    { "id": "up", "type": "answer" },
    { "id": "pin", "type": "receive_digits", "option": { "max_digits": 4 } },
    { "id": "agent", "type": "ai_talk", "option": { "ai": { "tool_names": ["connect_call"] } } },
    { "id": "text", "type": "send_message", "option": { "text": "${caller.name}: ${api_key}" }, "retry": { "times": 1, "wait_s": 60 } },
    { "id": "nap", "type": "sleep", "option": { "duration_s": 90 } },
    { "id": "again", "type": "talk", "option": { "text": "Still there?" } },
    { "id": "bye", "type": "hangup" }
] }"#;

#[test]
fn a_call_with_keys_an_agent_another_try_and_a_wait_is_played_again() {
    let given = json!({ "caller.name": "Ada", "api_key": "sk-123", "unused": 7 });
    let mut kept = Kept::call(LINE, given);
    kept.done(400, "done", json!({}), None);
    kept.done(5200, "done", json!({ "digits": "4711" }), None);
    let then = json!({ "type": "connect_call", "option": { "destinations": [{ "target": "+4930999888" }] } });
    kept.done(300_000, "done", json!({}), Some(then));
    kept.done(25_000, "busy", json!({}), None);
    // `on_error` hangs up.
    assert_eq!(kept.run.outcome, Some(flow::Outcome::Finished));
    let scenario = kept.exported(false).unwrap();
    let told = scenario.to_string();
    for private in ["sk-123", "4711", "4930999888", PEER, "unused"] {
        assert!(!told.contains(private), "{private} in {scenario:#}");
    }

    let given = json!({ "caller.name": "Ada", "api_key": "sk-123" });
    let mut kept = Kept::call(LINE, given);
    kept.done(400, "done", json!({}), None);
    kept.done(0, "no_input", json!({ "digits": "" }), None);
    assert_eq!(kept.run.outcome, Some(flow::Outcome::Finished), "no input is a failure here");
    kept.exported(true).unwrap();

    let mut kept = Kept::call(
        &LINE.replace("receive_digits\", \"option\": { \"max_digits\": 4 }", "answer\""),
        json!({ "caller.name": "Ada", "api_key": "sk-123" }),
    );
    kept.done(0, "done", json!({}), None);
    kept.done(0, "done", json!({}), None);
    kept.done(61_700, "done", json!({}), None);
    kept.done(100, "failed", json!({}), None);
    kept.timed_out();
    kept.done(2000, "done", json!({}), None);
    kept.timed_out();
    kept.now += SignedDuration::from_secs(3);
    kept.give(Event::HungUp { cause: HangupCause::Normal });
    let scenario = kept.exported(false).unwrap();
    let told = scenario.to_string();
    assert!(told.contains("Ada: redacted") && told.contains("hung_up"), "{scenario:#}");
    assert!(kept.exported(true).unwrap().to_string().contains("Ada: sk-123"));
}

#[test]
fn a_history_without_events_is_refused_in_words() {
    let mut kept = Kept::call(LINE, json!({}));
    kept.done(0, "done", json!({}), None);
    kept.history[0].cause = None;
    assert!(kept.exported(false).unwrap_err().contains("older than that"));
}

#[test]
fn a_run_that_waits_at_its_first_action_is_exported_too() {
    let kept = Kept::call(LINE, json!({}));
    let scenario = kept.exported(false).unwrap();
    assert_eq!(
        scenario["play"],
        json!([{ "expect": "answer", "reply": { "exit": "done", "never": true } }])
    );
    assert!(scenario.get("ends").is_none());
}

#[test]
fn the_flows_that_a_run_called_come_along() {
    let own = r#"{ "on_error": "end", "actions": [
        { "id": "up", "type": "answer" },
        { "id": "part", "type": "call_flow", "option": { "flow": "greet", "arguments": { "who": "Ada" } } },
        { "id": "bye", "type": "hangup" } ] }"#;
    let part = json!({ "name": "greet", "on_error": "end", "actions": [
        { "id": "say", "type": "talk", "option": { "text": "Hello ${who}" } } ] });
    let mut kept = Kept::call(own, json!({}));
    let linked = crate::play::link(Path::new("p"), &part.to_string(), actions::ALL, Needs::Call);
    kept.called.insert("sha".into(), (linked.unwrap(), part));
    kept.done(0, "done", json!({}), None);
    kept.done(5, "done", json!({ "version": "sha" }), None);
    kept.done(3000, "done", json!({}), None);
    assert_eq!(kept.run.outcome, Some(flow::Outcome::Finished));
    let scenario = kept.exported(false).unwrap();
    assert_eq!(scenario["given"]["flows"]["greet"]["name"], "greet", "{scenario:#}");
    assert_eq!(scenario["play"][1]["with"]["text"], "Hello Ada", "{scenario:#}");
}

#[test]
fn branches_that_end_in_another_order_than_they_began_are_played_again() {
    let flow = r#"{ "on_error": "end", "actions": [
        { "id": "both", "type": "parallel", "option": { "branches": ["dial", "ask"] }, "next": "bye" },
        { "id": "dial", "type": "connect_call", "option": { "destinations": [{ "target": "+15551230000" }] }, "next": "bye" },
        { "id": "ask", "type": "send_webhook", "option": { "url": "https://crm.example/a" }, "next": "bye" },
        { "id": "bye", "type": "hangup" } ] }"#;
    let mut kept = Kept::call(flow, json!({}));
    for (action, after_ms, values) in [
        ("ask", 2000, json!({ "status": 200, "body": { "name": "Ada" } })),
        ("dial", 90_000, json!({})),
    ] {
        kept.now += SignedDuration::from_millis(after_ms);
        let wait = kept.run.waits().find(|wait| wait.key.0.contains(action)).unwrap();
        let (key, values) = (wait.key.clone(), serde_json::from_value(values).unwrap());
        kept.give(Event::Done { key, exit: "done".into(), values, why: String::new(), then: None });
    }
    assert_eq!(kept.run.outcome, Some(flow::Outcome::Finished));
    let scenario = kept.exported(false).unwrap();
    assert!(!scenario.to_string().contains("Ada"), "{scenario:#}");
    assert_eq!(scenario["play"][2]["end"], "connect_call", "{scenario:#}");
}

#[test]
fn a_run_about_nobody_is_played_again_with_what_it_was_given() {
    let flow = r#"{ "on_error": "end", "actions": [
        { "id": "ask", "type": "send_webhook", "option": { "url": "https://crm.example/${order.id}" } },
        { "id": "tell", "type": "send_message", "option": { "text": "${from}", "destinations": [{ "target": "+15557650009" }] } } ] }"#;
    let given = json!({ "order.id": "7", "customer.token": "t" });
    let mut kept = Kept::about(Medium::None, flow, given);
    kept.done(1500, "done", json!({ "status": 200 }), None);
    kept.done(1500, "done", json!({}), None);
    let scenario = kept.exported(false).unwrap();
    assert_eq!(scenario["given"]["variables"]["order.id"], "7", "{scenario:#}");
    assert_eq!(scenario["given"]["medium"], "none");
    assert!(scenario["given"]["variables"].get("customer.token").is_none(), "nothing needs it");
}
