//! The text of a document: strict JSON, yet read on past small slips so that the rest is checked.

use std::fmt;
use std::ops::Range;

use jsonc_parser::ast::{Object, Value as Node};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Finding, Findings};
use crate::diagnostic::{DUPLICATE_KEY, SYNTAX};
use crate::place::{At, escape};

/// The larger the document, the longer everything; a flow of a thousand actions is below this.
const LARGEST: usize = 1024 * 1024;

/// Reads a text; with its tree when there is something to place in it. `None` when there is nothing
/// in it to check.
pub(super) fn read<'a>(
    text: &'a str,
    findings: &mut Findings,
) -> Option<(Option<Node<'a>>, Value)> {
    // Most texts have no fault: then their tree is not needed.
    if text.len() <= LARGEST
        && let Ok(Plain(value)) = serde_json::from_str(text)
    {
        return Some((None, value));
    }
    with_tree(text, findings).map(|(root, value)| (Some(root), value))
}

/// The tree of a text that can be read.
pub(super) fn tree(text: &str) -> Option<Node<'_>> {
    parse_to_ast(text, &CollectOptions::default(), &strict()).ok()?.value
}

fn with_tree<'a>(text: &'a str, findings: &mut Findings) -> Option<(Node<'a>, Value)> {
    if text.len() > LARGEST {
        syntax(findings, 0..0, format!("a document has at most {LARGEST} bytes"), None);
        return None;
    }
    if text.trim().is_empty() {
        let help = "a flow begins with `{ \"actions\": [`";
        syntax(findings, 0..0, "the document is empty".into(), Some(help.into()));
        return None;
    }
    let collect = CollectOptions::default;
    let root = match parse_to_ast(text, &collect(), &strict()) {
        Ok(read) => read.value?,
        Err(error) => {
            let range = error.range();
            let message = error.kind().to_string();
            syntax(findings, range.start..range.end, message, None);
            // Comments, trailing commas and the like hide nothing of what is meant.
            parse_to_ast(text, &collect(), &ParseOptions::default()).ok()?.value?
        }
    };
    let value = value(&root, &mut String::new(), findings);
    Some((root, value))
}

/// A value without a key that stands twice.
struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reading).map(Plain)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(yes.into())
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(n.into())
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(n.into())
    }

    fn visit_f64<E>(self, n: f64) -> Result<Value, E> {
        Ok(n.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Plain(value)) = from.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((key, Plain(value))) = from.next_entry::<String, _>()? {
            if fields.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice"));
            }
        }
        Ok(fields.into())
    }
}

fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

fn syntax(findings: &mut Findings, span: Range<usize>, message: String, help: Option<String>) {
    findings.all.push(Finding {
        rule: SYNTAX,
        pointer: String::new(),
        at: At::Value,
        span: Some(span),
        message,
        help,
    });
}

fn value(node: &Node<'_>, pointer: &mut String, findings: &mut Findings) -> Value {
    match node {
        Node::NullKeyword(_) => Value::Null,
        Node::BooleanLit(literal) => Value::Bool(literal.value),
        Node::StringLit(literal) => Value::String(literal.value.to_string()),
        Node::NumberLit(literal) => match literal.value.parse::<Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => {
                let range = node.range();
                let message = format!("`{}` is not a number that can be held", literal.value);
                syntax(findings, range.start..range.end, message, None);
                Value::Null
            }
        },
        Node::Array(array) => {
            let length = pointer.len();
            let mut values = Vec::with_capacity(array.elements.len());
            for (n, element) in array.elements.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&n.to_string());
                values.push(value(element, pointer, findings));
                pointer.truncate(length);
            }
            Value::Array(values)
        }
        Node::Object(object) => Value::Object(fields(object, pointer, findings)),
    }
}

fn fields(
    object: &Object<'_>,
    pointer: &mut String,
    findings: &mut Findings,
) -> Map<String, Value> {
    let length = pointer.len();
    let mut fields = Map::with_capacity(object.properties.len());
    for property in &object.properties {
        let key = property.name.as_str();
        pointer.push('/');
        pointer.push_str(&escape(key));
        let value = value(&property.value, pointer, findings);
        if fields.insert(key.to_string(), value).is_some() {
            let message = format!("the key `{key}` stands twice in this object");
            let help = "the last one counts; remove the others";
            findings.add_with(DUPLICATE_KEY, pointer.as_str(), At::Key, message, Some(help));
        }
        pointer.truncate(length);
    }
    fields
}
