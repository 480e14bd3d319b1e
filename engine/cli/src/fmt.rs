//! `voxflow fmt`: flows in their canonical form.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flow::Catalog;

use crate::files;
use crate::validate::{self, Checked};

/// Rewrites files, or only names those that would change. What to print, and whether all is well.
///
/// # Errors
/// A sentence that names the file or folder that cannot be read or written.
pub(crate) fn format(
    paths: &[PathBuf],
    catalog: Catalog,
    check: bool,
) -> Result<(String, bool), String> {
    if paths == [Path::new("-")] {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| format!("the standard input: {error}"))?;
        return match flow::format(&text, catalog) {
            Ok(now) => Ok((now, true)),
            Err(found) => Ok((refused("-".into(), text, found), false)),
        };
    }
    let (mut told, mut all_well) = (String::new(), true);
    for (path, text) in files::flows(paths)? {
        let name = path.display().to_string();
        match flow::format(&text, catalog) {
            Err(found) => {
                told.push_str(&refused(name, text, found));
                all_well = false;
            }
            Ok(now) if now == text => {}
            Ok(_) if check => {
                let _ = writeln!(told, "{name} is not in its canonical form");
                all_well = false;
            }
            Ok(now) => {
                replace(&path, &now).map_err(|error| format!("{name}: {error}"))?;
                let _ = writeln!(told, "{name}");
            }
        }
    }
    Ok((told, all_well))
}

fn refused(name: String, text: String, found: Vec<flow::Diagnostic>) -> String {
    validate::human(&[Checked::new(name, text, found)], false)
}

/// A file is as it was, or as it shall be, whatever happens in between.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("json.new");
    std::fs::write(&beside, text)?;
    std::fs::set_permissions(&beside, std::fs::metadata(path)?.permissions())?;
    std::fs::rename(&beside, path)
}
