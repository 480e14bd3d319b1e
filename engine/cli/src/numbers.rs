//! From the settings to numbers with linked flows: what cannot be linked is told before anything
//! is served.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use channels::{hook, line};
use conversation::{Address, Tenant};
use flow::{Catalog, Flow, Linking, Needs};
use jiff::Timestamp;
use runtime::Numbers;
use store::FlowRow;

use crate::settings::{Flows, Hook, Number};
use crate::sources;
use crate::validate::{self, Checked};

/// A version of a flow, and the flow.
type Linked = (FlowRow, Arc<Flow>);

/// When flows are read, and what they may name.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) now: Timestamp,
    pub(crate) catalog: Catalog,
}

/// Reads and links the flows of all numbers.
///
/// # Errors
/// Everything that is wrong with any of them, in words.
pub(crate) fn load(
    settings: &[Number],
    hooks: &[Hook],
    reading: Reading,
) -> Result<Numbers, String> {
    let mut numbers = HashMap::new();
    let mut wrong = String::new();
    for number in settings {
        match load_one(number, hooks, reading) {
            Ok(loaded) => {
                let name = loaded.number.to_string();
                if numbers.insert(name.clone(), loaded).is_some() {
                    let _ = writeln!(wrong, "the number {name} is in the settings twice");
                }
            }
            Err(why) => wrong.push_str(&why),
        }
    }
    if wrong.is_empty() { Ok(Numbers(numbers)) } else { Err(wrong.trim_end().to_owned()) }
}

/// Reads and links the flows that others name.
///
/// # Errors
/// Everything that is wrong with any of them, in words.
pub(crate) fn named(settings: &[Flows], reading: Reading) -> Result<Vec<Linked>, String> {
    let (mut all, mut wrong) = (Vec::new(), String::new());
    for flows in settings {
        let tenant = flows.tenant.clone().map(Tenant).unwrap_or_default();
        let files = match files(&flows.path) {
            Ok(files) => files,
            Err(error) => {
                let path = flows.path.display();
                let _ = writeln!(wrong, "the flows of {path} cannot be read: {error}");
                continue;
            }
        };
        for file in files {
            match link(&file, Needs::Nothing, &tenant, reading) {
                Ok(linked) => all.push(linked),
                Err(why) => wrong.push_str(&why),
            }
        }
    }
    let mut names: Vec<_> = all.iter().map(|(row, _)| (&row.tenant, &row.name)).collect();
    names.sort_unstable();
    for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
        let _ = writeln!(wrong, "two flows are called `{}`: give one another `name`", pair[0].1);
    }
    if wrong.is_empty() { Ok(all) } else { Err(wrong.trim_end().to_owned()) }
}

/// A file; or those of a folder that are flows, in the order of their names.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let json = file.extension().is_some_and(|end| end == "json") && file.is_file();
        // Scenarios and other papers lie beside flows.
        if json && is_flow(&std::fs::read_to_string(&file)?) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a text means to be a flow, however faulty.
fn is_flow(text: &str) -> bool {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => value.is_array() || value.get("actions").is_some(),
        Err(_) => text.contains("\"actions\""),
    }
}

/// The folders that flows lie in: where their rules and sounds are looked for.
pub(crate) fn folders(settings: &[Number]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = settings
        .iter()
        .flat_map(|number| [&number.call_flow, &number.message_flow])
        .flatten()
        .filter_map(|file| file.parent())
        .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .map(Path::to_owned)
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

fn load_one(
    number: &Number,
    hooks: &[Hook],
    reading: Reading,
) -> Result<runtime::numbers::Number, String> {
    let address = address(&number.number, hooks).map_err(|why| format!("{why}\n"))?;
    if number.call_flow.is_none() && number.message_flow.is_none() {
        return Err(format!("the number {address} has neither `call_flow` nor `message_flow`\n"));
    }
    let tenant = number.tenant.clone().map(Tenant).unwrap_or_default();
    let flow = |file: &Option<PathBuf>, medium| {
        file.as_deref().map(|file| link(file, medium, &tenant, reading)).transpose()
    };
    let call = flow(&number.call_flow, Needs::Call);
    let message = flow(&number.message_flow, Needs::Text);
    let (call_flow, message_flow) = match (call, message) {
        (Ok(call), Ok(message)) => (call, message),
        (call, message) => {
            return Err(call.err().into_iter().chain(message.err()).collect());
        }
    };
    let idle_s = number.idle_hours.map(seconds);
    let carrier = number.carrier.map(|carrier| carrier.name().to_owned());
    Ok(runtime::numbers::Number {
        tenant,
        number: address,
        call_flow,
        message_flow,
        idle_s,
        carrier,
    })
}

/// A phone number, or the address of a channel that has none.
fn address(text: &str, hooks: &[Hook]) -> Result<Address, String> {
    if text == line::ADDRESS {
        return Ok(Address::id(text));
    }
    let Some(name) = text.strip_prefix("hook:") else { return Address::phone(text) };
    if hooks.iter().any(|hook| hook.name == name) {
        return Ok(Address::id(hook::address_of(name)));
    }
    let near = sources::nearest(name, hooks.iter().map(|hook| hook.name.as_str()));
    let help = near.map_or_else(
        || format!("add a [[hook]] with `name = \"{name}\"`"),
        |near| format!("did you mean `hook:{near}`?"),
    );
    Err(format!("the number `{text}`: no hook is called `{name}`; {help}"))
}

/// Hours as whole seconds, at least one.
pub(crate) fn seconds(hours: f64) -> i64 {
    // A float that does not fit becomes the largest number, which is as good as for ever.
    ((hours * 3600.0).round() as i64).max(1)
}

fn link(file: &Path, medium: Needs, tenant: &Tenant, reading: Reading) -> Result<Linked, String> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("the flow {name} cannot be read: {error}\n"))?;
    match flow::link(&text, Linking { catalog: reading.catalog, medium }) {
        Ok((flow, warnings)) => {
            for warning in &warnings {
                tracing::warn!(file = name, line = warning.line, "{}", warning.message);
            }
            let id = runtime::flows::version(tenant, &text);
            let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let called =
                if flow.name.is_empty() { stem.unwrap_or(name) } else { flow.name.clone() };
            let row =
                FlowRow { id, tenant: tenant.clone(), name: called, text, created: reading.now };
            Ok((row, flow))
        }
        Err(found) => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            Err(validate::human(&[Checked::new(name, text, found)], colours))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_number_may_be_a_channel_that_has_none() {
        let hook = |name: &str| Hook { name: name.into(), secret: "s".into(), url: None };
        let hooks = [hook("orders"), hook("crm")];
        let read = |text: &str| address(text, &hooks).map(|address| address.to_string());
        assert_eq!(read("+1 555 000 1000").unwrap(), "+15550001000");
        assert_eq!(read("line").unwrap(), "line");
        assert_eq!(read("hook:crm").unwrap(), "hook:crm");
        assert!(read("hook:order").unwrap_err().contains("did you mean `hook:orders`?"));
        assert!(read("hook:x").unwrap_err().contains("add a [[hook]]"));
        assert!(read("lines").unwrap_err().contains("E.164"));
    }
}
