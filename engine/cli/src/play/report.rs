//! What came of all scenarios, told to people, to scripts and to build servers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::coverage::Coverage;

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
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// One for each scenario, in the order of the files.
    pub(crate) scenarios: Vec<Verdict>,
    /// What was taken of each flow, by its file.
    pub(crate) coverage: BTreeMap<String, Coverage>,
}

/// What came of one scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) file: String,
    /// Where it begins in its file, from 1.
    pub(crate) line: usize,
    pub(crate) scenario: String,
    /// What went wrong, if something did.
    pub(crate) wrong: Option<Wrong>,
}

/// What did not come true.
#[derive(Debug, Serialize)]
pub(crate) struct Wrong {
    /// Where it stands in the file, from 1.
    pub(crate) line: usize,
    /// Nothing when the scenario itself makes no sense there.
    pub(crate) expected: Option<String>,
    /// What came, or what is wrong with the scenario.
    pub(crate) came: String,
}

impl Wrong {
    fn sentence(&self) -> String {
        match &self.expected {
            Some(expected) => format!("expected {expected}, came {}", self.came),
            None => self.came.clone(),
        }
    }
}

impl Report {
    /// Whether every scenario came true.
    pub(crate) fn passed(&self) -> bool {
        self.failed() == 0
    }

    fn failed(&self) -> usize {
        self.scenarios.iter().filter(|verdict| verdict.wrong.is_some()).count()
    }

    /// Of all ways of all flows, those that were taken, in percent.
    pub(crate) fn percent(&self) -> f64 {
        let ways: usize = self.coverage.values().map(|coverage| coverage.0.len()).sum();
        let taken: usize = self.coverage.values().map(Coverage::taken).sum();
        if ways == 0 { 100.0 } else { taken as f64 * 100.0 / ways as f64 }
    }

    /// Whether too little was taken: fewer percent than `min`.
    pub(crate) fn too_little(&self, min: Option<f64>) -> bool {
        min.is_some_and(|min| self.percent() < min)
    }
}

/// For people.
pub(crate) fn human(report: &Report, coverage: bool, min: Option<f64>) -> String {
    let mut out = String::new();
    for verdict in &report.scenarios {
        let Verdict { file, scenario, wrong, .. } = verdict;
        let mark = if wrong.is_none() { "ok    " } else { "FAILED" };
        let _ = writeln!(out, "{mark}  {file}: {scenario}");
        let Some(Wrong { line, expected, came }) = wrong else { continue };
        let _ = match expected {
            Some(expected) => writeln!(
                out,
                "        {file}:{line}\n        expected  {expected}\n        came      {came}"
            ),
            None => writeln!(out, "        {file}:{line}: {came}"),
        };
    }
    if coverage {
        for (flow, coverage) in &report.coverage {
            let (taken, all) = (coverage.taken(), coverage.0.len());
            let _ = writeln!(out, "\n{flow}: {taken} of {all} ways taken");
            for way in coverage.missing() {
                let _ = writeln!(out, "        {flow}:{}: not taken: {}", way.line, way.way);
            }
        }
        let _ = writeln!(out, "\n{:.0} % of all ways taken", report.percent());
    }
    if report.too_little(min) {
        let _ = writeln!(out, "too little: at least {} % are wanted", min.unwrap_or_default());
    }
    let failed = report.failed();
    let _ = writeln!(out, "{} passed, {failed} failed", report.scenarios.len() - failed);
    out
}

/// For scripts.
pub(crate) fn json(report: &Report) -> Value {
    let coverage = report.coverage.iter().map(|(flow, coverage)| {
        let missing: Vec<_> = coverage.missing().collect();
        let (ways, taken) = (coverage.0.len(), coverage.taken());
        (flow.clone(), json!({ "ways": ways, "taken": taken, "missing": missing }))
    });
    let coverage: serde_json::Map<String, Value> = coverage.collect();
    json!({ "scenarios": report.scenarios, "coverage": coverage, "percent": report.percent() })
}

/// For build servers: a suite of scenarios, and with `coverage` a suite for each flow, in which a
/// way that was not taken is a skipped case.
pub(crate) fn junit(report: &Report, coverage: bool, min: Option<f64>) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let (tests, failed) = (report.scenarios.len(), report.failed());
    let _ = writeln!(
        out,
        "<testsuite name=\"voxflow\" tests=\"{tests}\" failures=\"{failed}\" skipped=\"0\">"
    );
    for verdict in &report.scenarios {
        let Verdict { file, line, scenario, wrong } = verdict;
        let failure = wrong.as_ref().map(|wrong| {
            let at = format!("{file}:{}: {}", wrong.line, wrong.sentence());
            format!("<failure message=\"{}\"/>", escaped(&at))
        });
        case(&mut out, file, scenario, *line, failure);
    }
    if let Some(min) = min {
        let percent = report.percent();
        let failure = report.too_little(Some(min)).then(|| {
            format!("<failure message=\"{percent:.0} % of all ways taken, {min} % wanted\"/>")
        });
        case(&mut out, "coverage", "enough of all ways taken", 1, failure);
    }
    out.push_str("</testsuite>\n");
    if coverage {
        for (flow, coverage) in &report.coverage {
            let (all, skipped) = (coverage.0.len(), coverage.missing().count());
            let _ = writeln!(
                out,
                "<testsuite name=\"coverage of {}\" tests=\"{all}\" failures=\"0\" skipped=\"{skipped}\">",
                escaped(flow)
            );
            for way in &coverage.0 {
                let skipped = (!way.taken)
                    .then(|| format!("<skipped message=\"line {}: not taken\"/>", way.line));
                case(&mut out, flow, &way.way, way.line, skipped);
            }
            out.push_str("</testsuite>\n");
        }
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(out: &mut String, file: &str, name: &str, line: usize, inner: Option<String>) {
    let (file, name) = (escaped(file), escaped(name));
    let _ = write!(
        out,
        "  <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{line}\""
    );
    let _ = match inner {
        None => writeln!(out, "/>"),
        Some(inner) => writeln!(out, ">{inner}</testcase>"),
    };
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
