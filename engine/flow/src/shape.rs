//! What options must look like: the schema of a type, compiled once, and every fault of a value.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use jsonschema::Validator;
use jsonschema::error::{ValidationError, ValidationErrorKind};
use serde_json::Value;

use crate::action::Spec;
use crate::document::{Document, Written};
use crate::event::Vars;
use crate::place::{At, escape};
use crate::text;

/// A schema with its validator.
pub(crate) struct Shape {
    /// As generated.
    pub schema: Value,
    validator: Validator,
    /// Whether there are targets or expressions in it.
    marked: bool,
    /// What the type does, from its doc comment.
    pub description: String,
}

/// A fault of a value.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Where, below the value.
    pub pointer: String,
    /// What of it.
    pub at: At,
    /// Whether it is the value itself that is wrong, not a key in it.
    of_value: bool,
    /// In words.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
}

/// A string that means more than its letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The id of an action.
    Target,
    /// An expression.
    Expression,
}

/// The shape of an action type's options.
pub(crate) fn of(spec: &Spec) -> &'static Shape {
    static SHAPES: OnceLock<RwLock<HashMap<TypeId, &'static Shape>>> = OnceLock::new();
    let shapes = SHAPES.get_or_init(RwLock::default);
    let key = (spec.key)();
    let known = shapes.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
    known.unwrap_or_else(|| {
        // One for each type of the program, for its whole life.
        let shape: &'static Shape = Box::leak(Box::new(Shape::new((spec.schema)().to_value())));
        shapes.write().unwrap_or_else(PoisonError::into_inner).insert(key, shape);
        shape
    })
}

/// The shape of a document.
pub(crate) fn document() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(|| Shape::new(schemars::schema_for!(Document).to_value()))
}

/// The shape of one action as written.
pub(crate) fn written() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(|| Shape::new(schemars::schema_for!(Written).to_value()))
}

impl Shape {
    fn new(schema: Value) -> Self {
        let text = schema.to_string();
        let marked = ["action-id", "expression"]
            .iter()
            .any(|format| text.contains(&format!("\"format\":\"{format}\"")));
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(false)
            .build(&schema)
            .expect("a schema generated from a type is valid");
        let description =
            schema.get("description").and_then(Value::as_str).unwrap_or_default().into();
        Self { schema, validator, marked, description }
    }

    /// Whether the value has no fault.
    pub(crate) fn fits(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

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

    /// The schema of what is under a pointer of the value.
    fn at(&self, pointer: &str, value: &Value) -> &Value {
        let mut schema = self.resolve(&self.schema, Some(value));
        let mut value = Some(value);
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            value = value.and_then(|value| match value {
                Value::Object(fields) => fields.get(&step),
                Value::Array(values) => values.get(step.parse::<usize>().ok()?),
                _ => None,
            });
            match child(schema, &step) {
                Some(next) => schema = self.resolve(next, value),
                None => return &Value::Null,
            }
        }
        schema
    }

