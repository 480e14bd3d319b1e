//! Where settings come from: a file, the environment, files named by the environment. Later ones
//! win, and an error names the key, its source and the way out.
//!
//! Every key `a.b` can be set as `VOXFLOW_A_B`; [`NAMES`] are the ones that users already have.
//! Every name can end in `_FILE`: then the value is read from the file that it names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use schemars::Schema;
use serde_json::Value as Json;

use crate::settings::Settings;

/// The file that is read when it is there and no other is named.
const DEFAULT_FILE: &str = "voxflow.toml";

/// Names that users already have, and the key that each sets; those of vendors are in
/// [`vendor_names`].
const NAMES: &[(&str, &str)] = &[
    ("DATABASE_URL", "database"),
    ("AMQP_URL", "queue"),
    ("TWILIO_ACCOUNT_SID", "twilio.account_sid"),
    ("TWILIO_AUTH_TOKEN", "twilio.auth_token"),
    ("TWILIO_BASE_URL", "twilio.base_url"),
    ("TELNYX_API_KEY", "telnyx.api_key"),
    ("TELNYX_WEBHOOK_PUBLIC_KEY", "telnyx.webhook_public_key"),
    ("TELNYX_WEBHOOK_SECRET", "telnyx.webhook_secret"),
    ("TELNYX_BASE_URL", "telnyx.base_url"),
    ("TELNYX_CONNECTION_ID", "telnyx.connection_id"),
    ("VOIPMS_API_USERNAME", "voipms.api_username"),
    ("VOIPMS_API_PASSWORD", "voipms.api_password"),
    ("VOIPMS_WEBHOOK_SECRET", "voipms.webhook_secret"),
    ("VOIPMS_BASE_URL", "voipms.base_url"),
    ("LINE_CHANNEL_SECRET", "line.channel_secret"),
    ("LINE_CHANNEL_TOKEN", "line.channel_token"),
    ("LINE_BASE_URL", "line.base_url"),
    ("AICALL_CONVERSATION_IDLE_TIMEOUT_HOURS", "conversation.idle_timeout_hours"),
];

/// What the vendors themselves call their keys, where it is not `NAME_API_KEY`.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("XAI_API_KEY", "grok.api_key"),
    ("DASHSCOPE_API_KEY", "qwen.api_key"),
    ("GOOGLE_API_KEY", "gemini.api_key"),
];

/// `NAME_API_KEY` and `NAME_BASE_URL` of every vendor, and the key that each sets.
fn vendor_names() -> impl Iterator<Item = (String, String)> {
    let other = OTHER_NAMES.iter().map(|(name, key)| ((*name).to_owned(), (*key).to_owned()));
    let of = |vendor: &'static str| {
        let key =
            move |key: &str| (format!("{vendor}_{key}").to_uppercase(), format!("{vendor}.{key}"));
        [key("api_key"), key("base_url")]
    };
    other.chain(providers::with_accounts().flat_map(of))
}

/// Names with our prefix that are not settings: what the command line and the log read.
const NOT_SETTINGS: &[&str] = &["VOXFLOW_LOG", "VOXFLOW_LOG_FORMAT", "VOXFLOW_CONFIG"];

/// Why the settings cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}\n  {key}where: {source_name}\n  help: {help}", key = key_line(.key))]
pub(crate) struct Error {
    /// What is wrong.
    pub(crate) message: String,
    /// The key, such as `twilio.auth_token`; empty when it is about no single one.
    pub(crate) key: String,
    /// The file or the variable.
    pub(crate) source_name: String,
    /// The way out.
    pub(crate) help: String,
}

fn key_line(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("key: {key}\n  ") }
}

/// Names that other programs of a machine use too: the demo, which asks for nothing, shall not
/// come upon a database that is not its own.
const SHARED_NAMES: &[&str] = &["DATABASE_URL", "AMQP_URL"];

