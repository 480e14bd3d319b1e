//! How actions end, and what the language does with events, expressions and limits, as scores.

use flow::Medium;
use serde_json::json;

use crate::score::{call, check, linked, text};
use crate::scores::AGENT;

#[test]
fn a_failure_goes_to_its_exit_else_to_on_error_else_ends_the_run() {
    let flow = |on: &str, on_error: &str| {
        format!(
            r#"{{ {on_error} "actions": [
                {{ "id": "a", "type": "send_message", "option": {{ "text": "A" }} {on} }},
                {{ "id": "b", "type": "send_message", "option": {{ "text": "B" }}, "next": "end" }},
                {{ "id": "c", "type": "send_message", "option": {{ "text": "C" }} }}] }}"#
        )
    };
    let begin = "
        > started
        < send A
        ~ send_message 300s
        > done failed
        - a failed
        ";
    text(
        &flow(r#", "on": { "failed": "b" }"#, r#""on_error": "c","#),
        &format!("{begin}\n< send B\n~ send_message 300s"),
    );
    text(
        &flow("", r#""on_error": "c","#),
        &format!(
            "{begin}
            < send C
            ~ send_message 300s
            > done failed unreachable
            - c failed
            = failed: `c` ended by `failed`: unreachable"
        ),
    );
    text(&flow("", ""), &format!("{begin}\n= failed: `a` ended by `failed`"));
}

#[test]
fn on_error_does_not_run_in_circles() {
    text(
        r#"{ "on_error": "sorry", "actions": [
            { "id": "sorry", "type": "send_message", "option": { "text": "Sorry." } },
            { "id": "more", "type": "send_message", "option": { "text": "More." } }] }"#,
        "
        > started
        < send Sorry.
        ~ send_message 300s
        > done
        - sorry done
        < send More.
        ~ send_message 300s
        > done failed
        - more failed
        < send Sorry.
        ~ send_message 300s
        > done
        - sorry done
        < send More.
        ~ send_message 300s
        > done failed again
        - more failed
        = failed: `more` ended by `failed`: again
        ",
    );
}

#[test]
fn an_exit_that_is_not_declared_is_a_failure() {
    text(
        r#"[{ "type": "send_message", "option": { "text": "A" } }]"#,
        "
        > started
        < send A
        ~ send_message 300s
        > done vanished so
        - send_message failed
        = failed: `send_message` ended by `failed`: `send_message` has no exit `vanished`: so
        ",
    );
}

#[test]
fn an_effect_is_tried_again() {
    text(
        r#"[{ "id": "a", "type": "send_message", "option": { "text": "A" },
              "retry": { "times": 2, "wait_s": 30 }, "on": { "failed": "end", "opted_out": "end" } }]"#,
        "
        > started
        < send A
        ~ send_message 300s
        > done failed
        - a retry
        ~ retry 30s
        > late
        ~ dropped
        > timeout
        < send A
        ~ send_message 300s
        > done failed
        - a retry
        ~ retry 30s
        > timeout
        < send A
        ~ send_message 300s
        > done failed
        - a failed
        = finished
        ",
    );
}

#[test]
fn who_opted_out_and_what_is_uncertain_is_not_tried_again() {
    let flow = r#"[{ "id": "a", "type": "send_message", "option": { "text": "A" },
        "retry": { "times": 2 } }]"#;
    let begin = "
        > started
        < send A
        ~ send_message 300s
        ";
    text(
        flow,
        &format!("{begin}\n> done opted_out\n- a opted_out\n= failed: `a` ended by `opted_out`"),
    );
    text(
        flow,
        &format!(
            "{begin}\n> timeout\n- a failed\n= failed: `a` ended by `failed`: nobody told whether it was sent"
        ),
    );
    text(
        flow,
        &format!(
            "{begin}\n> done failed\n- a retry\n< send A\n~ send_message 300s\n> done\n- a done\n= finished"
        ),
    );
}

#[test]
fn the_authors_deadline_counts_when_it_is_shorter() {
    call(
        r#"[{ "id": "a", "type": "talk", "timeout_s": 5, "option": { "text": "A" } },
            { "id": "b", "type": "talk", "timeout_s": 5000, "option": { "text": "B" } }]"#,
        "
        > started
        < say A
        ~ talk 5s
        > done
        - a done
        < say B
        ~ talk 1800s
        ",
    );
    text(
        r#"[{ "type": "wait_message", "timeout_s": 60, "on": { "timeout": "late" } },
            { "id": "late", "type": "stop" }]"#,
        "
        > started
        ~ message 60s
        > timeout
        - wait_message timeout
        - late ended
        = stopped
        ",
    );
}

