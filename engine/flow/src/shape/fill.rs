//! A value with its variables filled in: as a run knows them, or as they might be.

use serde_json::Value;

use super::{Shape, child, is_a, mark, types};
use crate::event::Vars;
use crate::text;

impl Shape {
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
            match text::lookup(vars, name) {
                Some(raw) if wanted.iter().any(|name| is_a(raw, name)) => raw.clone(),
                // What does not convert stays a text, which the schema then refuses.
                _ => self.converted(&full.into(), &wanted),
            }
        })
    }

    /// The value as it might look once its variables are filled in, for checking the rest of it.
    /// Where more than a text is wanted, a variable is what `known` says, else its default, else
    /// whatever fits.
    pub(crate) fn probe(&self, value: &Value, known: &Vars) -> Value {
        self.map(&self.schema, value, &|schema, found| {
            let wanted = types(schema);
            let text = wanted.contains(&"string") || wanted.is_empty();
            let limited = ["enum", "const", "pattern"].iter().any(|key| schema.get(*key).is_some());
            if text && !limited {
                return found.into();
            }
            let only = text::only_variable(found);
            let given = only
                .and_then(|name| text::lookup(known, name))
                .filter(|given| !text::plain(given).is_empty());
            if let Some(given) = given
                && !text
            {
                return self.converted(given, &wanted);
            }
            match only.and(text::default_of(found)) {
                Some(default) if text => default.into(),
                Some(default) => self.converted(&default.into(), &wanted),
                None if text || only.is_some() => {
                    self.sample(schema, 0).unwrap_or_else(|| found.into())
                }
                None => found.into(),
            }
        })
    }

    /// A value as one of the wanted kinds; as it is when it is none.
    fn converted(&self, value: &Value, wanted: &[&str]) -> Value {
        let fits = |value: &Value| wanted.iter().any(|name| is_a(value, name));
        if fits(value) {
            return value.clone();
        }
        let read = serde_json::from_str(text::plain(value).trim()).ok();
        read.filter(fits).unwrap_or_else(|| value.clone())
    }

    /// A value that such a schema admits.
    fn sample(&self, schema: &Value, depth: usize) -> Option<Value> {
        let schema = self.resolve(schema, None);
        if let Some(all) = schema.get("enum") {
            return all.get(0).cloned();
        }
        for key in ["default", "const", "minimum", "maximum"] {
            if let Some(value) = schema.get(key).filter(|value| !value.is_null()) {
                return Some(value.clone());
            }
        }
        // Types that hold themselves end somewhere.
        if depth > 8 {
            return None;
        }
        match types(schema).into_iter().find(|name| *name != "null")? {
            "integer" | "number" => Some(1.into()),
            "boolean" => Some(true.into()),
            "string" if schema.get("pattern").is_none() => Some("true".into()),
            "array" => {
                let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
                let items = schema.get("items").unwrap_or(&Value::Null);
                (0..least)
                    .map(|_| self.sample(items, depth + 1))
                    .collect::<Option<Vec<_>>>()
                    .map(Value::from)
            }
            "object" => {
                let required =
                    schema.get("required").and_then(Value::as_array).into_iter().flatten();
                required
                    .filter_map(Value::as_str)
                    .map(|key| {
                        let inner = child(schema, key).unwrap_or(&Value::Null);
                        Some((key.to_owned(), self.sample(inner, depth + 1)?))
                    })
                    .collect::<Option<serde_json::Map<_, _>>>()
                    .map(Value::from)
            }
            _ => None,
        }
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
}
