//! `voxflow schema`: the JSON schemas that editors and other programs check against. The files
//! under `schemas/` are this list, written down.

use std::collections::BTreeMap;

use serde_json::Value;

/// Every schema by name: `settings`, `flow`, `ai`, `actions/<type>`.
pub(crate) fn all() -> BTreeMap<String, Value> {
    let mut all = actions::schemas();
    all.insert("settings".to_owned(), crate::sources::schema().to_value());
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    /// `UPDATE=1 cargo test -p cli` writes the file anew.
    #[test]
    fn the_schema_of_the_settings_is_committed() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/settings.json");
        let now = format!("{:#}\n", super::all()["settings"]);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(committed, now, "run `UPDATE=1 cargo test -p cli` and commit the change");
    }
}
