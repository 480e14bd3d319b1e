//! Rules about the code itself: who may use whom, how files open and how long they are, what lies
//! at the top, what must not be in the tree.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which crate may use which of ours. A row that is not here is a new wall or a new door: change
/// it on purpose.
const HOUSE: &[(&str, &[&str])] = &[
    ("actions", &["agent", "flow"]),
    ("agent", &[]),
    ("api", &["agent", "flow", "runtime", "store"]),
    ("audio", &[]),
    ("call", &["agent", "audio", "flow", "talk"]),
    ("channels", &["audio", "call", "conversation"]),
    (
        "cli",
        &[
            "actions",
            "agent",
            "api",
            "audio",
            "call",
            "channels",
            "conversation",
            "flow",
            "providers",
            "queue",
            "runtime",
            "store",
            "talk",
        ],
    ),
    ("conversation", &[]),
    ("flow", &[]),
    ("providers", &["agent", "audio", "talk"]),
    ("queue", &[]),
    ("runtime", &["agent", "call", "conversation", "flow", "queue", "store"]),
    ("store", &["agent", "conversation", "flow"]),
    ("talk", &["agent", "audio"]),
    ("tests", &[]),
];

/// Crates that neither wait nor open sockets.
const PURE: &[&str] = &["actions", "audio", "conversation", "flow"];

/// What a pure crate would need for that.
const IMPURE: &[&str] = &["axum", "lapin", "reqwest", "tokio", "tokio-tungstenite"];

/// What a reader finds at the top.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "actions",
    "engine",
    "flows",
    "schemas",
    "tests",
];

/// Most lines of code of a file before its tests, without comments and empty lines.
const CODE_LINES: usize = 400;
/// Most lines of a file with all that is in it.
const LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Every file of the project, as git knows them; new ones too.
fn files() -> Vec<String> {
    let listed = output("git", &["ls-files", "--cached", "--others", "--exclude-standard"]);
    let mut files: Vec<String> =
        listed.lines().filter(|file| root().join(file).is_file()).map(ToOwned::to_owned).collect();
    files.sort();
    files
}

fn rust_files() -> Vec<(String, String)> {
    let rust = files().into_iter().filter(|file| file.ends_with(".rs"));
    rust.map(|file| (std::fs::read_to_string(root().join(&file)).unwrap(), file))
        .map(|(text, file)| (file, text))
        .collect()
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let metadata = output(&cargo, &["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    serde_json::from_str::<Value>(&metadata).unwrap()["packages"].as_array().unwrap().clone()
}

/// Names of the normal dependencies of a package.
fn uses(package: &Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}

fn is_clean(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn crates_depend_downward_only() {
    let packages = packages();
    let ours: BTreeSet<&str> =
        packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let known: BTreeSet<&str> = HOUSE.iter().map(|(name, _)| *name).collect();
    assert_eq!(ours, known, "the crates there are, and the crates of HOUSE");
    let mut findings = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let may = HOUSE.iter().find(|(crate_name, _)| *crate_name == name).unwrap().1;
        for used in uses(package) {
            if ours.contains(used.as_str()) && !may.contains(&used.as_str()) {
                findings.push(format!("{name} uses {used}: no such arrow in HOUSE"));
            }
            if PURE.contains(&name) && IMPURE.contains(&used.as_str()) {
                findings.push(format!("{name} is pure and uses {used}"));
            }
        }
    }
    is_clean(&findings);
}

#[test]
fn a_folder_is_called_as_its_crate() {
    let mut findings = Vec::new();
    for package in packages() {
        let manifest = package["manifest_path"].as_str().unwrap();
        let folder = Path::new(manifest).parent().unwrap().file_name().unwrap();
        if folder != package["name"].as_str().unwrap() {
            findings.push(format!("{manifest} is the crate {}", package["name"]));
        }
    }
    is_clean(&findings);
}

#[test]
fn every_file_tells_its_job() {
    let findings: Vec<String> = rust_files()
        .iter()
        .filter(|(_, text)| !text.lines().next().unwrap_or_default().starts_with("//! "))
        .map(|(file, _)| format!("{file} does not open with `//! ` and its job"))
        .collect();
    is_clean(&findings);
}

#[test]
fn no_file_is_too_long() {
    let mut findings = Vec::new();
    for (file, text) in rust_files() {
        let all = text.lines().count();
        let before_tests = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        let code = before_tests
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .count();
        let is_tests = file.ends_with("tests.rs") || file.contains("/tests/");
        if code > CODE_LINES && !is_tests {
            findings.push(format!(
                "{file} has {code} lines of code, {CODE_LINES} is the most: make a folder"
            ));
        }
        if all > LINES {
            findings.push(format!("{file} has {all} lines, {LINES} is the most: divide it"));
        }
    }
    is_clean(&findings);
}

#[test]
fn names_are_words_of_the_field() {
    let refused_files =
        ["utils.rs", "util.rs", "common.rs", "helpers.rs", "helper.rs", "misc.rs", "types.rs"];
    let refused_ends = ["Manager", "Handler", "Service", "Helper", "Impl", "Util", "Utils"];
    let mut findings = Vec::new();
    for (file, text) in rust_files() {
        if refused_files.contains(&file.rsplit('/').next().unwrap()) {
            findings.push(format!("{file}: name it after what it does"));
        }
        for line in text.lines() {
            let mut words = line
                .trim_start()
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ")
                .split(' ');
            if !matches!(words.next(), Some("struct" | "enum" | "trait" | "type")) {
                continue;
            }
            let name: String = words
                .next()
                .unwrap_or_default()
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            // An action's options are called as the action, whatever that is.
            let stem = file.rsplit('/').next().unwrap().trim_end_matches(".rs").replace('_', "");
            if refused_ends.iter().any(|end| name.ends_with(end)) && name.to_lowercase() != stem {
                findings.push(format!("{file}: {name}: name it after what it is"));
            }
        }
    }
    is_clean(&findings);
}

#[test]
fn the_top_is_what_a_reader_expects() {
    let top: BTreeSet<String> =
        files().iter().map(|file| file.split('/').next().unwrap().to_owned()).collect();
    let findings: Vec<String> = top
        .iter()
        .filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()))
        .map(|name| format!("{name} at the top: it belongs into a room"))
        .collect();
    is_clean(&findings);
}

#[test]
fn documents_speak_of_the_project_alone() {
    let mut findings = Vec::new();
    for file in files().iter().filter(|file| file.ends_with(".md")) {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        for (n, line) in text.lines().enumerate() {
            if ["/home/", "/root/", "/work/", "/Users/", "C:\\"]
                .iter()
                .any(|path| line.contains(path))
            {
                findings.push(format!("{file}:{}: a path of one machine: {line}", n + 1));
            }
        }
    }
    is_clean(&findings);
}

#[test]
fn one_provider_of_cryptography() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let refused = ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"];
    let findings: Vec<String> = refused
        .iter()
        .filter(|name| lock.contains(&format!("name = \"{name}\"")))
        .map(|name| format!("{name} is in Cargo.lock; TLS is rustls with ring. Who brings it: cargo tree -i {name}"))
        .collect();
    is_clean(&findings);
}
