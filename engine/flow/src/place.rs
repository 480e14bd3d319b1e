//! Where in the text of a document something stands: JSON pointer -> bytes -> line and column.

use std::borrow::Cow;
use std::ops::Range;

use jsonc_parser::ast::Value as Node;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

/// The lines of a JSON text, by JSON pointer: where an action stands in its flow, an act in its
/// scenario.
pub struct Lines<'a> {
    text: &'a str,
    root: Option<Node<'a>>,
}

impl<'a> Lines<'a> {
    /// Reads a text once. What is no JSON has one line.
    pub fn of(text: &'a str) -> Self {
        let read = parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default());
        Self { text, root: read.ok().and_then(|read| read.value) }
    }

    /// The line of what a pointer means, from 1: of its key, when it stands under one. That of the
    /// nearest thing around it when part of the pointer does not exist.
    pub fn line(&self, pointer: &str) -> usize {
        let Some(root) = &self.root else { return 1 };
        line_and_column(self.text, find(self.text, root, pointer, &At::Key).start).0
    }
}

/// What of the thing under a pointer is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Its value.
    Value,
    /// The key that it stands under.
    Key,
    /// Characters of a string's value, counted in bytes after unescaping.
    Inside(Range<usize>),
}

/// The range of a node. When part of the pointer does not exist, that of the nearest thing around
/// it: an option that is missing is pointed out at the object that lacks it.
pub(crate) fn find(text: &str, root: &Node<'_>, pointer: &str, at: &At) -> Range<usize> {
    let mut node = root;
    let mut key = None;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        match node {
            Node::Object(object) => {
                // Of a key that stands twice, serde_json keeps the last; so do we.
                let Some(property) = object.properties.iter().rfind(|p| p.name.as_str() == step)
                else {
                    return outer(node);
                };
                key = Some(property.name.range());
                node = &property.value;
            }
            Node::Array(array) => {
                let Some(next) = step.parse().ok().and_then(|n: usize| array.elements.get(n))
                else {
                    return outer(node);
                };
                key = None;
                node = next;
            }
            _ => return outer(node),
        }
    }
    match (at, node) {
        (At::Key, _) => key.map_or_else(|| outer(node), |key| key.start..key.end),
        (At::Inside(inside), Node::StringLit(literal)) => {
            let raw = &text[literal.range.start..literal.range.end];
            let start = literal.range.start + raw_offset(raw, inside.start);
            let end = literal.range.start + raw_offset(raw, inside.end);
            start..end.max(start)
        }
        _ => outer(node),
    }
}

/// The range of a node; of an object or a list only its first line, since the rest would bury the
/// finding.
fn outer(node: &Node<'_>) -> Range<usize> {
    let range = node.range();
    match node {
        Node::Object(_) | Node::Array(_) => range.start..range.start + 1,
        _ => range.start..range.end,
    }
}

/// Where the byte `offset` of a string's value is in its source, quotes and escapes counted.
fn raw_offset(raw: &str, offset: usize) -> usize {
    let mut value = 0;
    let mut chars = raw.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if value >= offset {
            return at;
        }
        if c != '\\' {
            value += c.len_utf8();
            continue;
        }
        match chars.next() {
            Some((_, 'u')) => {
                let hex: String = (0..4).filter_map(|_| chars.next()).map(|(_, c)| c).collect();
                let unit = u32::from_str_radix(&hex, 16).unwrap_or(0);
                // Half of a surrogate pair; the pair takes four bytes.
                value += match char::from_u32(unit) {
                    Some(c) => c.len_utf8(),
                    None => 2,
                };
            }
            _ => value += 1,
        }
    }
    raw.len().saturating_sub(1)
}

/// Line and column of a byte, both counted from 1, columns in characters.
pub(crate) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    let before = &text[..byte];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

/// A key as a step of a JSON pointer.
pub(crate) fn escape(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) {
        return key.replace('~', "~0").replace('/', "~1").into();
    }
    key.into()
}