/// Reads the settings: `file` (which must exist), else `voxflow.toml` when it is there; then the
/// environment. Paths in the file are taken from the file's folder.
pub(crate) fn read(file: Option<&Path>) -> Result<Settings, Error> {
    let default = Path::new(DEFAULT_FILE);
    let file = file.or_else(|| default.exists().then_some(default));
    read_from(file, std::env::vars_os().collect())
}

/// Reads the settings of the demo: the environment alone, without [`SHARED_NAMES`].
pub(crate) fn read_for_demo() -> Result<Settings, Error> {
    let shared = |name: &OsString| {
        let name = name.to_string_lossy();
        SHARED_NAMES.contains(&name.trim_end_matches("_FILE"))
    };
    read_from(None, std::env::vars_os().filter(|(name, _)| !shared(name)).collect())
}

fn read_from(
    file: Option<&Path>,
    environment: Vec<(OsString, OsString)>,
) -> Result<Settings, Error> {
    let leaves = leaves();
    let mut figment = Figment::new();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| Error {
            message: format!("the settings file cannot be read: {error}"),
            key: String::new(),
            source_name: path.display().to_string(),
            help: "name a file that exists with `--config`, or leave it out".into(),
        })?;
        figment = figment.merge(Named::file(path, &text)?);
    }
    for named in variables(environment, &leaves)? {
        figment = figment.merge(named);
    }
    let mut settings: Settings = figment.extract().map_err(|error| explain(&error, &leaves))?;
    if let Some(folder) = file.and_then(Path::parent) {
        rebase(&mut settings, folder);
    }
    Ok(settings)
}

/// Takes relative paths from the folder of the file that they stand in.
fn rebase(settings: &mut Settings, folder: &Path) {
    let rebased = |path: &mut Option<PathBuf>| {
        if let Some(path) = path {
            *path = folder.join(&*path);
        }
    };
    rebased(&mut settings.media.folder);
    let sip = &mut settings.sip;
    for file in [&mut sip.tls_certificate, &mut sip.tls_key, &mut sip.tls_authorities] {
        rebased(file);
    }
    for number in &mut settings.number {
        rebased(&mut number.call_flow);
        rebased(&mut number.message_flow);
    }
    for flow in &mut settings.flow {
        flow.path = folder.join(&flow.path);
    }
}

/// Values from one place, which errors name.
struct Named {
    name: String,
    values: Dict,
}

impl Named {
    fn file(path: &Path, text: &str) -> Result<Self, Error> {
        let name = path.display().to_string();
        let values = Toml::string(text).data().map_err(|error| Error {
            message: format!("this is not TOML: {}", one_line(&error.kind.to_string())),
            key: String::new(),
            source_name: name.clone(),
            help: "`voxflow schema settings` tells every key".into(),
        })?;
        Ok(Self { name, values: values.into_values().next().unwrap_or_default() })
    }
}

impl Provider for Named {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Text,
    Number,
    Truth,
    /// Several texts, divided by commas.
    Texts,
}

/// Every key that takes one value, from the schema: the one place that knows them.
fn leaves() -> BTreeMap<String, Takes> {
    let mut leaves = BTreeMap::new();
    collect("", schema().as_value(), schema().as_value(), &mut leaves);
    leaves
}

/// The schema of the settings.
pub(crate) fn schema() -> Schema {
    let mut schema = schemars::schema_for!(Settings);
    // The prose of the structure says it; a title in the words of the code says nothing.
    schema.insert("title".into(), "voxflow settings".into());
    schema
}

fn collect(path: &str, node: &Json, root: &Json, leaves: &mut BTreeMap<String, Takes>) {
    let node = node
        .get("$ref")
        .and_then(Json::as_str)
        .and_then(|reference| root.pointer(reference.trim_start_matches('#')))
        .unwrap_or(node);
    if let Some(properties) = node.get("properties").and_then(Json::as_object) {
        for (name, inner) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            collect(&path, inner, root, leaves);
        }
        return;
    }
    let is = |wanted: &str| match node.get("type") {
        Some(Json::String(kind)) => kind == wanted,
        Some(Json::Array(kinds)) => kinds.iter().any(|kind| kind == wanted),
        _ => false,
    };
    let takes = if is("array") {
        // Tables, such as `[[number]]`, have no variable of their own.
        let texts = node.pointer("/items/type").is_some_and(|kind| kind == "string");
        texts.then_some(Takes::Texts)
    } else if is("string") {
        Some(Takes::Text)
    } else if is("integer") || is("number") {
        Some(Takes::Number)
    } else if is("boolean") {
        Some(Takes::Truth)
    } else {
        None
    };
    if let Some(takes) = takes {
        leaves.insert(path.into(), takes);
    }
}

