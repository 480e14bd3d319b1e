//! What links is valid under the schema that editors use, however oddly it is written.

use std::collections::BTreeMap;

use flow::{Linking, Needs, Spec, link};
use serde_json::{Map, Value, json};

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

const TEMPLATES: [&str; 6] = ["${x}", "${x:-7}", "${x:-true}", "a ${x} b", "$${x}", "${x:-busy}"];

/// A value that fits a schema, or nearly.
fn value(root: &Value, schema: &Value, dice: &mut Dice) -> Value {
    if dice.once_in(9) {
        return (*dice.of(&TEMPLATES)).into();
    }
    if dice.once_in(25) {
        return dice
            .of(&[json!(null), json!(1.5), json!("x"), json!(true), json!([]), json!({})])
            .clone();
    }
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        return value(root, root.pointer(&path[1..]).unwrap(), dice);
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    for key in ["enum", "examples"] {
        if let Some(all) = schema.get(key).and_then(Value::as_array) {
            return dice.of(all).clone();
        }
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(all) = schema.get(key).and_then(Value::as_array)
            && all.iter().all(|one| one.get("required").is_none())
        {
            return value(root, dice.of(all), dice);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(all) => dice.of(all).clone(),
        one => one.clone(),
    };
    match kind.as_str().unwrap_or_default() {
        "integer" | "number" => {
            let least = schema.get("minimum").and_then(Value::as_i64).unwrap_or(0);
            (least + dice.below(6) as i64).into()
        }
        "boolean" => dice.once_in(2).into(),
        "string" => match schema.get("format").and_then(Value::as_str) {
            Some("action-id") => (*dice.of(&["a", "b", "end"])).into(),
            Some("expression") => (*dice.of(&["true", "now.hour < 3"])).into(),
            _ => (*dice.of(&["1", "en-US", "+15551230000", "x y"])).into(),
        },
        "array" => (0..dice.below(3)).map(|_| value(root, &schema["items"], dice)).collect(),
        "object" => object(root, schema, dice),
        "null" => Value::Null,
        _ => "anything".into(),
    }
}

fn object(root: &Value, schema: &Value, dice: &mut Dice) -> Value {
    let mut fields = Map::new();
    let required = |key: &str| {
        schema["required"].as_array().is_some_and(|all| all.iter().any(|name| name == key))
    };
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        if if required(key) { !dice.once_in(30) } else { dice.once_in(3) } {
            fields.insert(key.clone(), value(root, inner, dice));
        }
    }
    if schema["additionalProperties"].is_object() {
        for key in ["1", "k"] {
            fields.insert(key.into(), value(root, &schema["additionalProperties"], dice));
        }
    }
    fields.into()
}

fn action(name: &str, spec: &Spec, dice: &mut Dice) -> Value {
    let schema = (spec.schema)().to_value();
    let mut option = value(&schema, &schema, dice);
    if let Value::Object(fields) = &mut option {
        for (older, today) in spec.renamed {
            if dice.once_in(3)
                && let Some(value) = fields.remove(*today)
            {
                fields.insert((*older).into(), value);
            }
        }
        for (bare, meant) in spec.filled {
            if fields.remove(*meant).is_some() {
                fields.insert((*bare).into(), "${x}".into());
            }
        }
        for (option, older, _) in spec.words {
            if dice.once_in(3) {
                fields.insert((*option).into(), (*older).into());
            }
        }
    }
    let older: Vec<&str> = actions::ALIASES
        .iter()
        .filter(|(_, today)| *today == name)
        .map(|(older, _)| *older)
        .chain([name])
        .collect();
    let mut action = json!({ "id": "a", "type": dice.of(&older) });
    if option != json!({}) || dice.once_in(2) {
        action["option"] = option;
    }
    let extras = [
        ("next", json!("b")),
        ("next_id", json!("00000000-0000-0000-0000-000000000002")),
        ("next_id", json!("")),
        ("next", json!(null)),
        ("id", json!("")),
        ("id", json!(null)),
        ("if", json!("x == 1")),
        ("if", json!(null)),
        ("option", json!(null)),
        ("on", json!({ "failed": "end", "done": "b" })),
        ("timeout_s", json!(5)),
        ("retry", json!({ "times": 1 })),
        ("note", json!("ü")),
    ];
    while dice.once_in(2) {
        let (key, value) = dice.of(&extras);
        action[*key] = value.clone();
    }
    action
}

#[test]
fn what_links_is_valid_for_an_editor() {
    let validator = jsonschema::draft202012::new(&actions::schemas()["flow"]).unwrap();
    let mut dice = Dice(7);
    let mut linked: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, spec) in actions::ALL {
        for _ in 0..400 {
            let mut list = vec![action(name, spec, &mut dice)];
            // By the note it is no document of the older dialect, which lets mistakes pass.
            list.push(json!({ "id": "b", "type": "sleep", "option": { "duration_s": 1 },
                              "note": "a while" }));
            list.push(json!({ "type": "stop", "id": "a2" }));
            let mut document: Value = list.into();
            if dice.once_in(2) {
                document =
                    json!({ "on_error": "end", "variables": { "x": 1 }, "actions": document });
            }
            let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
            if link(&document.to_string(), linking).is_err() {
                continue;
            }
            *linked.entry(*name).or_default() += 1;
            let faults: Vec<String> = validator
                .iter_errors(&document)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert_eq!(faults, Vec::<String>::new(), "{document:#}");
        }
    }
    for (name, _) in actions::ALL {
        let n = linked.get(name).copied().unwrap_or_default();
        assert!(n > 20, "only {n} of 400 random `{name}` link, which tests little");
    }
}
