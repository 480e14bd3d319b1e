//! Every fault of a value, in words for the author of a flow.

use jsonschema::error::{ValidationError, ValidationErrorKind};
use serde_json::Value;

use super::{Fault, Shape, types};
use crate::place::{At, escape};
use crate::text;

impl Shape {
    /// Every fault of the value.
    pub(crate) fn faults(&self, value: &Value) -> Vec<Fault> {
        let mut faults = Vec::new();
        for error in self.validator.iter_errors(value) {
            self.explain(&error, value, &mut faults);
        }
        // A value of the wrong kind breaks other rules too, which says nothing more.
        let mut told: Vec<String> = Vec::new();
        faults.retain(|fault| {
            let again = fault.of_value && told.contains(&fault.pointer);
            if fault.of_value {
                told.push(fault.pointer.clone());
            }
            !again
        });
        faults
    }

    fn explain(&self, error: &ValidationError<'_>, value: &Value, faults: &mut Vec<Fault>) {
        let pointer = error.instance_path().to_string();
        let found = value.pointer(&pointer).unwrap_or(value);
        let of_value = !matches!(
            error.kind(),
            ValidationErrorKind::AdditionalProperties { .. } | ValidationErrorKind::Required { .. }
        );
        let mut fault = |pointer: String, at, message, help| {
            faults.push(Fault { pointer, at, of_value, message, help });
        };
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                for key in unexpected {
                    let schema = self.at(&pointer, value);
                    let known = keys(schema);
                    let help = match nearest(key, known.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if known.is_empty() => "nothing is expected here".into(),
                        None => format!("expected: {}", list(&known)),
                    };
                    let message = format!("`{key}` is not known here");
                    fault(format!("{pointer}/{}", escape(key)), At::Key, message, Some(help));
                }
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                let schema = self.at(&pointer, value);
                let help = schema
                    .pointer(&format!("/properties/{}", escape(key)))
                    .and_then(|schema| self.resolve(schema, None).get("description"))
                    .or_else(|| schema.pointer(&format!("/properties/{}/description", escape(key))))
                    .and_then(Value::as_str)
                    .map(one_line);
                fault(pointer, At::Value, format!("`{key}` is missing"), help);
            }
            ValidationErrorKind::OneOfMultipleValid { .. } => {
                let message = "two options that exclude each other";
                let help = "keep one of them";
                fault(pointer, At::Value, message.into(), Some(help.into()));
            }
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => {
                if let Some(options) = constants(context) {
                    let (message, help) = no_such(found, &options);
                    return fault(pointer, At::Value, message, Some(help));
                }
                // The alternative that the value is most like tells best what is wrong.
                let best = context
                    .iter()
                    .filter(|errors| !errors.is_empty())
                    .max_by_key(|errors| likeness(errors, &pointer));
                match best {
                    Some(errors) if likeness(errors, &pointer) > 0 || context.len() <= 2 => {
                        for error in errors {
                            self.explain(error, value, faults);
                        }
                    }
                    _ => {
                        let message = format!("{} is not what is expected", short(found));
                        let help = Some(format!("expected: {}", words(self.at(&pointer, value))));
                        fault(pointer, At::Value, message, help);
                    }
                }
            }
            ValidationErrorKind::Type { .. } => {
                let message = format!("{} is {}", short(found), kind(found));
                let help = Some(format!("expected: {}", words(self.at(&pointer, value))));
                fault(pointer, At::Value, message, help);
            }
            ValidationErrorKind::Enum { options } => {
                let options: Vec<String> = options
                    .as_array()
                    .map(|all| all.iter().map(|one| text::plain(one).into_owned()).collect())
                    .unwrap_or_default();
                let (message, help) = no_such(found, &options);
                fault(pointer, At::Value, message, Some(help));
            }
            ValidationErrorKind::Minimum { limit } => {
                fault(pointer, At::Value, format!("{} is less than {limit}", short(found)), None);
            }
            ValidationErrorKind::Maximum { limit } => {
                fault(pointer, At::Value, format!("{} is more than {limit}", short(found)), None);
            }
            ValidationErrorKind::MinItems { limit } => {
                fault(pointer, At::Value, format!("at least {limit} must be given"), None);
            }
            ValidationErrorKind::MinLength { limit } => {
                let message = match limit {
                    1 => "the text is empty".into(),
                    n => format!("the text has fewer than {n} characters"),
                };
                fault(pointer, At::Value, message, None);
            }
            ValidationErrorKind::MaxLength { limit } => {
                let message = format!("the text has more than {limit} characters");
                fault(pointer, At::Value, message, None);
            }
            _ => fault(pointer, At::Value, error.to_string(), None),
        }
    }
}

/// How much a value is like the alternative that has these errors: deep errors mean that the
/// outside is right.
fn likeness(errors: &[ValidationError<'_>], pointer: &str) -> usize {
    let wrong_kind = errors.iter().any(|error| {
        matches!(
            error.kind(),
            ValidationErrorKind::Type { .. } | ValidationErrorKind::Constant { .. }
        ) && error.instance_path().as_str() == pointer
    });
    usize::from(!wrong_kind)
}

/// The values that may be, when the alternatives are nothing but values.
fn constants(context: &[Vec<ValidationError<'_>>]) -> Option<Vec<String>> {
    let mut options = Vec::new();
    for error in context.iter().flatten() {
        match error.kind() {
            ValidationErrorKind::Constant { expected_value } => {
                options.push(text::plain(expected_value).into_owned());
            }
            ValidationErrorKind::Enum { options: some } => {
                let some = some.as_array().into_iter().flatten();
                options.extend(some.map(|one| text::plain(one).into_owned()));
            }
            ValidationErrorKind::Type { .. } => {}
            _ => return None,
        }
    }
    (!options.is_empty()).then_some(options)
}

/// What to say of a value that is none of those that may be.
fn no_such(found: &Value, options: &[String]) -> (String, String) {
    let near = found.as_str().and_then(|found| nearest(found, options.iter().map(String::as_str)));
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected: {}", list(options)),
    };
    (format!("{} is none of the values it may have", short(found)), help)
}

fn keys(schema: &Value) -> Vec<String> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|all| all.keys().cloned().collect())
        .unwrap_or_default()
}

/// A value in a message, cut when it is long.
fn short(value: &Value) -> String {
    let text = match value {
        Value::Array(_) => return "a list".into(),
        Value::Object(_) => return "an object".into(),
        _ => value.to_string(),
    };
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("`{}...`", &text[..at]),
        None => format!("`{text}`"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(n) if n.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "not what is expected",
        Value::Object(_) => "not what is expected",
    }
}

fn words(schema: &Value) -> String {
    let names: Vec<&str> = types(schema)
        .into_iter()
        .filter(|name| *name != "null")
        .map(|name| match name {
            "string" => "a text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "an object",
            other => other,
        })
        .collect();
    match names.is_empty() {
        true => "something else".into(),
        false => names.join(" or "),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Names for people: `a`, `b` or `c`.
pub(crate) fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// The name that was probably meant.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), other))
        .filter(|(distance, other)| {
            let longer = other.chars().count().max(name.chars().count());
            *distance <= 1 + longer / 4 && *distance * 2 <= longer
        })
        .min()
        .map(|(_, other)| other)
}
