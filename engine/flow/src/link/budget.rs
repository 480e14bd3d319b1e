//! The most that a run of a flow can do: actions, seconds of waiting, segments, turns of a model.
//!
//! Actions are asked, not run: each is entered once with the variables that the flow declares, and
//! what it would wait for and send is added up along the longest way through the flow. A loop that
//! counts is multiplied; one that only waits has no bound, and its place is told.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::build::{By, Learned};
use super::ways::{Together, Unbounded, Way, Ways, reached};
use super::{Body, Flow, OnError, Place};
use crate::action::{Action, Pace};
use crate::cx::{Cx, Naming};
use crate::event::{Deed, Key, Medium, Vars};
use crate::shape;
use crate::step::Step;
use crate::text;

/// The most that a run can do. What sub-flows and tools of a model do is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Actions between two waits; the engine ends a run at [`crate::limits::BETWEEN_WAITS`].
    pub actions_between_waits: Bound,
    /// Actions in all; the engine ends a run at [`crate::limits::IN_A_LIFE`].
    pub actions: Bound,
    /// Seconds of waiting: for people, for time to pass, for the ends of deeds.
    pub seconds: Bound,
    /// Segments of all texts that actions send, variables not counted.
    pub segments: Bound,
    /// Turns of a model. On a call a turn takes a second at least; on a thread of texts each
    /// `ai_talk` is one, since the later ones come after the flow has gone on.
    pub model_turns: Bound,
    /// The texts that actions send, in the order of the document.
    pub sends: Vec<SentText>,
}

/// The most of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// So many.
    AtMost(u64),
    /// As many as the loop that is closed here goes round.
    Unbounded {
        /// Line of the place.
        line: usize,
        /// Column of the place.
        column: usize,
        /// The place as JSON pointer.
        pointer: String,
    },
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AtMost(n) => to.serialize_u64(*n),
            Self::Unbounded { line, column, pointer } => {
                let place = serde_json::json!({
                    "unbounded": { "line": line, "column": column, "pointer": pointer }
                });
                place.serialize(to)
            }
        }
    }
}

/// A text that an action sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentText {
    /// The id of the action.
    pub action: String,
    /// Its segments, with variables empty or at their defaults.
    pub segments: u64,
    /// Whether variables in it may make it longer.
    pub variables: bool,
}

/// What one visit of an action costs.
#[derive(Default)]
struct Visit {
    seconds: u64,
    turns: u64,
    /// Each with whether it holds variables.
    texts: Vec<(String, bool)>,
    /// How often it goes on elsewhere before it goes on; `None` = nobody can say.
    times: Option<u64>,
}

/// Works the budget out. `segments` tells what a text costs, `spot` where a pointer stands.
pub(super) fn budget(
    flow: &Flow,
    learned: &[Learned],
    medium: Medium,
    segments: &dyn Fn(&str) -> usize,
    spot: &dyn Fn(&str) -> (usize, usize, String),
) -> Budget {
    let visits: Vec<Visit> = flow.places.iter().map(|place| visit(flow, place, medium)).collect();
    let mut sends = Vec::new();
    let mut segments_of = vec![0; visits.len()];
    for (n, (place, visit)) in flow.places.iter().zip(&visits).enumerate() {
        for (text, variables) in &visit.texts {
            let segments = segments(text) as u64;
            segments_of[n] += segments * tries(place);
            sends.push(SentText { action: place.id.to_string(), segments, variables: *variables });
        }
    }
    let (all, between) = (ways(flow, learned, &visits, false), ways(flow, learned, &visits, true));
    let reached = reached(&all, 0, &[]);
    let most = |ways: &[Vec<Way<'_>>], weigh: &dyn Fn(usize) -> u64, together: Together| {
        let weights: Vec<u64> = (0..visits.len()).map(weigh).collect();
        match Ways::new(ways, weights.repeat(2), together).and_then(|ways| ways.longest(&reached)) {
            Ok(most) => Bound::AtMost(most),
            Err(Unbounded(pointer)) => {
                let (line, column, pointer) = spot(pointer);
                Bound::Unbounded { line, column, pointer }
            }
        }
    };
    Budget {
        actions_between_waits: most(&between, &|_| 1, u64::saturating_add),
        actions: most(&all, &|n| tries(&flow.places[n]), u64::saturating_add),
        // Branches wait side by side.
        seconds: most(&all, &|n| visits[n].seconds, u64::max),
        segments: most(&all, &|n| segments_of[n], u64::saturating_add),
        model_turns: most(&all, &|n| visits[n].turns, u64::saturating_add),
        sends,
    }
}

