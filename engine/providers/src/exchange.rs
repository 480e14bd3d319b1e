//! What was said, as the vendors want it that know only two parties: turns of the user and of the
//! model, in alternation, the user's first and last. Pure.

use agent::{Item, ToolCall};
use serde_json::{Value, json};

/// What stands where nobody said anything, so that the model may speak.
const NOTHING_SAID: &str = "(Nothing was said yet. It is your turn to speak.)";
const GO_ON: &str = "(Go on.)";

/// What is told and what was said.
#[derive(Debug, PartialEq)]
pub(crate) struct Exchange<'a> {
    /// What the agent is told.
    pub(crate) told: Vec<&'a str>,
    /// The turns.
    pub(crate) turns: Vec<Turn<'a>>,
}

/// One party's turn.
#[derive(Debug, PartialEq)]
pub(crate) struct Turn<'a> {
    /// Whether it is the model's.
    pub(crate) model: bool,
    /// What it holds.
    pub(crate) parts: Vec<Part<'a>>,
}

/// A part of a turn.
#[derive(Debug, PartialEq)]
pub(crate) enum Part<'a> {
    /// Words, never empty.
    Text(&'a str),
    /// A tool that the model took.
    Call(&'a ToolCall),
    /// What it answered.
    Result {
        /// The call that it answers.
        call: &'a ToolCall,
        /// The answer.
        text: &'a str,
    },
}

/// Items as an exchange. An answer to no call is left out.
pub(crate) fn exchange(items: &[Item]) -> Exchange<'_> {
    let mut told = Vec::new();
    let mut turns: Vec<Turn<'_>> = Vec::new();
    let mut calls: Vec<&ToolCall> = Vec::new();
    for item in items {
        let (model, parts) = match item {
            Item::System { text } => {
                told.push(text.as_str());
                continue;
            }
            Item::User { text } => (false, words(text)),
            Item::Assistant { text, calls: taken } => {
                calls.extend(taken);
                let taken = taken.iter().map(Part::Call);
                (true, words(text).into_iter().chain(taken).collect())
            }
            Item::Tool { call_id, text } => {
                let call = calls.iter().rev().find(|call| call.id == *call_id);
                (false, call.map(|call| Part::Result { call, text }).into_iter().collect())
            }
        };
        if parts.is_empty() {
            continue;
        }
        match turns.last_mut() {
            Some(last) if last.model == model => last.parts.extend(parts),
            Some(_) | None => turns.push(Turn { model, parts }),
        }
    }
    let user = |text| Turn { model: false, parts: vec![Part::Text(text)] };
    if turns.first().is_none_or(|first| first.model) {
        turns.insert(0, user(NOTHING_SAID));
    }
    if turns.last().is_some_and(|last| last.model) {
        turns.push(user(GO_ON));
    }
    Exchange { told, turns }
}

fn words(text: &str) -> Vec<Part<'_>> {
    if text.trim().is_empty() { Vec::new() } else { vec![Part::Text(text)] }
}

/// What a model wrote as arguments, as an object: these vendors take nothing else back.
pub(crate) fn arguments(written: &str) -> Value {
    match serde_json::from_str(written) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Item {
        Item::User { text: text.into() }
    }

    fn agent(text: &str, calls: &[ToolCall]) -> Item {
        Item::Assistant { text: text.into(), calls: calls.to_vec() }
    }

    #[test]
    fn the_user_begins_and_ends_and_nobody_speaks_twice() {
        let items = [Item::System { text: "s".into() }, agent("Hello.", &[])];
        let all = exchange(&items);
        assert_eq!(all.told, ["s"]);
        let parts: Vec<_> = all.turns.iter().map(|turn| (turn.model, &turn.parts[0])).collect();
        let expected = [
            (false, &Part::Text(NOTHING_SAID)),
            (true, &Part::Text("Hello.")),
            (false, &Part::Text(GO_ON)),
        ];
        assert_eq!(parts, expected);
        assert_eq!(exchange(&[]).turns.len(), 1);
        let items = [user("a"), user("b"), agent("", &[]), user("c")];
        assert_eq!(exchange(&items).turns[0].parts.len(), 3);
    }

    #[test]
    fn tools_answer_before_the_user_speaks_on() {
        let call = |id: &str| ToolCall { id: id.into(), name: "f".into(), arguments: "{}".into() };
        let calls = [call("1"), call("2")];
        let answer = |id: &str| Item::Tool { call_id: id.into(), text: "ok".into() };
        let items = [
            user("do"),
            agent("Well.", &calls),
            answer("1"),
            answer("2"),
            answer("3"),
            user("and"),
        ];
        let turns = exchange(&items).turns;
        assert_eq!(turns.len(), 3);
        assert_eq!(turns[1].parts.len(), 3);
        let results = &turns[2].parts;
        assert!(matches!(results[0], Part::Result { call, .. } if call.id == "1"), "{results:?}");
        assert_eq!((results.len(), &results[2]), (3, &Part::Text("and")));
    }

    #[test]
    fn broken_arguments_are_none() {
        assert_eq!(arguments(r#"{"a":1}"#), json!({ "a": 1 }));
        assert_eq!(arguments("[1"), json!({}));
        assert_eq!(arguments("3"), json!({}));
    }
}