    /// Follows references, and chooses the alternative that the value is most like.
    fn resolve<'a>(&'a self, mut schema: &'a Value, value: Option<&Value>) -> &'a Value {
        // A type that holds itself is resolved step by step with its value, so this ends.
        for _ in 0..16 {
            if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
                match self.schema.pointer(path.trim_start_matches('#')) {
                    Some(next) => schema = next,
                    None => return schema,
                }
                continue;
            }
            let Some(alternatives) =
                ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key).and_then(Value::as_array))
            else {
                return schema;
            };
            let fitting = alternatives
                .iter()
                .find(|alternative| value.is_some_and(|value| self.is_like(alternative, value)));
            let other = || {
                alternatives.iter().find(|a| a.get("type").and_then(Value::as_str) != Some("null"))
            };
            match fitting.or_else(other) {
                Some(next) => schema = next,
                None => return schema,
            }
        }
        schema
    }

    fn is_like(&self, schema: &Value, value: &Value) -> bool {
        let schema = match schema.get("$ref").and_then(Value::as_str) {
            Some(path) => self.schema.pointer(path.trim_start_matches('#')).unwrap_or(schema),
            None => schema,
        };
        if schema.get("const").is_some_and(|only| only != value) {
            return false;
        }
        types(schema).is_empty() || types(schema).iter().any(|name| is_a(value, name))
    }

    /// Visits every marked string of a value.
    pub(crate) fn marks<'a>(&self, value: &'a Value, visit: &mut dyn FnMut(Mark, &str, &'a str)) {
        if self.marked {
            self.walk(&self.schema, value, &mut String::new(), visit);
        }
    }

    fn walk<'a>(
        &self,
        schema: &Value,
        value: &'a Value,
        pointer: &mut String,
        visit: &mut dyn FnMut(Mark, &str, &'a str),
    ) {
        let schema = self.resolve(schema, Some(value));
        let length = pointer.len();
        match value {
            Value::String(found) => {
                if let Some(mark) = mark(schema) {
                    visit(mark, pointer, found);
                }
            }
            Value::Array(values) => {
                for (n, value) in values.iter().enumerate() {
                    let Some(schema) = child(schema, "0") else { return };
                    pointer.push('/');
                    pointer.push_str(&n.to_string());
                    self.walk(schema, value, pointer, visit);
                    pointer.truncate(length);
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    let Some(schema) = child(schema, key) else { continue };
                    pointer.push('/');
                    pointer.push_str(&escape(key));
                    self.walk(schema, value, pointer, visit);
                    pointer.truncate(length);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The value with the variables of its strings filled in. A string that is nothing but
    /// `${name}` becomes a number, a list and so on where the schema wants one.
    pub(crate) fn fill(&self, value: &Value, vars: &Vars) -> Value {
        self.map(&self.schema, value, &|schema, found| {
            let full = text::render(found, vars);
            let Some(name) = text::only_variable(found) else { return full.into() };
            let wanted = types(schema);
            if wanted.is_empty() || wanted.contains(&"string") {
                return full.into();
            }
            let raw = text::lookup(vars, name);
            match raw.filter(|raw| wanted.iter().any(|name| is_a(raw, name))) {
                Some(raw) => raw.clone(),
                // What does not convert stays a text, which the schema then refuses.
                None => serde_json::from_str(full.trim())
                    .ok()
                    .filter(|read: &Value| wanted.iter().any(|name| is_a(read, name)))
                    .unwrap_or_else(|| full.into()),
            }
        })
    }

    /// The value as it might look once its variables are filled in, for checking the rest of it.
    pub(crate) fn probe(&self, value: &Value) -> Value {
        self.map(&self.schema, value, &|schema, found| {
            let wanted = types(schema);
            if wanted.contains(&"string") || wanted.is_empty() {
                let limited = schema.get("enum").and_then(Value::as_array);
                return limited
                    .and_then(|all| all.first().cloned())
                    .unwrap_or_else(|| found.into());
            }
            if text::only_variable(found).is_none() {
                return found.into();
            }
            sample(schema).unwrap_or_else(|| found.into())
        })
    }

    fn map(&self, schema: &Value, value: &Value, change: &dyn Fn(&Value, &str) -> Value) -> Value {
        let schema = self.resolve(schema, Some(value));
        match value {
            Value::String(found) if text::is_template(found) && mark(schema).is_none() => {
                change(schema, found)
            }
            Value::Array(values) => {
                let inner = child(schema, "0").unwrap_or(&Value::Null);
                values.iter().map(|value| self.map(inner, value, change)).collect()
            }
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| {
                    let inner = child(schema, key).unwrap_or(&Value::Null);
                    (key.clone(), self.map(inner, value, change))
                })
                .collect(),
            _ => value.clone(),
        }
    }

    /// The schema as a model wants it: no references, no titles, nothing about Rust.
    pub(crate) fn parameters(&self) -> Value {
        let mut parameters = self.inline(&self.schema, 0);
        if let Value::Object(fields) = &mut parameters {
            fields.shift_remove("description");
            fields.entry("properties").or_insert_with(|| Value::Object(Default::default()));
        }
        parameters
    }

    fn inline(&self, schema: &Value, depth: usize) -> Value {
        // Types that hold themselves end somewhere.
        if depth > 12 {
            return Value::Bool(true);
        }
        match schema {
            Value::Object(fields) => {
                let mut clean = serde_json::Map::new();
                if let Some(target) = fields
                    .get("$ref")
                    .and_then(Value::as_str)
                    .and_then(|path| self.schema.pointer(path.trim_start_matches('#')))
                    && let Value::Object(inner) = self.inline(target, depth + 1)
                {
                    clean = inner;
                }
                for (key, value) in fields {
                    let noise = match key.as_str() {
                        "$ref" | "$schema" | "$id" | "$defs" => true,
                        "title" | "format" => value.is_string(),
                        _ => false,
                    };
                    if !noise {
                        clean.insert(key.clone(), self.inline(value, depth + 1));
                    }
                }
                Value::Object(clean)
            }
            Value::Array(values) => {
                values.iter().map(|value| self.inline(value, depth + 1)).collect()
            }
            _ => schema.clone(),
        }
    }
}

fn mark(schema: &Value) -> Option<Mark> {
    match schema.get("format").and_then(Value::as_str)? {
        "action-id" => Some(Mark::Target),
        "expression" => Some(Mark::Expression),
        _ => None,
    }
}

/// The schema of a field, or of the elements of a list.
fn child<'a>(schema: &'a Value, step: &str) -> Option<&'a Value> {
    schema
        .get("properties")
        .and_then(|all| all.get(step))
        .or_else(|| schema.get("additionalProperties").filter(|inner| inner.is_object()))
        .or_else(|| schema.get("items"))
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// A value that such a schema admits.
fn sample(schema: &Value) -> Option<Value> {
    for key in ["default", "minimum", "maximum"] {
        if let Some(value) = schema.get(key).filter(|value| !value.is_null()) {
            return Some(value.clone());
        }
    }
    match types(schema).into_iter().find(|name| *name != "null")? {
        "integer" | "number" => Some(1.into()),
        "boolean" => Some(true.into()),
        // An empty list or object may be refused, and says nothing about the rest.
        _ => None,
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
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
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
