//! `voxflow schema`: the JSON schemas that editors and other programs check against. The files
//! under `schemas/` are this list, written down.

use std::collections::BTreeMap;

use serde_json::Value;

/// Every schema by name: `settings`, `rules`, `scenario`, `flow`, `ai`, `actions/<type>`.
pub(crate) fn all() -> BTreeMap<String, Value> {
    let mut all = actions::schemas();
    let ours = [
        ("settings", crate::sources::schema()),
        ("scenario", schemars::schema_for!(crate::play::scenario::Scenario)),
        ("rules", schemars::schema_for!(providers::scripted::Rules)),
    ];
    for (name, schema) in ours {
        let mut schema = schema.to_value();
        actions::publish(name, &mut schema);
        all.insert(name.to_owned(), schema);
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn every_schema_is_one_and_has_its_name() {
        for (name, schema) in super::all() {
            jsonschema::draft202012::meta::validate(&schema)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(schema["$id"], format!("https://voxflow.dev/schemas/{name}.json"));
            assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
            assert!(schema["description"].is_string(), "{name} does not say what it is");
        }
    }

    /// `UPDATE=1 cargo test -p cli` writes the files anew.
    #[test]
    fn the_schemas_that_are_made_here_are_committed() {
        for name in ["settings", "rules", "scenario"] {
            let path = format!("{}/../../schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
            let now = format!("{:#}\n", super::all()[name]);
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&path, &now).unwrap();
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(committed, now, "run `UPDATE=1 cargo test -p cli` and commit the change");
        }
    }
}
