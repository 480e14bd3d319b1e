//! The example flows: every one links without any diagnostic, and fits the published schema.

use std::fs;
use std::path::{Path, PathBuf};

use flow::{Linking, Needs, link};

fn flows() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows");
    let mut flows: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(".json") && name.matches('.').count() == 1
        })
        .collect();
    flows.sort();
    flows
}

#[test]
fn every_example_links_without_a_word() {
    let flows = flows();
    assert!(flows.len() >= 4, "{flows:?}");
    for path in flows {
        let text = fs::read_to_string(&path).unwrap();
        let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
        let found = match link(&text, linking) {
            Ok((_, warnings)) => warnings,
            Err(all) => all,
        };
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn every_example_fits_the_schema() {
    let schemas = actions::schemas();
    let validator = jsonschema::draft202012::new(&schemas["flow"]).unwrap();
    for path in flows() {
        let text = fs::read_to_string(&path).unwrap();
        let flow = serde_json::from_str(&text).unwrap();
        let faults: Vec<String> = validator
            .iter_errors(&flow)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(faults, Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn a_flow_with_everything_in_it_links_without_a_word() {
    let text = r#"{
      "$schema": "../schemas/flow.json", "version": 1, "name": "support_line",
      "variables": { "order.id": "" }, "on_error": "sorry",
      "actions": [
        { "id": "hello", "type": "answer" },
        { "id": "agent", "type": "ai_talk",
          "option": { "ai": { "engine_model": "openai.gpt-4o-mini", "init_prompt": "You are the agent of order ${order.id}.",
                              "tool_names": ["connect_call", "send_message", "stop_service"] },
                      "duration": 600 },
          "on": { "no_input": "bye", "failed": "sorry" } },
        { "id": "desk", "type": "connect", "if": "now.hour >= 9 && now.hour < 17",
          "option": { "destinations": [{ "type": "tel", "target": "+15551230000" }], "ring_s": 25 },
          "on": { "busy": "sorry", "no_answer": "sorry", "failed": "sorry" } },
        { "id": "bye", "type": "hangup" },
        { "id": "sorry", "type": "send_message",
          "option": { "text": "Sorry we missed you, ${caller.name:-friend}." },
          "retry": { "times": 2, "wait_s": 5 }, "timeout_s": 60, "note": "once an hour",
          "next": "bye" }
      ] }"#;
    let linking = Linking { catalog: actions::ALL, medium: Needs::Call };
    let (flow, found) = link(text, linking).unwrap_or_else(|all| panic!("{all:?}"));
    assert_eq!(found, []);
    let kinds: Vec<&str> = flow.actions().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["answer", "ai_talk", "connect_call", "hangup", "send_message"]);
}
