//! Actions, one by one: types, ids, exits, targets, expressions.

use std::collections::HashMap;

use serde_json::Value;

use super::head::{check_medium, check_shape, head};
use super::names::Uses;
use super::{Finding, Findings, Flow, Linking, OnError, Place, graph};
use crate::action::{Pace, Spec};
use crate::diagnostic::{
    DOCUMENT, DUPLICATE_ID, ENDLESS_WAIT, EXIT, EXPRESSION, ID, RETRY, TARGET, UNKNOWN_TYPE,
    UNWIRED,
};
use crate::document::Retry;
use crate::event::Vars;
use crate::expression::{Expression, offset};
use crate::place::{At, escape};
use crate::shape::{self, nearest};

/// Ids that the older dialect reserves; the last letters tell them apart.
const RESERVED: &str = "00000000-0000-0000-0000-00000000000";

/// An edge from one action to another, `None` = the end, and where it is written.
pub(super) struct Edge {
    pub to: Option<u32>,
    pub pointer: String,
    /// Whether it may be taken at once even when the action waits or counts: a failure, or an
    /// `if` that is false.
    pub at_once: bool,
    pub by: By,
}

/// How an edge is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// By the exit `done`.
    Done,
    /// By another exit.
    Exit,
    /// An option names it.
    Option,
}

/// What the linker learned of an action, for the checks of the whole.
pub(super) struct Learned {
    pub pace: Pace,
    pub edges: Vec<Edge>,
}

pub(super) struct Builder<'a> {
    pub(super) linking: Linking,
    pub(super) findings: &'a mut Findings,
    /// The pointer of the list of actions.
    base: &'static str,
    ids: HashMap<String, u32>,
    count: u32,
    /// Where failures go, if the author said so.
    on_error: Option<OnError>,
    pub(super) uses: Uses,
    /// The variables that the document declares.
    pub(super) variables: Vars,
    /// What is wrong unless an action sets the variable.
    pub(super) doubts: Vec<(String, Finding)>,
}

/// A flow, and how its actions hang together.
pub(super) type Built = (Flow, Vec<Learned>);

