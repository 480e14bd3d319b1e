//! Flows that call flows, as scores.

use flow::Medium;
use serde_json::json;

use crate::score::{calls, linked};

/// Asks for a name.
const ASK: &str = r#"{ "variables": { "question": "Your name?", "tries": 0 }, "actions": [
    { "id": "ask", "type": "send_message", "option": { "text": "${question}" } },
    { "id": "hear", "type": "wait_message", "option": { "timeout_s": 60, "into": "answer" },
      "on": { "timeout": "end" } },
    { "id": "note", "type": "set_variables", "option": { "expressions": { "tries": "tries + 1" } } }] }"#;

fn caller(option: &str) -> String {
    format!(
        r#"{{ "variables": {{ "question": "mine", "answer": "none" }}, "actions": [
            {{ "id": "sub", "type": "call_flow", "option": {{ "flow": "ask" {option} }}, "on": {{ "failed": "sorry" }} }},
            {{ "id": "bye", "type": "send_message", "option": {{ "text": "${{question}} ${{answer}} ${{tries:-unset}} ${{got:-nothing}}" }}, "next": "end" }},
            {{ "id": "sorry", "type": "send_message", "option": {{ "text": "Sorry." }} }}] }}"#
    )
}

#[track_caller]
fn texts(flow: &str, called: &[(&str, &str)], score: &str) -> flow::Activeflow {
    calls(flow, called, Medium::Text, &[], score)
}

#[test]
fn a_flow_works_on_its_callers_variables_and_gives_the_arguments_back() {
    texts(
        &caller(
            r#", "arguments": { "question": "Who, ${question}?" }, "results": { "got": "question" }"#,
        ),
        &[("v7", ASK)],
        "
        > started
        < load ask
        ~ load_flow 60s
        > done version=v7
        < send Who, mine?
        ~ send_message 300s
        > done
        - ask done
        ~ message 60s
        > message Ann
        - hear done
        - note done
        - sub done
        < send mine Ann 1 Who, mine?
        ~ send_message 300s
        ",
    );
}

#[test]
fn an_isolated_flow_sees_and_leaves_only_what_it_is_told_to() {
    let run = texts(
        &caller(r#", "isolated": true, "results": { "got": "answer", "none": "missing" }"#),
        &[("v7", ASK)],
        "
        > started
        < load ask
        ~ load_flow 60s
        > done version=v7
        < send Your name?
        ~ send_message 300s
        > done
        - ask done
        ~ message 60s
        > message Ann
        - hear done
        - note done
        - sub done
        < send mine none unset Ann
        ~ send_message 300s
        ",
    );
    assert!(!run.vars.contains_key("tries"));
    assert_eq!(run.vars["message.text"], "Ann", "what comes from outside is everybody's");
    assert!(!serde_json::to_string(&run).unwrap().contains("aside"));
}

#[test]
fn a_flow_that_cannot_be_had_is_a_failure() {
    for (answer, called) in [
        ("done failed no-such-flow", ASK),
        ("done version=v8", ASK),
        ("done", ASK),
        ("done version=v7", r#"[{ "type": "talk", "option": { "text": "Hi" } }]"#),
    ] {
        texts(
            &caller(""),
            &[("v7", called)],
            &format!(
                "
                > started
                < load ask
                ~ load_flow 60s
                > {answer}
                - sub failed
                < send Sorry.
                ~ send_message 300s
                "
            ),
        );
    }
}

#[test]
fn a_failure_that_nothing_catches_fails_the_caller() {
    let score = |inner: &str, rest: &str| {
        format!(
            "
            > started
            < load ask
            ~ load_flow 60s
            > done version=v7
            < send Hi
            ~ send_message 300s
            > done failed unreachable
            - a failed
            {inner}
            {rest}
            "
        )
    };
    let flow = r#"[{ "id": "a", "type": "send_message", "option": { "text": "Hi" } }]"#;
    let sorry = "- sub failed\n< send Sorry.\n~ send_message 300s";
    texts(&caller(""), &[("v7", flow)], &score("", sorry));
    let flow = r#"{ "on_error": "b", "actions": [
        { "id": "a", "type": "send_message", "option": { "text": "Hi" }, "next": "end" },
        { "id": "b", "type": "set_variables", "option": { "values": { "got": 7 } } }] }"#;
    let bye = "- sub done\n< send mine none unset 7\n~ send_message 300s";
    texts(&caller(""), &[("v7", flow)], &score("- b done", bye));
    let flow = r#"[{ "id": "w", "type": "wait_message", "option": { "timeout_s": 5 } }]"#;
    texts(
        &caller(""),
        &[("v7", flow)],
        "
        > started
        < load ask
        ~ load_flow 60s
        > done version=v7
        ~ message 5s
        > timeout
        - w timeout
        - sub failed
        < send Sorry.
        ~ send_message 300s
        ",
    );
}

