//! Waits for events, requests, lists and branches, as scores.

use crate::score::{call, calls, linked, text};
use flow::{Deed, Event, Linking, Medium, Needs};
use serde_json::json;

#[test]
fn an_event_from_outside_is_waited_for_by_its_name() {
    let run = text(
        r#"[{ "id": "pay", "type": "wait_event", "option": { "name": "paid", "timeout_s": 600 }, "on": { "timeout": "end" } },
            { "id": "any", "type": "block", "timeout_s": 30 },
            { "id": "say", "type": "send_message", "option": { "text": "${event.amount} ${event.name}" } }]"#,
        "
        > started
        ~ event 600s
        > signal shipped amount=3
        ~ dropped
        > message hello
        ~ dropped
        > signal paid amount=7
        - pay done
        ~ event 30s
        > signal whatever
        - any done
        < send 7 whatever
        ~ send_message 300s
        ",
    );
    assert_eq!(run.vars["event.amount"], "7");
    text(
        r#"[{ "id": "any", "type": "block", "option": { "timeout_s": 30 }, "on": { "timeout": "end" } }]"#,
        "> started\n~ event 30s\n> timeout\n- any timeout\n= finished",
    );
}

#[test]
fn a_wait_for_an_event_needs_a_deadline() {
    for kind in [r#""block""#, r#""wait_event", "option": { "name": "a" }"#] {
        let flow = format!(r#"[{{ "type": {kind} }}]"#);
        let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
        let found = flow::link(&flow, linking).err().unwrap();
        assert!(found.iter().any(|one| one.code == "F015"), "{found:?}");
    }
}

const ASK: &str = r#"{ "variables": { "id": 7 }, "actions": [
    { "id": "ask", "type": "send_webhook",
      "option": { "url": "https://example.com/${id}", "body": { "n": "${id}", "list": [true] }, "into": "order", "timeout_s": 5 },
      "on": { "failed": "sorry", "timeout": "late" } },
    { "id": "say", "type": "send_message", "option": { "text": "${order.body.name} ${order.status}" }, "next": "end" },
    { "id": "sorry", "type": "send_message", "option": { "text": "Sorry: ${order.status} ${order.body}." }, "next": "end" },
    { "id": "late", "type": "send_message", "option": { "text": "Late." } }] }"#;

#[test]
fn a_server_is_asked_and_its_answer_kept() {
    let begin = "> started\n< POST https://example.com/7\n~ send_webhook 35s\n";
    for (answer, then) in [
        (r#"done status=200 body={"name":"Ann"}"#, "- ask done\n< send Ann 200"),
        ("done status=200 body=hello", "- ask done\n< send  200"),
        ("done failed unreachable", "- ask failed\n< send Sorry:  ."),
        ("done timeout slow", "- ask timeout\n< send Late."),
        ("timeout", "- ask timeout\n< send Late."),
    ] {
        text(ASK, &format!("{begin}> {answer}\n{then}\n~ send_message 300s"));
    }
    let flow = linked(ASK);
    let now = "2026-11-20T20:00:00Z".parse().unwrap();
    let mut run = flow::Activeflow::new("r", &flow, Medium::Text, flow::Vars::new());
    let asked = run.advance(&flow, now, Event::Started).commands.remove(0);
    let Deed::Request { body, .. } = &asked.deed else { panic!("{asked:?}") };
    assert_eq!(*body, Some(json!({ "n": "7", "list": [true] })));
    // A status that means failure is one, and can be read.
    let values = [("status".into(), json!(404)), ("body".into(), json!("none"))].into();
    let (exit, why) = ("done".into(), String::new());
    let advance =
        run.advance(&flow, now, Event::Done { key: asked.key, exit, values, why, then: None });
    assert_eq!(&*advance.taken[0].exit, "failed");
    assert_eq!(&*advance.taken[0].why, "the server answered 404: none");
    let Deed::SendMessage { text, .. } = &advance.commands[0].deed else { panic!() };
    assert_eq!(text, "Sorry: 404 none.");
}

#[test]
fn an_answer_need_not_be_waited_for() {
    text(
        r#"[{ "id": "tell", "type": "send_webhook", "option": { "url": "https://example.com", "method": "PUT", "wait": false } },
            { "id": "then", "type": "sleep", "option": { "duration_s": 5 } }]"#,
        "> started\n- tell done\n< PUT https://example.com\n~ sleep 5s",
    );
}

