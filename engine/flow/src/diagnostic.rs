//! A finding for the author of a flow: code, place, message, help.

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
