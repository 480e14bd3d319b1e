//! `voxflow validate --budget`: the most that a run of a flow can do.

use std::fmt::Write as _;

use conversation::segment;
use flow::{Bound, Budget, Catalog, Linking, Medium, Needs, SentText};
use serde::Serialize;
use serde_json::{Value, json};

use crate::validate::For;

/// The budget of a flow, for runs about one medium.
#[derive(Serialize)]
pub(crate) struct Told {
    file: String,
    medium: &'static str,
    #[serde(flatten)]
    budget: Budget,
}

/// The budgets of a flow: one for each medium that it is for. A flow with errors has none.
pub(crate) fn of(file: &str, text: &str, catalog: Catalog, medium: For) -> Vec<Told> {
    let media = [("call", Medium::Call, Needs::Call), ("text", Medium::Text, Needs::Text)];
    let wanted = media
        .into_iter()
        .filter(|(.., needs)| medium == For::Both || Needs::from(medium) == *needs);
    wanted
        .filter_map(|(name, medium, needs)| {
            let linking = Linking { catalog, medium: needs };
            let segments = |text: &str| segment::cost(text).segments;
            let budget = flow::budget(text, linking, medium, &segments)?;
            Some(Told { file: file.into(), medium: name, budget })
        })
        .collect()
}

/// In words.
pub(crate) fn human(all: &[Told]) -> String {
    let mut out = String::new();
    for Told { file, medium, budget } in all {
        let on = if *medium == "call" { "on a call" } else { "on a thread of texts" };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{file}, {on}, at most");
        let mut row = |what: &str, how: String| {
            let _ = writeln!(out, "  {what:<28}{how}");
        };
        row("actions between two waits", told(&budget.actions_between_waits, |n| n.to_string()));
        row("actions in all", told(&budget.actions, |n| n.to_string()));
        row("waiting", told(&budget.seconds, duration));
        row("segments of texts", told(&budget.segments, |n| n.to_string()));
        row("turns of a model", told(&budget.model_turns, |n| n.to_string()));
        for SentText { action, segments, variables } in &budget.sends {
            let plural = if *segments == 1 { "" } else { "s" };
            let more = if *variables { ", and what its variables add" } else { "" };
            row(&format!("each text of `{action}`"), format!("{segments} segment{plural}{more}"));
        }
        out.push('\n');
    }
    out
}

fn told(bound: &Bound, number: fn(u64) -> String) -> String {
    match bound {
        Bound::AtMost(n) => number(*n),
        Bound::Unbounded { line, column, pointer } => {
            format!("unbounded: the loop that is closed at {line}:{column} ({pointer})")
        }
    }
}

/// Seconds for people: `2 h 5 min`.
fn duration(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let given: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    if given.is_empty() { "none".into() } else { given.join(" ") }
}

/// For scripts.
pub(crate) fn json(all: &[Told]) -> Value {
    json!(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOP: &str = r#"{ "on_error": "end", "actions": [
  { "id": "ask", "type": "send_message", "option": { "text": "Wie heißt du, ${name:-Freund}? Ж" } },
  { "type": "wait_message", "option": { "timeout_s": 90000 } },
  { "type": "goto", "option": { "target": "ask", "times": 2 } } ] }"#;

    #[test]
    fn people_see_the_most() {
        let told = of("a.json", LOOP, actions::ALL, For::Both);
        let expected = "\
a.json, on a thread of texts, at most
  actions between two waits   2
  actions in all              9
  waiting                     3 d 3 h 15 min
  segments of texts           3
  turns of a model            0
  each text of `ask`          1 segment, and what its variables add

";
        assert_eq!(human(&told), expected);
    }

    #[test]
    fn a_loop_without_a_bound_is_told_by_its_place() {
        let text = LOOP.replace(r#", "times": 2"#, "");
        let told = of("a.json", &text, actions::ALL, For::Text);
        let place = "unbounded: the loop that is closed at 4:43 (/actions/2/option/target)";
        assert!(human(&told).contains(place), "{}", human(&told));
        let unbounded = json!({
            "unbounded": { "line": 4, "column": 43, "pointer": "/actions/2/option/target" }
        });
        assert_eq!(
            json(&told),
            json!([{
                "file": "a.json", "medium": "text",
                "actions_between_waits": 2, "actions": unbounded, "seconds": unbounded,
                "segments": unbounded, "model_turns": 0,
                "sends": [{ "action": "ask", "segments": 1, "variables": true }]
            }])
        );
        assert!(of("a.json", "[]", actions::ALL, For::Both).is_empty());
    }

    #[test]
    fn durations_are_for_people() {
        assert_eq!(duration(0), "none");
        assert_eq!(duration(61), "1 min 1 s");
        assert_eq!(duration(86_400 + 7200), "1 d 2 h");
    }
}
