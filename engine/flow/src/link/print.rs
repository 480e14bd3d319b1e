//! A document as text, in one layout: what fits on a line stands on it.

use serde_json::Value;

/// The widest line, characters.
const WIDTH: usize = 100;

/// The text of a document, with a line break at its end.
pub(super) fn print(document: &Value) -> String {
    let mut text = String::new();
    put(document, 0, 0, &mut text);
    text.push('\n');
    text
}

/// `used` counts what stands on the line already.
fn put(value: &Value, depth: usize, used: usize, text: &mut String) {
    let line = on_a_line(value);
    // The document itself and the list of its actions are never squeezed.
    let is_list_of_actions = depth <= 1 && value.as_array().is_some_and(|all| !all.is_empty());
    let fits = used + line.chars().count() < WIDTH && depth > 0 && !is_list_of_actions;
    match value {
        Value::Array(values) if !fits && !values.is_empty() => {
            text.push('[');
            for (n, value) in values.iter().enumerate() {
                start(n, depth, text);
                put(value, depth + 1, 2 * (depth + 1), text);
            }
            end(depth, text);
            text.push(']');
        }
        Value::Object(fields) if !fits && !fields.is_empty() => {
            text.push('{');
            for (n, (key, value)) in fields.iter().enumerate() {
                start(n, depth, text);
                let key = Value::from(key.as_str()).to_string();
                text.push_str(&key);
                text.push_str(": ");
                put(value, depth + 1, 2 * (depth + 1) + key.chars().count() + 2, text);
            }
            end(depth, text);
            text.push('}');
        }
        _ => text.push_str(&line),
    }
}

fn start(n: usize, depth: usize, text: &mut String) {
    text.push_str(if n == 0 { "\n" } else { ",\n" });
    text.push_str(&"  ".repeat(depth + 1));
}

fn end(depth: usize, text: &mut String) {
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
}

fn on_a_line(value: &Value) -> String {
    match value {
        Value::Array(values) if !values.is_empty() => {
            let all: Vec<String> = values.iter().map(on_a_line).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Object(fields) if !fields.is_empty() => {
            let all: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), on_a_line(value)))
                .collect();
            format!("{{ {} }}", all.join(", "))
        }
        _ => value.to_string(),
    }
}
