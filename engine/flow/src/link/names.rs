//! Variables: who sets them, and who reads what nobody sets.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Findings;
use crate::diagnostic::{OPEN_TEMPLATE, UNSET};
use crate::expression::Expression;
use crate::place::{At, escape};
use crate::shape::nearest;
use crate::text::{self, Part};

/// The first words of names that come from outside a flow.
const GIVEN: [&str; 15] = [
    "agent",
    "ai_talk",
    "ai",
    "call",
    "callee",
    "caller",
    "connect",
    "contact",
    "conversation",
    "event",
    "flow",
    "message",
    "now",
    "run",
    "voipbin",
];

/// What the actions of a flow set and read.
#[derive(Default)]
pub(super) struct Uses {
    /// Names that are set; `*` = any.
    pub sets: BTreeSet<String>,
    reads: Vec<Read>,
}

struct Read {
    name: String,
    pointer: String,
    at: At,
}

impl Uses {
    /// Notes what an expression reads.
    pub(super) fn expression(&mut self, expression: &Expression, pointer: &str) {
        for name in expression.names() {
            let start = expression.text().find(&name).unwrap_or(0);
            let at = At::Inside(start..(start + name.len()).min(expression.text().len()));
            self.reads.push(Read { name, pointer: pointer.into(), at });
        }
    }

    /// Notes what the strings of an option read, at any depth.
    pub(super) fn templates(
        &mut self,
        option: &Value,
        at: &dyn Fn(&str) -> String,
        marked: &[String],
        findings: &mut Findings,
    ) {
        let before = self.reads.len();
        self.strings(option, &mut String::new(), at, findings);
        // Targets and expressions are no templates.
        let new = self.reads.split_off(before);
        self.reads.extend(new.into_iter().filter(|read| !marked.contains(&read.pointer)));
    }

    fn strings(
        &mut self,
        value: &Value,
        pointer: &mut String,
        at: &dyn Fn(&str) -> String,
        findings: &mut Findings,
    ) {
        let length = pointer.len();
        match value {
            Value::String(found) => {
                for part in text::parts(found) {
                    match part {
                        Part::Variable { name, default: None, at: range } => {
                            let (name, at_) = (name.to_string(), At::Inside(range));
                            self.reads.push(Read { name, pointer: at(pointer), at: at_ });
                        }
                        Part::Open { at: open } => {
                            let message = "`${` is not closed, and stays as it is";
                            let help = "close it with `}`, or write `$${` when it is meant";
                            let inside = At::Inside(open..open + 2);
                            findings.add_with(
                                OPEN_TEMPLATE,
                                at(pointer),
                                inside,
                                message,
                                Some(help),
                            );
                        }
                        Part::Variable { .. } | Part::Literal(_) => {}
                    }
                }
            }
            Value::Array(values) => {
                for (n, value) in values.iter().enumerate() {
                    pointer.push_str(&format!("/{n}"));
                    self.strings(value, pointer, at, findings);
                    pointer.truncate(length);
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    pointer.push('/');
                    pointer.push_str(&escape(key));
                    self.strings(value, pointer, at, findings);
                    pointer.truncate(length);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Warns of what is read and never set.
    pub(super) fn check(self, findings: &mut Findings) {
        let Self { sets, reads } = self;
        if sets.contains("*") {
            return;
        }
        for Read { name, pointer, at } in reads {
            let root = name.split('.').next().unwrap_or_default();
            if GIVEN.contains(&root) || sets.iter().any(|set| overlap(set, &name)) {
                continue;
            }
            let help = match nearest(&name, sets.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "declare it in `variables` when it comes from outside".into(),
            };
            let message = format!("nothing in this flow sets the variable `{name}`");
            findings.add_with(UNSET, pointer, at, message, Some(help));
        }
    }
}

/// Whether one name is the other, or a field of it.
fn overlap(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
