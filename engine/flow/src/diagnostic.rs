//! A finding for the author of a flow: code, place, message, help.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The flow runs, but perhaps not as meant.
    Warning,
    /// The flow does not link.
    Error,
}

/// One finding. Line and column count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Such as `F003`; `voxflow explain F003` tells more.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// Line of the place.
    pub line: usize,
    /// Column of the place.
    pub column: usize,
    /// The place as byte range of the text, for drawing.
    #[serde(skip)]
    pub span: std::ops::Range<usize>,
    /// The place as JSON pointer.
    pub pointer: String,
    /// What is wrong, naming the input.
    pub message: String,
    /// The way out, when there is one to name.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let Self { code, line, column, message, .. } = self;
        write!(f, "{line}:{column}: {severity} {code}: {message}")?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// A rule of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Such as `F003`.
    pub code: &'static str,
    /// How bad it is to break it.
    pub severity: Severity,
    /// In a few words.
    pub title: &'static str,
}

impl Rule {
    const fn error(code: &'static str, title: &'static str) -> Self {
        Self { code, severity: Severity::Error, title }
    }

    /// Whether what breaks it can still be understood in a document of the older dialect.
    pub(crate) fn bends(self) -> bool {
        ![SYNTAX, DUPLICATE_KEY, DOCUMENT, UNKNOWN_TYPE, EXPRESSION].contains(&self)
    }

    const fn warning(code: &'static str, title: &'static str) -> Self {
        Self { code, severity: Severity::Warning, title }
    }
}

pub(crate) const UNKNOWN_TYPE: Rule = Rule::error("F001", "unknown action type");
pub(crate) const OPTION: Rule =
    Rule::error("F002", "an option is unknown, missing or of the wrong kind");
pub(crate) const TARGET: Rule = Rule::error("F003", "a target that does not exist");
pub(crate) const EXIT: Rule = Rule::error("F004", "an exit that the action does not have");
pub(crate) const DUPLICATE_ID: Rule = Rule::error("F005", "two actions with one id");
pub(crate) const EXPRESSION: Rule = Rule::error("F006", "an expression that cannot be read");
pub(crate) const MEDIUM: Rule =
    Rule::error("F007", "an action that does not fit what the flow is for");
pub(crate) const VERSION: Rule = Rule::error("F008", "a version of the language that is too new");
pub(crate) const SYNTAX: Rule = Rule::error("F009", "not JSON");
pub(crate) const DUPLICATE_KEY: Rule = Rule::error("F010", "a key that stands twice");
pub(crate) const DOCUMENT: Rule = Rule::error("F011", "the document is not built as a flow is");
pub(crate) const ID: Rule = Rule::error("F012", "an id that cannot be one");
pub(crate) const ZONE: Rule = Rule::error("F013", "an unknown time zone");
pub(crate) const TEMPLATE_PLACE: Rule = Rule::error("F014", "a variable where none can be");
pub(crate) const ENDLESS_WAIT: Rule = Rule::error("F015", "a wait without a deadline");
pub(crate) const SPIN: Rule = Rule::error("F016", "a loop that never waits");
pub(crate) const UNREACHABLE: Rule = Rule::warning("F017", "an action that is never reached");
pub(crate) const UNWIRED: Rule = Rule::warning("F018", "a failure that goes nowhere");
pub(crate) const UNSET: Rule = Rule::warning("F019", "a variable that nobody sets");
pub(crate) const OPEN_TEMPLATE: Rule =
    Rule::warning("F020", "a variable that is not written as one");
pub(crate) const RETRY: Rule = Rule::warning("F021", "nothing to try again");
pub(crate) const SELF_CHAIN: Rule = Rule::error("F022", "a flow that starts itself again");
pub(crate) const UNKNOWN_TOOL: Rule = Rule::warning("F023", "a tool that does not exist");
pub(crate) const IGNORED: Rule =
    Rule::warning("F024", "a word of the older dialect that is ignored");
pub(crate) const UNUSABLE_VENDOR: Rule = Rule::warning("F025", "a vendor that cannot be used here");

/// Every rule, in the order of codes.
pub const RULES: &[Rule] = &[
    UNKNOWN_TYPE,
    OPTION,
    TARGET,
    EXIT,
    DUPLICATE_ID,
    EXPRESSION,
    MEDIUM,
    VERSION,
    SYNTAX,
    DUPLICATE_KEY,
    DOCUMENT,
    ID,
    ZONE,
    TEMPLATE_PLACE,
    ENDLESS_WAIT,
    SPIN,
    UNREACHABLE,
    UNWIRED,
    UNSET,
    OPEN_TEMPLATE,
    RETRY,
    SELF_CHAIN,
    UNKNOWN_TOOL,
    IGNORED,
    UNUSABLE_VENDOR,
];

/// The page of a rule, in Markdown.
pub fn explain(code: &str) -> Option<&'static str> {
    static PAGES: &str = include_str!("rules.md");
    let rule = RULES.iter().find(|rule| rule.code.eq_ignore_ascii_case(code))?;
    let start = PAGES.find(&format!("# {}:", rule.code))?;
    let page = &PAGES[start..];
    let end = page[1..].find("\n# F").map_or(page.len(), |end| end + 1);
    Some(page[..end].trim_end())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_rule_has_its_page() {
        for (n, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.code, format!("F{:03}", n + 1));
            let page = explain(rule.code).unwrap_or_else(|| panic!("{} has no page", rule.code));
            assert!(page.starts_with(&format!("# {}: {}\n", rule.code, rule.title)), "{page}");
            assert!(page.len() > 100 && page.matches("# F").count() == 1, "{page}");
        }
        assert_eq!(explain("f003"), explain("F003"));
        assert_eq!(explain("F999"), None);
    }
}
