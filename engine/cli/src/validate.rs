//! `voxflow validate`: every diagnostic of every file, for people and for programs.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::ValueEnum;
use flow::diagnostic::{RULES, explain};
use flow::{Catalog, Diagnostic, Linking, Needs, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource};
use serde::Serialize;
use serde_json::{Value, json};

use crate::budget::{self, Told};
use crate::files;

/// What a flow is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum For {
    /// Phone calls.
    Call,
    /// Text conversations.
    Text,
    /// Whichever the flow's actions need.
    Both,
}

impl From<For> for Needs {
    fn from(medium: For) -> Self {
        match medium {
            For::Call => Self::Call,
            For::Text => Self::Text,
            For::Both => Self::Nothing,
        }
    }
}

/// How the findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// With the lines of the flow, for people.
    Human,
    /// An array, for scripts.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// A flow and what was found in it.
pub(crate) struct Checked {
    file: String,
    text: String,
    found: Vec<Diagnostic>,
}

impl Checked {
    /// What was found in the text of a file.
    pub(crate) fn new(file: String, text: String, found: Vec<Diagnostic>) -> Self {
        Self { file, text, found }
    }
}

/// A finding as scripts read it: the shape is a promise.
#[derive(Serialize)]
struct Finding<'a> {
    file: &'a str,
    #[serde(flatten)]
    diagnostic: &'a Diagnostic,
}

/// Links every flow of the files and folders.
///
/// # Errors
/// A sentence that names the file or folder that cannot be read.
pub(crate) fn check(
    paths: &[PathBuf],
    catalog: Catalog,
    medium: For,
) -> Result<Vec<Checked>, String> {
    let check = |(path, text): (PathBuf, String)| {
        let found = match flow::link(&text, Linking { catalog, medium: medium.into() }) {
            Ok((_, warnings)) => warnings,
            Err(found) => found,
        };
        Checked::new(path.display().to_string(), text, found)
    };
    Ok(files::flows(paths)?.into_iter().map(check).collect())
}

/// Errors and warnings.
fn count(checked: &[Checked]) -> (usize, usize) {
    let found = checked.iter().flat_map(|file| &file.found);
    let (errors, warnings): (Vec<_>, Vec<_>) =
        found.partition(|diagnostic| diagnostic.severity == Severity::Error);
    (errors.len(), warnings.len())
}

/// Whether the flows may be used; when strict, warnings count as errors.
pub(crate) fn clean(checked: &[Checked], strict: bool) -> bool {
    let (errors, warnings) = count(checked);
    errors == 0 && !(strict && warnings > 0)
}

/// The most that the flows can do.
pub(crate) fn budgets(checked: &[Checked], catalog: Catalog, medium: For) -> Vec<Told> {
    checked.iter().flat_map(|file| budget::of(&file.file, &file.text, catalog, medium)).collect()
}

/// The findings, and the budgets when they were asked for.
pub(crate) fn tell(
    checked: &[Checked],
    budgets: Option<&[Told]>,
    format: Format,
    colours: bool,
) -> String {
    let value = match (format, budgets) {
        (Format::Human, _) => {
            let told = human(checked, colours);
            return format!("{}{told}", budget::human(budgets.unwrap_or_default()));
        }
        (Format::Json, None) => json(checked),
        (Format::Json, Some(all)) => {
            json!({ "findings": json(checked), "budgets": budget::json(all) })
        }
        (Format::Sarif, None) => sarif(checked),
        (Format::Sarif, Some(all)) => {
            let mut log = sarif(checked);
            log["runs"][0]["properties"] = json!({ "budgets": budget::json(all) });
            log
        }
    };
    format!("{value:#}\n")
}

