//! The JSON schemas that editors and other programs check flows against.
//!
//! Invariant: what links without an error is valid under `flow`. It may admit more than the linker,
//! which knows ids, expressions and variables too.

mod written;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::ALL;

/// Where the schemas are published; only a name, nothing is fetched.
const HOME: &str = "https://voxflow.dev/schemas";

/// Every schema by name: `flow`, `ai`, `actions/<type>`.
pub fn schemas() -> BTreeMap<String, Value> {
    let mut all = BTreeMap::from([("flow".to_owned(), document())]);
    all.insert("ai".to_owned(), schemars::schema_for!(agent::Config).to_value());
    for (name, spec) in ALL {
        all.insert(format!("actions/{name}"), (spec.schema)().to_value());
    }
    for (name, schema) in &mut all {
        publish(name, schema);
    }
    all
}

/// Makes a generated schema one to publish: its dialect, its name, and descriptions that editors
/// show well.
pub fn publish(name: &str, schema: &mut Value) {
    paragraphs(schema);
    let mut fields = Map::new();
    fields.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    fields.insert("$id".into(), format!("{HOME}/{name}.json").into());
    if let Value::Object(rest) = schema.take() {
        for (key, value) in rest {
            fields.entry(key).or_insert(value);
        }
    }
    *schema = fields.into();
}

/// Puts a kind of text, such as an expression, where a description of its own refers to it: editors
/// would show only one of the two descriptions.
fn spell_out(schema: &mut Value, texts: &Map<String, Value>) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(|inner| spell_out(inner, texts));
            let Some(own) = fields.get("description").and_then(Value::as_str) else { return };
            let choices = fields.get("anyOf").and_then(Value::as_array);
            let nullable = choices.is_some_and(|all| all.len() == 2 && all[1]["type"] == "null");
            let path = match choices {
                Some(all) if nullable => all[0].get("$ref"),
                _ => fields.get("$ref"),
            };
            let name = path.and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
            let Some(mut text) = name.and_then(|name| texts.get(name)).cloned() else { return };
            text["description"] =
                format!("{own}\n\n{}", text["description"].as_str().unwrap_or_default()).into();
            if nullable {
                text["type"] = json!(["string", "null"]);
            }
            *schema = text;
        }
        Value::Array(values) => values.iter_mut().for_each(|inner| spell_out(inner, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Doc comments are Markdown, broken into lines where the code is; editors show each line as a
/// paragraph, and code spans only where they are told that it is Markdown.
fn paragraphs(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(paragraphs);
            let Some(Value::String(text)) = fields.get_mut("description") else { return };
            let joined: Vec<String> = text
                .split("\n\n")
                .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            *text = joined.join("\n\n");
            if text.contains('`') {
                let text = Value::clone(&fields["description"]);
                fields.insert("markdownDescription".into(), text);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(paragraphs),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The schema of a whole document: an object, or a bare list of actions. What an action's options
/// may be depends on its type. Nothing refers to another file, so that editors need no network.
fn document() -> Value {
    let mut schema = schemars::schema_for!(flow::Document).to_value();
    let mut defs = match schema.get_mut("$defs").map(Value::take) {
        Some(Value::Object(defs)) => defs,
        _ => Map::new(),
    };
    let mut rules = Vec::new();
    for (name, spec) in ALL {
        let mut option = written::option(spec);
        if let Value::Object(fields) = &mut option {
            fields.shift_remove("$schema");
            fields.shift_remove("title");
            if let Some(Value::Object(inner)) = fields.shift_remove("$defs") {
                for (def, about) in inner {
                    let one = defs.entry(&def).or_insert_with(|| about.clone());
                    assert!(*one == about, "two options of actions are called {def}");
                }
            }
        }
        // `oneOf`, `anyOf` and `allOf` around all options say which of them must be there.
        let needed = ["required", "oneOf", "anyOf", "allOf"];
        let needed =
            needed.iter().any(|key| option[*key].as_array().is_some_and(|a| !a.is_empty()));
        if !needed {
            option["type"] = json!(["object", "null"]);
        }
        defs.insert(format!("option.{name}"), option);
        let mut exits = Map::new();
        for exit in ["done", "failed", "timeout"].iter().chain(spec.exits) {
            exits.insert((*exit).into(), json!({ "type": "string", "format": "action-id" }));
        }
        let mut then = json!({ "properties": {
            "option": { "$ref": format!("#/$defs/option.{name}") },
            "on": { "properties": exits, "additionalProperties": false },
        } });
        if needed {
            then["required"] = json!(["option"]);
        }
        let names: Vec<&str> = std::iter::once(*name)
            .chain(ALL.aliases.iter().filter(|(_, today)| today == name).map(|(older, _)| *older))
            .collect();
        rules.push(json!({
            "if": { "properties": { "type": { "enum": names } }, "required": ["type"] },
            "then": then,
        }));
    }
    if let Some(action) = defs.get_mut("Written") {
        action["properties"]["type"] = kinds();
        action["properties"]["id"]["pattern"] = r"^[A-Za-z0-9_.-]{0,64}$".into();
        action["properties"]["next_id"]["deprecationMessage"] =
            "An older name: write `next`.".into();
        action["allOf"] = Value::Array(rules);
    }
    let texts: Map<String, Value> = defs
        .iter()
        .filter(|(_, def)| def["type"] == "string")
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    defs.values_mut().for_each(|def| spell_out(def, &texts));
    let mut object = schema;
    if let Value::Object(fields) = &mut object {
        for key in ["$schema", "$defs", "title", "description"] {
            fields.shift_remove(key);
        }
    }
    json!({
        "title": "A flow",
        "description": "A flow of actions for phone calls and text conversations.",
        "if": { "type": "array" },
        "then": { "type": "array", "items": { "$ref": "#/$defs/Written" }, "minItems": 1 },
        "else": object,
        "$defs": defs,
    })
}

/// The names of all types with what they do, so that an editor can offer them.
fn kinds() -> Value {
    let mut kinds: Vec<Value> = Vec::new();
    for (name, spec) in ALL {
        let schema = (spec.schema)().to_value();
        kinds.push(json!({ "const": name, "description": schema["description"] }));
    }
    for (older, today) in ALL.aliases {
        let description = format!("Older name of `{today}`.");
        kinds.push(json!({ "const": older, "description": description, "deprecated": true }));
    }
    json!({ "description": "Which action.", "type": "string", "oneOf": kinds })
}
