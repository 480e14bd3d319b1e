//! JSON files that a person names: one, or all below a folder.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Flows. A file that is named is a flow. In a folder, a JSON file is one when it is an array or
/// has `actions`; rules, scenarios and schemas lie beside flows and are passed over.
///
/// # Errors
/// Names the file or folder that cannot be read, or the folder that holds no flow.
pub(crate) fn flows(paths: &[PathBuf]) -> Result<Vec<(PathBuf, String)>, String> {
    let mut flows = Vec::new();
    for path in paths {
        let mut files = below(path)?;
        if path.is_dir() {
            files.retain(|(_, text)| looks_like_a_flow(text));
            if files.is_empty() {
                return Err(format!("{} holds no flow", path.display()));
            }
        }
        flows.extend(files);
    }
    Ok(flows)
}

/// What is broken is a flow too, so that nobody has to guess why it is not listed.
fn looks_like_a_flow(text: &str) -> bool {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => object.contains_key("actions"),
        Ok(Value::Array(list)) => !list.iter().any(|item| item.get("play").is_some()),
        Err(_) => true,
        Ok(_) => false,
    }
}

/// The file, or the JSON files below the folder, by name, with their text.
///
/// # Errors
/// Names the file or folder that cannot be read.
pub(crate) fn below(path: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    if !path.is_dir() {
        return Ok(vec![(path.into(), read(path)?)]);
    }
    let mut files = Vec::new();
    walk(path, &mut files)?;
    Ok(files)
}

/// The text of a file.
///
/// # Errors
/// Names the file.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn walk(folder: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<(), String> {
    let named = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(named)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // The entry's own type: a link to a folder is not followed, so no circle is walked.
        let kind = entry.file_type().map_err(named)?;
        if kind.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") && path.is_file() {
            let text = read(&path)?;
            files.push((path, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_flows_and_not_their_rules() {
        assert!(looks_like_a_flow("[]"));
        assert!(looks_like_a_flow("{\"actions\": []}"));
        assert!(looks_like_a_flow("{ broken"));
        assert!(!looks_like_a_flow("{\"rules\": []}"));
        assert!(!looks_like_a_flow("3"));
    }
}