#[test]
fn late_and_repeated_events_are_dropped_and_counted() {
    let run = text(
        r#"[{ "type": "wait_message", "option": { "timeout_s": 60, "into": "name" } },
            { "type": "send_message", "option": { "text": "Hi ${name}, ${message.from}" } },
            { "type": "sleep", "option": { "duration_s": 86400 } }]"#,
        "
        > started
        ~ message 60s
        > started
        ~ dropped
        > message Ann
        - wait_message done
        < send Hi Ann, +15557654321
        ~ send_message 300s
        > message again
        ~ dropped
        > late
        ~ dropped
        > done
        - send_message done
        ~ sleep 86400s
        > late
        ~ dropped
        > hung_up
        ~ dropped
        > timeout
        - sleep done
        = finished
        > stopped late
        ~ dropped
        ",
    );
    assert_eq!(run.dropped(), 6);
}

#[test]
fn a_hang_up_ends_a_call_and_nothing_else() {
    call(
        r#"[{ "type": "talk", "option": { "text": "A" } }, { "type": "hangup" }]"#,
        "
        > started
        < say A
        ~ talk 1800s
        > done
        - talk done
        - hangup ended
        < hangup normal
        = finished
        > hung_up
        ~ dropped
        ",
    );
}

#[test]
fn who_writes_a_variable_gets_its_letters_back() {
    check(
        r#"[{ "type": "wait_message", "option": { "timeout_s": 60 } },
            { "type": "set_variables", "option": { "values": { "copy": "${message.text}" }, "expressions": { "n": "message.text.len" } } },
            { "type": "send_message", "option": { "text": "You wrote ${copy} (${n}); $${copy} ${missing:-none}" } }]"#,
        Medium::Text,
        &[("secret", json!("s3cret"))],
        "
        > started
        ~ message 60s
        > message ${secret}
        - wait_message done
        - set_variables done
        < send You wrote ${secret} (9); ${copy} none
        ~ send_message 300s
        ",
    );
}

#[test]
fn a_number_may_come_from_a_variable() {
    let flow = r#"[{ "type": "sleep", "option": { "duration_s": "${n}" }, "on": { "failed": "end" } },
        { "type": "stop" }]"#;
    check(flow, Medium::Text, &[("n", json!(7))], "> started\n~ sleep 7s");
    check(flow, Medium::Text, &[("n", json!("12"))], "> started\n~ sleep 12s");
    for wrong in [json!("soon"), json!(0), json!(""), json!(-1.5), json!([1])] {
        check(flow, Medium::Text, &[("n", wrong)], "> started\n- sleep failed\n= finished");
    }
}

#[test]
fn conditions_and_cases_are_expressions() {
    let flow = r#"[
        { "id": "vip", "type": "send_message", "if": "caller.tier == \"gold\"", "option": { "text": "Welcome back" } },
        { "id": "when", "type": "branch", "option": { "cases": [
            { "when": "now.hour < 8", "target": "early" },
            { "when": "n % 2 == 0", "target": "even" } ], "otherwise": "odd" } },
        { "id": "early", "type": "stop" },
        { "id": "even", "type": "send_message", "option": { "text": "even" }, "next": "end" },
        { "id": "odd", "type": "send_message", "option": { "text": "odd" } }]"#;
    check(
        flow,
        Medium::Text,
        &[("caller.tier", json!("tin")), ("n", json!(4))],
        "> started\n- vip passed_over\n- when jump\n< send even\n~ send_message 300s",
    );
    check(
        flow,
        Medium::Text,
        &[("caller.tier", json!("gold")), ("n", json!(3))],
        "> started\n< send Welcome back\n~ send_message 300s\n> done\n- vip done\n- when jump\n< send odd\n~ send_message 300s",
    );
    check(
        flow,
        Medium::Text,
        &[("n", json!("four"))],
        "> started\n- vip passed_over\n- when failed\n= failed: `when` ended by `failed`: the expression \
         `n % 2 == 0` has no value: Function not found: % (&str | ImmutableString | String, i64) \
         (line 1, position 3)",
    );
    check(
        r#"[{ "type": "stop", "if": "n" }]"#,
        Medium::Text,
        &[("n", json!(2))],
        "> started\n- stop failed\n= failed: `stop` ended by `failed`: the expression `n` must be \
         true or false, and is of type i64",
    );
}

#[test]
fn the_flows_own_time_zone_counts() {
    text(
        r#"{ "timezone": "Asia/Tokyo", "actions": [
            { "type": "stop", "if": "now.hour == 5 && now.day == 21" }] }"#,
        "> started\n- stop ended\n= stopped",
    );
}

#[test]
fn a_goto_counts_anew_each_time_it_is_reached() {
    let run = text(
        r#"{ "variables": { "n": 0 }, "actions": [
            { "id": "add", "type": "set_variables", "option": { "expressions": { "n": "n + 1" } } },
            { "id": "inner", "type": "goto", "option": { "target": "add", "times": 2 } },
            { "id": "outer", "type": "goto", "option": { "target_id": "add", "loop_count": 1 } }] }"#,
        "
        > started
        - add done
        - inner jump
        - add done
        - inner jump
        - add done
        - inner done
        - outer jump
        - add done
        - inner jump
        - add done
        - inner jump
        - add done
        - inner done
        - outer done
        = finished
        ",
    );
    assert_eq!(run.vars["n"], 6);
    assert_eq!(run.entered(), 14);
}

