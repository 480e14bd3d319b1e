//! How actions hang together: what is never reached, and loops that never wait.

use super::Findings;
use super::build::{Edge, Learned};
use crate::action::Pace;
use crate::diagnostic::{SPIN, UNREACHABLE};
use crate::place::At;
use crate::step::Until;

/// Checks the whole.
pub(super) fn check(
    actions: &[Learned],
    on_error: Option<u32>,
    pointer: &dyn Fn(usize) -> String,
    findings: &mut Findings,
) {
    let reached = reached(actions, on_error);
    for (n, reached) in reached.iter().enumerate() {
        if !reached {
            let help =
                "nothing leads here: not the action before it, no `next`, no `on`, no target";
            findings.add_with(
                UNREACHABLE,
                pointer(n),
                At::Value,
                "this action is never reached",
                Some(help),
            );
        }
    }
    for edge in spinning(actions, &reached) {
        let help = "let the loop pass a wait, such as `wait_message` or `sleep`, or a `goto` with \
                    `times`";
        let message = "from here the flow goes in a circle without ever waiting";
        findings.add_with(SPIN, edge, At::Value, message, Some(help));
    }
}

fn reached(actions: &[Learned], on_error: Option<u32>) -> Vec<bool> {
    let mut reached = vec![false; actions.len()];
    // Every action can fail, so whatever is reached reaches `on_error`.
    let mut todo: Vec<u32> = std::iter::once(0).chain(on_error).collect();
    while let Some(n) = todo.pop() {
        let Some(seen) = reached.get_mut(n as usize) else { continue };
        if !std::mem::replace(seen, true) {
            todo.extend(actions[n as usize].edges.iter().filter_map(|edge| edge.to));
        }
    }
    reached
}

/// Where the edges are written that close a circle in which nothing waits or counts.
fn spinning(actions: &[Learned], reached: &[bool]) -> Vec<String> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Closed,
    }
    let mut states = vec![State::New; actions.len()];
    let mut found = Vec::new();
    for start in 0..actions.len() {
        if states[start] != State::New || !reached[start] {
            continue;
        }
        // Depth first, with a stack of our own: a document may be long.
        let mut stack = vec![(start, 0)];
        states[start] = State::Open;
        while let Some((n, at)) = stack.last_mut() {
            let Some(edge) = actions[*n].edges.get(*at) else {
                states[*n] = State::Closed;
                stack.pop();
                continue;
            };
            let at_once = is_at_once(actions, *n, *at);
            *at += 1;
            let Some(to) = edge.to.filter(|_| at_once) else { continue };
            let to = to as usize;
            match states[to] {
                State::Open => found.push(edge.pointer.clone()),
                State::New => {
                    states[to] = State::Open;
                    stack.push((to, 0));
                }
                State::Closed => {}
            }
        }
    }
    found
}

/// Whether an edge may be taken as soon as its action is entered.
fn is_at_once(actions: &[Learned], n: usize, edge: usize) -> bool {
    let Learned { pace, edges } = &actions[n];
    match pace {
        _ if edges[edge].at_once => true,
        Pace::Instant | Pace::Jumps | Pace::Effect => true,
        // The last is `done`: it is taken when the branches have ended.
        Pace::Splits(until) if edge + 1 == edges.len() => {
            let next = edges[edge].to;
            let mut branches = edges[..edge].iter().filter(|edge| !edge.at_once);
            let ends = |branch: &Edge| ends_at_once(actions, branch.to, next);
            match until {
                Until::All => branches.all(ends),
                Until::First => branches.any(ends),
            }
        }
        Pace::Splits(_) => true,
        Pace::Counts | Pace::Waits | Pace::WaitsForEver | Pace::Ends => false,
    }
}

/// Whether a branch may get to its end without a wait.
fn ends_at_once(actions: &[Learned], from: Option<u32>, next: Option<u32>) -> bool {
    let mut seen = vec![false; actions.len()];
    let mut todo = vec![from];
    while let Some(at) = todo.pop() {
        let Some(n) = at.filter(|_| at != next) else { return true };
        let n = n as usize;
        if actions.get(n).is_none() || std::mem::replace(&mut seen[n], true) {
            continue;
        }
        let Learned { pace, edges } = &actions[n];
        // A branch that branches off is taken to end as soon as it may.
        let soon = |edge: &Edge| {
            edge.at_once
                || matches!(pace, Pace::Instant | Pace::Jumps | Pace::Effect | Pace::Counts)
                || matches!(pace, Pace::Splits(_))
        };
        todo.extend(edges.iter().filter(|edge| soon(edge)).map(|edge| edge.to));
    }
    false
}
