//! The example flows: every one links without any diagnostic, and fits the published schema.

use std::fs;
use std::path::{Path, PathBuf};

use flow::{Linking, Needs, link};

fn flows() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows");
    let mut flows: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(".json") && name.matches('.').count() == 1
        })
        .collect();
    flows.sort();
    flows
}

#[test]
fn every_example_links_without_a_word() {
    let flows = flows();
    assert!(flows.len() >= 4, "{flows:?}");
    for path in flows {
        let text = fs::read_to_string(&path).unwrap();
        let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
        let found = match link(&text, linking) {
            Ok((_, warnings)) => warnings,
            Err(all) => all,
        };
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn every_example_fits_the_schema() {
    let schemas = actions::schemas();
    let validator = jsonschema::draft202012::new(&schemas["flow"]).unwrap();
    for path in flows() {
        let text = fs::read_to_string(&path).unwrap();
        let flow = serde_json::from_str(&text).unwrap();
        let faults: Vec<String> = validator
            .iter_errors(&flow)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(faults, Vec::<String>::new(), "{}", path.display());
    }
}