/// The findings in words, with the lines that they are about.
pub(crate) fn human(checked: &[Checked], colours: bool) -> String {
    let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_context_lines(1);
    let mut out = String::new();
    for file in checked {
        for diagnostic in &file.found {
            // A text that is all one line would bury the finding.
            if widest(&file.text, diagnostic) > 400 {
                let _ = writeln!(out, "{}:{diagnostic}\n", file.file);
                continue;
            }
            let report = report(diagnostic);
            let source = NamedSource::new(&file.file, file.text.clone());
            let report = miette::Report::new(report).with_source_code(source);
            // Writing to a string cannot fail; what miette cannot draw is told in one line.
            if handler.render_report(&mut out, report.as_ref()).is_err() {
                let _ = writeln!(out, "{}:{diagnostic}", file.file);
            }
            out.push('\n');
        }
    }
    let (errors, warnings) = count(checked);
    let _ = writeln!(
        out,
        "{}: {}, {}",
        counted(checked.len(), "flow"),
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    if let Some(first) = checked.iter().flat_map(|file| &file.found).next() {
        let _ = writeln!(out, "`voxflow explain {}` tells more about the first", first.code);
    }
    out
}

/// How long the line is that holds a finding, bytes.
fn widest(text: &str, diagnostic: &Diagnostic) -> usize {
    text.lines().nth(diagnostic.line - 1).map_or(0, str::len)
}

fn report(diagnostic: &Diagnostic) -> MietteDiagnostic {
    let severity = match diagnostic.severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
    };
    let mut report = MietteDiagnostic::new(&diagnostic.message)
        .with_code(diagnostic.code)
        .with_severity(severity)
        .with_label(LabeledSpan::at(diagnostic.span.clone(), &diagnostic.pointer));
    if let Some(help) = &diagnostic.help {
        report = report.with_help(help);
    }
    report
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The findings as an array.
pub(crate) fn json(checked: &[Checked]) -> Value {
    let findings = checked.iter().flat_map(|file| {
        file.found.iter().map(|diagnostic| Finding { file: &file.file, diagnostic })
    });
    json!(findings.collect::<Vec<_>>())
}

/// The findings as a SARIF log, with the page of every rule.
pub(crate) fn sarif(checked: &[Checked]) -> Value {
    let level = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            let page = explain(rule.code).unwrap_or_default();
            json!({
                "id": rule.code,
                "shortDescription": { "text": rule.title },
                "help": { "text": page, "markdown": page },
                "defaultConfiguration": { "level": level(rule.severity) },
            })
        })
        .collect();
    let results: Vec<Value> = checked
        .iter()
        .flat_map(|file| file.found.iter().map(move |diagnostic| (file, diagnostic)))
        .map(|(file, diagnostic)| {
            let text = match &diagnostic.help {
                Some(help) => format!("{} ({help})", diagnostic.message),
                None => diagnostic.message.clone(),
            };
            let (line, column) = end(&file.text, diagnostic);
            json!({
                "ruleId": diagnostic.code,
                "ruleIndex": RULES.iter().position(|rule| rule.code == diagnostic.code),
                "level": level(diagnostic.severity),
                "message": { "text": text },
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": { "uri": uri(&file.file) },
                        "region": {
                            "startLine": diagnostic.line, "startColumn": diagnostic.column,
                            "endLine": line, "endColumn": column,
                        },
                    },
                    "logicalLocations": [{ "fullyQualifiedName": diagnostic.pointer }],
                }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "voxflow", "version": env!("CARGO_PKG_VERSION"), "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// Line and column behind a finding, both counted from 1.
fn end(text: &str, diagnostic: &Diagnostic) -> (usize, usize) {
    let found = text.get(diagnostic.span.clone()).unwrap_or_default();
    match found.rsplit_once('\n') {
        Some((before, last)) => {
            (diagnostic.line + before.matches('\n').count() + 1, last.chars().count() + 1)
        }
        None => (diagnostic.line, diagnostic.column + found.chars().count()),
    }
}

/// A path as a reference that a URI may be; a relative one stays relative.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte.into());
            }
            // Writing to a string cannot fail.
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn one_finding() -> Vec<Checked> {
        let text = "{ \"actions\": [\n  { \"type\": \"tlak\" }\n] }\n";
        let start = text.find("\"tlak\"").unwrap();
        vec![Checked {
            file: "flows/a.json".into(),
            text: text.into(),
            found: vec![Diagnostic {
                code: "F001",
                severity: Severity::Error,
                line: 2,
                column: 13,
                span: start..start + 6,
                pointer: "/actions/0/type".into(),
                message: "no action is called `tlak`".into(),
                help: Some("did you mean `talk`?".into()),
            }],
        }]
    }

    #[test]
    fn people_see_the_line_and_the_way_out() {
        let expected = r#"F001

  × no action is called `tlak`
   ╭─[flows/a.json:2:13]
 1 │ { "actions": [
 2 │   { "type": "tlak" }
   ·             ───┬──
   ·                ╰── /actions/0/type
 3 │ ] }
   ╰────
  help: did you mean `talk`?

1 flow: 1 error, 0 warnings
`voxflow explain F001` tells more about the first
"#;
        assert_eq!(human(&one_finding(), false), expected);
    }

    #[test]
    fn scripts_get_the_promised_shape() {
        assert_eq!(
            json(&one_finding()),
            json!([{
                "file": "flows/a.json", "code": "F001", "severity": "error",
                "line": 2, "column": 13, "pointer": "/actions/0/type",
                "message": "no action is called `tlak`", "help": "did you mean `talk`?"
            }])
        );
    }

    #[test]
    fn a_sarif_log_has_what_its_schema_asks_for() {
        let mut checked = one_finding();
        checked[0].file = "my flows/ä.json".into();
        let log = sarif(&checked);
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        assert_eq!(driver["name"], "voxflow");
        let result = &run["results"][0];
        assert_eq!(
            *result,
            json!({
                "ruleId": "F001", "ruleIndex": 0, "level": "error",
                "message": { "text": "no action is called `tlak` (did you mean `talk`?)" },
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": { "uri": "my%20flows/%C3%A4.json" },
                        "region": { "startLine": 2, "startColumn": 13, "endLine": 2, "endColumn": 19 },
                    },
                    "logicalLocations": [{ "fullyQualifiedName": "/actions/0/type" }],
                }],
            })
        );
        let rules = driver["rules"].as_array().unwrap();
        assert_eq!(rules.len(), RULES.len());
        for rule in rules {
            assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string());
            let page = rule["help"]["markdown"].as_str().unwrap();
            assert!(page.starts_with("# F"), "{page}");
            assert_eq!(rule["help"]["text"], page);
        }
    }

    #[test]
    fn a_text_that_is_all_one_line_is_not_drawn() {
        let mut checked = one_finding();
        checked[0].text = format!("{}{}", "\n", " ".repeat(500));
        let told = human(&checked, false);
        let first =
            "flows/a.json:2:13: error F001: no action is called `tlak` (did you mean `talk`?)";
        assert!(told.starts_with(first), "{told}");
        assert!(told.len() < 300, "{told}");
    }

    #[test]
    fn warnings_count_only_when_strict() {
        let mut checked = one_finding();
        assert!(!clean(&checked, false));
        checked[0].found[0].severity = Severity::Warning;
        assert!(clean(&checked, false));
        assert!(!clean(&checked, true));
    }
}
