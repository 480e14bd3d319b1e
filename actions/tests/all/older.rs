//! The older dialect: what its documents mean, by what they do, and how they look today.

use flow::{Linking, Medium, Needs, Severity, link};
use serde_json::{Value, json};

use crate::score::{call, check, text};

fn linking() -> Linking {
    Linking { catalog: actions::ALL, medium: Needs::Nothing }
}

/// The actions of a document in its canonical form.
#[track_caller]
fn today(document: Value) -> Value {
    let text = flow::format(&document.to_string(), actions::ALL).unwrap();
    let mut today: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&today["version"], &today["on_error"]), (&json!(1), &json!("next")), "{text}");
    assert_eq!(flow::format(&text, actions::ALL).unwrap(), text, "it is in its form already");
    today["actions"].take()
}

/// What one action of the older dialect is today.
#[track_caller]
fn action(kind: &str, option: Value) -> Value {
    let mut actions = today(json!([{ "id": "a", "type": kind, "option": option, "next_id": "b" },
        { "id": "b", "type": "stop" }]));
    actions[0].take()
}

#[track_caller]
fn check_action(kind: &str, option: Value, today_type: &str, today_option: Value) {
    let found = action(kind, option);
    assert_eq!((&found["type"], &found["option"]), (&json!(today_type), &today_option));
    assert_eq!(found["next"], "b");
}