/// The ways from action to action: all of them, or only those that are taken without a wait. Each
/// action is there twice, before and after `on_error` has caught a failure, since it catches one
/// until somebody answers.
fn ways<'a>(
    flow: &Flow,
    learned: &'a [Learned],
    visits: &[Visit],
    between: bool,
) -> Vec<Vec<Way<'a>>> {
    let count = learned.len();
    let from = |n: usize, caught: bool| {
        let Learned { pace, edges } = &learned[n];
        let answered = matches!(pace, Pace::Waits | Pace::WaitsForEver);
        let waits = answered || *pace == Pace::Effect;
        let edges = edges.iter().filter(|edge| !between || !waits || edge.at_once);
        let mut ways: Vec<Way<'a>> = edges
            .filter_map(|edge| {
                let counts = *pace == Pace::Counts && edge.by == By::Option;
                let caught = caught && !(answered && edge.by == By::Done);
                let to = edge.to? as usize;
                let times = visits[n].times.filter(|_| counts);
                let branch = matches!(pace, Pace::Splits(_)) && edge.by == By::Option;
                let (to, back) = (to + if caught { count } else { 0 }, n.saturating_sub(to));
                Some(Way { to, times, pointer: &edge.pointer, back, branch })
            })
            .collect();
        if let Some(OnError::To(Some(to))) = flow.on_error
            && !caught
            && to as usize != n
        {
            let (to, back) = (to as usize + count, n.saturating_sub(to as usize));
            ways.push(Way { to, times: None, pointer: "/on_error", back, branch: false });
        }
        ways
    };
    (0..count).map(|n| from(n, false)).chain((0..count).map(|n| from(n, true))).collect()
}

/// How often an action is tried at most.
fn tries(place: &Place) -> u64 {
    1 + place.retry.map_or(0, |retry| u64::from(retry.times))
}

fn visit(flow: &Flow, place: &Place, medium: Medium) -> Visit {
    let read;
    let (action, open): (&dyn Action, bool) = match &place.body {
        Body::Ready(action) => (&**action, false),
        // It fails before it does anything.
        Body::Broken(_) => return Visit::default(),
        Body::Template(option) => {
            match (place.spec.read)(&shape::of(place.spec).probe(option, &flow.variables)) {
                Ok(action) => read = action,
                Err(_) => return Visit::default(),
            }
            (&*read, true)
        }
    };
    let mut vars = flow.variables.clone();
    let (step, deeds, _) = enter(action, flow, medium, &mut vars, 0);
    let mut visit = Visit::default();
    if let Step::Wait(wait) = step {
        let own = wait.at_most.map_or(u64::MAX, |at_most| at_most.as_secs());
        let each = own.min(place.timeout_s.unwrap_or(u64::MAX));
        let pauses = place.retry.map_or(0, |retry| u64::from(retry.times) * retry.wait_s);
        visit.seconds = each.saturating_mul(tries(place)).saturating_add(pauses);
    }
    for deed in deeds {
        match deed {
            Deed::SendMessage { text: full, .. } => {
                let variables = text::is_template(&full);
                visit.texts.push((text::render(&full, &Vars::new()), variables));
            }
            Deed::Talk { duration_s, .. } => {
                let turns = if medium == Medium::Call { duration_s } else { 1 };
                visit.turns += turns * tries(place);
            }
            _ => {}
        }
    }
    if action.pace() == Pace::Counts {
        visit.times = match open {
            true => action.most_times(),
            false => times(action, flow, medium, &mut vars),
        };
    }
    visit
}

/// How often a counting action goes elsewhere before it goes on.
fn times(action: &dyn Action, flow: &Flow, medium: Medium, vars: &mut Vars) -> Option<u64> {
    /// More than any action counts to.
    const MANY: u64 = 100_000;
    let mut count = 0;
    for times in 0..MANY {
        let (step, _, after) = enter(action, flow, medium, vars, count);
        if !matches!(step, Step::Jump(_)) {
            return Some(times);
        }
        count = after;
    }
    None
}

/// What an action answers and asks for, and its count afterwards.
fn enter(
    action: &dyn Action,
    flow: &Flow,
    medium: Medium,
    vars: &mut Vars,
    count: u32,
) -> (Step, Vec<Deed>, u32) {
    let key = Key(String::new());
    let mut cx = Cx {
        now: Timestamp::UNIX_EPOCH,
        medium,
        called: false,
        vars,
        beside: 0,
        zone: &flow.zone,
        key: Naming::Given(&key),
        asked: 0,
        count,
        commands: Vec::new(),
        changed: Vec::new(),
        fault: None,
    };
    let step = action.enter(&mut cx);
    (step, cx.commands.into_iter().map(|command| command.deed).collect(), cx.count)
}
