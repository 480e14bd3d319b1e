//! JSON files that a person names: one, or all below a folder.

use std::path::{Path, PathBuf};

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
