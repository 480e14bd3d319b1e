//! Anthropic's models, by the Messages API: what was said in, words and tools out as they come.

use agent::{Answer, Ask, Error, Llm, ToolCall, Usage};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{self, CALLS};
use crate::exchange::{Exchange, Part, Turn, arguments, exchange};
use crate::http::{Account, Complaint, bearer};

pub(crate) const VENDOR: &str = "anthropic";

/// Where it is.
pub const BASE_URL: &str = "https://api.anthropic.com";

/// The version of the wire that is spoken here.
const VERSION: &str = "2026-10-21";

/// The model of an agent that names none.
pub const MODEL: &str = "claude-haiku-5-5";

/// The vendor demands a limit of tokens: far above what anybody listens to.
const LONGEST: u32 = 4096;

/// An account of Anthropic.
#[derive(Clone)]
pub struct Anthropic {
    account: Account,
    model: String,
}

impl Anthropic {
    /// With a key; [`BASE_URL`] unless a proxy or a double stands in. A process-wide TLS provider
    /// must be installed before.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(key: SecretString, base_url: Option<&str>) -> Result<Self, String> {
        let account = Account::new(VENDOR, base_url.unwrap_or(BASE_URL), Some(bearer(&key)))?
            .with_header("anthropic-version", VERSION);
        Ok(Self { account, model: MODEL.into() })
    }

    /// The same account with another model; empty = the default.
    pub fn with_model(&self, model: &str) -> Self {
        let model = if model.is_empty() { MODEL } else { model };
        Self { model: model.into(), ..self.clone() }
    }
}

impl Llm for Anthropic {
    fn name(&self) -> &'static str {
        VENDOR
    }

    fn ask(&self, ask: Ask) -> Answer {
        let body = body(&ask, &self.model);
        answer::ask(self.account.clone(), "/v1/messages".into(), body, Reader::default())
    }
}

fn body(ask: &Ask, model: &str) -> Value {
    let Exchange { told, turns } = exchange(&ask.items);
    let mut body = json!({
        "model": model,
        "max_tokens": LONGEST,
        "messages": turns.iter().map(message).collect::<Vec<_>>(),
        "stream": true,
    });
    if !told.is_empty() {
        body["system"] = told.join("\n\n").into();
    }
    if !ask.tools.is_empty() {
        let tools = ask.tools.iter().map(|tool| {
            json!({ "name": tool.name, "description": tool.description,
                    "input_schema": tool.parameters })
        });
        body["tools"] = tools.collect();
    }
    body
}

fn message(turn: &Turn<'_>) -> Value {
    // Results stand before words, whatever came first.
    let (results, others): (Vec<_>, Vec<_>) =
        turn.parts.iter().partition(|part| matches!(part, Part::Result { .. }));
    let blocks = results.into_iter().chain(others).map(|part| match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Call(call) => json!({ "type": "tool_use", "id": call.id, "name": call.name,
                                    "input": arguments(&call.arguments) }),
        Part::Result { call, text } => {
            json!({ "type": "tool_result", "tool_use_id": call.id, "content": text })
        }
    });
    let role = if turn.model { "assistant" } else { "user" };
    json!({ "role": role, "content": blocks.collect::<Vec<_>>() })
}

