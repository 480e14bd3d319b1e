//! Chat completions: what was said in, words and tools out as they come.

use agent::{Answer, Ask, Error, Item, Llm, ToolCall, Usage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::OpenAi;
use super::dialects::Dialect;
use crate::answer::{self, CALLS};
use crate::http::Complaint;

/// OpenAI's model for an agent that names none.
pub const MODEL: &str = "gpt-4o-mini";

/// What ends the stream.
const DONE: &str = "[DONE]";

impl Llm for OpenAi {
    fn name(&self) -> &'static str {
        self.dialect.name
    }

    fn ask(&self, ask: Ask) -> Answer {
        let body = body(&ask, self.model_or(MODEL), self.dialect);
        let reader = Reader::new(self.dialect.name);
        answer::ask(self.account.clone(), "/chat/completions".into(), body, reader)
    }
}

fn body(ask: &Ask, model: &str, dialect: &Dialect) -> Value {
    let message = |item: &Item| message(item, dialect);
    let mut body = json!({
        "model": model,
        "messages": ask.items.iter().map(message).collect::<Vec<_>>(),
        "stream": true,
    });
    if dialect.usage {
        body["stream_options"] = json!({ "include_usage": true });
    }
    // An empty list is refused.
    if dialect.tools && !ask.tools.is_empty() {
        let tools = ask.tools.iter().map(|tool| {
            json!({ "type": "function", "function": {
                "name": tool.name, "description": tool.description, "parameters": tool.parameters } })
        });
        body["tools"] = tools.collect();
    }
    body
}

fn message(item: &Item, dialect: &Dialect) -> Value {
    let id = |id: &str| if dialect.short_ids { short(id) } else { id.to_owned() };
    match item {
        Item::System { text } => json!({ "role": "system", "content": text }),
        Item::User { text } => json!({ "role": "user", "content": text }),
        Item::Assistant { text, calls } if calls.is_empty() => {
            json!({ "role": "assistant", "content": text })
        }
        Item::Assistant { text, calls } => {
            let content = if text.is_empty() { Value::Null } else { text.as_str().into() };
            let calls = calls.iter().map(|call| {
                json!({ "id": id(&call.id), "type": "function",
                        "function": { "name": call.name, "arguments": call.arguments } })
            });
            json!({ "role": "assistant", "content": content, "tool_calls": calls.collect::<Vec<_>>() })
        }
        Item::Tool { call_id, text } => {
            json!({ "role": "tool", "tool_call_id": id(call_id), "content": text })
        }
    }
}

/// An id of nine letters or digits, always the same for the same id: one of another vendor's, from
/// before it was replaced, is refused.
fn short(id: &str) -> String {
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    // FNV-1a.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:09x}", hash & 0xf_ffff_ffff)
}

/// What we read of a chunk. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    error: Option<Complaint>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<Fragment>>,
}

/// A piece of a tool: the first of an index has id and name, the others more of the arguments.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fragment {
    index: Option<usize>,
    id: Option<String>,
    function: Function,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// Puts an answer together.
#[derive(Debug)]
struct Reader {
    vendor: &'static str,
    calls: Vec<(usize, ToolCall)>,
    usage: Usage,
    /// The model has said that it is through.
    finished: bool,
    /// The vendor has said that nothing more comes.
    done: bool,
}

impl Reader {
    fn new(vendor: &'static str) -> Self {
        let usage = Usage::default();
        Self { vendor, calls: Vec::new(), usage, finished: false, done: false }
    }

    fn unreadable(&self, why: &str) -> Error {
        Error::Unreadable { vendor: self.vendor, why: why.into() }
    }

    fn fragment(&mut self, fragment: Fragment) -> Result<(), Error> {
        let id = fragment.id.filter(|id| !id.is_empty());
        // Some services leave the index out and send each tool whole, with its id.
        let index = fragment.index.unwrap_or_else(|| {
            let last = self.calls.len().saturating_sub(1);
            let known = self.calls.iter().position(|(_, call)| Some(&call.id) == id.as_ref());
            known.unwrap_or(if id.is_some() { self.calls.len() } else { last })
        });
        let at = match self.calls.iter().position(|(known, _)| *known == index) {
            Some(at) => at,
            None if self.calls.len() >= CALLS => {
                return Err(self.unreadable("too many tools at once"));
            }
            None => {
                let call =
                    ToolCall { id: String::new(), name: String::new(), arguments: String::new() };
                self.calls.push((index, call));
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at].1;
        if let Some(id) = id {
            call.id = id;
        }
        // A name that is repeated is the same name.
        if let Some(name) = fragment.function.name.filter(|name| !name.is_empty()) {
            call.name = name;
        }
        call.arguments.push_str(fragment.function.arguments.as_deref().unwrap_or_default());
        Ok(())
    }
}

impl answer::Reader for Reader {
    fn on(&mut self, data: &str) -> Result<Option<String>, Error> {
        if data.trim() == DONE {
            self.done = true;
            return Ok(None);
        }
        let chunk: Chunk =
            serde_json::from_str(data).map_err(|error| self.unreadable(&error.to_string()))?;
        if let Some(complaint) = chunk.error {
            return Err(complaint.error(self.vendor));
        }
        if let Some(tokens) = chunk.usage {
            self.usage = Usage { input: tokens.prompt_tokens, output: tokens.completion_tokens };
        }
        // The chunk of the usage has no choice.
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(None) };
        self.finished |= choice.finish_reason.is_some();
        for fragment in choice.delta.tool_calls.into_iter().flatten() {
            self.fragment(fragment)?;
        }
        let words = choice.delta.content.or(choice.delta.refusal);
        Ok(words.filter(|words| !words.is_empty()))
    }

    fn done(&self) -> bool {
        self.done
    }

