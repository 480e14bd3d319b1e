//! The document around the actions: its keys, version, time zone, and what it is for.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::Value;

use super::{Findings, Place};
use crate::action::{Catalog, Needs};
use crate::diagnostic::{DOCUMENT, MEDIUM, SELF_CHAIN, VERSION, ZONE};
use crate::document::VERSION as NEWEST;
use crate::place::At;
use crate::shape::{self, nearest};

/// Keys and kinds of the document and of every action.
pub(super) fn check_shape(document: &Value, catalog: Catalog, findings: &mut Findings) {
    let mut faults = Vec::new();
    match document {
        Value::Array(actions) => {
            for (n, action) in actions.iter().enumerate() {
                if !shape::written().fits(action) {
                    for mut fault in shape::written().faults(action) {
                        fault.pointer.insert_str(0, &format!("/{n}"));
                        faults.push(fault);
                    }
                }
            }
            if actions.is_empty() {
                findings.add(DOCUMENT, "", At::Value, "a flow has at least one action");
            }
        }
        _ if shape::document().fits(document) => {}
        _ => faults = shape::document().faults(document),
    }
    for mut fault in faults {
        if fault.at == At::Key
            && let Some((action, key)) = fault.pointer.rsplit_once('/')
            && is_option(document, action, key, catalog)
        {
            fault.help = Some(format!("it is an option: write `\"option\": {{ \"{key}\": ... }}`"));
        }
        findings.add_with(DOCUMENT, fault.pointer, fault.at, fault.message, fault.help);
    }
}

/// Whether a key that stands beside `option` belongs in it.
fn is_option(document: &Value, action: &str, key: &str, catalog: Catalog) -> bool {
    let kind = document.pointer(action).and_then(|action| action.get("type")?.as_str());
    kind.and_then(|kind| catalog.get(kind)).is_some_and(|(_, spec)| {
        shape::of(spec).schema.pointer(&format!("/properties/{key}")).is_some()
            || spec.renamed.iter().any(|(older, _)| *older == key)
    })
}

/// Version, the flow that comes after, and time zone.
pub(super) fn head(document: &Value, findings: &mut Findings) -> TimeZone {
    let version = document.get("version").and_then(Value::as_u64).unwrap_or(1);
    if version > u64::from(NEWEST) {
        let message = format!("the document is of version {version} of the language");
        let help = format!("this engine knows versions up to {NEWEST}; update it");
        findings.add_with(VERSION, "/version", At::Value, message, Some(help));
    }
    let text =
        |key: &str| document.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let (Some(name), Some(after)) = (text("name"), text("on_complete"))
        && name == after
    {
        let message = format!("`{name}` would start itself again and again");
        let help = "loop inside the flow, past a wait";
        findings.add_with(SELF_CHAIN, "/on_complete", At::Value, message, Some(help));
    }
    let Some(name) = document.get("timezone").and_then(Value::as_str) else {
        return TimeZone::UTC;
    };
    // The table inside the program, so that a flow means the same on every machine.
    TimeZoneDatabase::bundled().get(name).unwrap_or_else(|_| {
        let message = format!("there is no time zone `{name}`");
        let known: Vec<String> =
            TimeZoneDatabase::bundled().available().map(|known| known.to_string()).collect();
        let help = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "names are such as `Europe/Berlin`, `America/New_York`, `UTC`".into(),
        };
        findings.add_with(ZONE, "/timezone", At::Value, message, Some(help));
        TimeZone::UTC
    })
}

/// An action that needs what the flow is not for; without a purpose, actions that cannot both run.
pub(super) fn check_medium(
    places: &[Option<Place>],
    medium: Needs,
    pointer: &dyn Fn(usize) -> String,
    findings: &mut Findings,
) {
    let mut purpose = medium;
    for (n, place) in places.iter().enumerate() {
        let Some(place) = place else { continue };
        let needs = place.spec.needs;
        if needs == Needs::Nothing || needs == purpose {
            continue;
        }
        if purpose == Needs::Nothing {
            purpose = needs;
            continue;
        }
        let kind = place.kind;
        let message = match medium {
            Needs::Nothing => format!(
                "`{kind}` needs {}, and another action of this flow needs {}",
                needs.words(),
                purpose.words()
            ),
            _ => format!(
                "`{kind}` needs {}, and this flow is for {}",
                needs.words(),
                purpose.words()
            ),
        };
        findings.add(MEDIUM, format!("{}/type", pointer(n)), At::Value, message);
    }
}
