//! Actions as a model's tools.

use flow::run::take_tool;
use flow::{Activeflow, Deed, Event, Key, Medium, Tool, Vars};
use serde_json::{Value, json};

use crate::score::linked;

const FLOW: &str = r#"[
    { "type": "ai_talk", "option": { "ai": {} } },
    { "type": "connect_call", "option": { "destinations": [{ "target": "+1555" }] } }]"#;

fn take(kind: &str, args: Value, vars: &mut Vars) -> Result<Vec<flow::Command>, String> {
    let now = "2026-11-20T20:00:00Z".parse().unwrap();
    take_tool(&linked(FLOW), kind, &args, Key("k".into()), Medium::Call, now, vars)
}

#[test]
fn a_tool_is_an_action_that_the_model_takes() {
    let mut vars = Vars::from([("secret".into(), "s3cret".into())]);
    let commands = take("send_message", json!({ "text": "Hi ${secret}" }), &mut vars).unwrap();
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0].key, Key("k".into()));
    let Deed::SendMessage { text, .. } = &commands[0].deed else { panic!("{commands:?}") };
    assert_eq!(text, "Hi ${secret}", "what a model says is never filled in");

    take("set_variables", json!({ "variables": { "name": "Ann" } }), &mut vars).unwrap();
    assert_eq!(vars["name"], "Ann");
}

#[test]
fn a_wrong_tool_is_told_in_words() {
    let mut vars = Vars::new();
    let mut fault = |kind: &str, args: Value| take(kind, args, &mut vars).unwrap_err();
    assert_eq!(fault("fly", json!({})), "no action is called `fly`");
    let missing = fault("send_message", json!({ "txt": "hi" }));
    assert!(missing.contains("`txt` is not known here (did you mean `text`?)"), "{missing}");
    assert!(missing.contains("`text` is missing"), "{missing}");
    assert!(
        fault("connect_call", json!({ "destinations": [{ "target": "+1" }] })).contains("goes on")
    );
    assert!(fault("talk", json!({ "text": "hi" })).contains("cannot be taken"));
    assert!(
        fault("set_variables", json!({ "values": { "a": "x".repeat(40_000) } })).contains("`a`")
    );
    assert!(vars.is_empty());
}

#[test]
fn tools_are_offered_by_medium_with_clean_schemas() {
    let flow = linked(FLOW);
    let kinds = |medium| flow.tools(medium).into_iter().map(|offer| offer.kind).collect::<Vec<_>>();
    assert_eq!(
        kinds(Medium::Call),
        ["connect_call", "send_message", "set_variables", "stop", "stop_service", "transfer_call"]
    );
    assert_eq!(kinds(Medium::Text), ["send_message", "set_variables", "stop", "stop_service"]);
    for offer in flow.tools(Medium::Call) {
        assert!(offer.description.len() > 20, "{}", offer.kind);
        assert_ne!(offer.tool, Tool::No);
        let text = offer.parameters.to_string();
        for noise in ["$schema", "$ref", "$defs", "\"title\"", "\"format\""] {
            assert!(!text.contains(noise), "{}: {noise} in {text}", offer.kind);
        }
        assert_eq!(offer.parameters["type"], "object");
        assert!(offer.parameters["properties"].is_object());
    }
}

#[test]
fn what_ends_a_conversation_is_checked_before_it_does() {
    let now = "2026-11-20T20:00:00Z".parse().unwrap();
    let flow = linked(FLOW);
    let mut run = Activeflow::new("r", &flow, Medium::Call, Vars::new());
    run.advance(&flow, now, Event::Started);
    let then = run.ends_with(&flow, "connect_call", &json!({ "department": "sales" })).unwrap();
    assert_eq!(then["type"], "connect_call", "the flow's own connect_call comes next");
    assert!(run.ends_with(&flow, "stop_service", &json!({})).is_ok());
    assert!(run.ends_with(&flow, "stop", &json!({ "now": true })).is_err());
    assert!(run.ends_with(&flow, "send_message", &json!({ "text": "hi" })).is_err());
    let alone = linked(r#"[{ "type": "ai_talk", "option": { "ai": {} } }]"#);
    let mut run = Activeflow::new("r", &alone, Medium::Call, Vars::new());
    run.advance(&alone, now, Event::Started);
    let fault = run.ends_with(&alone, "connect_call", &json!({})).unwrap_err();
    assert!(fault.contains("`destinations` is missing"), "{fault}");
}