    fn finish(self) -> Result<(Vec<ToolCall>, Usage), Error> {
        if !self.finished && !self.done {
            let why = "the answer was cut off".into();
            return Err(Error::Unreachable { vendor: self.vendor, why });
        }
        let calls = self.calls.into_iter().enumerate().map(|(n, (_, mut call))| {
            if call.id.is_empty() {
                call.id = format!("call_{n}");
            }
            if call.arguments.trim().is_empty() {
                call.arguments = "{}".into();
            }
            call
        });
        Ok((calls.filter(|call| !call.name.is_empty()).collect(), self.usage))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use agent::{Config, Tool};

    use super::*;
    use crate::answer::Reader as _;
    use crate::openai::dialects::{OPENAI, dialect};

    fn reader() -> Reader {
        Reader::new("openai")
    }

    fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
        ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
    }

    fn delta(delta: &Value) -> String {
        json!({ "id": "1", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
            .to_string()
    }

    fn fragment(fragment: &Value) -> String {
        delta(&json!({ "tool_calls": [fragment] }))
    }

    #[test]
    fn what_was_said_is_told_as_the_vendor_wants_it() {
        let config = Config { engine_model: "openai.gpt-x.1".into(), ..Config::default() };
        let items = vec![
            Item::System { text: "s".into() },
            Item::User { text: "u".into() },
            Item::Assistant { text: String::new(), calls: vec![call("c1", "stop", "{}")] },
            Item::Tool { call_id: "c1".into(), text: "done".into() },
        ];
        let tool = Tool {
            name: "stop".into(),
            description: "d".into(),
            parameters: json!({ "type": "object" }),
        };
        let mut ask =
            Ask { config: Arc::new(config), items, tools: vec![tool], session: "x".into() };
        let written = body(&ask, "gpt-x.1", &OPENAI);
        assert_eq!(written["model"], "gpt-x.1");
        assert_eq!(
            written["messages"][2],
            json!({ "role": "assistant", "content": null, "tool_calls": [
            { "id": "c1", "type": "function", "function": { "name": "stop", "arguments": "{}" } }] })
        );
        assert_eq!(
            written["messages"][3],
            json!({ "role": "tool", "tool_call_id": "c1", "content": "done" })
        );
        assert_eq!(written["tools"][0]["function"]["name"], "stop");
        ask.tools.clear();
        assert!(body(&ask, MODEL, &OPENAI).get("tools").is_none());
    }

    #[test]
    fn a_service_is_told_only_what_it_takes() {
        let items = vec![
            Item::User { text: "u".into() },
            Item::Assistant { text: String::new(), calls: vec![call("call_abcdef", "stop", "{}")] },
            Item::Tool { call_id: "call_abcdef".into(), text: "done".into() },
        ];
        let tool = Tool { name: "stop".into(), description: String::new(), parameters: json!({}) };
        let tools = vec![tool];
        let ask = Ask { config: Arc::default(), items, tools, session: String::new() };
        let mistral = body(&ask, "m", dialect("mistral").unwrap());
        let id = mistral["messages"][2]["tool_call_id"].as_str().unwrap();
        assert_eq!(mistral["messages"][1]["tool_calls"][0]["id"], id);
        assert!(id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
        assert_eq!(short("abcDEF123"), "abcDEF123");
        assert!(mistral.get("stream_options").is_none() && mistral.get("tools").is_some());
        let perplexity = body(&ask, "m", dialect("perplexity").unwrap());
        assert!(perplexity.get("tools").is_none());
    }

    #[test]
    fn words_and_fragments_become_words_and_tools() {
        let mut reader = reader();
        let mut on = |data: &str| reader.on(data).unwrap();
        assert_eq!(on(&delta(&json!({ "role": "assistant", "content": "" }))), None);
        assert_eq!(on(&delta(&json!({ "content": "Hi " }))), Some("Hi ".into()));
        on(&fragment(
            &json!({ "index": 0, "id": "a", "function": { "name": "one", "arguments": "" } }),
        ));
        on(&fragment(
            &json!({ "index": 1, "id": "b", "function": { "name": "two", "arguments": "{}" } }),
        ));
        on(&fragment(&json!({ "index": 0, "function": { "arguments": "{\"x\"" } })));
        on(&fragment(&json!({ "index": 0, "function": { "arguments": ":1}" } })));
        on(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
        on(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#);
        on("[DONE]");
        let (calls, usage) = reader.finish().unwrap();
        assert_eq!(calls, [call("a", "one", "{\"x\":1}"), call("b", "two", "{}")]);
        assert_eq!(usage, Usage { input: 3, output: 4 });
    }

    #[test]
    fn tools_without_an_index_are_told_apart_by_their_id() {
        let mut reader = reader();
        for piece in [
            json!({ "id": "a", "function": { "name": "one", "arguments": "{}" } }),
            json!({ "id": "b", "function": { "name": "two", "arguments": "{\"x\"" } }),
            json!({ "function": { "arguments": ":1}" } }),
        ] {
            reader.on(&fragment(&piece)).unwrap();
        }
        reader.done = true;
        let (calls, _) = reader.finish().unwrap();
        assert_eq!(calls, [call("a", "one", "{}"), call("b", "two", "{\"x\":1}")]);
    }

    #[test]
    fn what_is_cut_off_or_unreadable_is_an_error() {
        let mut cut = reader();
        cut.on(&delta(&json!({ "content": "Hal" }))).unwrap();
        assert_eq!(cut.finish().unwrap_err().kind(), "unreachable");
        assert_eq!(reader().on("<html>").unwrap_err().kind(), "unreadable");
        let error = r#"{"error":{"message":"overloaded","code":null}}"#;
        assert_eq!(reader().on(error).unwrap_err().kind(), "unreachable");
    }
}
