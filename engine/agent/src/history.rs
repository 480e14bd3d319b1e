//! What was said: items in order, trimmed by size, never losing half a tool pair.

use serde::{Deserialize, Serialize};

/// One thing that was said or done.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Item {
    /// What the agent is told.
    System {
        /// The words.
        text: String,
    },
    /// The caller or texter.
    User {
        /// The words.
        text: String,
    },
    /// The agent: words as far as they were heard, and the tools that it took.
    Assistant {
        /// The words.
        text: String,
        /// The tools.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<ToolCall>,
    },
    /// What a tool answered.
    Tool {
        /// Which call it answers.
        call_id: String,
        /// The answer, JSON or plain text.
        text: String,
    },
}

/// A tool that the model takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ToolCall {
    /// The model's id of the call.
    pub id: String,
    /// The action type.
    pub name: String,
    /// JSON as the model wrote it, perhaps broken.
    pub arguments: String,
}

impl Item {
    /// About how many tokens a model counts for it: one for four characters, and a few for its
    /// frame. Models differ; a quarter more or less is near enough for a budget.
    pub fn tokens(&self) -> usize {
        let characters = match self {
            Self::System { text } | Self::User { text } => text.chars().count(),
            Self::Assistant { text, calls } => {
                let call = |call: &ToolCall| {
                    call.name.chars().count() + call.arguments.chars().count() + 16
                };
                text.chars().count() + calls.iter().map(call).sum::<usize>()
            }
            Self::Tool { text, .. } => text.chars().count() + 16,
        };
        characters.div_ceil(4) + 4
    }
}

/// The newest of what was said that fits into so many tokens, in order.
///
/// What the agent is told (system items) always stays and counts. A tool's call and its answers
/// stay or go together; an answer without a call goes, and a call without an answer is answered
/// with the fact that none came: models refuse halves. The newest turn stays even if it is too
/// long by itself, since without it there is nothing to answer.
pub fn trim(items: &[Item], tokens: usize) -> Vec<Item> {
    let is_system = |item: &&Item| matches!(item, Item::System { .. });
    let told: usize = items.iter().filter(is_system).map(Item::tokens).sum();
    let mut left = tokens.saturating_sub(told);
    let mut kept: Vec<Vec<Item>> = Vec::new();
    for group in groups(items).into_iter().rev() {
        let size: usize = group.iter().map(Item::tokens).sum();
        if size > left && !kept.is_empty() {
            break;
        }
        left = left.saturating_sub(size);
        kept.push(group);
    }
    items.iter().filter(is_system).cloned().chain(kept.into_iter().rev().flatten()).collect()
}

/// What was said, in pieces that must not be torn: an item, or calls and all their answers.
fn groups(items: &[Item]) -> Vec<Vec<Item>> {
    let mut groups = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match item {
            Item::System { .. } | Item::Tool { .. } => {}
            Item::User { .. } => groups.push(vec![item.clone()]),
            Item::Assistant { calls, .. } => {
                let mut group = vec![item.clone()];
                group.extend(calls.iter().map(|call| answer(&items[at..], call)));
                groups.push(group);
            }
        }
    }
    groups
}

fn answer(after: &[Item], to: &ToolCall) -> Item {
    let is_answer = |item: &&Item| matches!(item, Item::Tool { call_id, .. } if *call_id == to.id);
    let none =
        || Item::Tool { call_id: to.id.clone(), text: r#"{"error":"no result came"}"#.into() };
    after.iter().find(is_answer).cloned().unwrap_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(text: &str) -> Item {
        Item::System { text: text.into() }
    }

    fn user(text: &str) -> Item {
        Item::User { text: text.into() }
    }

    fn says(text: &str, calls: &[&str]) -> Item {
        let call = |id: &&str| ToolCall {
            id: (*id).into(),
            name: "look_up".into(),
            arguments: "{}".into(),
        };
        Item::Assistant { text: text.into(), calls: calls.iter().map(call).collect() }
    }

    fn answers(id: &str) -> Item {
        Item::Tool { call_id: id.into(), text: "found".into() }
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let items = [
            system("Be kind."),
            user("hi"),
            says("", &["1", "2"]),
            answers("1"),
            answers("2"),
            says("There.", &[]),
        ];
        assert_eq!(trim(&items, 1_000), items);
    }

    #[test]
    fn the_oldest_goes_first_and_system_items_stay() {
        let long = "x".repeat(400);
        let items = [system("Be kind."), user(&long), says(&long, &[]), user("and now?")];
        assert_eq!(trim(&items, 130), [system("Be kind."), says(&long, &[]), user("and now?")]);
        assert_eq!(trim(&items, 30), [system("Be kind."), user("and now?")]);
    }

    #[test]
    fn the_newest_turn_stays_however_long_it_is() {
        let long = user(&"x".repeat(4_000));
        assert_eq!(
            trim(&[system("Be kind."), user("hi"), long.clone()], 10),
            [system("Be kind."), long]
        );
    }

    #[test]
    fn a_call_and_its_answers_go_together() {
        let items = [
            user("hi"),
            says("", &["1", "2"]),
            answers("1"),
            answers("2"),
            says("There.", &[]),
            user("thanks"),
        ];
        for budget in 0..80 {
            let kept = trim(&items, budget);
            let calls = kept.contains(&items[1]);
            assert_eq!(kept.contains(&items[2]), calls, "{budget}");
            assert_eq!(kept.contains(&items[3]), calls, "{budget}");
        }
    }

    #[test]
    fn halves_are_mended() {
        assert_eq!(trim(&[answers("9"), user("hi")], 100), [user("hi")]);
        let mended = trim(&[says("", &["1", "2"]), answers("2")], 100);
        assert_eq!(mended.len(), 3);
        assert!(
            matches!(&mended[1], Item::Tool { call_id, text } if call_id == "1" && text.contains("no result"))
        );
    }
}
