//! A model without a model: phrases and replies from a file of rules.
//!
//! Read in this order: [`rules`] (what an author writes) → [`matching`] (which rule is meant) →
//! this file (what is answered).
//!
//! Invariant: what was said decides alone. Nothing is remembered between two questions, so that a
//! conversation by text may go on in another process.

pub mod matching;
pub mod rules;

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use agent::{Answer, Ask, Error, Item, Llm, Piece, Tool, ToolCall, Usage};
use serde_json::Value;
use tokio::sync::mpsc;

pub use rules::{Deed, Rule, Rules};

pub(crate) const VENDOR: &str = "scripted";

/// More than any sensible file of rules has, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// Pieces on their way. A reply is longer than this, so an answer that nobody reads any more ends.
const PIECES: usize = 16;

/// A model that follows rules.
pub struct Scripted {
    rules: Arc<Rules>,
}

impl Scripted {
    /// A model that follows these rules.
    pub fn new(rules: Rules) -> Self {
        Self { rules: Arc::new(rules) }
    }

    /// A model that follows the rules of a file in one of these folders. The first folder that has
    /// the file counts.
    ///
    /// # Errors
    /// The name leads out of the folder, no folder has the file, or it holds no valid rules.
    pub fn open(folders: &[PathBuf], name: &str) -> Result<Self, Error> {
        let path = find(folders, name)?;
        let refuse = |why: String| refused(format!("{}: {why}", path.display()));
        let length = std::fs::metadata(&path).map_err(|error| refuse(error.to_string()))?.len();
        if length > LARGEST_FILE {
            return Err(refuse(format!("{length} bytes are more than the {LARGEST_FILE} allowed")));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
        Ok(Self::new(Rules::parse(&text).map_err(refuse)?))
    }

    /// The whole answer at once, for who plays a conversation without waiting for it.
    pub fn answer(&self, items: &[Item], tools: &[Tool]) -> Vec<Piece> {
        answer(&self.rules, items, tools)
    }
}

impl Llm for Scripted {
    fn name(&self) -> &'static str {
        VENDOR
    }

    fn ask(&self, ask: Ask) -> Answer {
        let pieces = self.answer(&ask.items, &ask.tools);
        let (send, answer) = mpsc::channel(PIECES);
        tokio::spawn(async move {
            for piece in pieces {
                if send.send(Ok(piece)).await.is_err() {
                    return;
                }
            }
        });
        Answer(answer)
    }

    fn expects(&self, items: &[Item]) -> Option<Vec<String>> {
        let last = meant(&self.rules, items).last;
        let phrases = self.rules.rules.iter().filter(|rule| rule.applies(last));
        Some(phrases.flat_map(|rule| rule.phrases.iter().cloned()).collect())
    }
}

fn refused(why: String) -> Error {
    Error::Refused { vendor: VENDOR, why }
}

/// The file of a name in the first folder that has it.
fn find(folders: &[PathBuf], name: &str) -> Result<PathBuf, Error> {
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !inside {
        return Err(refused(format!("`rules` must name a file beside the flow, not `{name}`")));
    }
    for folder in folders {
        let Ok(path) = folder.join(name).canonicalize() else { continue };
        // A link may lead out of the folder too.
        if folder.canonicalize().is_ok_and(|folder| path.starts_with(folder)) && path.is_file() {
            return Ok(path);
        }
    }
    let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(refused(format!("no file `{name}` in {}", looked.join(", "))))
}

/// What the conversation so far means.
#[derive(Default)]
struct Meant<'a> {
    /// The rule that the latest words of the caller mean, if any, and those words.
    now: Option<&'a Rule>,
    heard: &'a str,
    /// The rule that was meant last, whatever was not understood since.
    last: Option<&'a Rule>,
}

fn meant<'a>(rules: &'a Rules, items: &'a [Item]) -> Meant<'a> {
    let mut meant = Meant::default();
    for item in items {
        if let Item::User { text } = item {
            meant.now = matching::best(rules, meant.last, text);
            meant.heard = text;
            meant.last = meant.now.or(meant.last);
        }
    }
    meant
}

/// The whole answer. Pure.
fn answer(rules: &Rules, items: &[Item], tools: &[Tool]) -> Vec<Piece> {
    let meant = meant(rules, items);
    let latest = items.iter().rev().find(|item| !matches!(item, Item::System { .. }));
    let mut pieces = Vec::new();
    match (latest, meant.now) {
        (Some(Item::Tool { text, .. }), Some(rule)) => {
            let words = if failed(text) { rule.failed() } else { &rule.then };
            say(&mut pieces, words, meant.heard);
        }
        (Some(Item::User { .. }), Some(rule)) => match &rule.deed {
            Some(deed) if tools.iter().all(|tool| tool.name != deed.name) => {
                say(&mut pieces, rule.failed(), meant.heard);
            }
            Some(deed) => {
                say(&mut pieces, &rule.say, meant.heard);
                pieces.push(Piece::Call(ToolCall {
                    id: format!("{VENDOR}-{}", items.len()),
                    name: deed.name.clone(),
                    arguments: fill_value(&deed.arguments, meant.heard).to_string(),
                }));
            }
            None => say(&mut pieces, &rule.say, meant.heard),
        },
        (Some(Item::User { .. }), None) => say(&mut pieces, &rules.otherwise, meant.heard),
        // Asked to speak unasked: at the beginning that is the greeting.
        (None | Some(Item::Assistant { .. } | Item::System { .. } | Item::Tool { .. }), _) => {
            if meant.heard.is_empty() {
                say(&mut pieces, &rules.greeting, "");
            }
        }
    }
    pieces.push(Piece::End(Usage::default()));
    pieces
}

