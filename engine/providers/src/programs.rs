//! Programs of this machine that do a vendor's work.

use std::path::PathBuf;

use agent::Error;

/// Where a program is, on the `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// What to say when it is not there.
pub(crate) fn missing(vendor: &'static str, what: &str, packages: &str) -> Error {
    let why = format!("`{what}` is not installed here (Debian: apt-get install {packages})");
    Error::Refused { vendor, why }
}
