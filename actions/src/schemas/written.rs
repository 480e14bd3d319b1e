//! What an author may write for the options of an action: their schema, and all that the linker
//! reads besides. Older names and words, and `${name}` where it will be filled in.

use flow::Spec;
use serde_json::{Map, Value, json};

/// A text that is nothing but one variable; it is converted to what is wanted.
const ONE_VARIABLE: &str = r"^\$\{[^}\n]*\}$";
/// A text with a variable in it.
const VARIABLES: &str = r"\$\{";

/// The schema of an action's options as they may be written.
pub(super) fn option(spec: &Spec) -> Value {
    let mut schema = (spec.schema)().to_value();
    loosen(&mut schema);
    if let Value::Object(fields) = &mut schema {
        words(fields, spec);
        names(fields, spec);
    }
    schema
}

/// Admits variables wherever they are filled in: not in targets and expressions, which are read
/// when the flow is linked.
fn loosen(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    if matches!(
        fields.get("format").and_then(Value::as_str),
        Some("action-id" | "expression" | "condition")
    ) {
        return;
    }
    for key in ["properties", "$defs"] {
        for inner in fields.get_mut(key).and_then(Value::as_object_mut).into_iter().flatten() {
            loosen(inner.1);
        }
    }
    for key in ["items", "additionalProperties"] {
        fields.get_mut(key).into_iter().for_each(loosen);
    }
    for key in ["anyOf", "oneOf"] {
        let choices = fields.get_mut(key).and_then(Value::as_array_mut);
        choices.into_iter().flatten().for_each(loosen);
    }
    convert(fields);
    if let Some(Value::String(pattern)) = fields.get_mut("pattern")
        && !pattern.contains(VARIABLES)
    {
        *pattern = format!("{pattern}|{VARIABLES}");
    }
    if fields.contains_key("enum") {
        let all = fields.shift_remove("enum");
        fields.insert("anyOf".into(), json!([{ "enum": all }, with_variables()]));
    }
    let constants = |all: &Value| {
        let is = |one: &Value| one.get("const").is_some() || one.get("enum").is_some();
        all.as_array().is_some_and(|all| all.iter().any(is))
    };
    if fields.get("oneOf").is_some_and(constants)
        && let Some(Value::Array(mut all)) = fields.shift_remove("oneOf")
    {
        all.push(with_variables());
        fields.insert("anyOf".into(), all.into());
    }
}

/// What is no text may be written as one variable.
fn convert(fields: &mut Map<String, Value>) {
    let types: Vec<Value> = match fields.get("type") {
        Some(Value::Array(types)) => types.clone(),
        Some(one) => vec![one.clone()],
        None => return,
    };
    if types.iter().any(|one| one == "string") || types == ["null"] {
        return;
    }
    let with_text: Vec<Value> = types.into_iter().chain(["string".into()]).collect();
    fields.insert("type".into(), with_text.into());
    fields.insert("pattern".into(), ONE_VARIABLE.into());
    fields.insert(
        "patternErrorMessage".into(),
        "Only a variable may stand here as a text, such as \"${n}\".".into(),
    );
}

fn with_variables() -> Value {
    json!({ "type": "string", "pattern": VARIABLES })
}

/// Older words for values.
fn words(fields: &mut Map<String, Value>, spec: &Spec) {
    for (option, older, today) in spec.words {
        let about = fields.get_mut("properties").and_then(|all| all.get_mut(option));
        let Some(about) = about else { continue };
        let word = json!({
            "const": older,
            "description": format!("Older word for `{today}`."),
            "deprecated": true,
        });
        match about.get_mut("anyOf").and_then(Value::as_array_mut) {
            Some(all) => all.push(word),
            None => {
                let mut outer = Map::new();
                for key in ["description", "default"] {
                    if let Some(kept) = about.as_object_mut().and_then(|all| all.shift_remove(key))
                    {
                        outer.insert(key.into(), kept);
                    }
                }
                outer.insert("anyOf".into(), json!([about.take(), word]));
                *about = outer.into();
            }
        }
    }
}

/// Older names of options: each is as today's, and where today's is needed one of them will do.
fn names(fields: &mut Map<String, Value>, spec: &Spec) {
    let mut instead: Vec<(&str, &str)> = spec.filled.to_vec();
    for (older, today) in spec.renamed {
        instead.push((older, today));
        let Some(properties) = fields.get_mut("properties") else { continue };
        let Some(mut about) = properties.get(today).cloned() else { continue };
        if properties.get(older).is_some() {
            continue;
        }
        about["description"] = format!("Older name of `{today}`.").into();
        about["deprecated"] = true.into();
        // What Visual Studio Code shows, and by which it does not offer the name.
        about["deprecationMessage"] = format!("An older name: write `{today}`.").into();
        properties[*older] = about;
    }
    let either = |name: &str| -> Vec<Value> {
        let older = instead.iter().filter(|(_, today)| *today == name).map(|(older, _)| *older);
        std::iter::once(name).chain(older).map(|name| json!({ "required": [name] })).collect()
    };
    let mut choices = Vec::new();
    if let Some(Value::Array(required)) = fields.get_mut("required") {
        required.retain(|name| {
            let names = either(name.as_str().unwrap_or_default());
            if names.len() > 1 {
                choices.push(json!({ "anyOf": names }));
            }
            !choices.iter().any(|choice| choice["anyOf"][0]["required"][0] == *name)
        });
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(all)) = fields.get_mut(key) {
            *all = all
                .iter()
                .flat_map(|one| match one["required"][0].as_str() {
                    Some(name) => either(name),
                    None => vec![one.clone()],
                })
                .collect();
        }
    }
    if !choices.is_empty() {
        fields.insert("allOf".into(), choices.into());
    }
}