#[test]
fn the_reasons_of_a_hangup_keep_their_meaning() {
    let reasons = [
        ("normal", "normal"),
        ("failed", "failed"),
        ("busy", "busy"),
        ("cancel", "cancelled"),
        ("timeout", "timeout"),
        ("noanswer", "no_answer"),
        ("dialout", "no_answer"),
        ("amd", "normal"),
    ];
    for (older, today) in reasons {
        for option in ["reason", "cause"] {
            let flow =
                format!(r#"[{{ "type": "hangup", "option": {{ "{option}": "{older}" }} }}]"#);
            call(&flow, &format!("> started\n- hangup ended\n< hangup {today}\n= finished"));
        }
    }
}

#[test]
fn every_type_of_the_older_dialect_is_known() {
    let all = "ai_summary ai_talk ai_task amd answer beep block branch call case_create \
        condition_call_digits condition_call_status condition_datetime condition_variable \
        confbridge_join conference_join connect conversation_send digits_receive digits_send echo \
        email_send external_media_start external_media_stop fetch fetch_flow goto hangup \
        message_send mute play queue_join recording_start recording_stop sleep stop stream_echo \
        talk transcribe_recording transcribe_start transcribe_stop variable_set webhook_send";
    assert_eq!(all.split_whitespace().count(), 43);
    for kind in all.split_whitespace() {
        let flow = json!([{ "type": kind, "tm_execute": "" }]).to_string();
        if let Err(found) = link(&flow, linking()) {
            panic!("{kind}: {found:?}");
        }
    }
}

#[test]
fn options_have_todays_names_and_units() {
    let tel = json!({ "type": "tel", "target": "+15550002000" });
    let older_tel = json!({ "type": "tel", "target": "+15550002000", "target_name": "",
                            "name": "", "detail": "" });
    check_action("sleep", json!({ "duration": 2500 }), "sleep", json!({ "duration_s": 2.5 }));
    check_action(
        "talk",
        json!({ "text": "Hi", "gender": "female", "language": "en-US", "provider": "gcp",
                "digits_handle": "next", "async": true }),
        "talk",
        json!({ "text": "Hi", "language": "en-US", "tts_type": "gcp", "stop_on_digit": true,
                "wait": false }),
    );
    check_action(
        "digits_receive",
        json!({ "duration": 5000, "length": 4, "key": "#*" }),
        "receive_digits",
        json!({ "window_s": 5, "max_digits": 4, "finish_on": "#*" }),
    );
    check_action(
        "digits_receive",
        json!({}),
        "receive_digits",
        json!({ "window_s": 0, "finish_on": "" }),
    );
    check_action(
        "connect",
        json!({ "source": older_tel, "destinations": [older_tel], "early_media": true,
                "relay_reason": true, "anonymous": "auto" }),
        "connect_call",
        json!({ "source": tel, "destinations": [tel], "early_media": true, "relay_cause": true }),
    );
    check_action(
        "message_send",
        json!({ "source": older_tel, "destinations": [older_tel], "text": "Hi" }),
        "send_message",
        json!({ "source": tel, "destinations": [tel], "text": "Hi" }),
    );
    check_action(
        "email_send",
        json!({ "destinations": [{ "type": "email", "target": "a@example.com" }],
                "subject": "s", "content": "c" }),
        "send_email",
        json!({ "destinations": ["a@example.com"], "subject": "s", "content": "c" }),
    );
    check_action(
        "variable_set",
        json!({ "key": "tier", "value": "gold" }),
        "set_variables",
        json!({ "values": { "tier": "gold" } }),
    );
    check_action(
        "recording_start",
        json!({ "format": "wav", "end_of_silence": 3, "end_of_key": "any", "duration": 60 }),
        "start_recording",
        json!({ "format": "wav", "silence_s": 3, "finish_on": "0123456789ABCD#*", "max_s": 60 }),
    );
    check_action(
        "ai_talk",
        json!({ "assistance_type": "ai", "assistance_id": "abc", "duration": 300 }),
        "ai_talk",
        json!({ "ai": { "id": "abc" }, "duration": 300 }),
    );
    check_action(
        "webhook_send",
        json!({ "uri": "https://example.com/", "method": "post", "data_type": "application/json",
                "data": "{}", "sync": false }),
        "send_webhook",
        json!({ "url": "https://example.com/", "method": "POST",
                "headers": { "Content-Type": "application/json" }, "body": "{}", "wait": false }),
    );
    check_action(
        "amd",
        json!({ "machine_handle": "hangup", "async": true }),
        "detect_machine",
        json!({ "on_machine": "hangup", "wait": false }),
    );
    check_action("amd", json!({ "async": false }), "detect_machine", json!({}));
    check_action("fetch_flow", json!({ "flow_id": "f" }), "call_flow", json!({ "flow": "f" }));
    check_action("stream_echo", json!({ "duration": 9000 }), "echo", json!({ "duration_s": 9 }));
}

#[test]
fn a_goto_counts_and_without_a_count_it_does_not_jump() {
    let flow = r#"[
        { "id": "a", "type": "message_send", "option": { "text": "again" } },
        { "id": "b", "type": "goto", "option": { "target_id": "a", "loop_count": 2 } },
        { "id": "c", "type": "goto", "option": { "target_id": "a" } },
        { "id": "d", "type": "stop" }]"#;
    text(
        flow,
        "> started
        < send again\n~ send_message 300s\n> done\n- a done\n- b jump
        < send again\n~ send_message 300s\n> done\n- a done\n- b jump
        < send again\n~ send_message 300s\n> done\n- a done\n- b done\n- c done\n- d ended\n= stopped",
    );
}

#[test]
fn a_branch_clears_its_variable_and_ends_the_run_without_a_fitting_case() {
    let flow = r#"[
        { "id": "a", "type": "branch", "option": { "variable": "voipbin.call.digits",
          "target_ids": { "1": "sales" } } },
        { "id": "x", "type": "message_send", "option": { "text": "never" } },
        { "id": "sales", "type": "message_send", "option": { "text": "[${voipbin.call.digits}]" } }]"#;
    let digits = |value: &str| [("call.digits", Value::from(value))];
    check(flow, Medium::Text, &digits("1"), "> started\n- a jump\n< send []\n~ send_message 300s");
    check(flow, Medium::Text, &digits("2"), "> started\n- a jump\n= finished");
}

