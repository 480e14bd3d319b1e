//! The options of one action: names, kinds, targets, expressions, variables.

use serde_json::Value;

use super::build::{Builder, By, Edge};
use super::{Body, Finding, canonical};
use crate::action::{Action, Catalog, Pace, Spec, Tool};
use crate::diagnostic::{OPTION, TEMPLATE_PLACE, UNKNOWN_TOOL, UNUSABLE_VENDOR};
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
        let option = match action.get("option") {
            None | Some(Value::Null) => &empty,
            Some(option @ Value::Object(_)) => option,
            // The shape of the action is wrong, which was reported.
            Some(_) => return (self.broken("`option` is no object"), None),
        };
        let at = |pointer: &str| format!("{here}/option{pointer}");
        let shape = shape::of(spec);
        let template = holds_variables(option);
        let probe = template.then(|| shape.probe(option, &Vars::new()));
        let probe = probe.as_ref().unwrap_or(option);
        let fits = shape.fits(probe);
        let mut first = None;
        if !fits {
            for fault in shape.faults(probe) {
                first.get_or_insert_with(|| fault.message.clone());
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
                        edges.push(Edge { to, pointer, at_once: false, by: By::Option });
                    }
                }
                Mark::Expression => match self.compile(found, &pointer) {
                    Some(compiled) => self.uses.expression(&compiled, &pointer),
                    None => broken = true,
                },
                Mark::Tool => self.tool(found, &pointer),
                Mark::Vendor(work) => self.vendor(work, found, &pointer),
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
                    self.findings.add(OPTION, at(""), At::Value, why.as_str());
                }
                (self.broken(&first.unwrap_or(why)), None)
            }
        }
    }

    /// What stands in the place of an action whose options cannot be read: in the older dialect
    /// they were not looked at before the action ran, and then it failed.
    fn broken(&self, why: &str) -> Option<Body> {
        self.findings.older.then(|| Body::Broken(why.into()))
    }

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

    /// A vendor that an agent wants.
    fn vendor(&mut self, work: &str, name: &str, pointer: &str) {
        if name.is_empty() || text::is_template(name) {
            return;
        }
        if let Some(usable) = self.linking.catalog.vendors
            && let Err(why) = usable(work, name)
        {
            self.findings.add(UNUSABLE_VENDOR, pointer, At::Value, why);
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
    let renamed = canonical::option(option, spec);
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
