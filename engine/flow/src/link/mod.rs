//! From a document to a flow, or to every diagnostic at once.
//!
//! Read in this order: [`read`] (the text) → [`canonical`] (in today's words) → [`head`] (the
//! document around the actions) → [`build`] (actions, one by one) → [`option`] (their options) →
//! [`graph`] (how they hang together) → [`names`] (variables). What a run can do at most is
//! [`budget`], along the longest of [`ways`].
//!
//! Invariant: nothing stops at the first fault. What cannot be read is left out, and the rest is
//! checked all the same.

mod budget;
mod build;
mod canonical;
mod graph;
mod head;
mod names;
mod option;
mod print;
mod read;
mod ways;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jsonc_parser::ast;
use serde_json::Value;

use crate::action::{Action, Catalog, Needs, Spec, Tool};
use crate::diagnostic::{Diagnostic, IGNORED, RULES, Rule, Severity};
use crate::document::Retry;
use crate::event::{Medium, Vars};
use crate::expression::Expression;
use crate::place::{self, At};
use crate::shape;

use canonical::Canonical;

pub use budget::{Bound, Budget, SentText};
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
    /// Where failures go that nothing else catches, if the author said so.
    pub(crate) on_error: Option<OnError>,
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

/// Where a failure goes that nothing else catches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnError {
    /// To an action; `None` = to the end.
    To(Option<u32>),
    /// On, as if all had gone well.
    Next,
}

/// An action, or what is needed to make one.
pub(crate) enum Body {
    /// Its options hold no variables.
    Ready(Box<dyn Action>),
    /// Its options are filled in and read when the run arrives.
    Template(Value),
    /// It fails, for this reason: only in documents of the older dialect.
    Broken(String),
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

/// How a document was written, if that was looked at; what it says; and how it was put into today's
/// form.
type Reading<'a> = (Option<ast::Value<'a>>, Value, Canonical);

/// Reads the text of a document into its canonical form. A mark of its byte order before it does not
/// count, and is left out of the text that the places are about.
fn read_canonical<'a>(
    text: &'a str,
    catalog: Catalog,
    findings: &mut Findings,
) -> (&'a str, Option<Reading<'a>>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read = read::read(text, findings).map(|(root, mut value)| {
        let form = canonical::canonical(&mut value, catalog);
        findings.older = form.older;
        (root, value, form)
    });
    (text, read)
}

/// Links the text of a document.
pub fn link(text: &str, linking: Linking) -> Linked {
    let whole = text.len();
    let mut findings = Findings::default();
    let (text, read) = read_canonical(text, linking.catalog, &mut findings);
    let (root, flow) = match read {
        Some((root, value, form)) => {
            let flow = build::build(&value, linking, &mut findings);
            findings.as_written(&form);
            let clean = findings.all.is_empty();
            (root.or_else(|| if clean { None } else { read::tree(text) }), flow)
        }
        None => (None, None),
    };
    let mut diagnostics = findings.placed(text, root.as_ref());
    for diagnostic in &mut diagnostics {
        diagnostic.span.start += whole - text.len();
        diagnostic.span.end += whole - text.len();
    }
    let wrong = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    match flow {
        Some((flow, _)) if !wrong => Ok((Arc::new(flow), diagnostics)),
        _ => Err(diagnostics),
    }
}

/// A document in its canonical form, as text: today's names and words, one layout, and what the
/// older dialect means written out. It does what the document does.
///
/// # Errors
/// The document cannot be read, or does not link; or, in its canonical form, it would not: the
/// older dialect lets mistakes pass that today's does not.
pub fn format(text: &str, catalog: Catalog) -> Result<String, Vec<Diagnostic>> {
    let linking = Linking { catalog, medium: Needs::Nothing };
    let (_, warnings) = link(text, linking)?;
    let is_error = |found: &Diagnostic| {
        RULES.iter().any(|rule| rule.code == found.code && rule.severity == Severity::Error)
    };
    let mut bent: Vec<Diagnostic> = warnings.into_iter().filter(is_error).collect();
    if !bent.is_empty() {
        bent.iter_mut().for_each(|found| found.severity = Severity::Error);
        return Err(bent);
    }
    let (_, read) = read_canonical(text, catalog, &mut Findings::default());
    read.map(|(_, value, _)| print::print(&value)).ok_or(bent)
}

/// The most that a run about this medium can do; `segments` tells how many segments a text takes.
/// `None` for a document that does not link.
pub fn budget(
    text: &str,
    linking: Linking,
    medium: Medium,
    segments: &dyn Fn(&str) -> usize,
) -> Option<Budget> {
    link(text, linking).ok()?;
    let mut findings = Findings::default();
    let (text, read) = read_canonical(text, linking.catalog, &mut findings);
    let (_, value, form) = read?;
    let root = read::tree(text)?;
    let (flow, learned) = build::build(&value, linking, &mut findings)?;
    let spot = |pointer: &str| {
        let pointer = form.origin(pointer);
        let found = place::find(text, &root, &pointer, &At::Value);
        let (line, column) = place::line_and_column(text, found.start);
        (line, column, pointer)
    };
    Some(budget::budget(&flow, &learned, medium, segments, &spot))
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
    /// Whether it has an action of this type.
    pub fn uses(&self, kind: &str) -> bool {
        self.places.iter().any(|place| place.kind == kind)
    }

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
struct Findings {
    all: Vec<Finding>,
    /// Whether the document is of the older dialect, which was not checked before it ran: what
    /// can be understood only warns.
    older: bool,
}

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
        self.all.push(Finding { rule, pointer, at, span: None, message, help });
    }

    /// Leads every finding back to what was written.
    fn as_written(&mut self, form: &Canonical) {
        for finding in self.all.iter_mut().filter(|finding| finding.span.is_none()) {
            finding.pointer = form.origin(&finding.pointer);
        }
        for pointer in &form.ignored {
            let key = pointer.rsplit('/').next().unwrap_or_default();
            let message = format!("`{key}` is not known here, and ignored");
            self.add(IGNORED, pointer.as_str(), At::Key, message);
        }
    }

    /// Looks every place up; in the order of the text.
    fn placed(self, text: &str, root: Option<&ast::Value<'_>>) -> Vec<Diagnostic> {
        let mut diagnostics: Vec<Diagnostic> = self
            .all
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
                let severity =
                    if self.older && rule.bends() { Severity::Warning } else { severity };
                Diagnostic { code, severity, line, column, span, pointer, message, help }
            })
            .collect();
        diagnostics.sort_by(|a, b| (a.span.start, a.code).cmp(&(b.span.start, b.code)));
        diagnostics.dedup();
        diagnostics
    }
}
