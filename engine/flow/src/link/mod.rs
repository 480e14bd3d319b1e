//! From a document to a flow, or to every diagnostic at once.
//!
//! Read in this order: [`read`] (the text) → [`head`] (the document around the actions) → [`build`]
//! (actions, one by one) → [`option`] (their options) → [`graph`] (how they hang together) →
//! [`names`] (variables).
//!
//! Invariant: nothing stops at the first fault. What cannot be read is left out, and the rest is
//! checked all the same.

mod build;
mod graph;
mod head;
mod names;
mod option;
mod read;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jsonc_parser::ast;
use serde_json::Value;

use crate::action::{Action, Catalog, Needs, Spec, Tool};
use crate::diagnostic::{Diagnostic, Rule, Severity};
use crate::document::Retry;
use crate::event::{Medium, Vars};
use crate::expression::Expression;
use crate::place::{self, At};
use crate::shape;

pub(crate) use build::exit_of;
pub(crate) use names::is_given;
pub(crate) use option::from_model;

/// A linked flow: all options typed, all targets exist. Only [`link`] makes one.
pub struct Flow {
    /// What the flow is called.
    pub name: String,
    /// The flow to start when a run of this one ends.
    pub on_complete: Option<String>,
    /// The catalog it was linked against; actions that a model chooses are linked on arrival.
    pub catalog: Catalog,
    /// The variables that it expects, with their defaults.
    pub(crate) variables: Vars,
    pub(crate) zone: TimeZone,
    /// Where failures go that nothing else catches, if the author said so; `None` inside = the end.
    pub(crate) on_error: Option<Option<u32>>,
    pub(crate) places: Vec<Place>,
    pub(crate) ids: HashMap<String, u32>,
}

/// Where a run can be: an action of a flow, ready to run.
pub(crate) struct Place {
    pub id: Arc<str>,
    pub kind: &'static str,
    pub spec: &'static Spec,
    pub body: Body,
    /// Where `done` goes; `None` = the run ends.
    pub next: Option<u32>,
    /// The next element of the document.
    pub after: Option<u32>,
    /// Where the other exits go.
    pub on: Vec<(String, Option<u32>)>,
    pub condition: Option<Expression>,
    pub timeout_s: Option<u64>,
    pub retry: Option<Retry>,
}

/// An action, or what is needed to make one.
pub(crate) enum Body {
    /// Its options hold no variables.
    Ready(Box<dyn Action>),
    /// Its options are filled in and read when the run arrives.
    Template(Value),
}

/// What a flow is linked for.
#[derive(Clone, Copy)]
pub struct Linking {
    /// Every action type there is.
    pub catalog: Catalog,
    /// For calls, for texts, or for both ([`Needs::Nothing`]).
    pub medium: Needs,
}

/// A flow and its warnings, or the errors and warnings.
pub type Linked = Result<(Arc<Flow>, Vec<Diagnostic>), Vec<Diagnostic>>;

/// Links the text of a document. A mark of its byte order before it does not count.
pub fn link(text: &str, linking: Linking) -> Linked {
    let whole = text.len();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut findings = Findings::default();
    let read = read::read(text, &mut findings);
    let flow = read.as_ref().and_then(|(_, value)| build::build(value, linking, &mut findings));
    let mut diagnostics = findings.placed(text, read.as_ref().map(|(root, _)| root));
    for diagnostic in &mut diagnostics {
        diagnostic.span.start += whole - text.len();
        diagnostic.span.end += whole - text.len();
    }
    let wrong = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    match flow {
        Some(flow) if !wrong => Ok((Arc::new(flow), diagnostics)),
        _ => Err(diagnostics),
    }
}

/// An action type as a model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The action type.
    pub kind: &'static str,
    /// What taking it does to the conversation.
    pub tool: Tool,
    /// What it does.
    pub description: String,
    /// JSON schema of its options.
    pub parameters: Value,
}

impl Flow {
    /// The action types that a model may take in a run about this medium.
    pub fn tools(&self, medium: Medium) -> Vec<Offer> {
        let fitting = self
            .catalog
            .types
            .iter()
            .filter(|(_, spec)| spec.tool != Tool::No && spec.needs.met_by(medium));
        fitting
            .map(|(kind, spec)| {
                let shape = shape::of(spec);
                Offer {
                    kind,
                    tool: spec.tool,
                    description: shape.description.clone(),
                    parameters: shape.parameters(),
                }
            })
            .collect()
    }

    /// Where a reserved id of the older dialect leads, seen from a place.
    pub(crate) fn reserved(&self, id: &str, from: &Place) -> Option<Option<u32>> {
        build::reserved(id, from.after)
    }

    /// The actions, in the order of the document: id and type.
    pub fn actions(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.places.iter().map(|place| (&*place.id, place.kind))
    }
}

/// What was found so far, not yet placed in the text.
#[derive(Default)]
struct Findings(Vec<Finding>);

struct Finding {
    rule: Rule,
    pointer: String,
    at: At,
    /// Where, when it is known already: syntax.
    span: Option<std::ops::Range<usize>>,
    message: String,
    help: Option<String>,
}

impl Findings {
    fn add(&mut self, rule: Rule, pointer: impl Into<String>, at: At, message: impl Into<String>) {
        self.add_with(rule, pointer, at, message, None::<String>);
    }

    fn add_with(
        &mut self,
        rule: Rule,
        pointer: impl Into<String>,
        at: At,
        message: impl Into<String>,
        help: Option<impl Into<String>>,
    ) {
        let (pointer, message, help) = (pointer.into(), message.into(), help.map(Into::into));
        self.0.push(Finding { rule, pointer, at, span: None, message, help });
    }

    /// Looks every place up; in the order of the text.
    fn placed(self, text: &str, root: Option<&ast::Value<'_>>) -> Vec<Diagnostic> {
        let mut diagnostics: Vec<Diagnostic> = self
            .0
            .into_iter()
            .map(|finding| {
                let Finding { rule, pointer, at, span, message, help } = finding;
                let span = match (span, root) {
                    (Some(span), _) => span,
                    (None, Some(root)) => place::find(text, root, &pointer, &at),
                    (None, None) => 0..0,
                };
                let (line, column) = place::line_and_column(text, span.start);
                let Rule { code, severity, .. } = rule;
                Diagnostic { code, severity, line, column, span, pointer, message, help }
            })
            .collect();
        diagnostics.sort_by(|a, b| (a.span.start, a.code).cmp(&(b.span.start, b.code)));
        diagnostics.dedup();
        diagnostics
    }
}
