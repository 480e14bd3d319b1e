//! The JSON schemas that editors and other programs check flows against.

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
        *schema = with_id(schema.take(), name);
    }
    all
}

fn with_id(schema: Value, name: &str) -> Value {
    let mut fields = Map::new();
    fields.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    fields.insert("$id".into(), format!("{HOME}/{name}.json").into());
    if let Value::Object(rest) = schema {
        for (key, value) in rest {
            fields.entry(key).or_insert(value);
        }
    }
    Value::Object(fields)
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
        let mut option = (spec.schema)().to_value();
        if let Value::Object(fields) = &mut option {
            fields.shift_remove("$schema");
            if let Some(Value::Object(inner)) = fields.shift_remove("$defs") {
                defs.extend(inner);
            }
        }
        // `oneOf` and `anyOf` around all options say which of them must be there.
        let needed = ["required", "oneOf", "anyOf"].iter().any(|key| option.get(key).is_some());
        defs.insert(format!("option.{name}"), option);
        let mut then =
            json!({ "properties": { "option": { "$ref": format!("#/$defs/option.{name}") } } });
        let mut exits = Map::new();
        for exit in ["done", "failed", "timeout"].iter().chain(spec.exits) {
            exits.insert((*exit).into(), json!({ "type": "string", "format": "action-id" }));
        }
        then["properties"]["on"] = json!({ "properties": exits, "additionalProperties": false });
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
        action["allOf"] = Value::Array(rules);
    }
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