/// The settings that the environment holds, each under the name of its variable.
fn variables(
    environment: Vec<(OsString, OsString)>,
    leaves: &BTreeMap<String, Takes>,
) -> Result<Vec<Named>, Error> {
    let ours = leaves.keys().map(|key| (variable_of(key), key.as_str()));
    let vendors: Vec<(String, String)> = vendor_names().collect();
    let vendors = vendors.iter().map(|(name, key)| (name.clone(), key.as_str()));
    let theirs = NAMES.iter().map(|(name, key)| ((*name).to_owned(), *key)).chain(vendors);
    // A name of ours is the more deliberate one: it comes last and wins.
    let names: Vec<(String, &str)> = theirs.chain(ours).collect();
    let environment: BTreeMap<String, OsString> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .collect();

    for name in environment.keys().filter(|name| name.starts_with("VOXFLOW_")) {
        let plain = name.strip_suffix("_FILE").unwrap_or(name);
        let known = names.iter().any(|(known, _)| known == plain) || NOT_SETTINGS.contains(&plain);
        if !known {
            let nearest = nearest(plain, names.iter().map(|(known, _)| known.as_str()));
            return Err(Error {
                message: "no setting has this name".into(),
                key: String::new(),
                source_name: format!("environment variable `{name}`"),
                help: suggestion(nearest),
            });
        }
    }

    let mut found = Vec::new();
    for (name, key) in names {
        if let Some((source, text)) = value_of(&name, &environment)? {
            found.push(Named { values: nested(key, &text, leaves[key], &source)?, name: source });
        }
    }
    Ok(found)
}

/// The variable of a key.
fn variable_of(key: &str) -> String {
    format!("VOXFLOW_{}", key.replace('.', "_").to_uppercase())
}

/// The value of a variable or of the file that `<name>_FILE` names, and what to call its source.
/// An empty variable is as good as none, for the sake of compose files.
fn value_of(
    name: &str,
    environment: &BTreeMap<String, OsString>,
) -> Result<Option<(String, String)>, Error> {
    let here = environment.get(name).filter(|value| !value.is_empty());
    let file_name = format!("{name}_FILE");
    let file = environment.get(&file_name).filter(|value| !value.is_empty());
    let wrong = |message: String, source: &str, help: &str| Error {
        message,
        key: String::new(),
        source_name: format!("environment variable `{source}`"),
        help: help.into(),
    };
    match (here, file) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(wrong(
            format!("`{name}` and `{file_name}` are both set"),
            &file_name,
            "keep one of them",
        )),
        (Some(value), None) => {
            let text = value.to_str().ok_or_else(|| {
                wrong("the value is not UTF-8".into(), name, "set it as UTF-8 text")
            })?;
            Ok(Some((format!("environment variable `{name}`"), text.to_owned())))
        }
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                wrong(
                    format!("{} cannot be read: {error}", Path::new(path).display()),
                    &file_name,
                    "name a file that this process may read",
                )
            })?;
            let source = format!("{}, by way of `{file_name}`", Path::new(path).display());
            Ok(Some((source, text.trim_end_matches(['\r', '\n']).to_owned())))
        }
    }
}

