//! `voxflow runs export`: a run that was, as a scenario that plays it again, so that a bug report
//! becomes a test.
//!
//! Read in this order: this file (what the history tells) → [`replay`] (the same events again, as
//! acts) → [`redact`] (what nobody else may read, taken out as far as the run goes the same way).

mod redact;
mod replay;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flow::{Event, Flow, Medium, Taken, Vars};
use jiff::Timestamp;
use serde_json::Value;
use store::RunRow;

use crate::play::acts;
use crate::play::scenario::{Given, Playing, Scenario, Source};
use replay::Replay;

/// What a run was given, and where it went.
#[derive(Clone)]
struct Recording {
    /// The run's id, a part of its keys.
    id: String,
    medium: Medium,
    began: Timestamp,
    given: Vars,
    events: Vec<(Timestamp, Event)>,
    path: Vec<Way>,
    /// The flows that it called, by their versions.
    called: BTreeMap<String, Arc<Flow>>,
}

/// An action that was left, and its exit.
type Way = (String, String);

/// The versions of flows that a run used.
pub(crate) struct Versions {
    pub(crate) own: Arc<Flow>,
    /// Those that it called, by their ids, each with its document.
    pub(crate) called: BTreeMap<String, (Arc<Flow>, Value)>,
}

/// The versions of the flows that a run called, as far as its history tells.
pub(crate) fn called(history: &[Taken]) -> impl Iterator<Item = &str> {
    history.iter().filter_map(|taken| match &taken.cause.as_deref()?.event {
        Event::Done { values, .. } => values.get("version")?.as_str(),
        _ => None,
    })
}

/// A run as a scenario.
///
/// # Errors
/// The history does not tell enough: it is from before events were kept, or something beside the
/// flow, such as a tool of an agent, decided where the run went.
pub(crate) fn scenario(
    run: &RunRow,
    history: &[Taken],
    flows: &Versions,
    source: Source,
    keep: bool,
) -> Result<Scenario, String> {
    let flow = &flows.own;
    let mut recording = Recording::of(run, history)?;
    recording.called = flows.called.iter().map(|(id, (it, _))| (id.clone(), it.clone())).collect();
    let mut played = replay::replay(flow, &recording)?;
    if played.path != recording.path {
        // What a tool of an agent set beside the flow is known only by what it is now.
        let changed = |name: &String| history.iter().any(|taken| taken.changed.contains(name));
        let beside = run.state.vars.iter().filter(|(name, _)| !changed(name));
        recording.given.extend(beside.map(|(name, value)| (name.clone(), value.clone())));
        played = replay::replay(flow, &recording)?;
        recording.same_way(&played)?;
    }
    let (recording, played) = redact::needed(flow, recording, played);
    let (recording, played) =
        if keep { (recording, played) } else { redact::redacted(flow, recording, played) };
    let mut given = recording.given();
    for (name, version) in &played.called {
        if let Some((_, document)) = flows.called.get(version) {
            given.flows.insert(name.clone(), Source::Document(document.clone()));
        }
    }
    let scenario = Scenario {
        schema: None,
        flow: source,
        scenario: title(run),
        given,
        play: played.acts,
        ends: run.outcome,
    };
    // The word of the stage counts: what is handed out is what `voxflow test` finds green.
    let again = acts::play(flow, &scenario, Path::new(""));
    match again.wrong {
        None => Ok(scenario),
        Some(wrong) => {
            Err(format!("the run cannot be played again: at {} came {}", wrong.pointer, wrong.came))
        }
    }
}

fn title(run: &RunRow) -> String {
    let name = if run.flow_name.is_empty() { "a flow" } else { &run.flow_name };
    let day = run.created.strftime("%Y-%m-%d");
    format!("{name} on {day}, run {}", run.id)
}

/// Whether an action was left; how a run began, that it entered another flow, and that none
/// follows it are only noted in the history.
fn is_way(taken: &Taken) -> bool {
    !matches!(&*taken.exit, "called" | "began") && taken.kind != "on_complete"
}

fn way(taken: &Taken) -> Way {
    (taken.action.to_string(), taken.exit.to_string())
}

impl Recording {
    fn of(run: &RunRow, history: &[Taken]) -> Result<Self, String> {
        let causes = || history.iter().filter_map(|taken| Some((taken, taken.cause.as_deref()?)));
        let given = causes().find_map(|(_, cause)| cause.given.clone());
        let given = match given {
            Some(given) => given,
            // It has not left its first action yet.
            None if history.is_empty() => run.state.vars.clone(),
            None => {
                return Err(format!(
                    "the history of run {} does not hold what it was given: it is older than that",
                    run.id
                ));
            }
        };
        let events = causes()
            .filter(|(_, cause)| cause.event != Event::Started)
            .map(|(taken, cause)| (taken.at, cause.event.clone()));
        Ok(Self {
            id: run.id.clone(),
            medium: run.medium,
            // Whole seconds, as scenarios count them.
            began: Timestamp::from_second(run.created.as_second()).unwrap_or(run.created),
            given,
            events: events.collect(),
            path: history.iter().filter(|taken| is_way(taken)).map(way).collect(),
            called: BTreeMap::new(),
        })
    }

    fn same_way(&self, played: &Replay) -> Result<(), String> {
        if played.path == self.path {
            return Ok(());
        }
        let pairs =
            self.path.iter().zip(played.path.iter().map(Some).chain(std::iter::repeat(None)));
        let (was, is) = pairs.into_iter().find(|(was, is)| Some(*was) != *is).unzip();
        let (action, exit) = was.cloned().unwrap_or_default();
        let is = is.flatten().map_or("nothing".into(), |(action, exit)| format!("{action}.{exit}"));
        Err(format!(
            "the run cannot be played again: it went by {action}.{exit}, and its events lead to \
             {is}; something beside the flow decided, such as a tool that set variables"
        ))
    }

    /// What a scenario is given, as far as the stage does not know it by itself.
    fn given(&self) -> Given {
        let text = |name: &str| self.given.get(name).and_then(Value::as_str).map(str::to_owned);
        let (from, to) = (text("from"), text("to"));
        let mut variables = self.given.clone();
        variables.retain(|name, value| !self.staged(name, value));
        Given {
            medium: Some(match self.medium {
                Medium::Call => Playing::Call,
                Medium::Text => Playing::Text,
                Medium::None => Playing::None,
            }),
            now: Some(self.began),
            from,
            to,
            text: text("message.text").filter(|_| self.medium == Medium::Text),
            variables,
            flows: BTreeMap::new(),
            mocks: Vec::new(),
        }
    }

    /// Whether the stage gives a run this variable by itself.
    fn staged(&self, name: &str, value: &Value) -> bool {
        let same_as = |other: &str| self.given.get(other) == Some(value);
        if self.medium == Medium::None {
            return false;
        }
        match name {
            "from" | "to" | "message.text" | "message.id" => true,
            "caller.number" | "message.from" => same_as("from"),
            "message.to" => same_as("to"),
            "message.media" => value.as_array().is_some_and(Vec::is_empty),
            _ => false,
        }
    }
}