#[test]
fn stop_service_goes_on_after_the_flow_and_stop_ends_the_run() {
    let flow = |kind: &str| {
        format!(
            r#"[{{ "id": "s", "type": "sleep", "option": {{ "duration_s": 9 }} }},
                {{ "id": "x", "type": "{kind}" }}, {{ "id": "never", "type": "sleep", "option": {{ "duration_s": 1 }} }}]"#
        )
    };
    let begin = "
        > started
        < load ask
        ~ load_flow 60s
        > done version=v7
        ~ sleep 9s
        ";
    let bye = "- sub done\n< send mine none unset nothing\n~ send_message 300s";
    let stop_service = flow("stop_service");
    let score = format!("{begin}\n> timeout\n- s done\n- x done\n{bye}");
    texts(&caller(""), &[("v7", &stop_service)], &score);
    texts(&caller(""), &[("v7", &stop_service)], &format!("{begin}\n> service_stopped\n{bye}"));
    let score = format!("{begin}\n> timeout\n- s done\n- x ended\n= stopped");
    texts(&caller(""), &[("v7", &flow("stop"))], &score);
}

#[test]
fn a_run_keeps_the_version_that_it_found() {
    let run = texts(
        &caller(""),
        &[("v7", ASK)],
        "> started\n< load ask\n~ load_flow 60s\n> done version=v7\n< send mine\n~ send_message 300s",
    );
    assert_eq!(run.flows(&flow::Event::Started), ["v7"]);
    let stored = serde_json::to_string(&run).unwrap();
    assert!(stored.len() < 450, "{stored}");
    // Without the version nothing can be said of the run any more; it ends in words.
    let mut lost = run.clone();
    let (key, now) = (lost.waiting().unwrap().key.clone(), "2026-11-20T20:00:00Z".parse().unwrap());
    lost.advance(&linked(&caller("")), now, flow::Event::TimedOut { key });
    assert_eq!(lost.outcome, Some(flow::Outcome::Failed));
    assert_eq!(lost.why, "the flow version v7 is not at hand");
}

#[test]
fn a_flow_that_calls_itself_comes_to_an_end() {
    let flow =
        r#"[{ "id": "again", "type": "call_flow", "option": { "flow": "me", "isolated": true } }]"#;
    let mut score = "> started\n< load me\n~ load_flow 60s\n".to_string();
    for _ in 0..31 {
        score.push_str("> done version=v1\n< load me\n~ load_flow 60s\n");
    }
    score.push_str("> done version=v1\n");
    score.push_str(&"- again failed\n".repeat(32));
    let why = "`again` ended by `failed`: ".repeat(32);
    score.push_str(&format!("= failed: {why}32 flows have called each other already"));
    texts(flow, &[("v1", flow)], &score);
}

#[test]
fn the_variables_of_all_flows_together_have_a_limit() {
    let flow = r#"[{ "id": "again", "type": "call_flow",
        "option": { "flow": "me", "isolated": true, "arguments": { "x": "${x}" } }, "on": { "failed": "end" } }]"#;
    let big = json!("x".repeat(30_000));
    let mut score = "> started\n< load me\n~ load_flow 60s\n".to_string();
    for _ in 0..7 {
        score.push_str("> done version=v1\n< load me\n~ load_flow 60s\n");
    }
    score.push_str("> done version=v1\n- again failed\n");
    score.push_str(&"- again done\n".repeat(7));
    score.push_str("= finished");
    calls(flow, &[("v1", flow)], Medium::Text, &[("x", big)], &score);
}

#[test]
fn actions_come_from_a_server() {
    texts(
        r#"[{ "id": "get", "type": "fetch", "option": { "url": "https://example.com/${n}" } },
            { "id": "then", "type": "send_message", "option": { "text": "${answer}" } }]"#,
        &[("url-1", ASK)],
        "
        > started
        < load POST https://example.com/
        ~ load_flow 60s
        > done version=url-1
        < send Your name?
        ~ send_message 300s
        > done
        - ask done
        ~ message 60s
        > message Ann
        - hear done
        - note done
        - get done
        < send Ann
        ~ send_message 300s
        ",
    );
}
