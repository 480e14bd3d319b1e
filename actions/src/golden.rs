//! Files that are made from the actions: the list, their manual, the schemas. Committed, and held
//! against what would be made now; `UPDATE=1 cargo test -p actions` writes them anew.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use flow::{Needs, Tool};
use serde_json::Value;

use crate::{ALL, schemas};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
}

#[track_caller]
fn golden(path: &str, now: &str) {
    let full = root().join(path);
    let kept = fs::read_to_string(&full).unwrap_or_default();
    if kept == now {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(&full, now).unwrap();
        return;
    }
    let differs = kept.lines().zip(now.lines()).position(|(a, b)| a != b);
    panic!(
        "{path} is out of date from line {}: run `UPDATE=1 cargo test -p actions` twice, and \
         commit it",
        differs.unwrap_or_else(|| kept.lines().count().min(now.lines().count())) + 1
    );
}

/// Files beside the actions that are none.
const OTHERS: [&str; 7] =
    ["aliases", "comparison", "golden", "lib", "method", "schemas", "service"];

#[test]
fn the_list_names_every_file() {
    let mut types: Vec<String> = fs::read_dir(root().join("actions/src"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix(".rs")?.to_string())
        })
        .filter(|name| !OTHERS.contains(&name.as_str()))
        .collect();
    types.sort();
    let mut text = String::from(
        "//! Every action, one file each. The list below is made by `UPDATE=1 cargo test -p actions`.\n\n\
         mod aliases;\nmod comparison;\n#[cfg(test)]\nmod golden;\nmod method;\nmod schemas;\n\
         mod service;\n\n\
         use flow::{Catalog, Spec};\n\n\
         pub use aliases::{ALIASES, SAME};\npub use schemas::{publish, schemas};\n\n",
    );
    for name in &types {
        writeln!(text, "pub mod {name};").unwrap();
    }
    text.push_str("\nconst TYPES: &[(&str, Spec)] = &[\n");
    for name in &types {
        writeln!(text, "    (\"{name}\", {name}::SPEC),").unwrap();
    }
    text.push_str(
        "];\n\n/// Every action there is.\n\
         pub const ALL: Catalog = Catalog { types: TYPES, aliases: ALIASES, same: SAME, vendors: None };\n",
    );
    golden("actions/src/lib.rs", &text);
}

#[test]
fn the_schemas_are_committed() {
    for (name, schema) in schemas() {
        jsonschema::draft202012::meta::validate(&schema)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        golden(&format!("schemas/{name}.json"), &format!("{schema:#}\n"));
    }
    let known: Vec<String> = fs::read_dir(root().join("schemas/actions"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().into())
        .collect();
    for name in known {
        assert!(ALL.get(&name).is_some(), "schemas/actions/{name}.json has no action any more");
    }
}

#[test]
fn the_manual_is_committed() {
    let mut text = String::from(
        "# Actions\n\n\
         Everything that a flow can do. Made from the code by `UPDATE=1 cargo test -p actions`.\n\n\
         Every action can be left by `done`, and by `failed` at a limit; the other exits stand \
         below. A model may take the actions marked as tools.\n\n\
         | type | needs | exits | tool |\n|---|---|---|---|\n",
    );
    for (name, spec) in ALL {
        let needs = match spec.needs {
            Needs::Nothing => "",
            Needs::Call => "a call",
            Needs::Text => "a thread",
        };
        let tool = match spec.tool {
            Tool::No => "",
            Tool::Instant => "yes",
            Tool::Ends => "yes, ends the conversation",
        };
        let exits: Vec<String> = spec.exits.iter().map(|exit| format!("`{exit}`")).collect();
        writeln!(text, "| [`{name}`](#{name}) | {needs} | {} | {tool} |", exits.join(" ")).unwrap();
    }
    for (name, spec) in ALL {
        let schema = (spec.schema)().to_value();
        writeln!(text, "\n## {name}\n\n{}", line(&schema["description"])).unwrap();
        let Some(options) = schema["properties"].as_object().filter(|all| !all.is_empty()) else {
            continue;
        };
        text.push_str("\n| option | default | |\n|---|---|---|\n");
        for (option, about) in options {
            let required = schema["required"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one.as_str() == Some(option)));
            let default = match about.get("default") {
                _ if required => "needed".to_string(),
                Some(Value::Object(_)) | Some(Value::Null) | None => String::new(),
                Some(value) => format!("`{value}`"),
            };
            let doc = about.get("description").cloned().unwrap_or_default();
            writeln!(text, "| `{option}` | {default} | {} |", line(&doc)).unwrap();
        }
        for (older, today) in spec.renamed {
            writeln!(text, "| `{older}` | | Older name of `{today}`. |").unwrap();
        }
        for (option, older, today) in spec.words {
            let line = format!("| `{option}`: `{older}` | | Older word for `{today}`. |");
            writeln!(text, "{line}").unwrap();
        }
    }
    golden("actions/README.md", &text);
}

fn line(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn aliases_lead_to_actions_and_hide_none() {
    for (older, today) in ALL.aliases {
        assert!(ALL.get(today).is_some(), "{older} leads to {today}, which does not exist");
        assert!(!ALL.into_iter().any(|(name, _)| name == older), "{older} is an action");
    }
}

#[test]
fn every_option_and_action_is_documented() {
    for (name, spec) in ALL {
        let schema = (spec.schema)().to_value();
        assert!(schema["description"].is_string(), "{name} has no doc comment");
        for (option, about) in schema["properties"].as_object().into_iter().flatten() {
            assert!(about.get("description").is_some(), "{name}.{option} has no doc comment");
        }
        for (_, today) in spec.renamed {
            assert!(schema["properties"].get(today).is_some(), "{name} has no option {today}");
        }
        for (option, ..) in spec.words {
            assert!(schema["properties"].get(option).is_some(), "{name} has no option {option}");
        }
    }
}
