//! Random flows and random events: every run ends or waits, nothing panics, and the state survives
//! being stored at each step.

use std::sync::Arc;

use flow::{
    Activeflow, Event, Flow, HangupCause, Key, Linking, Medium, Needs, Outcome, Vars, link,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::Config;
use serde_json::{Value, json};

const MEDIA: [Medium; 3] = [Medium::Call, Medium::Text, Medium::None];

fn target() -> impl Strategy<Value = String> {
    prop_oneof![8 => (0..9usize).prop_map(|n| format!("a{n}")), 1 => Just("end".to_string())]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z ]{1,8}", Just("${x}".into()), Just("${message.text:-none}${y}".into())]
}

fn expression() -> impl Strategy<Value = String> {
    let known = [
        "x == 1",
        "now.hour < 12",
        "x > y",
        "message.text == \"a\"",
        "1 / x == 0",
        "x",
        "true",
        "y.len() > 2",
        "x + 1 == 2",
        "caller.name != ()",
    ];
    prop::sample::select(known.to_vec()).prop_map(String::from)
}

fn action() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({ "type": "answer" })),
        Just(json!({ "type": "hangup" })),
        Just(json!({ "type": "stop" })),
        Just(json!({ "type": "stop_service" })),
        text().prop_map(|text| json!({ "type": "talk", "option": { "text": text } })),
        text().prop_map(|text| json!({ "type": "send_message", "option": { "text": text } })),
        (0..4u32).prop_map(|n| json!({ "type": "receive_digits", "option": { "max_digits": n } })),
        (1..100u64).prop_map(|s| json!({ "type": "wait_message", "option": { "timeout_s": s, "into": "x" } })),
        (1..100u64).prop_map(|s| json!({ "type": "sleep", "option": { "duration_s": s } })),
        any::<bool>().prop_map(|wait| {
            json!({ "type": "ai_talk", "option": { "ai": { "init_prompt": "${x}" }, "wait": wait } })
        }),
        Just(json!({ "type": "connect_call", "option": { "destinations": [{ "target": "${y}" }] } })),
        (target(), prop::option::of(0..4u32)).prop_map(|(target, times)| {
            json!({ "type": "goto", "option": { "target": target, "times": times } })
        }),
        (target(), target(), prop::option::of(target())).prop_map(|(one, two, otherwise)| {
            json!({ "type": "branch", "option": { "variable": "x", "cases": { "1": one, "a": two }, "otherwise": otherwise } })
        }),
        (expression(), target()).prop_map(|(when, target)| {
            json!({ "type": "branch", "option": { "cases": [{ "when": when, "target": target }] } })
        }),
        (text(), expression()).prop_map(|(value, expression)| {
            json!({ "type": "set_variables", "option": { "values": { "x": value }, "expressions": { "y": expression } } })
        }),
    ]
}

fn document() -> impl Strategy<Value = String> {
    let written = (
        action(),
        prop::option::weighted(0.12, target()),
        prop::option::weighted(0.12, target()),
        prop::option::weighted(0.2, expression()),
        prop::option::weighted(0.2, 1..50u64),
        prop::option::weighted(0.2, (1..3u32, 0..9u64)),
    );
    (prop::collection::vec(written, 1..9), prop::option::weighted(0.5, target()), any::<bool>())
        .prop_map(|(actions, on_error, texts)| {
            let count = actions.len();
            let actions: Vec<Value> = actions
                .into_iter()
                .enumerate()
                .map(|(n, (mut action, next, failed, condition, timeout_s, retry))| {
                    let misfit = match action["type"].as_str().unwrap() {
                        "wait_message" => !texts,
                        "answer" | "talk" | "hangup" | "receive_digits" | "connect_call" => texts,
                        _ => false,
                    };
                    if misfit {
                        action = json!({ "type": "sleep", "option": { "duration_s": 5 } });
                    }
                    action["id"] = format!("a{n}").into();
                    action["next"] = next.into();
                    if let Some(failed) = failed {
                        action["on"] = json!({ "failed": failed });
                    }
                    action["if"] = condition.into();
                    action["timeout_s"] = timeout_s.into();
                    if let Some((times, wait_s)) = retry {
                        action["retry"] = json!({ "times": times, "wait_s": wait_s });
                    }
                    action
                })
                .collect();
            let text = json!({ "variables": { "x": 1, "y": "" }, "on_error": on_error, "actions": actions });
            // Targets beyond the last action lead to an earlier one.
            (count..9).fold(text.to_string(), |text, n| {
                text.replace(&format!("\"a{n}\""), &format!("\"a{}\"", n % count))
            })
        })
}

