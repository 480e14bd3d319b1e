//! Texts with variables in them: `${name}`, `${name:-default}`, `$${` for a literal `${`.
//!
//! Invariant: what a variable holds is never scanned again, so that nobody who writes to us can
//! read a variable.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use crate::event::Vars;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// As it stands.
    Literal(&'a str),
    /// To be filled in.
    Variable {
        /// The variable.
        name: &'a str,
        /// What stands there when it is missing or empty.
        default: Option<&'a str>,
        /// Where `${...}` is in the text, bytes.
        at: Range<usize>,
    },
    /// A `${` that nothing closes; it stays as it is.
    Open {
        /// Where it is, bytes.
        at: usize,
    },
}

/// Whether a text may hold variables or `$${`.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("${")
}

/// The parts of a text, in order.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut from, mut seek) = (0, 0);
    while let Some(found) = text[seek..].find("${") {
        let at = seek + found;
        if text[from..at].ends_with('$') {
            // `$${`: the first dollar goes, the rest stands.
            parts.push(Part::Literal(&text[from..at - 1]));
            parts.push(Part::Literal("${"));
            (from, seek) = (at + 2, at + 2);
            continue;
        }
        let inner = &text[at + 2..];
        let Some(end) = inner.find(['}', '\n']).filter(|end| inner[*end..].starts_with('}')) else {
            parts.push(Part::Literal(&text[from..at]));
            parts.push(Part::Open { at });
            (from, seek) = (at, at + 2);
            continue;
        };
        parts.push(Part::Literal(&text[from..at]));
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        let after = at + 2 + end + 1;
        parts.push(Part::Variable { name, default, at: at..after });
        (from, seek) = (after, after);
    }
    parts.push(Part::Literal(&text[from..]));
    parts
}

/// Fills in the variables of a text. What they hold is never scanned again.
pub fn render(text: &str, vars: &Vars) -> String {
    if !is_template(text) {
        return text.into();
    }
    let mut full = String::with_capacity(text.len() + 32);
    for part in parts(text) {
        match part {
            Part::Literal(literal) => full.push_str(literal),
            Part::Open { .. } => {}
            Part::Variable { name, default, .. } => {
                let value = lookup(vars, name).map(plain).unwrap_or_default();
                match default {
                    Some(default) if value.is_empty() => full.push_str(default),
                    _ => full.push_str(&value),
                }
            }
        }
    }
    full
}

/// Fills in the variables of every string of a JSON value, at any depth. Keys stay as they are.
pub fn render_value(value: &Value, vars: &Vars) -> Value {
    match value {
        Value::String(text) => Value::String(render(text, vars)),
        Value::Array(values) => values.iter().map(|value| render_value(value, vars)).collect(),
        Value::Object(values) => {
            values.iter().map(|(key, value)| (key.clone(), render_value(value, vars))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The name of the variable that a text consists of, if it is nothing but `${name}` or
/// `${name:-default}`.
pub(crate) fn only_variable(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    let name = inner.split_once(":-").map_or(inner, |(name, _)| name);
    (!inner.contains(['}', '\n'])).then_some(name)
}

/// The default of a text that is nothing but `${name:-default}`.
pub(crate) fn default_of(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    inner.split_once(":-").map(|(_, default)| default)
}

/// How a value stands in a text: strings bare, nothing for null, the rest as JSON.
pub fn plain(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "".into(),
        Value::String(text) => text.into(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string().into()
        }
    }
}

/// A variable by name: one of that very name, or the field `c` of a variable `a.b` for `a.b.c`.
/// A name of the older dialect, `voipbin.call.digits`, reads what is called `call.digits` here.
pub fn lookup<'a>(vars: &'a Vars, name: &str) -> Option<&'a Value> {
    if let Some(value) = vars.get(name) {
        return Some(value);
    }
    for (dot, _) in name.rmatch_indices('.') {
        if let Some(value) = vars.get(&name[..dot]) {
            return name[dot + 1..].split('.').try_fold(value, |value, key| match value {
                Value::Object(fields) => fields.get(key),
                Value::Array(values) => values.get(key.parse::<usize>().ok()?),
                _ => None,
            });
        }
    }
    let name = name.strip_prefix("voipbin.")?;
    match name.strip_prefix("conversation_message.") {
        Some(rest) => lookup(vars, &format!("message.{rest}")),
        None => lookup(vars, name),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn vars() -> Vars {
        [
            ("caller.name", json!("Ann")),
            ("empty", json!("")),
            ("n", json!(7)),
            ("trap", json!("${caller.name}")),
            ("order", json!({ "id": 5, "lines": ["tea"] })),
            ("call.digits", json!("12")),
            ("message.text", json!("hi")),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(render(text, &vars()), expected);
    }

    #[test]
    fn variables_are_filled_in() {
        check("Hi ${caller.name}, ${n}!", "Hi Ann, 7!");
        check("${order.id} ${order.lines.0} ${order}", r#"5 tea {"id":5,"lines":["tea"]}"#);
        check("${missing}|${missing:-friend}|${empty:-nobody}|${n:-8}", "|friend|nobody|7");
        check("${voipbin.call.digits} ${voipbin.conversation_message.text}", "12 hi");
    }

    #[test]
    fn what_a_variable_holds_is_never_scanned_again() {
        check("${trap}", "${caller.name}");
    }

    #[test]
    fn a_doubled_dollar_and_an_open_brace_stay() {
        check("$${n} costs $5 ${n", "${n} costs $5 ${n");
        check("$$${n} ${a\n}", "$${n} ${a\n}");
        check("${}", "");
    }

    #[test]
    fn values_that_are_no_strings_stay() {
        let value =
            json!({ "${n}": ["${n}", 1, true, null], "deep": { "text": "${caller.name}" } });
        let expected = json!({ "${n}": ["7", 1, true, null], "deep": { "text": "Ann" } });
        assert_eq!(render_value(&value, &vars()), expected);
    }
}
