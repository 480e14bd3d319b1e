//! `voxflow test`: plays scenarios in virtual time, without a network or a key, and says which
//! actions and exits of their flows none of them took.
//!
//! Read in this order: [`scenario`] (the format) → [`stage`] (how one is played) → this file (all
//! of them, and the report).

pub(crate) mod scenario;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use flow::{Catalog, Flow, Linking, Needs};
use serde::Serialize;
use serde_json::Value;

use crate::files;
use scenario::Scenario;

/// How the result is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line a scenario, for people.
    Human,
    /// An object, for scripts.
    Json,
    /// JUnit's XML, for build servers.
    Junit,
}

/// What came of all scenarios.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// One for each scenario, in the order of the files.
    pub(crate) scenarios: Vec<Verdict>,
    /// What was taken of each flow, by its file.
    pub(crate) coverage: BTreeMap<String, Coverage>,
}

/// What came of one scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    file: String,
    scenario: String,
    /// What went wrong, if something did.
    wrong: Option<String>,
}

/// What the scenarios of one flow took.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Coverage {
    /// Ways that can be taken: each action, and each of its exits besides `done`.
    pub(crate) ways: usize,
    /// Those that no scenario took, as `action` or `action.exit`.
    pub(crate) missing: BTreeSet<String>,
}

impl Report {
    /// Whether all went well.
    pub(crate) fn passed(&self) -> bool {
        self.scenarios.iter().all(|verdict| verdict.wrong.is_none())
    }

    /// Of all ways of all flows, those that were taken, in percent.
    pub(crate) fn percent(&self) -> f64 {
        let ways: usize = self.coverage.values().map(|coverage| coverage.ways).sum();
        let missing: usize = self.coverage.values().map(|coverage| coverage.missing.len()).sum();
        if ways == 0 { 100.0 } else { (ways - missing) as f64 * 100.0 / ways as f64 }
    }
}

/// Plays every scenario of the files and folders.
///
/// # Errors
/// A file cannot be read, a scenario is malformed, or a folder holds none.
pub(crate) fn play(paths: &[PathBuf], catalog: Catalog) -> Result<Report, String> {
    let mut report = Report::default();
    let mut flows: BTreeMap<PathBuf, Arc<Flow>> = BTreeMap::new();
    for path in paths {
        let mut files = files::below(path)?;
        if path.is_dir() {
            files.retain(|(_, text)| is_scenario(text));
        }
        if files.is_empty() {
            return Err(format!("{} holds no scenario", path.display()));
        }
        for (file, text) in files {
            for scenario in read(&file, &text)? {
                let of = file.parent().unwrap_or(Path::new("")).join(&scenario.flow);
                let of = std::fs::canonicalize(&of).map_err(|error| {
                    format!("{}: the flow {}: {error}", file.display(), scenario.flow)
                })?;
                let flow = match flows.get(&of) {
                    Some(flow) => Arc::clone(flow),
                    None => link(&of, catalog)?,
                };
                flows.insert(of.clone(), Arc::clone(&flow));
                let played = stage::play(&flow, &scenario);
                let coverage = report.coverage.entry(name(&of)).or_insert_with(|| ways(&flow));
                for taken in &played.taken {
                    coverage.missing.remove(&taken.action);
                    coverage.missing.remove(&format!("{}.{}", taken.action, taken.exit));
                }
                let verdict =
                    Verdict { file: name(&file), scenario: scenario.scenario, wrong: played.wrong };
                report.scenarios.push(verdict);
            }
        }
    }
    Ok(report)
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

/// One scenario, or a list of them.
fn read(file: &Path, text: &str) -> Result<Vec<Scenario>, String> {
    let wrong = |error: serde_json::Error| format!("{}: {error}", file.display());
    if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(wrong)
    } else {
        Ok(vec![serde_json::from_str(text).map_err(wrong)?])
    }
}

fn link(path: &Path, catalog: Catalog) -> Result<Arc<Flow>, String> {
    let text = files::read(path)?;
    match flow::link(&text, Linking { catalog, medium: Needs::Nothing }) {
        Ok((flow, _)) => Ok(flow),
        Err(found) => {
            let first = found.first().map(|d| format!("line {}: {}", d.line, d.message));
            let path = path.display();
            Err(format!(
                "{path} does not link ({}); `voxflow validate {path}` tells all",
                first.unwrap_or_default()
            ))
        }
    }
}

/// All ways of a flow, none taken.
fn ways(flow: &Flow) -> Coverage {
    let mut missing = BTreeSet::new();
    for (id, kind) in flow.actions() {
        missing.insert(id.to_owned());
        if let Some((_, spec)) = flow.catalog.get(kind) {
            missing.extend(spec.exits.iter().map(|exit| format!("{id}.{exit}")));
        }
    }
    Coverage { ways: missing.len(), missing }
}

