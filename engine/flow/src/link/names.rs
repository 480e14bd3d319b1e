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
const GIVEN: [&str; 18] = [
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
    "from",
    "message",
    "now",
    "recording",
    "run",
    "to",
    "voipbin",
];

/// Those of them below which anything may stand.
const OPEN: [&str; 8] =
    ["agent", "contact", "conversation", "event", "flow", "message", "run", "voipbin"];

/// What other languages call nothing.
const NOTHING: [&str; 5] = ["None", "nil", "null", "undefined", "void"];

/// Names that come from outside: what is nearly one of them is a slip.
const KNOWN: [&str; 26] = [
    "ai_talk.ended_by",
    "call.carrier_id",
    "call.digits",
    "call.from",
    "call.id",
    "call.to",
    "caller.name",
    "caller.number",
    "connect.exit",
    "conversation.channel",
    "conversation.id",
    "conversation.ours",
    "conversation.peer",
    "from",
    "message.from",
    "message.id",
    "message.media",
    "message.text",
    "recording.file",
    "recording.filenames",
    "recording.format",
    "recording.id",
    "recording.recording_name",
    "recording.reference_id",
    "recording.reference_type",
    "to",
];

/// Whether a variable comes from outside a flow: its first word tells.
pub(crate) fn is_given(name: &str) -> bool {
    GIVEN.contains(&name.split('.').next().unwrap_or_default())
}

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
        for (name, start) in expression.names() {
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
                        Part::Variable { name, at: range, .. } if !is_name(name) => {
                            let message = format!("`{name}` is not the name of a variable");
                            let help = match name.trim() {
                                trimmed if is_name(trimmed) => format!("write `${{{trimmed}}}`"),
                                _ if name.contains([':', '|', '?']) => {
                                    "a default is written as `${name:-text}`".into()
                                }
                                _ => "names have letters, digits, `_`, `-` and `.`; expressions \
                                      belong in `set_variables`"
                                    .into(),
                            };
                            let inside = At::Inside(range);
                            findings.add_with(
                                OPEN_TEMPLATE,
                                at(pointer),
                                inside,
                                message,
                                Some(help),
                            );
                        }
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

    /// Whether an action may set the variable.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.sets.iter().any(|set| set == "*" || overlap(set, name))
    }

    /// Warns of what is read and never set.
    pub(super) fn check(self, findings: &mut Findings) {
        let Self { sets, reads } = self;
        if sets.contains("*") {
            return;
        }
        for Read { name, pointer, at } in reads {
            if sets.iter().any(|set| overlap(set, &name)) {
                continue;
            }
            let root = name.split('.').next().unwrap_or_default();
            let near = match GIVEN.contains(&root) {
                true if OPEN.contains(&root) || KNOWN.contains(&name.as_str()) => continue,
                // Who calls or texts may bring more than is known here.
                true => match KNOWN.iter().find(|known| is_slip_of(&name, known)) {
                    Some(near) => Some(*near),
                    None => continue,
                },
                false => nearest(&name, sets.iter().map(String::as_str).chain(KNOWN)),
            };
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if NOTHING.contains(&name.as_str()) => "what is not set is `()`".into(),
                None => "declare it in `variables` when it comes from outside".into(),
            };
            let message = format!("nothing in this flow sets the variable `{name}`");
            findings.add_with(UNSET, pointer, at, message, Some(help));
        }
    }
}

/// Whether a name is one letter away from another that begins with the same word.
fn is_slip_of(name: &str, known: &str) -> bool {
    let dot = name.find('.');
    dot.is_some() && dot == known.find('.') && strsim::damerau_levenshtein(name, known) == 1
}

fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.chars().all(fine)
}

/// Whether one name is the other, or a field of it.
fn overlap(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