#[test]
fn what_fails_is_skipped_or_ends_the_run_as_it_did() {
    let flow = r#"[
        { "id": "a", "type": "message_send", "option": { "text": "hi" } },
        { "id": "b", "type": "talk", "option": { "text": "not on a thread", "gender": "male" } },
        { "id": "c", "type": "digits_receive", "option": { "duration": "soon" } },
        { "id": "d", "type": "queue_join", "option": {} },
        { "id": "e", "type": "message_send", "option": { "text": "never" } }]"#;
    text(
        flow,
        "> started\n< send hi\n~ send_message 300s
        > done failed
        - a failed\n- b failed\n- c failed\n- d failed\n= finished",
    );
}

#[test]
fn what_the_older_dialect_lets_pass_only_warns() {
    let flow = r#"{ "id": "x", "name": "n", "whatever": 1, "actions": [
        { "id": "a", "type": "talk", "option": { "text": 5, "txet": "" }, "next_id": "nowhere" },
        { "id": "a", "type": "goto", "option": { "target_id": "nowhere", "loop_count": 1 } } ] }"#;
    let (_, found) = link(flow, linking()).unwrap();
    assert!(found.iter().all(|one| one.severity == Severity::Warning));
    let found: Vec<String> =
        found.iter().map(|one| format!("{} {}", one.code, one.pointer)).collect();
    assert_eq!(
        found,
        [
            "F024 /whatever",
            "F002 /actions/0/option/text",
            "F024 /actions/0/option/txet",
            "F003 /actions/0/next_id",
            "F017 /actions/1",
            "F005 /actions/1/id",
            "F003 /actions/1/option/target_id",
        ]
    );
    assert!(link(r#"[{ "type": "connect" }, { "type": "tlak" }]"#, linking()).is_err());
}

#[test]
fn a_document_of_today_with_older_names_keeps_todays_rules() {
    let older_names = r#"{ "version": 1, "actions": [
        { "id": "a", "type": "message_send", "option": { "text": "hi" }, "next_id": "a" },
        { "id": "b", "type": "digits_receive", "option": { "duration": 5000 } } ] }"#;
    let found = link(older_names, linking()).err().unwrap();
    let found: Vec<String> =
        found.iter().map(|one| format!("{} {}", one.code, one.pointer)).collect();
    assert!(found.contains(&"F002 /actions/1/option/duration".to_owned()), "{found:?}");
    assert!(found.contains(&"F016 /actions/0/next_id".to_owned()), "{found:?}");
}

#[test]
fn the_canonical_form_does_what_the_document_does() {
    let flow = r#"[
        { "id": "a", "type": "message_send", "option": { "text": "Menu:${voipbin.message.text}." } },
        { "id": "b", "type": "branch", "option": { "variable": "n", "target_ids": { "1": "d" },
          "default_target_id": "c" } },
        { "id": "c", "type": "variable_set", "option": { "key": "n", "value": "1" } },
        { "id": "g", "type": "goto", "option": { "loop_count": 1,
          "target_id": "00000000-0000-0000-0000-000000000001" },
          "next_id": "00000000-0000-0000-0000-000000000002" },
        { "id": "d", "type": "sleep", "option": { "duration": 1500 } }]"#;
    let score = "> started\n< send Menu:.\n~ send_message 300s\n> done\n- a done\n- b jump\n- c done\n- g jump
        < send Menu:.\n~ send_message 300s\n> done\n- a done\n- b jump\n~ sleep 1s\n> timeout
        - d done\n= finished";
    let today = flow::format(flow, actions::ALL).unwrap();
    for flow in [flow, &today] {
        text(flow, score);
    }
}

#[test]
fn a_document_that_would_not_link_today_is_refused_with_the_reason() {
    let flow = r#"[{ "id": "a", "type": "connect", "next_id": "nowhere" }]"#;
    let found = flow::format(flow, actions::ALL).unwrap_err();
    assert!(found.iter().any(|one| one.code == "F003"), "{found:?}");
}