/// For people.
pub(crate) fn human(report: &Report, coverage: bool) -> String {
    let mut out = String::new();
    for verdict in &report.scenarios {
        let mark = if verdict.wrong.is_none() { "ok    " } else { "FAILED" };
        let _ = writeln!(out, "{mark}  {}: {}", verdict.file, verdict.scenario);
        if let Some(why) = &verdict.wrong {
            let _ = writeln!(out, "        {why}");
        }
    }
    if coverage {
        for (flow, coverage) in &report.coverage {
            let taken = coverage.ways - coverage.missing.len();
            let _ = writeln!(out, "\n{flow}: {taken} of {} ways taken", coverage.ways);
            for way in &coverage.missing {
                let _ = writeln!(out, "        not taken: {way}");
            }
        }
        let _ = writeln!(out, "\n{:.0} % of all ways taken", report.percent());
    }
    let failed = report.scenarios.iter().filter(|verdict| verdict.wrong.is_some()).count();
    let _ = writeln!(out, "{} passed, {failed} failed", report.scenarios.len() - failed);
    out
}

/// For build servers.
pub(crate) fn junit(report: &Report) -> String {
    let failed = report.scenarios.iter().filter(|verdict| verdict.wrong.is_some()).count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"voxflow\" tests=\"{}\" failures=\"{failed}\">\n",
        report.scenarios.len()
    );
    for verdict in &report.scenarios {
        let (class, name) = (escaped(&verdict.file), escaped(&verdict.scenario));
        let _ = write!(out, "  <testcase classname=\"{class}\" name=\"{name}\"");
        let _ = match &verdict.wrong {
            None => writeln!(out, "/>"),
            Some(why) => writeln!(out, "><failure message=\"{}\"/></testcase>", escaped(why)),
        };
    }
    out.push_str("</testsuite>\n");
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const FLOW: &str = r#"{ "actions": [
        { "id": "ask", "type": "send_message", "option": { "text": "Yes or no?" }, "on": { "failed": "end", "opted_out": "end" } },
        { "id": "hear", "type": "wait_message", "option": { "timeout_s": 86400 }, "on": { "timeout": "end" } },
        { "id": "say", "type": "send_message", "option": { "text": "You said ${message.text}." }, "on": { "failed": "end", "opted_out": "end" } }
    ] }"#;

    fn played(play: &str) -> (Option<String>, BTreeSet<String>) {
        let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
        let (flow, _) = flow::link(FLOW, linking).unwrap();
        let text =
            format!(r#"{{ "flow": "f", "scenario": "s", "given": {{ "text": "hi" }}, {play} }}"#);
        let scenario = read(Path::new("s.json"), &text).unwrap().remove(0);
        let played = stage::play(&flow, &scenario);
        let mut missing = ways(&flow).missing;
        for taken in &played.taken {
            missing.remove(&taken.action);
            missing.remove(&format!("{}.{}", taken.action, taken.exit));
        }
        (played.wrong, missing)
    }

    #[test]
    fn a_play_that_comes_true_passes() {
        let (wrong, missing) = played(
            r#""play": [ { "expect": "send_message", "with": { "text": "Yes or no?" } }, { "text": "no" },
                         { "expect": "send_message", "with": { "text": "You said no." } } ], "ends": "finished""#,
        );
        assert_eq!(wrong, None);
        let exits = ["ask.failed", "ask.opted_out", "hear.timeout", "say.failed", "say.opted_out"];
        assert_eq!(missing, exits.map(String::from).into());
    }

    #[test]
    fn a_day_passes_in_no_time() {
        let (wrong, missing) = played(
            r#""play": [ { "expect": "send_message" }, { "wait_s": 86400 } ], "ends": "finished""#,
        );
        assert_eq!(wrong, None);
        assert!(!missing.contains("hear.timeout"), "{missing:?}");
    }

    #[test]
    fn what_does_not_come_true_is_named() {
        let wrong = |play: &str| played(play).0.unwrap();
        assert!(
            wrong(r#""play": [ { "expect": "hangup" } ]"#)
                .starts_with("act 1: `hangup` was expected, not `send_message`")
        );
        assert!(
            wrong(r#""play": [ { "expect": "send_message", "with": { "text": "Maybe?" } } ]"#)
                .contains("at `/text`")
        );
        assert!(wrong(r#""play": []"#).starts_with("nobody expected `send_message`"));
        assert_eq!(
            wrong(r#""play": [ { "expect": "send_message" }, { "expect": "send_message" } ]"#),
            "act 2: `send_message` was expected, and the run waits at `hear` for message"
        );
        assert!(
            wrong(r#""play": [ { "expect": "send_message" } ], "ends": "finished""#)
                .contains("the run waits at `hear`")
        );
        assert!(wrong(r#""play": [ {} ]"#).contains("exactly one of"));
    }
}
