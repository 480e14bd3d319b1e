//! The options of one action: names, kinds, targets, expressions, variables.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::build::{Builder, Edge};
use super::{Body, Finding};
use crate::action::{Action, Catalog, Pace, Spec, Tool};
use crate::diagnostic::{OPTION, TEMPLATE_PLACE, UNKNOWN_TOOL};
use crate::event::Vars;
use crate::place::At;
use crate::shape::{self, Fault, Mark, Shape, nearest};
use crate::text;

impl Builder<'_> {
    /// Reads the options. The edges that they hold are added.
    pub(super) fn option(
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
        let probe = template.then(|| shape.probe(option, &Vars::new()));
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
        if template && fits && !self.variables.is_empty() {
            self.doubt(shape, option, &at);
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
                Mark::Tool => self.tool(found, &pointer),
                Mark::Condition => broken |= self.condition(found, &pointer).is_none(),
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
}

impl Builder<'_> {
    /// Options that are wrong when their variables have the values that the document declares.
    fn doubt(&mut self, shape: &Shape, option: &Value, at: &dyn Fn(&str) -> String) {
        let declared = shape.probe(option, &self.variables);
        if shape.fits(&declared) {
            return;
        }
        for Fault { pointer, at: what, message, help, .. } in shape.faults(&declared) {
            let written = option.pointer(&pointer).and_then(Value::as_str);
            let Some(name) = written.and_then(text::only_variable) else { continue };
            let message = format!("{message}, which is what the document declares `{name}` to be");
            let (pointer, span) = (at(&pointer), None);
            let finding = Finding { rule: OPTION, pointer, at: what, span, message, help };
            self.doubts.push((name.into(), finding));
        }
    }

    /// A tool that a model shall be offered.
    fn tool(&mut self, name: &str, pointer: &str) {
        let offered = |spec: &Spec| spec.tool != Tool::No;
        let catalog = self.linking.catalog;
        let tools =
            || catalog.types.iter().filter(|(_, spec)| offered(spec)).map(|(name, _)| *name);
        if name == "all" || tools().any(|tool| tool == name) || text::is_template(name) {
            return;
        }
        let (message, help) = match catalog.get(name) {
            Some((today, spec)) if offered(spec) => {
                (format!("`{name}` is an older name"), Some(format!("write `{today}`")))
            }
            Some(_) => (format!("no model may take `{name}`"), None),
            None => {
                let near = nearest(name, tools().chain(["all"]));
                let message = format!("no tool is called `{name}`");
                (message, near.map(|near| format!("did you mean `{near}`?")))
            }
        };
        self.findings.add_with(UNKNOWN_TOOL, pointer, At::Value, message, help);
    }
}

/// The options under today's names and with today's words, and which of them were written under
/// which older name.
fn rename(option: &Value, spec: &Spec) -> (Option<Value>, HashMap<&'static str, &'static str>) {
    let mut older = HashMap::new();
    let Value::Object(fields) = option else { return (None, older) };
    for (old, new) in spec.renamed {
        if fields.contains_key(*old) && !fields.contains_key(*new) {
            older.insert(*new, *old);
        }
    }
    for (bare, meant) in spec.filled {
        let template = fields.get(*bare).and_then(Value::as_str).is_some_and(text::is_template);
        if template && !fields.contains_key(*meant) {
            older.insert(*meant, *bare);
        }
    }
    if older.is_empty() && spec.words.is_empty() {
        return (None, older);
    }
    let name = |key: &str| older.iter().find(|(_, old)| **old == key).map(|(new, _)| *new);
    let word = |key: &str, value: &Value| {
        let found = value.as_str()?;
        let same = |word: &&(&str, &str, &'static str)| word.0 == key && word.1 == found;
        spec.words.iter().find(same).map(|(.., today)| *today)
    };
    let mut changed = !older.is_empty();
    let mut renamed = Map::with_capacity(fields.len());
    for (key, value) in fields {
        let key = name(key).unwrap_or(key);
        let value = match word(key, value) {
            Some(today) => {
                changed = true;
                today.into()
            }
            None => value.clone(),
        };
        renamed.insert(key.into(), value);
    }
    if !changed {
        return (None, older);
    }
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