/// Builds a flow; `None` when there is nothing to build.
pub(super) fn build(document: &Value, linking: Linking, findings: &mut Findings) -> Option<Built> {
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
    let variables = document.get("variables").and_then(Value::as_object);
    let variables: Vars =
        variables.into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    let count = u32::try_from(actions.len()).ok()?;
    let mut builder = Builder {
        linking,
        findings,
        base,
        ids: HashMap::with_capacity(actions.len()),
        count,
        on_error: None,
        uses: Uses::default(),
        variables,
        doubts: Vec::new(),
    };
    let names = builder.name(actions);
    if let Some(on_error) = document.get("on_error").and_then(Value::as_str) {
        builder.on_error = match on_error {
            "next" if !builder.ids.contains_key("next") => Some(OnError::Next),
            id => builder.target(id, 0, "/on_error").map(OnError::To),
        };
    }

    let mut places = Vec::with_capacity(actions.len());
    let mut learned = Vec::with_capacity(actions.len());
    for (n, (action, id)) in actions.iter().zip(names).enumerate() {
        let (place, known) = builder.action(n as u32, action, id);
        places.push(place);
        learned.push(known);
    }
    let Builder { on_error, ids, mut uses, variables, doubts, .. } = builder;
    let pointer = |n: usize| format!("{base}/{n}");
    let caught = match on_error {
        Some(OnError::To(to)) => to,
        Some(OnError::Next) | None => None,
    };
    graph::check(&learned, caught, &pointer, findings);
    let sure = doubts.into_iter().filter(|(name, _)| !uses.is_set(name));
    findings.all.extend(sure.map(|(_, finding)| finding));
    uses.sets.extend(variables.keys().cloned());
    uses.check(findings);
    check_medium(&places, linking.medium, &pointer, findings);
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(String::from);
    let flow = Flow {
        name: text("name").unwrap_or_default(),
        on_complete: text("on_complete"),
        catalog: linking.catalog,
        variables,
        zone,
        on_error,
        places: places.into_iter().collect::<Option<Vec<_>>>()?,
        ids,
    };
    Some((flow, learned))
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
            let pointer = || format!("{}/{n}/id", self.base);
            let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
            if id.is_empty() || id.len() > 64 || !id.chars().all(fine) {
                let help = "1 to 64 of A-Z a-z 0-9 _ . -";
                let message = format!("`{id}` cannot be an id");
                self.findings.add_with(ID, pointer(), At::Value, message, Some(help));
            } else if id.starts_with(RESERVED) {
                let message = format!("`{id}` is a reserved id");
                self.findings.add(ID, pointer(), At::Value, message);
            } else if self.ids.contains_key(id) {
                let message = format!("another action has the id `{id}`");
                self.findings.add(DUPLICATE_ID, pointer(), At::Value, message);
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
    pub(super) fn target(&mut self, id: &str, from: u32, pointer: &str) -> Option<Option<u32>> {
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
        let (next, next_at) = match written_id(action, "next") {
            Some(id) => {
                let pointer = format!("{here}/next");
                // In the older dialect a flow ended where its next action could not be found.
                let lost = if self.findings.older { None } else { self.after(n) };
                (self.target(id, n, &pointer).unwrap_or(lost), pointer)
            }
            None => (self.after(n), here.clone()),
        };
        let timeout_s = action.get("timeout_s").and_then(Value::as_u64);
        let (on, mut edges) = self.exits(n, action, &here, spec, timeout_s.is_some());
        let next_to = on.iter().find(|(exit, _)| exit == "done").map_or(next, |(_, to)| *to);
        let condition = action.get("if").and_then(Value::as_str);
        let condition = condition.and_then(|text| self.condition(text, &format!("{here}/if")));
        let retry = self.retry(action, &here, spec);
        // Without a type the options mean nothing, but may go on anywhere.
        let Some((kind, spec)) = found else {
            edges.push(Edge { to: next_to, pointer: next_at, at_once: false, by: By::Done });
            return (None, Learned { pace: Pace::Waits, edges });
        };
        let (body, pace) = self.option(n, action, &here, spec, &mut edges);
        let pace = pace.unwrap_or(Pace::Waits);
        let passed_over = action.get("if").is_some();
        if passed_over || !matches!(pace, Pace::Jumps | Pace::Ends) {
            edges.push(Edge { to: next_to, pointer: next_at, at_once: passed_over, by: By::Done });
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
            id: id.into(),
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
                && exit_of(spec, exit, timed).is_none()
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
                    edges.push(Edge { to, pointer, at_once: exit == "failed", by: By::Exit });
                }
            }
        }
        (on, edges)
    }

    pub(super) fn compile(&mut self, text: &str, pointer: &str) -> Option<Expression> {
        let fault = match Expression::compile(text) {
            Ok(compiled) => return Some(compiled),
            Err(fault) => fault,
        };
        let start = offset(text, fault.line, fault.column);
        // A whole word, when one begins there.
        let word = text[start..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let end = match word.unwrap_or(text.len() - start) {
            0 => text[start..].chars().next().map_or(start, |c| start + c.len_utf8()),
            word => start + word,
        };
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let message = format!("{}, in the expression `{flat}`", lower_first(&fault.message));
        let at = At::Inside(start..end);
        self.findings.add_with(EXPRESSION, pointer, at, message, fault.help);
        None
    }

    /// Compiles what must be true or false.
    pub(super) fn condition(&mut self, text: &str, pointer: &str) -> Option<Expression> {
        let compiled = self.compile(text, pointer)?;
        if let Some(why) = compiled.never_boolean() {
            let help = "compare it with something, such as `n == 1`";
            self.findings.add_with(EXPRESSION, pointer, At::Value, why, Some(help));
        }
        self.uses.expression(&compiled, pointer);
        Some(compiled)
    }

    fn retry(&mut self, action: &Value, here: &str, spec: Option<&Spec>) -> Option<Retry> {
        let retry = serde_json::from_value(action.get("retry")?.clone()).ok()?;
        // A timeout leaves open whether it was done, and who opted out said no.
        let again = |exit: &&str| !matches!(*exit, "timeout" | "opted_out" | "no_input");
        if spec.is_some_and(|spec| !spec.exits.iter().any(again)) {
            let message = "this action cannot fail, so there is nothing to try again";
            self.findings.add(RETRY, format!("{here}/retry"), At::Key, message);
        }
        Some(retry)
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

/// An exit of an action by its name, if it has it. Every one can fail, at a limit for one.
pub(crate) fn exit_of(spec: &Spec, exit: &str, timed: bool) -> Option<&'static str> {
    let timeout: &[&str] = if timed { &["timeout"] } else { &[] };
    let mut all = ["done", "failed"].iter().chain(timeout).chain(spec.exits);
    all.find(|known| **known == exit).copied()
}

/// An id as written; an empty one and the nil UUID mean that there is none.
fn written_id<'a>(action: &'a Value, key: &str) -> Option<&'a str> {
    let id = action.get(key).and_then(Value::as_str)?;
    let absent = id.strip_prefix(RESERVED) == Some("0") || (id.is_empty() && key == "next_id");
    (!absent).then_some(id)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