const LOOP: &str = r#"{ "variables": { "all": ["a", "b"], "seen": "" }, "actions": [
    { "id": "each", "type": "for_each", "option": { "items": "${all}", "do": "one" } },
    { "id": "bye", "type": "send_message", "option": { "text": "${seen}" }, "next": "end" },
    { "id": "one", "type": "set_variables", "option": { "expressions": { "seen": "seen + item + item_index" } }, "next": "each" }] }"#;

#[test]
fn each_item_has_its_turn() {
    text(
        LOOP,
        "
        > started
        - each jump
        - one done
        - each jump
        - one done
        - each done
        < send a0b1
        ~ send_message 300s
        ",
    );
    text(
        &LOOP.replace(r#"["a", "b"]"#, "[]"),
        "> started\n- each done\n- bye failed\n= failed: `bye` ended by `failed`: option/text: the text is empty",
    );
}

#[test]
fn what_is_no_list_or_too_long_fails_before_anything_is_done() {
    let why = "`each` ended by `failed`";
    text(
        &LOOP.replace(r#""do""#, r#""max": 1, "do""#),
        &format!(
            "> started\n- each failed\n= failed: {why}: the list has 2 items; at most 1 are gone through"
        ),
    );
    let unknown = LOOP.replace(r#""all": ["a", "b"], "#, "").replace("${all}", "${call.id}");
    let run = text(
        &unknown,
        "> started\n- each failed\n= failed: `each` ended by `failed`: option/items: `\"\"` is a text",
    );
    assert!(!run.vars.contains_key("item"));
}

/// Two branches: a text, and an event.
fn either(until: &str) -> String {
    format!(
        r#"[{{ "id": "p", "type": "parallel", "option": {{ "branches": ["t", "e"], "until": "{until}" }}, "on": {{ "failed": "sorry" }} }},
            {{ "id": "after", "type": "send_message", "option": {{ "text": "${{message.text:-no text}}, ${{event.name:-no event}}" }}, "next": "end" }},
            {{ "id": "t", "type": "wait_message", "option": {{ "timeout_s": 60 }}, "next": "after" }},
            {{ "id": "e", "type": "wait_event", "option": {{ "name": "paid", "timeout_s": 90 }}, "next": "end" }},
            {{ "id": "sorry", "type": "send_message", "option": {{ "text": "Sorry." }} }}]"#
    )
}

#[test]
fn all_branches_are_waited_for() {
    let run = text(
        &either("all"),
        "
        > started
        ~ message at t 60s
        ~ event at e 90s
        > message hello
        - t done
        ~ event 90s
        > message again
        ~ dropped
        > signal paid
        - e done
        - p done
        < send hello, paid
        ~ send_message 300s
        ",
    );
    assert!(!serde_json::to_string(&run).unwrap().contains("split"));
}

#[test]
fn the_first_branch_ends_the_others() {
    text(
        &either("first"),
        "
        > started
        ~ message at t 60s
        ~ event at e 90s
        > signal paid
        - e done
        - t cancelled
        - p done
        < send no text, paid
        ~ send_message 300s
        > message late
        ~ dropped
        ",
    );
}

#[test]
fn a_branch_that_fails_fails_all_or_leaves_it_to_the_others() {
    text(
        &either("all"),
        "
        > started
        ~ message at t 60s
        ~ event at e 90s
        > timeout@t
        - t timeout
        - e cancelled
        - p failed
        < send Sorry.
        ~ send_message 300s
        ",
    );
    text(
        &either("first"),
        "
        > started
        ~ message at t 60s
        ~ event at e 90s
        > timeout
        - t timeout
        ~ event 30s
        > timeout
        - e timeout
        - p failed
        < send Sorry.
        ~ send_message 300s
        ",
    );
}

#[test]
fn branches_have_a_deadline_when_the_author_gives_one() {
    let flow =
        either("all").replace(r#""type": "parallel","#, r#""type": "parallel", "timeout_s": 20,"#);
    let flow = flow.replace(r#"{ "failed": "sorry" }"#, r#"{ "timeout": "sorry" }"#);
    text(
        &flow,
        "
        > started
        ~ branches at p 20s
        ~ message at t 60s
        ~ event at e 90s
        > timeout
        - t cancelled
        - e cancelled
        - p timeout
        < send Sorry.
        ~ send_message 300s
        ",
    );
}

#[test]
fn branches_that_end_at_once_and_branches_of_branches() {
    text(
        r#"[{ "id": "p", "type": "parallel", "option": { "branches": ["q", "b", "end", "bye"] } },
            { "id": "bye", "type": "stop" },
            { "id": "q", "type": "parallel", "option": { "branches": ["c", "d"], "until": "first" } },
            { "id": "joined", "type": "set_variables", "next": "end" },
            { "id": "b", "type": "set_variables", "next": "bye" },
            { "id": "c", "type": "sleep", "option": { "duration_s": 3 }, "next": "end" },
            { "id": "d", "type": "sleep", "option": { "duration_s": 2 }, "next": "joined" }]"#,
        "
        > started
        - b done
        ~ sleep at c 3s
        ~ sleep at d 2s
        > timeout
        - d done
        - c cancelled
        - q done
        - joined done
        - p done
        - bye ended
        = stopped
        ",
    );
}

#[test]
fn hanging_up_ends_every_branch() {
    call(
        r#"[{ "id": "p", "type": "parallel", "option": { "branches": ["a", "b"] }, "next": "end" },
            { "id": "a", "type": "talk", "option": { "text": "Hello." }, "next": "end" },
            { "id": "b", "type": "sleep", "option": { "duration_s": 9 } }]"#,
        "
        > started
        < say Hello.
        ~ talk at a 1800s
        ~ sleep at b 9s
        > hung_up
        - a hung_up
        - b hung_up
        = hung_up: the call ended: normal
        ",
    );
}

#[test]
fn what_a_call_does_for_nobody_ends() {
    call(
        r#"[{ "id": "p", "type": "parallel", "option": { "branches": ["a", "b"], "until": "first" } },
            { "id": "bye", "type": "talk", "option": { "text": "Bye." }, "next": "end" },
            { "id": "a", "type": "talk", "option": { "text": "A long story." }, "next": "end" },
            { "id": "b", "type": "sleep", "option": { "duration_s": 9 } }]"#,
        "
        > started
        < say A long story.
        ~ talk at a 1800s
        ~ sleep at b 9s
        > timeout
        - b done
        - a cancelled
        - p done
        < stop_service
        < say Bye.
        ~ talk 1800s
        > late
        ~ dropped
        ",
    );
}

#[test]
fn a_branch_calls_flows_of_its_own() {
    let each = r#"{ "variables": { "who": "" }, "actions": [
        { "id": "ask", "type": "wait_event", "option": { "name": "${who}", "timeout_s": 60 } },
        { "id": "keep", "type": "set_variables", "option": { "values": { "answer": "${event.text}" } } }] }"#;
    let branch = |name: &str| {
        format!(
            r#"{{ "id": "{name}", "type": "call_flow", "next": "end", "option": {{ "flow": "each", "isolated": true,
                 "arguments": {{ "who": "{name}" }}, "results": {{ "from_{name}": "answer" }} }} }}"#
        )
    };
    let flow = format!(
        r#"[{{ "id": "p", "type": "parallel", "option": {{ "branches": ["a", "b"] }} }},
            {{ "id": "say", "type": "send_message", "option": {{ "text": "${{from_a}} ${{from_b}} ${{who:-nobody}}" }}, "next": "end" }},
            {}, {}]"#,
        branch("a"),
        branch("b")
    );
    let run = calls(
        &flow,
        &[("v1", each)],
        Medium::Text,
        &[],
        "
        > started
        < load each
        < load each
        ~ load_flow at a 60s
        ~ load_flow at b 60s
        > done@b version=v1
        ~ load_flow at a 60s
        ~ event at ask 60s
        > done@a version=v1
        ~ event at ask 60s
        ~ event at ask 60s
        > signal b text=two
        - ask done
        - keep done
        - b done
        ~ event 60s
        > signal a text=one
        - ask done
        - keep done
        - a done
        - p done
        < send one two nobody
        ~ send_message 300s
        ",
    );
    assert!(!serde_json::to_string(&run).unwrap().contains("aside"));
}

#[test]
fn a_loop_through_branches_must_wait_in_them() {
    let flow = |until: &str, two: &str| {
        format!(
            r#"[{{ "id": "p", "type": "parallel", "option": {{ "branches": ["a", "b"], "until": "{until}" }}, "on": {{ "failed": "end" }} }},
                {{ "id": "again", "type": "goto", "option": {{ "target": "p" }} }},
                {{ "id": "a", "type": "sleep", "option": {{ "duration_s": 3 }}, "next": "end" }},
                {{ "id": "b", {two}, "next": "end" }}]"#
        )
    };
    let spins = |flow: &str| {
        let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
        let found = flow::link(flow, linking).err().unwrap_or_default();
        found.iter().any(|one| one.code == "F016")
    };
    let (wait, set) =
        (r#""type": "sleep", "option": { "duration_s": 5 }"#, r#""type": "set_variables""#);
    assert!(!spins(&flow("first", wait)));
    assert!(!spins(&flow("all", set)), "one of all waits");
    assert!(spins(&flow("first", set)), "the first does not wait");
}
