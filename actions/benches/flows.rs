//! How fast flows are linked and advanced: `cargo bench -p actions`. Compare the rows of one run
//! with each other; absolute figures are the machine's.

#![allow(missing_docs, clippy::unwrap_used)]

use divan::Bencher;
use flow::{Activeflow, Event, Linking, Medium, Needs, Vars, link};
use jiff::Timestamp;

fn main() {
    divan::main();
}

/// A flow of 20 actions of the common kinds, as an author writes it.
fn twenty() -> String {
    let mut actions = vec![r#"{ "id": "hello", "type": "answer" }"#.to_owned()];
    for n in 0..6 {
        let then = if n < 5 { format!("say{}", n + 1) } else { "bye".to_owned() };
        actions.push(format!(
            r#"{{ "id": "say{n}", "type": "talk", "option": {{ "text": "Hello ${{caller.number}}" }},
                 "on": {{ "failed": "bye" }} }}"#
        ));
        actions.push(format!(
            r#"{{ "id": "set{n}", "type": "set_variables", "if": "now.hour < 24",
                 "option": {{ "values": {{ "a.b{n}": {n} }} }} }}"#
        ));
        actions.push(format!(
            r#"{{ "id": "branch{n}", "type": "branch",
                 "option": {{ "variable": "a.b{n}", "cases": {{ "9": "bye" }}, "otherwise": "{then}" }} }}"#
        ));
    }
    actions.push(r#"{ "id": "bye", "type": "hangup" }"#.to_owned());
    format!(r#"{{ "actions": [{}] }}"#, actions.join(",\n"))
}

/// A counted loop of control actions: nothing is asked of the world.
fn circle() -> String {
    r#"{ "variables": { "n": 0 }, "actions": [
        { "id": "one", "type": "set_variables", "option": { "values": { "n": 1 } } },
        { "id": "two", "type": "branch", "option": { "variable": "n", "cases": { "1": "three" }, "otherwise": "three" } },
        { "id": "three", "type": "goto", "option": { "target": "one", "times": 300 }, "next": "end" }
    ] }"#
    .to_owned()
}

/// The same, each passing an `if`.
fn guarded() -> String {
    circle().replace(r#""type": "set_variables","#, r#""type": "set_variables", "if": "n < 2","#)
}

const LINKING: Linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };

#[divan::bench]
fn parse_twenty_actions(bencher: Bencher<'_, '_>) {
    let text = twenty();
    bencher.bench(|| serde_json::from_str::<serde_json::Value>(divan::black_box(&text)).unwrap());
}

#[divan::bench]
fn link_twenty_actions(bencher: Bencher<'_, '_>) {
    let text = twenty();
    assert!(link(&text, LINKING).is_ok());
    bencher.bench(|| link(divan::black_box(&text), LINKING).is_ok());
}

/// About 900 control actions.
#[divan::bench]
fn nine_hundred_control_actions(bencher: Bencher<'_, '_>) {
    run(bencher, &circle());
}

/// About 900 control actions, 300 of them with an `if`.
#[divan::bench]
fn nine_hundred_with_three_hundred_ifs(bencher: Bencher<'_, '_>) {
    run(bencher, &guarded());
}

fn run(bencher: Bencher<'_, '_>, text: &str) {
    let (flow, _) = link(text, LINKING).unwrap();
    let now = Timestamp::from_second(1_767_268_800).unwrap();
    bencher.bench(|| {
        let mut run = Activeflow::new("bench", &flow, Medium::None, Vars::new());
        let advance = run.advance(&flow, now, Event::Started);
        assert!(run.outcome.is_some(), "{:?}", run.waiting());
        assert_eq!(run.outcome, Some(flow::Outcome::Finished), "{}", run.why);
        advance.taken.len()
    });
}