/// Whether a tool's answer tells of a failure.
fn failed(answer: &str) -> bool {
    let Ok(answer) = serde_json::from_str::<Value>(answer) else { return false };
    answer.get("error").is_some_and(|error| !error.is_null())
        || answer.get("result").is_some_and(|result| result == "failed")
}

/// Word by word, as a model writes.
fn say(pieces: &mut Vec<Piece>, words: &str, heard: &str) {
    let words = fill(words, heard);
    pieces.extend(words.split_inclusive(' ').map(|word| Piece::Text(word.into())));
}

fn fill(text: &str, heard: &str) -> String {
    text.replace("{heard}", heard)
}

fn fill_value(value: &Value, heard: &str) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, heard)),
        Value::Array(list) => list.iter().map(|value| fill_value(value, heard)).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), fill_value(value, heard))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SHOP: &str = r#"{
        "greeting": "Hello.",
        "otherwise": "I did not get that: {heard}",
        "rules": [
            { "id": "hours", "phrases": ["opening hours", "when are you open"], "say": "From nine to six." },
            { "id": "order", "phrases": ["where is my order"], "say": "It left on Monday. Shall I text you the link?" },
            { "phrases": ["yes"], "after": ["order"], "say": "I am sending it.",
              "tool": { "name": "send_message", "arguments": { "text": "You said: {heard}" } },
              "then": "It is on its way.", "failed": "I cannot text you." },
            { "phrases": ["no"], "after": ["order"], "say": "All right." }
        ]
    }"#;

    fn user(text: &str) -> Item {
        Item::User { text: text.into() }
    }

    fn agent(text: &str) -> Item {
        Item::Assistant { text: text.into(), calls: Vec::new() }
    }

    fn tool(name: &str) -> Tool {
        Tool { name: name.into(), description: String::new(), parameters: Value::Null }
    }

    fn words(pieces: &[Piece]) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Call(call) => format!("[{} {}]", call.name, call.arguments),
            Piece::End(_) => String::new(),
        };
        pieces.iter().map(text).collect()
    }

    fn reply(items: &[Item], tools: &[Tool]) -> String {
        words(&answer(&Rules::parse(SHOP).unwrap(), items, tools))
    }

    #[test]
    fn a_phrase_is_answered_and_rubbish_is_not_understood() {
        assert_eq!(reply(&[], &[]), "Hello.");
        assert_eq!(reply(&[user("When ARE you open?!")], &[]), "From nine to six.");
        assert_eq!(reply(&[user("bananas")], &[]), "I did not get that: bananas");
        assert_eq!(reply(&[user("")], &[]), "I did not get that: ");
    }

    #[test]
    fn yes_means_something_only_after_its_question_even_when_rubbish_came_between() {
        assert_eq!(reply(&[user("no")], &[]), "I did not get that: no");
        let asked = [user("where is my order"), agent("..."), user("no")];
        assert_eq!(reply(&asked, &[]), "All right.");
        let slow = [user("where is my order"), agent("..."), user("hm"), agent("..."), user("no")];
        assert_eq!(reply(&slow, &[]), "All right.");
        let gone = [user("where is my order"), user("opening hours"), user("no")];
        assert_eq!(reply(&gone, &[]), "I did not get that: no");
    }

    #[test]
    fn a_tool_is_taken_and_its_result_told() {
        let offer = [tool("send_message")];
        let mut items = vec![user("where is my order"), user("yes")];
        let taken = "I am sending it.[send_message {\"text\":\"You said: yes\"}]";
        assert_eq!(reply(&items, &offer), taken);
        assert_eq!(reply(&items, &[]), "I cannot text you.");
        items.push(Item::Tool { call_id: "1".into(), text: r#"{"result":"success"}"#.into() });
        assert_eq!(reply(&items, &offer), "It is on its way.");
        items.push(Item::Tool { call_id: "1".into(), text: r#"{"error":"no number"}"#.into() });
        assert_eq!(reply(&items, &offer), "I cannot text you.");
    }

    #[test]
    fn only_phrases_that_can_apply_are_expected() {
        let model = Scripted::new(Rules::parse(SHOP).unwrap());
        let first = model.expects(&[]).unwrap();
        assert_eq!(first, ["opening hours", "when are you open", "where is my order"]);
        let then = model.expects(&[user("where is my order")]).unwrap();
        assert_eq!(then[3..], ["yes", "no"]);
    }

    #[tokio::test]
    async fn an_answer_streams_and_ends() {
        let model = Scripted::new(Rules::parse(SHOP).unwrap());
        let mut answer = model.ask(Ask {
            config: Arc::default(),
            items: vec![user("opening hours")],
            tools: Vec::new(),
            session: String::new(),
        });
        let mut pieces = Vec::new();
        while let Some(piece) = answer.0.recv().await {
            pieces.push(piece.unwrap());
        }
        assert_eq!(pieces.len(), 5);
        assert_eq!(words(&pieces), "From nine to six.");
        assert_eq!(pieces[4], Piece::End(Usage::default()));
    }

    #[test]
    fn no_file_outside_of_the_folders_is_read() {
        let folder = std::env::temp_dir().join(format!("voxflow-rules-{}", std::process::id()));
        let inner = folder.join("inner");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(folder.join("out.json"), SHOP).unwrap();
        std::fs::write(inner.join("in.json"), SHOP).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.join("out.json"), inner.join("link.json")).unwrap();
        let folders = [inner];
        assert!(Scripted::open(&folders, "in.json").is_ok());
        for name in ["", "../out.json", "/etc/passwd", "link.json", "absent.json", "."] {
            assert_eq!(Scripted::open(&folders, name).err().unwrap().kind(), "refused", "{name}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
