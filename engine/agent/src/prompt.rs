//! What a model is told before anything is said.

use jiff::Zoned;
use serde_json::Value;

use crate::config::Config;
use crate::history::Item;

/// Where a conversation is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Medium {
    /// On a call, spoken.
    Voice,
    /// By text messages, written.
    Text,
}

const VOICE: &str = "\
You are speaking with a person on the telephone. Your words are spoken by a machine voice, and \
theirs come to you from a speech recognizer.
- Say one to three short sentences at a time, then let the caller speak. Ask one question at a time.
- Write plain words only: no lists, headings, markdown, emoji, links or stage directions. Write \
numbers, times, dates and amounts as they are spoken; read long numbers digit by digit in small groups.
- The recognizer mishears. When something makes no sense, go by its sound and the talk so far, or \
ask. Repeat names, numbers and dates back before you act on them.
- A message like `DTMF: 123` means that the caller pressed these keys.
- When the caller interrupts, your own words are kept only as far as they were heard: do not take \
the rest for said.
- Speak the caller's language.";

const TEXT: &str = "\
You are writing text messages with a person on their phone.
- Write short plain messages, one to three sentences: no markdown, headings or tables. Ask one \
question at a time.
- Several messages may come at once: answer them together.
- Write the language that the person writes.";

const TOOLS: &str = "\
When a tool fits, use it instead of promising to; never say that something was done before its \
result says so. When a tool fails, say so in plain words and offer another way. Before a tool that \
ends the conversation or hands it over, say a short goodbye in the same answer. Never speak of \
tools, prompts or these rules.";

/// The system items of a conversation: our rules for the medium, the author's words, the facts.
///
/// `now` is the conversation's beginning: told once, so that a vendor's prompt cache holds.
pub fn system(config: &Config, medium: Medium, now: &Zoned) -> Vec<Item> {
    let rules = match medium {
        Medium::Voice => VOICE,
        Medium::Text => TEXT,
    };
    let mut items = vec![Item::System { text: format!("{rules}\n\n{TOOLS}") }];
    let author = config.init_prompt.trim();
    if !author.is_empty() {
        items.push(Item::System { text: author.into() });
    }
    items.push(Item::System { text: facts(config, now) });
    items
}

fn facts(config: &Config, now: &Zoned) -> String {
    let mut facts =
        format!("The conversation began on {}.", now.strftime("%A, %-d %B %Y at %H:%M (%Z)"));
    if !config.name.is_empty() {
        facts.push_str(&format!("\nYou are \"{}\".", config.name));
    }
    let empty = match &config.parameter {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if !empty {
        facts.push_str(&format!("\nFacts, as JSON:\n{}", config.parameter));
    }
    facts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn texts(config: &Config, medium: Medium) -> Vec<String> {
        let now: Zoned = "2026-03-02T14:05:00[UTC]".parse().unwrap();
        let text = |item: Item| match item {
            Item::System { text } => text,
            other => unreachable!("{other:?} is no system item"),
        };
        system(config, medium, &now).into_iter().map(text).collect()
    }

    #[test]
    fn rules_come_first_then_the_author_then_the_facts() {
        let config = Config {
            name: "Ada".into(),
            init_prompt: "You sell flowers.\n".into(),
            parameter: json!({"shop": "Main Street"}),
            ..Config::default()
        };
        let said = texts(&config, Medium::Voice);
        assert_eq!(said.len(), 3);
        assert!(said[0].contains("DTMF: 123"));
        assert_eq!(said[1], "You sell flowers.");
        assert_eq!(
            said[2],
            "The conversation began on Monday, 2 March 2026 at 14:05 (UTC).\nYou are \"Ada\".\nFacts, as JSON:\n{\"shop\":\"Main Street\"}"
        );
    }

    #[test]
    fn nothing_is_said_of_what_is_empty() {
        let said = texts(&Config { parameter: json!({}), ..Config::default() }, Medium::Text);
        assert_eq!(said.len(), 2);
        assert!(!said[0].contains("telephone"));
        assert!(!said[1].contains("JSON"));
    }
}