/// What comes in; the number chooses the wait that is meant, 0 = the present one.
#[derive(Clone, Debug)]
enum In {
    Done(usize, &'static str, Option<Value>),
    TimedOut(usize),
    Message(String),
    HungUp,
    ServiceStopped,
    Stopped,
    Started,
}

fn event() -> impl Strategy<Value = In> {
    let exit = prop::sample::select(vec![
        "done",
        "done",
        "done",
        "failed",
        "busy",
        "no_input",
        "timeout",
        "opted_out",
        "odd",
    ]);
    let then = prop::option::weighted(
        0.2,
        prop_oneof![
            Just(
                json!({ "type": "connect_call", "option": { "destinations": [{ "target": "${x}" }] } })
            ),
            Just(json!({ "type": "stop" })),
            Just(json!({ "type": "stop_service" })),
            Just(json!({ "type": "talk" })),
            Just(json!([1])),
        ],
    );
    let which = prop_oneof![6 => Just(0usize), 1 => 1..4usize];
    prop_oneof![
        10 => (which.clone(), exit, then).prop_map(|(which, exit, then)| In::Done(which, exit, then)),
        5 => which.prop_map(In::TimedOut),
        5 => prop_oneof![Just("a".to_string()), Just("1".into()), ".{0,9}"].prop_map(In::Message),
        1 => Just(In::HungUp),
        1 => Just(In::ServiceStopped),
        1 => Just(In::Stopped),
        1 => Just(In::Started),
    ]
}

fn linked(text: &str) -> Option<Arc<Flow>> {
    link(text, Linking { catalog: actions::ALL, medium: Needs::Nothing }).ok().map(|(flow, _)| flow)
}

fn play(flow: &Flow, counted: usize, medium: Medium, events: Vec<In>) -> Result<(), TestCaseError> {
    let mut now: Timestamp = "2026-11-20T20:00:00Z".parse().unwrap();
    let mut run = Activeflow::new("r", flow, medium, Vars::new());
    let mut keys: Vec<Key> = Vec::new();
    let mut asked = std::collections::BTreeSet::new();
    for event in std::iter::once(In::Started).chain(events) {
        now += SignedDuration::from_secs(1);
        let key = |which: usize| match (which, run.waiting()) {
            (0, Some(waiting)) => waiting.key.clone(),
            _ => keys.iter().rev().nth(which).cloned().unwrap_or(Key("r/none/0/0".into())),
        };
        let event = match event {
            In::Started => Event::Started,
            In::Done(which, exit, then) => Event::Done {
                key: key(which),
                exit: exit.into(),
                values: Vars::from([("digits".into(), "1".into())]),
                why: "so".into(),
                then,
            },
            In::TimedOut(which) => Event::TimedOut { key: key(which) },
            In::Message(text) => Event::Message { text, values: Vars::new() },
            In::HungUp => Event::HungUp { cause: HangupCause::Normal },
            In::ServiceStopped => Event::ServiceStopped,
            In::Stopped => Event::Stopped { why: "enough".into() },
        };
        let ended = run.outcome;
        let stored = serde_json::to_vec(&run).unwrap();
        let mut again: Activeflow = serde_json::from_slice(&stored).unwrap();
        prop_assert_eq!(&again, &run);
        let first = run.advance(flow, now, event.clone());
        let second = again.advance(flow, now, event);
        prop_assert_eq!(&first, &second);
        prop_assert_eq!(serde_json::to_vec(&run).unwrap(), serde_json::to_vec(&again).unwrap());
        for command in &first.commands {
            prop_assert!(asked.insert(command.key.clone()), "{:?} was used twice", command.key);
        }
        match run.waiting() {
            Some(waiting) => {
                prop_assert!(run.outcome.is_none());
                prop_assert!(waiting.until.is_some(), "{:?} has no deadline", waiting);
                if keys.last() != Some(&waiting.key) {
                    keys.push(waiting.key.clone());
                }
            }
            None => prop_assert!(run.outcome.is_some(), "it neither waits nor has ended"),
        }
        if ended.is_some() {
            prop_assert_eq!(run.outcome, ended);
            prop_assert!(first.dropped && first.commands.is_empty());
        }
        // A loop that links passes a wait or counts, so without many that count, each inside the
        // other, the limit is out of reach.
        prop_assert!(run.outcome != Some(Outcome::Limit) || counted > 2, "{}", run.why);
    }
    Ok(())
}

#[test]
fn random_flows_end_or_wait() {
    let config = Config { cases: 1000, max_global_rejects: 60_000, ..Config::default() };
    let events = prop::collection::vec(event(), 0..25);
    let medium = prop::sample::select(MEDIA.to_vec());
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let mut played = 0;
    runner
        .run(&(document(), medium, events), |(document, medium, events)| {
            if let Some(flow) = linked(&document) {
                let counted = flow.actions().filter(|(_, kind)| *kind == "goto").count();
                play(&flow, counted, medium, events)?;
            }
            Ok(())
        })
        .unwrap_or_else(|fault| panic!("{fault}"));
    let mut generator = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..200 {
        let text = document().new_tree(&mut generator).unwrap().current();
        played += usize::from(linked(&text).is_some());
    }
    assert!(played > 40, "only {played} of 200 random flows link, which tests little");
}

/// Damages a document: a character more, less or other.
fn damaged() -> impl Strategy<Value = String> {
    (document(), any::<prop::sample::Index>(), prop::option::of(any::<char>()), any::<bool>())
        .prop_map(|(text, at, put, remove)| {
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len());
            if remove {
                chars.remove(at);
            }
            if let Some(put) = put {
                chars.insert(at, put);
            }
            chars.into_iter().collect()
        })
}

proptest! {
    #![proptest_config(Config { cases: 500, ..Config::default() })]

    #[test]
    fn linking_anything_ends_in_a_flow_or_in_words(text in prop_oneof![damaged(), ".{0,80}"]) {
        let linking = Linking { catalog: actions::ALL, medium: Needs::Call };
        let (found, linked) = match link(&text, linking) {
            Ok((_, found)) => (found, true),
            Err(found) => (found, false),
        };
        prop_assert!(linked || !found.is_empty());
        for one in found {
            prop_assert!(one.line >= 1 && one.column >= 1);
            prop_assert!(one.span.start <= one.span.end && one.span.end <= text.len());
            prop_assert!(text.is_char_boundary(one.span.start), "{:?}", one);
            prop_assert!(!one.message.is_empty());
        }
    }
}