#[test]
fn too_many_actions_end_a_run() {
    let flow = linked(
        r#"[{ "id": "a", "type": "set_variables" },
            { "type": "goto", "option": { "target": "a", "times": 5000 } }]"#,
    );
    let now = "2026-11-20T20:00:00Z".parse().unwrap();
    let mut run = flow::Activeflow::new("r", &flow, Medium::Text, flow::Vars::new());
    let advance = run.advance(&flow, now, flow::Event::Started);
    assert_eq!(run.outcome, Some(flow::Outcome::Limit));
    assert_eq!(run.why, "1000 actions ran without a wait between them");
    assert_eq!(advance.taken.len(), 1000);

    let flow = linked(
        r#"[{ "id": "a", "type": "sleep", "option": { "duration_s": 1 } },
            { "type": "goto", "option": { "target": "a" } }]"#,
    );
    let mut run = flow::Activeflow::new("r", &flow, Medium::Text, flow::Vars::new());
    run.advance(&flow, now, flow::Event::Started);
    while let Some(waiting) = run.waiting() {
        let key = waiting.key.clone();
        run.advance(&flow, now, flow::Event::TimedOut { key });
    }
    assert_eq!(run.outcome, Some(flow::Outcome::Limit));
    assert_eq!(run.entered(), 100_000);
}

#[test]
fn variables_have_limits_that_are_told() {
    let long = "x".repeat(40_000);
    let run = check(
        r#"{ "on_error": "sorry", "actions": [
            { "id": "double", "type": "set_variables", "option": { "values": { "a": "${b}${b}" } } },
            { "id": "sorry", "type": "stop" }] }"#,
        Medium::Text,
        &[("b", json!("y".repeat(20_000)))],
        "> started\n- double failed\n- sorry ended\n= stopped",
    );
    assert!(!run.vars.contains_key("a"));
    check(
        r#"[{ "type": "stop" }]"#,
        Medium::Text,
        &[("b", json!(long))],
        "> started\n= limit: the variable `b` takes 40002 bytes; one value has at most 32768",
    );
    let vars: Vec<(String, serde_json::Value)> =
        (0..9).map(|n| (format!("v{n}"), json!("x".repeat(28_000)))).collect();
    let vars: Vec<(&str, serde_json::Value)> =
        vars.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    check(
        r#"[{ "type": "set_variables", "option": { "values": { "w": "${v0}" } } }]"#,
        Medium::Text,
        &vars,
        "> started\n- set_variables failed\n= failed: `set_variables` ended by `failed`: with the \
         variable `w` the run would hold 280039 bytes of variables; it has at most 262144",
    );
}

#[test]
fn an_action_that_needs_a_call_fails_without_one() {
    text(
        r#"[{ "type": "talk", "option": { "text": "Hello." } }]"#,
        "> started\n- talk failed\n= failed: `talk` ended by `failed`: `talk` needs a live call",
    );
}

#[test]
fn reserved_ids_of_the_older_dialect_lead_where_they_did() {
    text(
        r#"[{ "id": "a", "type": "sleep", "option": { "duration_s": 1 },
              "next_id": "00000000-0000-0000-0000-000000000000" },
            { "type": "goto", "option": { "target_id": "00000000-0000-0000-0000-000000000001", "loop_count": 1 } },
            { "type": "sleep", "option": { "duration_s": 2 }, "next_id": "00000000-0000-0000-0000-000000000002" },
            { "id": "b", "type": "stop" }]"#,
        "
        > started
        ~ sleep 1s
        > timeout
        - a done
        - goto jump
        ~ sleep 1s
        > timeout
        - a done
        - goto done
        ~ sleep 2s
        > timeout
        - sleep done
        = finished
        ",
    );
}

#[test]
fn a_waiting_run_is_small() {
    let run = call(AGENT, "> started\n< talk as a, wait\n~ ai_talk 660s");
    let stored = serde_json::to_string(&run).unwrap();
    assert!(stored.len() < 300, "{stored}");
}

#[test]
fn keys_name_run_action_visit_and_attempt() {
    let flow = linked(r#"[{ "id": "a", "type": "send_message", "option": { "text": "A" } }]"#);
    let now = "2026-11-20T20:00:00Z".parse().unwrap();
    let mut run = flow::Activeflow::new("r", &flow, Medium::Text, flow::Vars::new());
    let advance = run.advance(&flow, now, flow::Event::Started);
    assert_eq!(advance.commands[0].key.0, "r/a/1/1");
    assert_eq!(run.action(&flow), Some(("a", "send_message")));
}
