//! `voxflow test`: plays scenarios in virtual time, without a network or a key, and says which
//! actions and exits of their flows none of them took.
//!
//! Read in this order: [`scenario`] (the format) → [`stage`] (a flow as it is played; the
//! terminal of [`crate::simulate`] plays on it too) → [`turns`] (an agent on it) and [`calls`]
//! (flows that it calls) → [`time`] (what happens when nobody does anything) → [`mocks`] (who
//! answers by pattern) → [`acts`] (a scenario, act by act) → this file (all of them) →
//! [`coverage`] and [`report`] (what is told).

pub(crate) mod acts;
mod calls;
mod coverage;
pub(crate) mod mocks;
mod report;
pub(crate) mod scenario;
pub(crate) mod stage;
mod time;
pub(crate) mod turns;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Catalog, Flow, Lines, Linking, Needs};
use serde_json::Value;

use crate::files;
use coverage::Coverage;
use scenario::{Scenario, Source};

pub(crate) use report::{Format, Report, human, json, junit};

/// Plays every scenario of the files and folders.
///
/// # Errors
/// A file cannot be read, a scenario is malformed, or a folder holds none.
pub(crate) fn play(paths: &[PathBuf], catalog: Catalog) -> Result<Report, String> {
    let mut report = Report::default();
    let mut flows = Flows::default();
    for path in paths {
        let mut files = files::below(path)?;
        if path.is_dir() {
            let others = files.extract_if(.., |(_, text)| !is_scenario(text));
            others.for_each(|(file, text)| report.beside(&file, &text, catalog));
        }
        if files.is_empty() {
            return Err(format!("{} holds no scenario", path.display()));
        }
        for (file, text) in files {
            let lines = Lines::of(&text);
            for (pointer, scenario) in read(&file, &text)? {
                let at = Standing { file: &file, lines: &lines, pointer: &pointer };
                let (of, folder, flow) = flows.of(&scenario, &at, catalog, &mut report)?;
                let played = acts::play(&flow, &scenario, &folder);
                if let Some(coverage) = report.coverage.get_mut(&of) {
                    played.taken.iter().for_each(|(action, exit)| coverage.take(action, exit));
                }
                let wrong = played.wrong.map(|wrong| {
                    let acts::Wrong { pointer: at, expected, came } = wrong;
                    report::Wrong { line: lines.line(&format!("{pointer}{at}")), expected, came }
                });
                report.scenarios.push(report::Verdict {
                    file: name(&file),
                    line: lines.line(&pointer),
                    scenario: scenario.scenario,
                    wrong,
                });
            }
        }
    }
    Ok(report)
}

impl Report {
    /// A flow that lies in a folder of scenarios counts, whether one plays it or not. What does
    /// not link is another command's matter.
    fn beside(&mut self, file: &Path, text: &str, catalog: Catalog) {
        let document: Value = serde_json::from_str(text).unwrap_or_default();
        let linked = link(file, text, catalog, Needs::Nothing);
        if let (Ok(path), Ok(flow)) = (std::fs::canonicalize(file), linked) {
            let coverage = || Coverage::of(&flow, &document, &Lines::of(text), "");
            self.coverage.entry(name(&path)).or_insert_with(coverage);
        }
    }
}

/// Where a scenario stands.
struct Standing<'a> {
    file: &'a Path,
    lines: &'a Lines<'a>,
    pointer: &'a str,
}

/// The flows that are played, by their files.
#[derive(Default)]
struct Flows(BTreeMap<PathBuf, Arc<Flow>>);

