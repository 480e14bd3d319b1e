//! Documents by chance: every action type, its options made from its schema.

use std::sync::OnceLock;

use flow::{Medium, Spec};
use serde_json::{Map, Value, json};

use super::Chance;

/// The names under which flows call each other.
pub const CALLED: [&str; 2] = ["s0", "s1"];

const TEXTS: [&str; 10] = [
    "a",
    "1",
    "x",
    "${x}",
    "${y}",
    "${message.text:-none}${y}",
    "",
    "+15551230000",
    "#",
    "${list}",
];

const EXPRESSIONS: [&str; 12] = [
    "true",
    "x == 1",
    "now.hour < 12",
    "x > y",
    "message.text == \"a\"",
    "1 / x == 0",
    "x",
    "y.len() > 2",
    "x + 1 == 2",
    "caller.name != ()",
    "item == 2",
    "event.name == \"a\"",
];

/// Names of variables.
const NAMES: [&str; 6] = ["x", "y", "list", "item", "call.digits", "z.a"];

/// Every type with the schema of its options.
fn types() -> &'static [(&'static str, &'static Spec, Value)] {
    static TYPES: OnceLock<Vec<(&'static str, &'static Spec, Value)>> = OnceLock::new();
    TYPES.get_or_init(|| {
        let all = actions::ALL.into_iter();
        all.map(|(name, spec)| (*name, spec, (spec.schema)().to_value())).collect()
    })
}

/// A document of 2 to 11 actions, hardly ever for another medium. Many of them link.
pub fn document(chance: &mut Chance<'_>, medium: Medium) -> String {
    let count = 2 + chance.below(10);
    let actions: Vec<Value> = (0..count).map(|n| action(chance, medium, n, count)).collect();
    let mut document = json!({
        "variables": { "x": 1, "y": "", "list": [1, 2, "a"] },
        "actions": actions,
    });
    if chance.once_in(2) {
        document["on_error"] = format!("a{}", count - 1).into();
    }
    document.to_string()
}

fn action(chance: &mut Chance<'_>, medium: Medium, n: usize, count: usize) -> Value {
    // What makes flows interesting, more often than its share.
    let (kind, spec, schema) = match chance.below(5) {
        0..=1 => {
            let often = ["parallel", "call_flow", "for_each", "wait_event", "sleep", "parallel"];
            let kind = chance.of(&often);
            types().iter().find(|(name, ..)| *name == kind).unwrap()
        }
        _ => {
            let stray = chance.once_in(24);
            let fits = |of: &&(_, &Spec, _)| stray || of.1.needs.met_by(medium);
            let fitting: Vec<_> = types().iter().filter(fits).collect();
            fitting[chance.below(fitting.len())]
        }
    };
    let mut action = json!({ "id": format!("a{n}"), "type": kind });
    let mut maker = Maker { root: schema, n, count };
    action["option"] = maker.value(chance, schema, "", 0);
    if chance.once_in(4) {
        action["next"] = target(chance, n, count).into();
    }
    for exit in ["failed"].iter().chain(spec.exits) {
        if chance.once_in(2) {
            action["on"][*exit] = target(chance, n, count).into();
        }
    }
    if chance.once_in(6) {
        action["if"] = chance.of(&EXPRESSIONS).into();
    }
    let waits = matches!(*kind, "wait_event" | "block" | "wait_message");
    if waits || chance.once_in(5) {
        action["timeout_s"] = (1 + chance.below(50)).into();
    }
    if chance.once_in(6) {
        action["retry"] = json!({ "times": 1 + chance.below(2), "wait_s": chance.below(9) });
    }
    action
}

/// Where to go from the action `n`: mostly onwards, since circles that never wait do not link.
fn target(chance: &mut Chance<'_>, n: usize, count: usize) -> String {
    match chance.below(8) {
        0..=4 if n + 1 < count => format!("a{}", n + 1 + chance.below(count - n - 1)),
        5 => format!("a{}", chance.below(count)),
        _ => "end".into(),
    }
}

/// Values that a schema admits, or nearly.
struct Maker<'a> {
    root: &'a Value,
    n: usize,
    count: usize,
}

impl Maker<'_> {
    fn value(&mut self, chance: &mut Chance<'_>, schema: &Value, key: &str, depth: usize) -> Value {
        let schema = match schema["$ref"].as_str() {
            Some(path) => self.root.pointer(path.trim_start_matches('#')).unwrap_or(&Value::Null),
            None => schema,
        };
        if let Some(only) = schema.get("const") {
            return only.clone();
        }
        if let Some(all) = schema["enum"].as_array() {
            return all[chance.below(all.len())].clone();
        }
        let requires = |one: &Value| one.get("required").is_some() && one.get("type").is_none();
        let mut wanted = Vec::new();
        if let Some(all) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            let one = &all[chance.below(all.len())];
            if !requires(one) {
                return self.value(chance, one, key, depth + 1);
            }
            wanted.extend(one["required"].as_array().into_iter().flatten());
        }
        let kind = match &schema["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => kinds[chance.below(kinds.len())].as_str().unwrap(),
            _ => chance.of(&["string", "integer", "array", "object", "null"]),
        };
        match kind {
            "string" => self.text(chance, schema, key).into(),
            "integer" | "number" => {
                let least = schema["minimum"].as_u64().unwrap_or(0);
                let most = schema["maximum"].as_u64().unwrap_or(u64::MAX).min(least + 40);
                (least + chance.below((most - least + 1) as usize) as u64).into()
            }
            "boolean" => chance.once_in(2).into(),
            "array" if key == "items" && chance.once_in(2) => "${list}".into(),
            "array" => {
                let least = match key {
                    "branches" => 2,
                    _ => schema["minItems"].as_u64().unwrap_or(0) as usize,
                };
                let count = least + if depth > 6 { 0 } else { chance.below(3) };
                let inner = &schema["items"];
                (0..count).map(|_| self.value(chance, inner, "", depth + 1)).collect()
            }
            "object" => self.object(chance, schema, &wanted, depth),
            _ => Value::Null,
        }
    }

    fn object(
        &mut self,
        chance: &mut Chance<'_>,
        schema: &Value,
        wanted: &[&Value],
        depth: usize,
    ) -> Value {
        let mut fields = Map::new();
        let needed = schema["required"].as_array();
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let mut must = needed.into_iter().flatten().chain(wanted.iter().copied());
            let needed = must.any(|one| one == name.as_str());
            if needed || (depth < 6 && chance.once_in(3)) {
                fields.insert(name.clone(), self.value(chance, inner, name, depth + 1));
            }
        }
        let open = &schema["additionalProperties"];
        if depth < 6 && (open.is_object() || *open == true) {
            for _ in 0..chance.below(3) {
                let name = chance.of(&NAMES).to_owned();
                fields.insert(name, self.value(chance, open, "", depth + 1));
            }
        }
        Value::Object(fields)
    }

    fn text(&mut self, chance: &mut Chance<'_>, schema: &Value, key: &str) -> String {
        match (schema["format"].as_str(), key) {
            (Some("action-id"), _) => target(chance, self.n, self.count),
            (Some("expression"), _) => chance.of(&EXPRESSIONS).into(),
            (_, "flow") => chance.of(&["s0", "s1", "missing"]).into(),
            (_, "variable" | "into" | "as") => chance.of(&NAMES).into(),
            _ if schema.get("pattern").is_some() => chance.of(&["#", "1", "*", "12"]).into(),
            _ if schema["minLength"].as_u64() > Some(0) && chance.once_in(2) => "a".into(),
            _ => chance.of(&TEXTS).into(),
        }
    }
}