/// A key's value, as the tables that it lies in.
fn nested(key: &str, text: &str, takes: Takes, source: &str) -> Result<Dict, Error> {
    let wrong = |kind: &str| Error {
        message: format!("this setting takes {kind}"),
        key: key.into(),
        source_name: source.into(),
        help: format!("set it to {kind}, or leave it out"),
    };
    let value = match takes {
        Takes::Text => Value::from(text),
        Takes::Number => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => Value::from(whole),
            (_, Ok(number)) if number.is_finite() => Value::from(number),
            _ => return Err(wrong("a number")),
        },
        Takes::Truth => Value::from(text.parse::<bool>().map_err(|_| wrong("`true` or `false`"))?),
        Takes::Texts => {
            let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            Value::from(texts.map(Value::from).collect::<Vec<_>>())
        }
    };
    let mut parts = key.rsplit('.');
    let mut dict = Dict::from([(parts.next().unwrap_or(key).to_owned(), value)]);
    for part in parts {
        dict = Dict::from([(part.to_owned(), Value::from(dict))]);
    }
    Ok(dict)
}

/// What figment found, in our terms.
fn explain(error: &figment::Error, leaves: &BTreeMap<String, Takes>) -> Error {
    let source_name =
        error.metadata.as_ref().map_or_else(|| "the settings".into(), |data| data.name.to_string());
    let mut key = error.path.join(".");
    let (message, help) = match &error.kind {
        Kind::UnknownField(name, expected) => {
            if !key.ends_with(name.as_str()) {
                key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            }
            let nearest_here = nearest(name, expected.iter().copied());
            // Perhaps it is right, and only stands in the wrong table.
            let elsewhere = leaves.keys().find(|leaf| leaf.rsplit('.').next() == Some(name));
            let nearest = nearest_here.or(elsewhere.map(String::as_str));
            (format!("no setting is called `{key}`"), suggestion(nearest))
        }
        Kind::MissingField(name) => (format!("`{name}` is missing"), format!("add `{name} = ...`")),
        // What was given is not repeated: it may be a secret.
        Kind::InvalidType(_, expected) => {
            let expected = in_words(expected);
            (format!("this setting takes {expected}"), format!("set it to {expected}"))
        }
        Kind::InvalidValue(_, expected) => {
            (format!("the value is not {expected}"), format!("set it to {expected}"))
        }
        _ if key == "listen" => (
            "`listen` is no address".into(),
            "write an IP address and a port, such as 127.0.0.1:8080".into(),
        ),
        other => (
            one_line(&other.to_string()),
            "`voxflow schema settings` tells what each key takes".into(),
        ),
    };
    Error { message, key, source_name, help }
}