/// What we read of an event. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Started,
    },
    ContentBlockStart {
        index: usize,
        content_block: Block,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta,
    },
    MessageDelta {
        #[serde(default)]
        delta: Last,
        #[serde(default)]
        usage: Tokens,
    },
    MessageStop,
    Error {
        error: Box<Complaint>,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Started {
    #[serde(default)]
    usage: Tokens,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(other)]
    Other,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Last {
    stop_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
}

/// Puts an answer together.
#[derive(Debug, Default)]
struct Reader {
    calls: Vec<(usize, ToolCall)>,
    usage: Usage,
    /// The model has said that it is through.
    finished: bool,
    /// Its answer was cut at its limit: a tool may be half written.
    too_long: bool,
    /// The vendor has said that nothing more comes.
    done: bool,
}

fn unreadable(why: &str) -> Error {
    Error::Unreadable { vendor: VENDOR, why: why.into() }
}

impl answer::Reader for Reader {
    fn on(&mut self, data: &str) -> Result<Option<String>, Error> {
        let event: Event =
            serde_json::from_str(data).map_err(|error| unreadable(&error.to_string()))?;
        let words = match event {
            Event::MessageStart { message } => {
                self.usage.input = message.usage.input_tokens;
                None
            }
            Event::ContentBlockStart { content_block: Block::Text { text }, .. } => Some(text),
            Event::ContentBlockStart { index, content_block: Block::ToolUse { id, name } } => {
                if self.calls.len() >= CALLS {
                    return Err(unreadable("too many tools at once"));
                }
                self.calls.push((index, ToolCall { id, name, arguments: String::new() }));
                None
            }
            Event::ContentBlockDelta { delta: Delta::Text { text }, .. } => Some(text),
            Event::ContentBlockDelta { index, delta: Delta::InputJson { partial_json } } => {
                if let Some((_, call)) = self.calls.iter_mut().find(|(at, _)| *at == index) {
                    call.arguments.push_str(&partial_json);
                }
                None
            }
            Event::MessageDelta { delta, usage } => {
                self.usage.output = usage.output_tokens;
                self.finished |= delta.stop_reason.is_some();
                self.too_long |= delta.stop_reason.as_deref() == Some("max_tokens");
                None
            }
            Event::MessageStop => {
                self.done = true;
                None
            }
            Event::Error { error } => return Err(error.error(VENDOR)),
            Event::ContentBlockStart { content_block: Block::Other, .. }
            | Event::ContentBlockDelta { delta: Delta::Other, .. }
            | Event::Other => None,
        };
        Ok(words.filter(|words| !words.is_empty()))
    }

    fn done(&self) -> bool {
        self.done
    }

    fn finish(mut self) -> Result<(Vec<ToolCall>, Usage), Error> {
        if !self.finished && !self.done {
            let why = "the answer was cut off".into();
            return Err(Error::Unreachable { vendor: VENDOR, why });
        }
        if self.too_long {
            // Half an argument may read as another one.
            self.calls.pop();
        }
        let whole = |(_, mut call): (usize, ToolCall)| {
            if call.arguments.trim().is_empty() {
                call.arguments = "{}".into();
            }
            call
        };
        Ok((self.calls.into_iter().map(whole).collect(), self.usage))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use agent::{Item, Tool};

    use super::*;
    use crate::answer::Reader as _;

    fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
        ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
    }

    #[test]
    fn what_was_said_is_told_as_the_vendor_wants_it() {
        let calls = vec![call("t1", "book", r#"{"at":9}"#)];
        let items = vec![
            Item::System { text: "s".into() },
            Item::User { text: "u".into() },
            Item::Assistant { text: "Well.".into(), calls },
            Item::Tool { call_id: "t1".into(), text: "done".into() },
            Item::User { text: "and".into() },
        ];
        let tool = Tool {
            name: "book".into(),
            description: "d".into(),
            parameters: json!({ "type": "object" }),
        };
        let mut ask =
            Ask { config: Arc::default(), items, tools: vec![tool], session: String::new() };
        let written = body(&ask, "m");
        assert_eq!((&written["system"], &written["max_tokens"]), (&json!("s"), &json!(LONGEST)));
        let expected = json!([
            { "role": "user", "content": [{ "type": "text", "text": "u" }] },
            { "role": "assistant", "content": [{ "type": "text", "text": "Well." },
                { "type": "tool_use", "id": "t1", "name": "book", "input": { "at": 9 } }] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "t1", "content": "done" },
                { "type": "text", "text": "and" }] }]);
        assert_eq!(written["messages"], expected);
        assert_eq!(written["tools"][0]["input_schema"], json!({ "type": "object" }));
        ask.tools.clear();
        assert!(body(&ask, "m").get("tools").is_none());
    }

    fn told(reader: &mut Reader, events: &[Value]) -> String {
        events.iter().filter_map(|event| reader.on(&event.to_string()).unwrap()).collect()
    }

    fn beginning() -> [Value; 4] {
        [
            json!({ "type": "message_start", "message": { "id": "m", "content": [],
                    "usage": { "input_tokens": 7, "output_tokens": 1 } } }),
            json!({ "type": "content_block_start", "index": 0,
                    "content_block": { "type": "text", "text": "" } }),
            json!({ "type": "ping" }),
            json!({ "type": "content_block_delta", "index": 0,
                    "delta": { "type": "text_delta", "text": "Hi." } }),
        ]
    }

    #[test]
    fn words_and_pieces_of_json_become_words_and_tools() {
        let mut reader = Reader::default();
        let delta = |index: usize, json: &str| {
            json!({ "type": "content_block_delta", "index": index,
                    "delta": { "type": "input_json_delta", "partial_json": json } })
        };
        let block = |index: usize, id: &str| {
            json!({ "type": "content_block_start", "index": index, "content_block":
                    { "type": "tool_use", "id": id, "name": "f", "input": {} } })
        };
        assert_eq!(told(&mut reader, &beginning()), "Hi.");
        let more = [
            json!({ "type": "content_block_start", "index": 1,
                    "content_block": { "type": "thinking", "thinking": "" } }),
            json!({ "type": "content_block_delta", "index": 1,
                    "delta": { "type": "thinking_delta", "thinking": "hm" } }),
            block(2, "a"),
            delta(2, "{\"a\":"),
            delta(2, "1}"),
            json!({ "type": "content_block_stop", "index": 2 }),
            block(3, "b"),
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" },
                    "usage": { "output_tokens": 9 } }),
            json!({ "type": "message_stop" }),
        ];
        assert_eq!(told(&mut reader, &more), "");
        assert!(reader.done());
        let (calls, usage) = reader.finish().unwrap();
        assert_eq!(calls, [call("a", "f", "{\"a\":1}"), call("b", "f", "{}")]);
        assert_eq!(usage, Usage { input: 7, output: 9 });
    }

    #[test]
    fn what_is_cut_off_or_unreadable_is_an_error() {
        let mut reader = Reader::default();
        told(&mut reader, &beginning());
        assert_eq!(reader.finish().unwrap_err().kind(), "unreachable");
        let mut reader = Reader::default();
        assert_eq!(reader.on("<html>").unwrap_err().kind(), "unreadable");
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"later"}}"#;
        let error = reader.on(error).unwrap_err();
        assert_eq!(error.to_string(), "anthropic cannot be reached: overloaded_error: later");
    }
}
