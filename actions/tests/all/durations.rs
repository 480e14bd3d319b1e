//! How long a `sleep` is, written today's way and the older one.

use flow::{Activeflow, Event, Linking, Medium, Needs, Vars, link};
use jiff::{SignedDuration, Timestamp};

use crate::score::{linked, text};

/// How long a run sleeps with these options.
#[track_caller]
fn slept(option: &str) -> SignedDuration {
    let flow = linked(&format!(r#"[{{ "type": "sleep", "option": {option} }}]"#));
    let now: Timestamp = "2026-11-20T20:00:00Z".parse().unwrap();
    let mut run = Activeflow::new("r", &flow, Medium::Text, Vars::from([("n".into(), 250.into())]));
    run.advance(&flow, now, Event::Started);
    let waiting = run.waiting().unwrap();
    let (until, key) = (waiting.until.unwrap(), waiting.key.clone());
    run.advance(&flow, until, Event::TimedOut { key });
    assert!(run.outcome.is_some(), "the sleep is over at its deadline");
    until.duration_since(now)
}

#[test]
fn a_sleep_is_written_in_seconds_or_the_older_way_in_milliseconds() {
    assert_eq!(slept(r#"{ "duration_s": 90 }"#), SignedDuration::from_secs(90));
    assert_eq!(slept(r#"{ "duration": 2500 }"#), SignedDuration::from_millis(2500));
    assert_eq!(slept(r#"{ "duration": "${n}" }"#), SignedDuration::from_millis(250));
}

#[track_caller]
fn refused(option: &str) -> Vec<String> {
    let text =
        format!(r#"{{ "version": 1, "actions": [{{ "type": "sleep", "option": {option} }}] }}"#);
    let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
    link(&text, linking).err().unwrap().iter().map(|one| one.message.clone()).collect()
}

#[test]
fn a_sleep_has_one_duration() {
    let schema = jsonschema::validator_for(&actions::schemas()["flow"]).unwrap();
    assert!(!schema.is_valid(&serde_json::json!([{ "type": "sleep" }])));
    assert!(
        schema.is_valid(&serde_json::json!([{ "type": "sleep", "option": { "duration": 5 } }]))
    );
    assert_eq!(refused("{}"), ["`duration_s` is missing"]);
    assert_eq!(refused(r#"{ "duration": 0 }"#), ["`0` is less than 1"]);
    assert_eq!(
        refused(r#"{ "duration": 1000, "duration_s": 1 }"#),
        ["two options that exclude each other"]
    );
}

#[test]
fn a_sleep_of_nothing_fails_instead_of_spinning() {
    let flow = r#"[{ "id": "a", "type": "sleep", "option": { "duration_s": null }, "on": { "failed": "end" } },
                   { "id": "end", "type": "stop" }]"#;
    text(flow, "> started\n- a failed\n- end ended\n= stopped");
}