impl Flows {
    /// The flow of a scenario: how people call it, the folder that it lies in, and itself.
    fn of(
        &mut self,
        scenario: &Scenario,
        at: &Standing<'_>,
        catalog: Catalog,
        report: &mut Report,
    ) -> Result<(String, PathBuf, Arc<Flow>), String> {
        let beside = at.file.parent().unwrap_or(Path::new(""));
        let path = match &scenario.flow {
            Source::File(path) => beside.join(path),
            Source::Document(document) => {
                let flow = link(at.file, &document.to_string(), catalog, Needs::Nothing)?;
                let of = format!("{}: {}", name(at.file), scenario.scenario);
                let here = format!("{}/flow", at.pointer);
                let coverage = Coverage::of(&flow, document, at.lines, &here);
                report.coverage.insert(of.clone(), coverage);
                return Ok((of, beside.to_owned(), flow));
            }
        };
        let path = std::fs::canonicalize(&path).map_err(|error| {
            format!("{}: the flow {}: {error}", at.file.display(), path.display())
        })?;
        let (of, folder) = (name(&path), path.parent().unwrap_or(Path::new("")).to_owned());
        if let Some(flow) = self.0.get(&path) {
            return Ok((of, folder, Arc::clone(flow)));
        }
        let text = files::read(&path)?;
        let flow = link(&path, &text, catalog, Needs::Nothing)?;
        let document = serde_json::from_str(&text).unwrap_or_default();
        let coverage = || Coverage::of(&flow, &document, &Lines::of(&text), "");
        report.coverage.entry(of.clone()).or_insert_with(coverage);
        self.0.insert(path, Arc::clone(&flow));
        Ok((of, folder, flow))
    }
}

/// A path as people name it: from where they stand.
fn name(path: &Path) -> String {
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    let from_here = here.ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    from_here.as_deref().unwrap_or(path).display().to_string()
}

/// Files with `play` are scenarios; flows and rules lie beside them.
fn is_scenario(text: &str) -> bool {
    let has_play = |value: &Value| value.get("play").is_some();
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(list)) => list.first().is_some_and(has_play),
        Ok(value) => has_play(&value),
        Err(_) => false,
    }
}

/// One scenario, or a list of them, each with its JSON pointer.
fn read(file: &Path, text: &str) -> Result<Vec<(String, Scenario)>, String> {
    let wrong = |error: serde_json::Error| format!("{}: {error}", file.display());
    if text.trim_start().starts_with('[') {
        let all: Vec<Scenario> = serde_json::from_str(text).map_err(wrong)?;
        Ok(all.into_iter().enumerate().map(|(n, one)| (format!("/{n}"), one)).collect())
    } else {
        Ok(vec![(String::new(), serde_json::from_str(text).map_err(wrong)?)])
    }
}

