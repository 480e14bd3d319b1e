//! `voxflow validate`: every diagnostic of every file, for people and for programs.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::ValueEnum;
use flow::{Catalog, Diagnostic, Linking, Needs, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource};
use serde::Serialize;
use serde_json::{Value, json};

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

/// The findings in words, with the lines that they are about.
pub(crate) fn human(checked: &[Checked], colours: bool) -> String {
    let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_context_lines(1);
    let mut out = String::new();
    for file in checked {
        for diagnostic in &file.found {
            let report = report(diagnostic);
            let source = NamedSource::new(&file.file, file.text.clone());
            let report = miette::Report::new(report).with_source_code(source);
            // Writing to a string cannot fail; what miette cannot draw is told in one line.
            if handler.render_report(&mut out, report.as_ref()).is_err() {
                let Diagnostic { code, line, column, message, .. } = diagnostic;
                let _ = writeln!(out, "{}:{line}:{column}: {code}: {message}", file.file);
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

/// The findings as a SARIF log.
pub(crate) fn sarif(checked: &[Checked]) -> Value {
    let results: Vec<Value> = checked
        .iter()
        .flat_map(|file| file.found.iter().map(move |diagnostic| (file, diagnostic)))
        .map(|(file, diagnostic)| {
            let level = match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let text = match &diagnostic.help {
                Some(help) => format!("{} ({help})", diagnostic.message),
                None => diagnostic.message.clone(),
            };
            json!({
                "ruleId": diagnostic.code,
                "level": level,
                "message": { "text": text },
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": { "uri": file.file },
                        "region": { "startLine": diagnostic.line, "startColumn": diagnostic.column },
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
            "tool": { "driver": { "name": "voxflow", "version": env!("CARGO_PKG_VERSION") } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
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
        let sarif = sarif(&one_finding());
        assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "F001");
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
