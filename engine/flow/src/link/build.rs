//! Actions, one by one: types, ids, options, exits, targets, expressions.

use std::collections::HashMap;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::Value;

use super::names::Uses;
use super::{Body, Findings, Flow, Linking, Place, graph};
use crate::action::{Action, Catalog, Needs, Pace, Spec};
use crate::diagnostic::{
    DOCUMENT, DUPLICATE_ID, ENDLESS_WAIT, EXIT, EXPRESSION, ID, MEDIUM, OPTION, RETRY, TARGET,
    TEMPLATE_PLACE, UNKNOWN_TYPE, UNWIRED, VERSION, ZONE,
};
use crate::document::{Retry, VERSION as NEWEST};
use crate::event::Vars;
use crate::expression::Expression;
use crate::place::{At, escape};
use crate::shape::{self, Mark, nearest};
use crate::text;

/// Ids that the older dialect reserves; the last letters tell them apart.
const RESERVED: &str = "00000000-0000-0000-0000-00000000000";

/// An edge from one action to another, `None` = the end, and where it is written.
pub(super) struct Edge {
    pub to: Option<u32>,
    pub pointer: String,
    /// Whether it may be taken at once even when the action waits or counts: a failure, or an
    /// `if` that is false.
    pub at_once: bool,
}

/// What the linker learned of an action, for the checks of the whole.
pub(super) struct Learned {
    pub pace: Pace,
    pub edges: Vec<Edge>,
}

struct Builder<'a> {
    linking: Linking,
    findings: &'a mut Findings,
    /// The pointer of the list of actions.
    base: &'static str,
    ids: HashMap<String, u32>,
    count: u32,
    /// Where failures go, if the author said so.
    on_error: Option<Option<u32>>,
    uses: Uses,
}

/// Builds a flow; `None` when there is nothing to build.
pub(super) fn build(document: &Value, linking: Linking, findings: &mut Findings) -> Option<Flow> {
    let (actions, base) = match document {
        Value::Array(actions) => (Some(actions), ""),
        Value::Object(fields) => (fields.get("actions").and_then(Value::as_array), "/actions"),
        _ => {
            let message = "a flow is an object with `actions`, or a list of actions";
            findings.add(DOCUMENT, "", At::Value, message);
            return None;
        }
    };
    check_shape(document, linking.catalog, findings);
    let zone = head(document, findings);
    let actions = actions.filter(|actions| !actions.is_empty())?;
    let count = u32::try_from(actions.len()).ok()?;
    let mut builder = Builder {
        linking,
        findings,
        base,
        ids: HashMap::with_capacity(actions.len()),
        count,
        on_error: None,
        uses: Uses::default(),
    };
    let names = builder.name(actions);
    if let Some(on_error) = document.get("on_error").and_then(Value::as_str) {
        builder.on_error = builder.target(on_error, 0, "/on_error");
    }

    let mut places = Vec::with_capacity(actions.len());
    let mut learned = Vec::with_capacity(actions.len());
    for (n, (action, id)) in actions.iter().zip(names).enumerate() {
        let (place, known) = builder.action(n as u32, action, id);
        places.push(place);
        learned.push(known);
    }
    let Builder { on_error, ids, mut uses, .. } = builder;
    let pointer = |n: usize| format!("{base}/{n}");
    graph::check(&learned, on_error.flatten(), &pointer, findings);
    let variables = document.get("variables").and_then(Value::as_object);
    let variables: Vars =
        variables.into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    uses.sets.extend(variables.keys().cloned());
    uses.check(findings);
    check_medium(&places, linking.medium, &pointer, findings);
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(String::from);
    Some(Flow {
        name: text("name").unwrap_or_default(),
        on_complete: text("on_complete"),
        catalog: linking.catalog,
        variables,
        zone,
        on_error,
        places: places.into_iter().collect::<Option<Vec<_>>>()?,
        ids,
    })
}

