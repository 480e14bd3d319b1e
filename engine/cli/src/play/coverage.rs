//! Which ways through a flow the scenarios took, and on which lines stand those that none took.

use flow::{Flow, Lines};
use serde::Serialize;
use serde_json::Value;

/// The ways through one flow.
#[derive(Debug)]
pub(crate) struct Coverage(pub(crate) Vec<Way>);

/// An action, or one of its exits besides `done`.
#[derive(Debug, Serialize)]
pub(crate) struct Way {
    /// As `action` or `action.exit`.
    pub(crate) way: String,
    /// Where it is written: the exit in the action's `on`, else the action.
    pub(crate) line: usize,
    #[serde(skip)]
    pub(crate) taken: bool,
}

impl Coverage {
    /// All ways of a flow, none taken. It was linked from a document that stands in a text at a
    /// pointer.
    pub(crate) fn of(flow: &Flow, document: &Value, lines: &Lines<'_>, at: &str) -> Self {
        let base = if document.is_array() { "" } else { "/actions" };
        let mut ways = Vec::new();
        let mut add = |way: String, pointer: &str| {
            let line = lines.line(&format!("{at}{pointer}"));
            ways.push(Way { way, line, taken: false });
        };
        for (n, (id, kind)) in flow.actions().enumerate() {
            let here = format!("{base}/{n}");
            let written = document.pointer(&here).unwrap_or(&Value::Null);
            let on = written.get("on").and_then(Value::as_object);
            add(id.to_owned(), &here);
            for exit in exits(flow, kind, written) {
                let wired = on.is_some_and(|on| on.contains_key(&exit));
                let pointer = if wired { format!("{here}/on/{exit}") } else { here.clone() };
                add(format!("{id}.{exit}"), &pointer);
            }
            if written.get("if").is_some() {
                add(format!("{id}.{PASSED_OVER}"), &format!("{here}/if"));
            }
        }
        Self(ways)
    }

    /// An action was left by an exit.
    pub(crate) fn take(&mut self, action: &str, exit: &str) {
        for way in &mut self.0 {
            way.taken |= match way.way.strip_prefix(action) {
                // Passed over, it did not run.
                Some("") => exit != PASSED_OVER,
                Some(rest) => rest.strip_prefix('.') == Some(exit),
                None => false,
            };
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.0.iter().filter(|way| way.taken).count()
    }

    pub(crate) fn missing(&self) -> impl Iterator<Item = &Way> {
        self.0.iter().filter(|way| !way.taken)
    }
}

/// The exit of an action whose `if` was false.
const PASSED_OVER: &str = "passed_over";

/// The exits of an action besides `done`: those of its type, and what the author has wired or
/// timed.
fn exits(flow: &Flow, kind: &str, written: &Value) -> Vec<String> {
    let declared = flow.catalog.get(kind).map_or(&[][..], |(_, spec)| spec.exits);
    let mut exits: Vec<String> = declared.iter().map(|exit| (*exit).to_owned()).collect();
    let wired = written.get("on").and_then(Value::as_object);
    exits.extend(wired.into_iter().flatten().map(|(exit, _)| exit.clone()));
    if written.get("timeout_s").is_some() {
        exits.push("timeout".into());
    }
    exits.retain(|exit| exit != "done");
    let mut seen = std::collections::HashSet::new();
    exits.retain(|exit| seen.insert(exit.clone()));
    exits
}
