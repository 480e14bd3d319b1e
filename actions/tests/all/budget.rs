//! The most that a flow can do, as the linker works it out.

use flow::{Bound, Linking, Medium, Needs};

fn segments(text: &str) -> usize {
    text.len().div_ceil(160)
}

/// The bounds in a line each, then the texts.
#[track_caller]
fn check(medium: Medium, text: &str, expected: &str) {
    let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
    let budget = flow::budget(text, linking, medium, &segments).unwrap();
    let told = |bound: &Bound| match bound {
        Bound::AtMost(n) => n.to_string(),
        Bound::Unbounded { line, pointer, .. } => format!("unbounded {line} {pointer}"),
    };
    let mut found = format!(
        "between {} | actions {} | seconds {} | segments {} | turns {}",
        told(&budget.actions_between_waits),
        told(&budget.actions),
        told(&budget.seconds),
        told(&budget.segments),
        told(&budget.model_turns)
    );
    for send in &budget.sends {
        let open = if send.variables { " and variables" } else { "" };
        found += &format!("\n{} {}{open}", send.action, send.segments);
    }
    let expected: Vec<&str> = expected.lines().map(str::trim).collect();
    assert_eq!(found, expected.join("\n"));
}

#[test]
fn a_straight_flow_adds_up() {
    check(
        Medium::Text,
        r#"{ "on_error": "end", "actions": [
            { "type": "set_variables" },
            { "id": "hi", "type": "send_message", "option": { "text": "Hi." }, "retry": { "times": 2, "wait_s": 10 } },
            { "type": "wait_message", "option": { "timeout_s": 100 }, "timeout_s": 60 },
            { "id": "bye", "type": "send_message", "option": { "text": "Bye ${name:-you}." } }] }"#,
        "between 2 | actions 6 | seconds 1280 | segments 4 | turns 0
         hi 1
         bye 1 and variables",
    );
}

#[test]
fn the_costlier_branch_counts() {
    check(
        Medium::Text,
        r#"{ "on_error": "end", "actions": [
            { "type": "branch", "option": { "variable": "call.x", "cases": { "1": "short" }, "otherwise": "long" } },
            { "id": "short", "type": "sleep", "option": { "duration_s": 5 }, "next": "end" },
            { "id": "long", "type": "sleep", "option": { "duration_s": 50 } },
            { "type": "sleep", "option": { "duration": 2500 } }] }"#,
        "between 2 | actions 3 | seconds 52 | segments 0 | turns 0",
    );
}

#[test]
fn loops_that_count_are_multiplied() {
    check(
        Medium::Call,
        r#"{ "on_error": "bye", "variables": { "n": 2 }, "actions": [
            { "id": "menu", "type": "sleep", "option": { "duration_s": 10 } },
            { "id": "inner", "type": "set_variables" },
            { "type": "goto", "option": { "target": "inner", "times": 4 } },
            { "type": "goto", "option": { "target": "menu", "times": 2 } },
            { "id": "bye", "type": "hangup" }] }"#,
        "between 13 | actions 37 | seconds 30 | segments 0 | turns 0",
    );
}

#[test]
fn a_loop_that_only_waits_has_no_bound_but_for_what_is_not_in_it() {
    check(
        Medium::Text,
        r#"{ "on_error": "end", "actions": [
            { "id": "first", "type": "send_message", "option": { "text": "Hi." } },
            { "id": "ask", "type": "ai_talk", "option": { "ai": {}, "wait": true } },
            { "type": "wait_message", "option": { "timeout_s": 60 } },
            { "type": "goto", "option": { "target": "ask" } }] }"#,
        "between 2 | actions unbounded 5 /actions/3/option/target | seconds unbounded 5 /actions/3/option/target | segments 1 | turns unbounded 5 /actions/3/option/target
         first 1",
    );
}

#[test]
fn an_agent_takes_a_turn_a_second_on_a_call_and_one_on_a_text() {
    let flow = r#"{ "on_error": "end", "actions": [
        { "type": "ai_talk", "option": { "ai": {}, "duration": 90 } }] }"#;
    check(Medium::Call, flow, "between 1 | actions 1 | seconds 150 | segments 0 | turns 90");
    check(Medium::Text, flow, "between 1 | actions 1 | seconds 0 | segments 0 | turns 1");
}

#[test]
fn a_count_that_a_variable_holds_is_not_known() {
    check(
        Medium::Call,
        r#"{ "on_error": "end", "variables": { "n": "" }, "actions": [
            { "id": "a", "type": "sleep", "option": { "duration_s": 10 } },
            { "type": "goto", "option": { "target": "a", "times": "${n}" } }] }"#,
        "between 2 | actions unbounded 3 /actions/1/option/target | seconds unbounded 3 /actions/1/option/target | segments 0 | turns 0",
    );
}

#[test]
fn on_error_catches_once_until_somebody_answers() {
    check(
        Medium::Call,
        r#"{ "on_error": "sorry", "actions": [
            { "id": "a", "type": "send_message", "option": { "text": "a" }, "next": "end" },
            { "id": "sorry", "type": "send_message", "option": { "text": "b" } },
            { "type": "hangup" }] }"#,
        "between 2 | actions 3 | seconds 600 | segments 2 | turns 0
         a 1
         sorry 1",
    );
    check(
        Medium::Call,
        r#"{ "on_error": "a", "actions": [
            { "id": "a", "type": "sleep", "option": { "duration_s": 10 } },
            { "type": "talk", "option": { "text": "a" } }] }"#,
        "between 2 | actions unbounded 1 /on_error | seconds unbounded 1 /on_error | segments 0 | turns 0",
    );
}

#[test]
fn branches_side_by_side_add_up_and_wait_together() {
    check(
        Medium::Call,
        r#"{ "on_error": "end", "actions": [
            { "id": "both", "type": "parallel", "option": { "branches": ["a", "b"] }, "next": "z" },
            { "id": "a", "type": "send_message", "option": { "text": "a" } },
            { "type": "sleep", "option": { "duration_s": 100 }, "next": "z" },
            { "id": "b", "type": "sleep", "option": { "duration_s": 1000 }, "next": "z" },
            { "id": "z", "type": "stop" }] }"#,
        "between 4 | actions 5 | seconds 1000 | segments 1 | turns 0
         a 1",
    );
}

#[test]
fn a_list_that_is_not_known_is_as_long_as_it_may_be() {
    check(
        Medium::Call,
        r#"{ "on_error": "end", "variables": { "all": [] }, "actions": [
            { "id": "each", "type": "for_each", "option": { "items": "${all}", "do": "a", "max": 7 }, "next": "end" },
            { "id": "a", "type": "send_message", "option": { "text": "${item}" }, "next": "each" }] }"#,
        "between 2 | actions 16 | seconds 2400 | segments 0 | turns 0
         a 0 and variables",
    );
}

#[test]
fn what_does_not_link_has_no_budget() {
    let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
    assert_eq!(flow::budget("[]", linking, Medium::Call, &segments), None);
}