/// Keys and kinds of the document and of every action.
fn check_shape(document: &Value, catalog: Catalog, findings: &mut Findings) {
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

/// Version and time zone.
fn head(document: &Value, findings: &mut Findings) -> TimeZone {
    let version = document.get("version").and_then(Value::as_u64).unwrap_or(1);
    if version > u64::from(NEWEST) {
        let message = format!("the document is of version {version} of the language");
        let help = format!("this engine knows versions up to {NEWEST}; update it");
        findings.add_with(VERSION, "/version", At::Value, message, Some(help));
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
fn check_medium(
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

impl Builder<'_> {
    fn pointer(&self, n: u32) -> String {
        format!("{}/{n}", self.base)
    }

    /// The id of every action: its own, or one made from its type.
    fn name(&mut self, actions: &[Value]) -> Vec<String> {
        let mut names = vec![None; actions.len()];
        for (n, action) in actions.iter().enumerate() {
            let Some(id) = written_id(action, "id") else { continue };
            let pointer = format!("{}/id", self.pointer(n as u32));
            let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
            if id.len() > 64 || !id.chars().all(fine) {
                let help = "1 to 64 of A-Z a-z 0-9 _ . -";
                let message = format!("`{id}` cannot be an id");
                self.findings.add_with(ID, pointer, At::Value, message, Some(help));
            } else if id.starts_with(RESERVED) {
                let message = format!("`{id}` is a reserved id");
                self.findings.add(ID, pointer, At::Value, message);
            } else if self.ids.contains_key(id) {
                let message = format!("another action has the id `{id}`");
                self.findings.add(DUPLICATE_ID, pointer, At::Value, message);
            }
            self.ids.entry(id.into()).or_insert(n as u32);
            names[n] = Some(id.to_string());
        }
        let given: Vec<Option<String>> = names;
        let mut all = Vec::with_capacity(given.len());
        for (n, (given, action)) in given.into_iter().zip(actions).enumerate() {
            let id = given.unwrap_or_else(|| {
                let kind = action.get("type").and_then(Value::as_str).unwrap_or("action");
                let mut id = kind.to_string();
                let mut twin = 1;
                while self.ids.contains_key(&id) {
                    twin += 1;
                    id = format!("{kind}_{twin}");
                }
                self.ids.insert(id.clone(), n as u32);
                id
            });
            all.push(id);
        }
        all
    }

    /// Where a target leads: `Some(None)` is the end, `None` a fault that was reported.
    fn target(&mut self, id: &str, from: u32, pointer: &str) -> Option<Option<u32>> {
        if let Some(&to) = self.ids.get(id) {
            return Some(Some(to));
        }
        if let Some(to) = reserved(id, self.after(from)) {
            return Some(to);
        }
        let message = format!("no action has the id `{id}`");
        let help = nearest(id, self.ids.keys().map(String::as_str))
            .map(|near| format!("did you mean `{near}`?"));
        self.findings.add_with(TARGET, pointer, At::Value, message, help);
        None
    }

    fn after(&self, n: u32) -> Option<u32> {
        (n + 1 < self.count).then_some(n + 1)
    }

    fn action(&mut self, n: u32, action: &Value, id: String) -> (Option<Place>, Learned) {
        let here = self.pointer(n);
        let found = self.kind(action, &here);
        let spec = found.map(|(_, spec)| spec);
        let (next, next_at) = match ["next", "next_id"]
            .iter()
            .find_map(|key| written_id(action, key).map(|id| (id, format!("{here}/{key}"))))
        {
            Some((id, pointer)) => (self.target(id, n, &pointer).unwrap_or(self.after(n)), pointer),
            None => (self.after(n), here.clone()),
        };
        let timeout_s = action.get("timeout_s").and_then(Value::as_u64);
        let (on, mut edges) = self.exits(n, action, &here, spec, timeout_s.is_some());
        let next_to = on.iter().find(|(exit, _)| exit == "done").map_or(next, |(_, to)| *to);
        let condition = self.condition(action, &here);
        let retry = self.retry(action, &here, spec);
        // Without a type the options mean nothing, but may go on anywhere.
        let Some((kind, spec)) = found else {
            edges.push(Edge { to: next_to, pointer: next_at, at_once: false });
            return (None, Learned { pace: Pace::Waits, edges });
        };
        let (body, pace) = self.option(n, action, &here, spec, &mut edges);
        let pace = pace.unwrap_or(Pace::Waits);
        let passed_over = action.get("if").is_some();
        if passed_over || !matches!(pace, Pace::Jumps | Pace::Ends) {
            edges.push(Edge { to: next_to, pointer: next_at, at_once: passed_over });
        }
        if pace == Pace::WaitsForEver && timeout_s.is_none() {
            let message = format!("`{kind}` may wait for ever");
            let help = "give it `timeout_s`, and wire the exit `timeout`";
            self.findings.add_with(
                ENDLESS_WAIT,
                format!("{here}/type"),
                At::Value,
                message,
                Some(help),
            );
        }
        self.check_wired(kind, spec, &on, &here);
        let place = body.map(|body| Place {
            id,
            kind,
            spec,
            body,
            next: next_to,
            after: self.after(n),
            on: on.into_iter().filter(|(exit, _)| exit != "done").collect(),
            condition,
            timeout_s,
            retry,
        });
        (place, Learned { pace, edges })
    }

    fn kind(&mut self, action: &Value, here: &str) -> Option<(&'static str, &'static Spec)> {
        let name = action.get("type").and_then(Value::as_str)?;
        let catalog = self.linking.catalog;
        let found = catalog.get(name);
        if found.is_none() {
            let known = catalog.types.iter().map(|(name, _)| *name);
            let older = catalog.aliases.iter().map(|(name, _)| *name);
            let help =
                nearest(name, known.chain(older)).map(|near| format!("did you mean `{near}`?"));
            let message = format!("no action is called `{name}`");
            self.findings.add_with(UNKNOWN_TYPE, format!("{here}/type"), At::Value, message, help);
        }
        found
    }

    fn exits(
        &mut self,
        n: u32,
        action: &Value,
        here: &str,
        spec: Option<&'static Spec>,
        timed: bool,
    ) -> (Vec<(String, Option<u32>)>, Vec<Edge>) {
        let (mut on, mut edges) = (Vec::new(), Vec::new());
        for (exit, target) in action.get("on").and_then(Value::as_object).into_iter().flatten() {
            let pointer = format!("{here}/on/{}", escape(exit));
            if let Some(spec) = spec
                && !has_exit(spec, exit, timed)
            {
                let mut known: Vec<String> = spec.exits.iter().map(|exit| (*exit).into()).collect();
                known.push("done".into());
                let help = match nearest(exit, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if exit == "timeout" => "it has one once `timeout_s` is given".into(),
                    None => format!("it has {}", shape::list(&known)),
                };
                let kind = action.get("type").and_then(Value::as_str).unwrap_or_default();
                let message = format!("`{kind}` has no exit `{exit}`");
                self.findings.add_with(EXIT, pointer.as_str(), At::Key, message, Some(help));
            }
            if let Some(id) = target.as_str()
                && let Some(to) = self.target(id, n, &pointer)
            {
                on.push((exit.clone(), to));
                if exit != "done" {
                    edges.push(Edge { to, pointer, at_once: exit == "failed" });
                }
            }
        }
        (on, edges)
    }

    fn condition(&mut self, action: &Value, here: &str) -> Option<Expression> {
        let text = action.get("if").and_then(Value::as_str)?;
        let pointer = format!("{here}/if");
        let compiled = self.compile(text, &pointer)?;
        self.uses.expression(&compiled, &pointer);
        Some(compiled)
    }

    fn compile(&mut self, text: &str, pointer: &str) -> Option<Expression> {
        let fault = match Expression::compile(text) {
            Ok(compiled) => return Some(compiled),
            Err(fault) => fault,
        };
        let line: usize =
            text.split_inclusive('\n').take(fault.line - 1).map(str::len).sum::<usize>();
        let column: usize =
            text[line..].chars().take(fault.column.saturating_sub(1)).map(char::len_utf8).sum();
        let start = (line + column).min(text.len());
        let end = text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
        let help = match text.contains("${") {
            true => Some("variables stand in expressions by their bare names, without `${}`"),
            false if fault.message.contains("'='") => Some("to compare, write `==`"),
            false => None,
        };
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let message = format!("{}, in the expression `{flat}`", lower_first(&fault.message));
        self.findings.add_with(EXPRESSION, pointer, At::Inside(start..end), message, help);
        None
    }

    fn retry(&mut self, action: &Value, here: &str, spec: Option<&Spec>) -> Option<Retry> {
        let retry = serde_json::from_value(action.get("retry")?.clone()).ok()?;
        if spec.is_some_and(|spec| spec.exits.is_empty()) {
            let message = "this action cannot fail, so there is nothing to try again";
            self.findings.add(RETRY, format!("{here}/retry"), At::Key, message);
        }
        Some(retry)
    }

    /// Reads the options. The edges that they hold are added.
    fn option(
        &mut self,
        n: u32,
        action: &Value,
        here: &str,
        spec: &'static Spec,
        edges: &mut Vec<Edge>,
    ) -> (Option<Body>, Option<Pace>) {
        let empty = Value::Object(Default::default());
        let written = match action.get("option") {
            None | Some(Value::Null) => &empty,
            Some(option @ Value::Object(_)) => option,
            // The shape of the action is wrong, which was reported.
            Some(_) => return (None, None),
        };
        let (renamed, older) = rename(written, spec);
        let option = renamed.as_ref().unwrap_or(written);
        let at = |pointer: &str| match pointer.split('/').nth(1).and_then(|key| older.get(key)) {
            Some(older) => {
                let rest = pointer[1..].find('/').map_or("", |end| &pointer[1 + end..]);
                format!("{here}/option/{older}{rest}")
            }
            None => format!("{here}/option{pointer}"),
        };
        let shape = shape::of(spec);
        let template = holds_variables(option);
        let probe = template.then(|| shape.probe(option));
        let probe = probe.as_ref().unwrap_or(option);
        let fits = shape.fits(probe);
        if !fits {
            for fault in shape.faults(probe) {
                self.findings.add_with(
                    OPTION,
                    at(&fault.pointer),
                    fault.at,
                    fault.message,
                    fault.help,
                );
            }
        }
        let read = (spec.read)(probe);
        let mut broken = false;
        let mut marks = Vec::new();
        shape.marks(option, &mut |mark, pointer, found| marks.push((mark, at(pointer), found)));
        let marked: Vec<String> = marks.iter().map(|(_, pointer, _)| pointer.clone()).collect();
        for (mark, pointer, found) in marks {
            match mark {
                _ if text::is_template(found) && mark == Mark::Target => {
                    let message = "a target cannot hold variables";
                    let help = "use a `branch`";
                    self.findings.add_with(TEMPLATE_PLACE, pointer, At::Value, message, Some(help));
                    broken = true;
                }
                Mark::Target => {
                    if let Some(to) = self.target(found, n, &pointer) {
                        edges.push(Edge { to, pointer, at_once: false });
                    }
                }
                Mark::Expression => match self.compile(found, &pointer) {
                    Some(compiled) => self.uses.expression(&compiled, &pointer),
                    None => broken = true,
                },
            }
        }
        if template {
            self.uses.templates(option, &at, &marked, self.findings);
        }
        match read {
            Ok(action) => {
                self.uses.sets.extend(action.sets());
                let pace = action.pace();
                let body = match template {
                    true => Body::Template(option.clone()),
                    false => Body::Ready(action),
                };
                (Some(body), Some(pace))
            }
            Err(why) => {
                if fits && !broken {
                    self.findings.add(OPTION, at(""), At::Value, why);
                }
                (None, None)
            }
        }
    }

    fn check_wired(&mut self, kind: &str, spec: &Spec, on: &[(String, Option<u32>)], here: &str) {
        if self.on_error.is_some() {
            return;
        }
        let loose: Vec<String> = spec
            .exits
            .iter()
            .filter(|exit| !on.iter().any(|(wired, _)| wired == *exit))
            .map(|exit| (*exit).into())
            .collect();
        if loose.is_empty() {
            return;
        }
        let message = format!("when `{kind}` ends by {}, the run ends", shape::list(&loose));
        let help = "wire the exit in `on`, or give the flow an `on_error`";
        self.findings.add_with(UNWIRED, format!("{here}/type"), At::Value, message, Some(help));
    }
}

/// Where a target leads that is no id of an action: `end` to the end; the reserved ids of the
/// older dialect to the start, the end, or what comes after.
pub(super) fn reserved(id: &str, after: Option<u32>) -> Option<Option<u32>> {
    if id == "end" {
        return Some(None);
    }
    match id.strip_prefix(RESERVED)? {
        "1" => Some(Some(0)),
        "2" => Some(None),
        "3" => Some(after),
        _ => None,
    }
}

/// Whether an action can leave by this exit. Every one can fail, at a limit for one.
pub(crate) fn has_exit(spec: &Spec, exit: &str, timed: bool) -> bool {
    matches!(exit, "done" | "failed") || (timed && exit == "timeout") || spec.exits.contains(&exit)
}

/// An id as written; the nil UUID of the older dialect means that there is none.
fn written_id<'a>(action: &'a Value, key: &str) -> Option<&'a str> {
    let id = action.get(key).and_then(Value::as_str)?;
    (!id.is_empty() && id.strip_prefix(RESERVED) != Some("0")).then_some(id)
}

/// The options under today's names, and which of them were written under which older name.
fn rename(option: &Value, spec: &Spec) -> (Option<Value>, HashMap<&'static str, &'static str>) {
    let mut older = HashMap::new();
    let Value::Object(fields) = option else { return (None, older) };
    for (old, new) in spec.renamed {
        if fields.contains_key(*old) && !fields.contains_key(*new) {
            older.insert(*new, *old);
        }
    }
    if older.is_empty() {
        return (None, older);
    }
    let renamed = fields
        .iter()
        .map(|(key, value)| {
            let new = older.iter().find(|(_, old)| *old == key).map(|(new, _)| *new);
            (new.map_or_else(|| key.clone(), Into::into), value.clone())
        })
        .collect();
    (Some(Value::Object(renamed)), older)
}

fn holds_variables(value: &Value) -> bool {
    match value {
        Value::String(found) => text::is_template(found),
        Value::Array(values) => values.iter().any(holds_variables),
        Value::Object(fields) => fields.values().any(holds_variables),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// An action that a model chose: its type and its options, checked like written ones, except that
/// no variable is filled in, since what the model says came from whoever talks to it.
///
/// # Errors
/// A sentence: the type does not exist, or its options are wrong.
pub(crate) fn from_model(
    catalog: Catalog,
    name: &str,
    option: &Value,
) -> Result<(&'static str, &'static Spec, Box<dyn Action>), String> {
    let (kind, spec) = catalog.get(name).ok_or_else(|| format!("no action is called `{name}`"))?;
    let empty = Value::Object(Default::default());
    let option = if option.is_null() { &empty } else { option };
    let (renamed, _) = rename(option, spec);
    let option = renamed.as_ref().unwrap_or(option);
    let shape = shape::of(spec);
    if !shape.fits(option) {
        let all: Vec<String> = shape
            .faults(option)
            .into_iter()
            .map(|fault| match (fault.pointer.as_str(), fault.help) {
                ("", Some(help)) => format!("{} ({help})", fault.message),
                ("", None) => fault.message,
                (pointer, Some(help)) => format!("{pointer}: {} ({help})", fault.message),
                (pointer, None) => format!("{pointer}: {}", fault.message),
            })
            .collect();
        return Err(format!("`{kind}` cannot be taken so: {}", all.join("; ")));
    }
    let action =
        (spec.read)(option).map_err(|why| format!("`{kind}` cannot be taken so: {why}"))?;
    Ok((kind, spec, action))
}