/// A flow that shall be played.
///
/// # Errors
/// Names the first finding, and who tells all.
pub(crate) fn link(
    path: &Path,
    text: &str,
    catalog: Catalog,
    medium: Needs,
) -> Result<Arc<Flow>, String> {
    match flow::link(text, Linking { catalog, medium }) {
        Ok((flow, _)) => Ok(flow),
        Err(found) => {
            let wrong = |d: &&flow::Diagnostic| d.severity == flow::Severity::Error;
            let first = found.iter().find(wrong);
            let first = first.map(|d| format!("line {}: {}", d.line, d.message));
            let path = path.display();
            Err(format!(
                "{path} does not link ({}); `voxflow validate {path}` tells all",
                first.unwrap_or_default()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MENU: &str = r#"{ "actions": [
        { "id": "ask", "type": "send_message", "option": { "text": "Yes or no?" }, "on": { "failed": "end", "opted_out": "end" } },
        { "id": "hear", "type": "wait_message", "option": { "timeout_s": 86400 }, "on": { "timeout": "end" } },
        { "id": "say", "type": "send_message", "option": { "text": "You said ${message.text}." },
          "on": { "failed": "end",
                  "opted_out": "end" } }
    ] }"#;

    /// Plays a scenario: what went wrong, and the ways that were not taken with their lines.
    fn played(flow: &str, scenario: &str) -> (Option<acts::Wrong>, Vec<String>) {
        let document: Value = serde_json::from_str(flow).unwrap();
        let lines = Lines::of(flow);
        let flow = link(Path::new("f.json"), flow, actions::ALL, Needs::Nothing).unwrap();
        let text = format!(r#"{{ "flow": "f", "scenario": "s", {scenario} }}"#);
        let (_, scenario) = read(Path::new("s.json"), &text).unwrap().remove(0);
        let played = acts::play(&flow, &scenario, Path::new("../../flows"));
        let mut coverage = Coverage::of(&flow, &document, &lines, "");
        played.taken.iter().for_each(|(action, exit)| coverage.take(action, exit));
        let missing = coverage.missing().map(|way| format!("{}:{}", way.line, way.way)).collect();
        (played.wrong, missing)
    }

    fn texted(play: &str) -> (Option<acts::Wrong>, Vec<String>) {
        played(MENU, &format!(r#""given": {{ "text": "hi" }}, {play}"#))
    }

    #[test]
    fn a_play_that_comes_true_passes_and_what_it_left_out_is_known_by_line() {
        let (wrong, missing) = texted(
            r#""play": [ { "expect": "send_message", "with": { "text": "Yes or no?" } }, { "text": "no" },
                         { "expect": "send_message", "with": { "text": "You said no." } } ], "ends": "finished""#,
        );
        assert_eq!(wrong, None);
        let ways = [
            "2:ask.failed",
            "2:ask.opted_out",
            "3:hear.timeout",
            "5:say.failed",
            "6:say.opted_out",
        ];
        assert_eq!(missing, ways);
    }

    #[test]
    fn a_day_passes_in_no_time() {
        let (wrong, missing) = texted(
            r#""play": [ { "expect": "send_message" }, { "wait_s": 86400 } ], "ends": "finished""#,
        );
        assert_eq!(wrong, None);
        assert!(!missing.contains(&"3:hear.timeout".into()), "{missing:?}");
    }

    #[test]
    fn what_does_not_come_true_is_named_with_what_came() {
        let wrong = |play: &str| {
            let wrong = texted(play).0.unwrap();
            format!("{} {}: {}", wrong.pointer, wrong.expected.unwrap_or_default(), wrong.came)
        };
        assert!(
            wrong(r#""play": [ { "expect": "hangup" } ]"#)
                .starts_with("/play/0 `hangup`: `send_message` {"),
        );
        let other =
            wrong(r#""play": [ { "expect": "send_message", "with": { "text": "Maybe?" } } ]"#);
        assert!(other.ends_with("which differs at `/text`"), "{other}");
        assert!(wrong(r#""play": []"#).starts_with("/play nothing more, or a mock"));
        assert_eq!(
            wrong(r#""play": [ { "expect": "send_message" }, { "expect": "send_message" } ]"#),
            "/play/1 `send_message`: the run waits at `hear` for message"
        );
        assert_eq!(
            wrong(r#""play": [ { "expect": "send_message" } ], "ends": "finished""#),
            "/ends the end \"finished\": the run waits at `hear` for message"
        );
        assert!(wrong(r#""play": [ {} ]"#).contains("exactly one of"));
    }

    #[test]
    fn mocks_answer_what_the_play_does_not() {
        let flow = r#"{ "on_error": "sorry", "actions": [
            { "id": "up", "type": "answer" },
            { "id": "desk", "type": "connect_call", "option": { "destinations": [{ "target": "+15551230000" }] } },
            { "id": "bye", "type": "hangup" },
            { "id": "sorry", "type": "send_message", "option": { "text": "Sorry." }, "next": "bye" } ] }"#;
        let given = r#""given": { "mocks": [
            { "deed": "answer" },
            { "deed": "connect_call", "where": { "destinations.0.target": "+1555*" }, "reply": { "exit": "busy", "after_s": 5 } } ] }"#;
        let sorry =
            r#"{ "expect": "send_message", "with": { "text": "Sorry." } }, { "expect": "hangup" }"#;
        let (wrong, _) =
            played(flow, &format!(r#"{given}, "play": [ {sorry} ], "ends": "finished""#));
        assert_eq!(wrong, None);
        // The play goes before the mock.
        let (wrong, missing) = played(
            flow,
            &format!(
                r#"{given}, "play": [ {{ "expect": "connect_call", "reply": {{ "exit": "no_answer" }} }}, {sorry} ]"#
            ),
        );
        assert_eq!(wrong, None);
        assert!(missing.contains(&"3:desk.busy".into()), "{missing:?}");
        let wrong_exit = r#"{ "expect": "connect_call", "reply": { "exit": "bsy" } }"#;
        let (wrong, _) = played(flow, &format!(r#"{given}, "play": [ {wrong_exit} ]"#));
        let came = "`connect_call` has no exit `bsy`; did you mean `busy`?";
        assert_eq!(wrong.unwrap().came, came);
        let (wrong, _) = played(flow, &format!(r#"{given}, "play": [ {{ "expect": "play" }} ]"#));
        assert!(wrong.unwrap().came.starts_with("`send_message`"));
    }

    #[test]
    fn an_agent_is_played_by_mocks_and_by_its_rules() {
        let flow = r#"{ "actions": [
            { "id": "agent", "type": "ai_talk", "option": { "ai": { "name": "a", "greeting": "Hello!",
              "rules": "support_line.rules.json", "tool_names": ["stop_service"] } },
              "on": { "no_input": "end", "timeout": "end", "failed": "end" } },
            { "id": "bye", "type": "hangup" } ] }"#;
        let (wrong, _) = played(
            flow,
            r#""given": { "mocks": [ { "says": "*REFUND*", "ai": { "text": "No refunds.", "tool": "stop_service" } } ] },
               "play": [
                { "expect": "ai_talk", "hears": "Hello*" },
                { "say": "When are you open?", "hears": "*nine to five*" },
                { "say": "I want a refund", "hears": "No refunds." },
                { "expect": "stop_service" },
                { "expect": "hangup" } ],
               "ends": "finished""#,
        );
        assert_eq!(wrong, None);
        let silence = r#""play": [ { "expect": "ai_talk" }, { "wait_s": 30, "hears": "Are you still there?" },
            { "wait_s": 30 } ], "ends": "finished""#;
        let (wrong, missing) = played(flow, silence);
        assert_eq!(wrong, None);
        assert!(!missing.contains(&"4:agent.no_input".into()), "{missing:?}");
        let (wrong, _) = played(flow, r#""play": [ { "expect": "ai_talk", "hears": "Goodbye" } ]"#);
        assert_eq!(wrong.unwrap().came, "\"Hello!\"");
    }

    #[test]
    fn keys_end_their_collection_as_on_a_call() {
        let flow = r#"{ "actions": [
            { "id": "keys", "type": "receive_digits", "option": { "max_digits": 3 }, "on": { "no_input": "end" } },
            { "id": "say", "type": "talk", "option": { "text": "${call.digits}" }, "on": { "failed": "end" } } ] }"#;
        for (acts, digits) in [
            (r#"{ "digits": "12#" }"#, "12"),
            (r#"{ "digits": "1234" }"#, "123"),
            (r#"{ "digits": "1" }, { "wait_s": 4 }, { "digits": "2" }, { "wait_s": 5 }"#, "12"),
        ] {
            let scenario = format!(
                r#""play": [ {{ "expect": "receive_digits" }}, {acts},
                    {{ "expect": "talk", "with": {{ "text": "{digits}" }} }} ], "ends": "finished""#
            );
            assert_eq!(played(flow, &scenario).0, None, "{acts}");
        }
        let (wrong, _) = played(
            flow,
            r#""play": [ { "expect": "receive_digits" }, { "wait_s": 10 } ], "ends": "finished""#,
        );
        assert_eq!(wrong, None);
    }

    #[test]
    fn a_called_flow_is_given_or_lies_beside_or_comes_from_a_server() {
        let flow = r#"{ "on_error": "end", "actions": [
            { "id": "part", "type": "call_flow", "option": { "flow": "greet" } },
            { "id": "more", "type": "fetch", "option": { "url": "https://flows.example/more" } },
            { "id": "menu", "type": "call_flow", "option": { "flow": "voice_menu" } } ] }"#;
        let say = |words: &str| {
            format!(
                r#"{{ "actions": [{{ "type": "talk", "option": {{ "text": "{words}" }}, "on": {{ "failed": "end" }} }}] }}"#
            )
        };
        let (wrong, _) = played(
            flow,
            &format!(
                r#""given": {{ "flows": {{ "greet": {} }},
                    "mocks": [ {{ "http": "POST https://flows.example/*", "reply": {{ "body": {} }} }} ] }},
                   "play": [ {{ "expect": "talk", "with": {{ "text": "Hello" }} }},
                             {{ "expect": "talk", "with": {{ "text": "More" }} }},
                             {{ "expect": "answer" }}, {{ "expect": "talk", "reply": {{ "never": true }} }},
                             {{ "hang_up": true }} ], "ends": "hung_up""#,
                say("Hello"),
                say("More")
            ),
        );
        assert_eq!(wrong, None);
        let (wrong, _) = played(flow, r#""play": [], "ends": "finished""#);
        assert_eq!(wrong, None, "no such flow is a failure, and ends the run");
    }
}
