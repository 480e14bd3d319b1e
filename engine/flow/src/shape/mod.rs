//! What options must look like: the schema of a type, compiled once.
//!
//! Read in this order: this file (what a schema says of a value) → [`fill`] (its variables) →
//! [`explain`] (what is wrong with it).

mod explain;
mod fill;

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use jsonschema::Validator;
use serde_json::Value;

use crate::action::Spec;
use crate::document::{Document, Written};
use crate::place::{At, escape};

pub(crate) use explain::list;
pub use explain::nearest;

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
    /// An expression that must be true or false.
    Condition,
    /// The name of an action that a model may take.
    Tool,
    /// The name of a vendor that does this work.
    Vendor(&'static str),
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
        let marked = ["action-id", "expression", "tool", "model", "recognizer", "voice"]
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
                match self.definition(path) {
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
            // Which fields must be there is no choice between shapes.
            if alternatives.iter().all(only_requires) {
                return schema;
            }
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
            Some(path) => self.definition(path).unwrap_or(schema),
            None => schema,
        };
        if schema.get("const").is_some_and(|only| only != value) {
            return false;
        }
        types(schema).is_empty() || types(schema).iter().any(|name| is_a(value, name))
    }

    /// What a reference means: `#/$defs/Name`, or `#` for all of it.
    fn definition(&self, path: &str) -> Option<&Value> {
        match path.strip_prefix("#/$defs/") {
            Some(name) => self.schema.get("$defs")?.get(name),
            None => (path == "#").then_some(&self.schema),
        }
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
        // What a field says of itself counts more than what its type says.
        let own = mark(schema);
        let schema = self.resolve(schema, Some(value));
        let length = pointer.len();
        match value {
            Value::String(found) => {
                if let Some(mark) = own.or_else(|| mark(schema)) {
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
                    .and_then(|path| self.definition(path))
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
        "condition" => Some(Mark::Condition),
        "tool" => Some(Mark::Tool),
        "model" => Some(Mark::Vendor("model")),
        "recognizer" => Some(Mark::Vendor("recognizer")),
        "voice" => Some(Mark::Vendor("voice")),
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

/// Whether a schema says nothing but which fields must be there.
fn only_requires(schema: &Value) -> bool {
    schema.as_object().is_some_and(|all| all.len() == 1 && all.contains_key("required"))
}
