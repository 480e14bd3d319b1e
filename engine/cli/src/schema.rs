//! `voxflow schema`: the JSON schemas that editors and other programs check against. The files
//! under `schemas/` are this list, written down.

use std::collections::BTreeMap;

use serde_json::Value;

/// Every schema by name: `settings`, `rules`, `scenario`, `flow`, `ai`, `actions/<type>`.
pub(crate) fn all() -> BTreeMap<String, Value> {
    let mut all = actions::schemas();
    all.insert("settings".to_owned(), crate::sources::schema().to_value());
    all.insert(
        "scenario".to_owned(),
        schemars::schema_for!(crate::play::scenario::Scenario).to_value(),
    );
    all.insert("rules".to_owned(), schemars::schema_for!(providers::scripted::Rules).to_value());
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

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
