//! Chat completions: what was said in, words and tools out as they come.

use std::time::Duration;

use agent::{Answer, Ask, Error, Item, Llm, Piece, ToolCall, Usage};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::sse::Events;
use super::{Complaint, OpenAi, VENDOR, plain, silent, unreachable};

/// The model of an agent that names none.
pub const MODEL: &str = "gpt-4o-mini";

/// For the head of an answer, and between two pieces of it.
const PATIENCE: Duration = Duration::from_secs(15);

/// Pieces that may wait to be taken.
const PIECES: usize = 32;

/// Tools in one answer; a model that wants more is lost in a loop.
const CALLS: usize = 32;

/// What ends the stream.
const DONE: &str = "[DONE]";

impl Llm for OpenAi {
    fn name(&self) -> &'static str {
        VENDOR
    }

    fn ask(&self, ask: Ask) -> Answer {
        let (give, answer) = mpsc::channel(PIECES);
        let openai = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                // Nobody wants the rest: dropping the request cancels it.
                () = give.closed() => {}
                result = openai.answer(&ask, &give) => {
                    let last = result.map(Piece::End);
                    let _ = give.send(last).await;
                }
            }
        });
        Answer(answer)
    }
}

impl OpenAi {
    async fn answer(
        &self,
        ask: &Ask,
        give: &mpsc::Sender<Result<Piece, Error>>,
    ) -> Result<Usage, Error> {
        let response = self.post("/chat/completions", &body(ask, &self.model), PATIENCE).await?;
        let mut bytes = response.bytes_stream();
        let mut events = Events::default();
        let mut reader = Reader::default();
        loop {
            let piece = tokio::time::timeout(PATIENCE, bytes.next()).await;
            let mut ended = false;
            let data = match piece.map_err(|_| silent(PATIENCE))? {
                Some(Ok(bytes)) => {
                    events.push(&bytes).map_err(|_| unreadable("an endless line"))?
                }
                Some(Err(error)) => return Err(unreachable(plain(error))),
                None => {
                    ended = true;
                    std::mem::take(&mut events).finish().into_iter().collect()
                }
            };
            for data in data {
                if let Some(text) = reader.on(&data)?
                    && give.send(Ok(Piece::Text(text))).await.is_err()
                {
                    return Ok(reader.usage);
                }
            }
            if reader.done || ended {
                break;
            }
        }
        let (calls, usage) = reader.finish()?;
        for call in calls {
            // Whoever does not listen any more is noticed by the next send, or is gone.
            let _ = give.send(Ok(Piece::Call(call))).await;
        }
        Ok(usage)
    }
}

fn unreadable(why: &str) -> Error {
    Error::Unreadable { vendor: VENDOR, why: why.into() }
}

fn body(ask: &Ask, model: &str) -> Value {
    let mut body = json!({
        "model": model,
        "messages": ask.items.iter().map(message).collect::<Vec<_>>(),
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    // An empty list is refused.
    if !ask.tools.is_empty() {
        let tools = ask.tools.iter().map(|tool| {
            json!({ "type": "function", "function": {
                "name": tool.name, "description": tool.description, "parameters": tool.parameters } })
        });
        body["tools"] = tools.collect();
    }
    body
}

fn message(item: &Item) -> Value {
    match item {
        Item::System { text } => json!({ "role": "system", "content": text }),
        Item::User { text } => json!({ "role": "user", "content": text }),
        Item::Assistant { text, calls } if calls.is_empty() => {
            json!({ "role": "assistant", "content": text })
        }
        Item::Assistant { text, calls } => {
            let content = if text.is_empty() { Value::Null } else { text.as_str().into() };
            let calls = calls.iter().map(|call| {
                json!({ "id": call.id, "type": "function",
                        "function": { "name": call.name, "arguments": call.arguments } })
            });
            json!({ "role": "assistant", "content": content, "tool_calls": calls.collect::<Vec<_>>() })
        }
        Item::Tool { call_id, text } => {
            json!({ "role": "tool", "tool_call_id": call_id, "content": text })
        }
    }
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
#[derive(Debug, Default)]
struct Reader {
    calls: Vec<(usize, ToolCall)>,
    usage: Usage,
    /// The model has said that it is through.
    finished: bool,
    /// The vendor has said that nothing more comes.
    done: bool,
}

impl Reader {
    /// Words that came with an event.
    fn on(&mut self, data: &str) -> Result<Option<String>, Error> {
        if data.trim() == DONE {
            self.done = true;
            return Ok(None);
        }
        let chunk: Chunk =
            serde_json::from_str(data).map_err(|error| unreadable(&error.to_string()))?;
        if let Some(complaint) = chunk.error {
            return Err(if complaint.is_about_money() {
                Error::Refused { vendor: VENDOR, why: complaint.words() }
            } else {
                unreachable(complaint.words())
            });
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
            None if self.calls.len() >= CALLS => return Err(unreadable("too many tools at once")),
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

    /// The tools, once everything has come.
    fn finish(self) -> Result<(Vec<ToolCall>, Usage), Error> {
        if !self.finished && !self.done {
            return Err(unreachable("the answer was cut off".into()));
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
        let written = body(&ask, "gpt-x.1");
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
        assert!(body(&ask, MODEL).get("tools").is_none());
    }

    #[test]
    fn words_and_fragments_become_words_and_tools() {
        let mut reader = Reader::default();
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
        let mut reader = Reader::default();
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
        let mut reader = Reader::default();
        reader.on(&delta(&json!({ "content": "Hal" }))).unwrap();
        assert_eq!(reader.finish().unwrap_err().kind(), "unreachable");
        assert_eq!(Reader::default().on("<html>").unwrap_err().kind(), "unreadable");
        let error = r#"{"error":{"message":"overloaded","code":null}}"#;
        assert_eq!(Reader::default().on(error).unwrap_err().kind(), "unreachable");
    }
}
