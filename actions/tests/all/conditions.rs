//! The conditions of the older dialect: what they let through, and what they send elsewhere.

use flow::{Linking, Medium, Needs, link};
use serde_json::{Value, json};

use crate::score::check;

/// Whether a condition holds on Friday, 2026-11-20, 20:00 UTC.
#[track_caller]
fn holds(kind: &str, mut option: Value, timezone: &str, vars: &[(&str, Value)]) -> bool {
    option["false_target_id"] = "no".into();
    let flow = json!({ "timezone": timezone, "actions": [
        { "id": "is", "type": kind, "option": option },
        { "id": "yes", "type": "set_variables", "option": { "values": { "held": true } },
          "next": "end" },
        { "id": "no", "type": "set_variables", "option": { "values": { "held": false } } },
        { "id": "end", "type": "stop" },
    ]});
    let mut run = flow::Activeflow::new(
        "r",
        &crate::score::linked(&flow.to_string()),
        Medium::None,
        vars.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
    );
    let flow = crate::score::linked(&flow.to_string());
    run.advance(&flow, "2026-11-20T20:00:00Z".parse().unwrap(), flow::Event::Started);
    run.vars["held"].as_bool().unwrap()
}

#[track_caller]
fn variable(option: Value) -> bool {
    let vars = [
        ("tier", json!("gold")),
        ("tries", json!(3)),
        ("name", json!("Zoë")),
        ("trap", json!("${tier}")),
        ("says", json!("tier")),
    ];
    holds("condition_variable", option, "UTC", &vars)
}

#[test]
fn a_variable_is_read_by_its_bare_name_and_by_its_braces() {
    for written in ["tier", "${tier}"] {
        let is = |wanted: &str| variable(json!({ "variable": written, "value_string": wanted }));
        assert!(is("gold"), "{written}");
        assert!(!is("silver"), "{written}");
    }
    assert!(variable(json!({ "value": "a ${tier} card", "value_string": "a gold card" })));
    assert!(variable(json!({ "variable": "missing", "value_string": "" })));
}

#[test]
fn what_a_variable_holds_is_not_taken_for_a_name() {
    assert!(!variable(json!({ "variable": "${says}", "value_string": "gold" })));
    assert!(!variable(json!({ "variable": "${trap}", "value_string": "gold" })));
    assert!(variable(json!({ "variable": "${says}", "value_string": "tier" })));
}

#[test]
fn texts_numbers_and_lengths_compare() {
    let number = |condition: &str, wanted: f64| {
        let option = json!({ "variable": "tries", "condition": condition,
            "value_type": "number", "value_number": wanted });
        variable(option)
    };
    let all = ["==", "!=", ">", ">=", "<", "<="];
    let held = |wanted| all.map(|condition| number(condition, wanted));
    assert_eq!(held(3.0), [true, false, false, true, false, true]);
    assert_eq!(held(2.5), [false, true, true, true, false, false]);
    assert_eq!(held(4.0), [false, true, false, false, true, true]);
    // As texts, 10 would come before 3.
    assert!(number("<", 10.0));
    let text = json!({ "variable": "tries", "condition": "<", "value_string": "10" });
    assert!(!variable(text));
    for condition in all {
        let option = json!({ "variable": "tier", "condition": condition, "value_type": "number" });
        assert!(!variable(option), "a text that is no number never compares: {condition}");
    }
    let length = json!({ "variable": "name", "value_type": "length", "value_length": 3 });
    assert!(variable(length), "characters, not bytes");
}

#[test]
fn a_time_compares_as_a_whole_with_the_clock_on_the_left() {
    let at = |condition: &str, hour: i64, minute: i64| {
        let option = json!({ "condition": condition, "hour": hour, "minute": minute });
        holds("condition_datetime", option, "UTC", &[])
    };
    assert!(at(">=", 9, 30), "20:00 is after 9:30, though 0 is less than 30");
    assert!(at(">=", 20, 0));
    assert!(!at(">", 20, 0));
    assert!(at("<", 20, 1));
    assert!(!at("<=", 19, 59));
    assert!(at("==", 20, -1) && !at("!=", 20, -1));
    let date = |month: i64, day: i64| {
        let option = json!({ "condition": "<", "month": month, "day": day });
        holds("condition_datetime", option, "UTC", &[])
    };
    assert!(date(12, 1), "November 20 is before December 1");
    assert!(!date(11, 20) && !date(10, 31));
}

#[test]
fn weekdays_are_those_of_the_time_zone() {
    let on = |days: Value, timezone: &str| {
        holds("condition_datetime", json!({ "weekdays": days }), timezone, &[])
    };
    // Friday evening in London is Saturday morning in Tokyo.
    assert!(on(json!([1, 5]), "UTC") && !on(json!([6]), "UTC"));
    assert!(on(json!([6]), "Asia/Tokyo") && !on(json!([5]), "Asia/Tokyo"));
    assert!(on(json!([]), "UTC"));
    let both = json!({ "weekdays": [5], "condition": "<", "hour": 17 });
    assert!(!holds("condition_datetime", both, "UTC", &[]), "the day fits, the hour does not");
    let tokyo = json!({ "condition": "==", "hour": 5, "day": 21 });
    assert!(holds("condition_datetime", tokyo, "Asia/Tokyo", &[]));
}

#[test]
fn a_condition_jumps_to_where_it_says() {
    let flow = r#"[
        { "id": "vip", "type": "condition_variable",
          "option": { "variable": "${tier}", "value_string": "gold", "false_target_id": "others" } },
        { "id": "hi", "type": "send_message", "option": { "text": "Hello again" }, "next": "end" },
        { "id": "others", "type": "send_message", "option": { "text": "Welcome" } },
        { "id": "end", "type": "stop" }]"#;
    for (tier, left, text) in [("gold", "- vip done", "Hello again"), ("", "- vip jump", "Welcome")]
    {
        let score = format!("> started\n{left}\n< send {text}\n~ send_message 300s");
        check(flow, Medium::Text, &[("tier", tier.into())], &score);
    }
}

#[track_caller]
fn faults(action: &str) -> Vec<String> {
    let found = link(
        &format!(r#"{{ "version": 1, "actions": [{action}] }}"#),
        Linking { catalog: actions::ALL, medium: Needs::Nothing },
    );
    found
        .err()
        .unwrap_or_default()
        .iter()
        .map(|one| format!("{} {}: {}", one.code, one.pointer, one.message))
        .collect()
}

#[test]
fn a_condition_that_cannot_be_meant_is_found() {
    let neither = r#"{ "type": "condition_variable", "option": { "value_string": "x", "false_target_id": "end" } },
                  { "id": "end", "type": "stop" }"#;
    assert_eq!(faults(neither), ["F002 /actions/0/option: `variable` is missing"]);
    let nowhere = r#"{ "type": "condition_variable",
                       "option": { "variable": "${caller.name}", "false_target_id": "nowhere" } }"#;
    assert_eq!(
        faults(nowhere),
        ["F003 /actions/0/option/false_target_id: no action has the id `nowhere`"]
    );
    let late = r#"{ "type": "condition_datetime",
                    "option": { "hour": 24, "weekdays": [7], "false_target_id": "end" } },
                  { "id": "end", "type": "stop" }"#;
    assert_eq!(
        faults(late),
        [
            "F002 /actions/0/option/hour: `24` is more than 23",
            "F002 /actions/0/option/weekdays/0: `7` is more than 6"
        ]
    );
}
