//! A conversation as it stands at a moment: what another process needs in order to go on with it.

use serde::{Deserialize, Serialize};

use crate::history::Item;

/// What a tool's answer is while it works.
pub const UNDER_WAY: &str = r#"{"status":"under way"}"#;

/// What it is when the process died that waited for it.
const UNKNOWN: &str = r#"{"error":"the line was interrupted; nobody knows whether this was done"}"#;

/// Tells the agent that it was cut off, and not by the caller.
const INTERRUPTED: &str = "(The line was interrupted for a moment. I heard you up to here: go on where you \
                           stopped, without a greeting.)";

/// Tells the agent that the caller was.
const UNHEARD: &str = "(The line was interrupted while I was speaking. Ask me to say it again.)";

/// Who speaks, or is about to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Floor {
    /// Nobody: the agent waits for the caller.
    #[default]
    Free,
    /// The caller, who has not been answered.
    Caller,
    /// The agent thinks.
    Thinking,
    /// The agent is heard.
    Speaking,
}

/// A conversation at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// All that was said, the agent's words as far as they were heard.
    pub items: Vec<Item>,
    /// Who speaks.
    pub floor: Floor,
    /// What the caller has said of a turn that is not over, as far as it was understood.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
}

impl Standing {
    /// What was said, for a conversation that goes on elsewhere. When somebody waits for the agent,
    /// the last of it is the caller's, so that the agent speaks first.
    pub fn taken_up(self) -> Vec<Item> {
        let Self { mut items, floor, words } = self;
        for item in &mut items {
            if let Item::Tool { text, .. } = item
                && text == UNDER_WAY
            {
                UNKNOWN.clone_into(text);
            }
        }
        // Whoever has heard nothing yet hears the beginning.
        let said_last = matches!(items.last(), Some(Item::Assistant { .. }));
        let note = match floor {
            Floor::Free => None,
            Floor::Caller => Some(UNHEARD),
            Floor::Thinking | Floor::Speaking => said_last.then_some(INTERRUPTED),
        };
        let text = match (words.trim(), note) {
            (_, None) => return items,
            ("", Some(note)) => note.to_owned(),
            (words, Some(note)) => format!("{words}\n{note}"),
        };
        items.push(Item::User { text });
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::ToolCall;

    fn user(text: &str) -> Item {
        Item::User { text: text.into() }
    }

    fn agent(text: &str) -> Item {
        Item::Assistant { text: text.into(), calls: Vec::new() }
    }

    fn taken_up(items: &[Item], floor: Floor, words: &str) -> Vec<Item> {
        Standing { items: items.to_vec(), floor, words: words.into() }.taken_up()
    }

    #[test]
    fn who_waits_for_the_caller_waits_on() {
        let items = [user("hours?"), agent("We open at nine.")];
        assert_eq!(taken_up(&items, Floor::Free, ""), items);
    }

    #[test]
    fn who_was_asked_is_asked_again() {
        let items = [agent("Hello."), user("hours?")];
        for floor in [Floor::Thinking, Floor::Speaking] {
            assert_eq!(taken_up(&items, floor, ""), items);
            assert_eq!(taken_up(&[], floor, ""), [], "nothing was heard: it begins anew");
        }
    }

    #[test]
    fn who_was_cut_off_goes_on() {
        let items = [user("hours?"), agent("We open")];
        let after = taken_up(&items, Floor::Speaking, "");
        assert_eq!(after, [user("hours?"), agent("We open"), user(INTERRUPTED)]);
        // A prompt or an apology was about to be said.
        assert_eq!(taken_up(&items, Floor::Thinking, "").last(), Some(&user(INTERRUPTED)));
    }

    #[test]
    fn a_caller_who_spoke_is_asked_to_say_it_again() {
        let items = [agent("Hello.")];
        assert_eq!(taken_up(&items, Floor::Caller, " ").last(), Some(&user(UNHEARD)));
        let some = taken_up(&items, Floor::Caller, "I want a table");
        assert_eq!(some.last(), Some(&user(&format!("I want a table\n{UNHEARD}"))));
    }

    #[test]
    fn of_a_tool_at_work_nobody_knows() {
        let call = ToolCall { id: "1".into(), name: "book".into(), arguments: "{}".into() };
        let took = Item::Assistant { text: String::new(), calls: vec![call] };
        let tool = |text: &str| Item::Tool { call_id: "1".into(), text: text.into() };
        let items = [user("book"), took.clone(), tool(UNDER_WAY)];
        assert_eq!(taken_up(&items, Floor::Thinking, ""), [user("book"), took, tool(UNKNOWN)]);
    }
}