/// What serde expected, for people.
fn in_words(expected: &str) -> &str {
    match expected {
        "u64" | "i64" | "u32" => "a whole number, not below 0",
        "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a string" | "string" | "path string" => "a text in quotes",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

/// The name that was probably meant.
pub(crate) fn nearest<'a>(wrong: &str, right: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    right
        .map(|name| (strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None => "remove it; `voxflow schema settings` tells every key".into(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use secrecy::ExposeSecret;

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    /// Reads settings from a text and variables; shows the error as a user sees it, with the
    /// file called `voxflow.toml`.
    fn read_text(toml: &str, pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("voxflow.toml");
        std::fs::write(&file, toml).unwrap();
        read_from(Some(&file), env(pairs)).map_err(|error| {
            error.to_string().replace(&format!("{}/", folder.path().display()), "")
        })
    }

    #[track_caller]
    fn check_error(toml: &str, pairs: &[(&str, &str)], expected: &str) {
        assert_eq!(read_text(toml, pairs).unwrap_err(), expected.trim());
    }

    #[test]
    fn an_unknown_key_names_the_nearest_one() {
        check_error(
            "lisen = \"127.0.0.1:1\"",
            &[],
            "
no setting is called `lisen`
  key: lisen
  where: voxflow.toml
  help: did you mean `listen`?",
        );
        check_error(
            "[twilio]\nauth_tokn = \"x\"",
            &[],
            "
no setting is called `twilio.auth_tokn`
  key: twilio.auth_tokn
  where: voxflow.toml
  help: did you mean `auth_token`?",
        );
        check_error(
            "",
            &[("VOXFLOW_LISTN", "127.0.0.1:1")],
            "
no setting has this name
  where: environment variable `VOXFLOW_LISTN`
  help: did you mean `VOXFLOW_LISTEN`?",
        );
    }

    #[test]
    fn an_ill_typed_value_names_its_source_and_not_itself() {
        check_error(
            "drain_s = \"hunter2\"",
            &[],
            "
this setting takes a whole number, not below 0
  key: drain_s
  where: voxflow.toml
  help: set it to a whole number, not below 0",
        );
        check_error(
            "",
            &[("AICALL_CONVERSATION_IDLE_TIMEOUT_HOURS", "a day")],
            "
this setting takes a number
  key: conversation.idle_timeout_hours
  where: environment variable `AICALL_CONVERSATION_IDLE_TIMEOUT_HOURS`
  help: set it to a number, or leave it out",
        );
        check_error(
            "listen = \"8080\"",
            &[],
            "
`listen` is no address
  key: listen
  where: voxflow.toml
  help: write an IP address and a port, such as 127.0.0.1:8080",
        );
    }

    #[test]
    fn the_environment_wins_over_the_file_and_our_names_over_the_vendors() {
        let settings = read_text(
            "listen = \"127.0.0.1:1\"\n[twilio]\nauth_token = \"file\"\naccount_sid = \"AC1\"",
            &[
                ("VOXFLOW_LISTEN", "127.0.0.1:2"),
                ("TWILIO_AUTH_TOKEN", "12345"),
                ("VOXFLOW_OPENAI_BASE_URL", "http://ours"),
                ("VOXFLOW_ACCESS_KEYS", "one, two"),
                ("DATABASE_URL", ""),
            ],
        )
        .unwrap();
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.twilio.account_sid.as_deref(), Some("AC1"));
        assert_eq!(settings.twilio.auth_token.unwrap().expose_secret(), "12345");
        assert_eq!(settings.openai.base_url.as_deref(), Some("http://ours"));
        assert_eq!(settings.access_keys.len(), 2);
        assert_eq!(settings.database.expose_secret(), "sqlite:voxflow.db");
        assert_eq!(settings.conversation.idle_timeout_hours, 24.0);
    }

    #[test]
    fn a_secret_can_come_from_a_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "sk-secret\n").unwrap();
        let path = file.display().to_string();
        let settings = read_text("", &[("OPENAI_API_KEY_FILE", &path)]).unwrap();
        assert!(!format!("{settings:?}").contains("sk-secret"));
        assert_eq!(settings.openai.api_key.unwrap().expose_secret(), "sk-secret");

        check_error(
            "",
            &[("OPENAI_API_KEY_FILE", "/nowhere/key"), ("OPENAI_API_KEY", "x")],
            "
`OPENAI_API_KEY` and `OPENAI_API_KEY_FILE` are both set
  where: environment variable `OPENAI_API_KEY_FILE`
  help: keep one of them",
        );
    }

    #[test]
    fn paths_are_taken_from_the_folder_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("voxflow.toml");
        std::fs::write(&file, "[[number]]\nnumber = \"+15550001000\"\ncall_flow = \"a.json\"")
            .unwrap();
        let settings = read_from(Some(&file), Vec::new()).unwrap();
        assert_eq!(settings.number[0].call_flow, Some(folder.path().join("a.json")));
    }

    #[test]
    fn every_name_that_users_have_sets_a_key_that_exists() {
        let leaves = leaves();
        for (name, key) in NAMES {
            assert!(leaves.contains_key(*key), "{name} sets `{key}`, which does not exist");
        }
        for (name, key) in vendor_names() {
            assert!(leaves.contains_key(&key), "{name} sets `{key}`, which does not exist");
        }
        let settings = read_text("", &[("GROQ_API_KEY", "g"), ("OLLAMA_BASE_URL", "http://o")]);
        let settings = settings.unwrap();
        let set: Vec<_> = settings.accounts().map(|(name, _)| name).collect();
        assert_eq!(set, ["groq", "ollama"]);
    }
}
