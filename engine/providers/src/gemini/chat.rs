//! The model (`streamGenerateContent`): what was said in, words and tools out as they come.
//!
//! Newer models sign the tools that they take, and refuse to go on unless the signature comes
//! back. Signatures are kept here, by the call's id: what was said knows no vendor.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use agent::{Answer, Ask, Error, Llm, ToolCall, Usage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Gemini, VENDOR};
use crate::answer::{self, CALLS};
use crate::exchange::{Exchange, Part, Turn, arguments, exchange};
use crate::http::Complaint;

/// The model of an agent that names none.
pub const MODEL: &str = "gemini-2.5-flash";

/// So many signatures are kept: those of conversations under way.
const KEPT: usize = 4096;

/// Stands for a signature that is not known here, such as of a tool that another vendor's model
/// took; the vendor documents it.
const UNSIGNED: &str = "skip_thought_signature_validator";

impl Llm for Gemini {
    fn name(&self) -> &'static str {
        VENDOR
    }

    fn ask(&self, ask: Ask) -> Answer {
        let model = if self.model.is_empty() { MODEL } else { &self.model };
        // A model is one part of the path, whatever is in it.
        let model: String =
            model.chars().filter(|c| c.is_alphanumeric() || "-._".contains(*c)).collect();
        let body = body(&ask, &self.signatures, &model);
        let path = format!("/v1beta/models/{model}:streamGenerateContent?alt=sse");
        let reader = Reader::new(Arc::clone(&self.signatures));
        answer::ask(self.account.clone(), path, body, reader)
    }
}

/// Signatures of calls, the oldest of which are forgotten.
#[derive(Debug, Default)]
pub(super) struct Signatures(Mutex<(HashMap<String, String>, VecDeque<String>)>);

impl Signatures {
    fn keep(&self, call: &str, signature: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *kept;
        if known.insert(call.to_owned(), signature).is_none() {
            order.push_back(call.to_owned());
        }
        if order.len() > KEPT
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
    }

    fn of(&self, call: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.get(call).cloned()
    }
}

fn body(ask: &Ask, signatures: &Signatures, model: &str) -> Value {
    let Exchange { told, turns } = exchange(&ask.items);
    // Models before the third sign nothing and want nothing signed.
    let signs = !["gemini-1", "gemini-2"].iter().any(|old| model.starts_with(old));
    let content = |turn: &Turn<'_>| content(turn, signatures, signs);
    let mut body = json!({ "contents": turns.iter().map(content).collect::<Vec<_>>() });
    if !told.is_empty() {
        body["systemInstruction"] = json!({ "parts": [{ "text": told.join("\n\n") }] });
    }
    if !ask.tools.is_empty() {
        let tools = ask.tools.iter().map(|tool| {
            json!({ "name": tool.name, "description": tool.description,
                    "parametersJsonSchema": tool.parameters })
        });
        body["tools"] = json!([{ "functionDeclarations": tools.collect::<Vec<_>>() }]);
    }
    body
}

fn content(turn: &Turn<'_>, signatures: &Signatures, signs: bool) -> Value {
    let mut first = true;
    let parts = turn.parts.iter().map(|part| match part {
        Part::Text(text) => json!({ "text": text }),
        Part::Call(call) => {
            let taken = json!({ "id": call.id, "name": call.name, "args": arguments(&call.arguments) });
            let mut part = json!({ "functionCall": taken });
            // Of several at once, only the first is signed.
            let unsigned = (signs && std::mem::take(&mut first)).then(|| UNSIGNED.to_owned());
            if let Some(signature) = signatures.of(&call.id).or(unsigned) {
                part["thoughtSignature"] = signature.into();
            }
            part
        }
        Part::Result { call, text } => {
            // The vendor wants an object.
            let response = match serde_json::from_str(text) {
                Ok(Value::Object(object)) => Value::Object(object),
                _ => json!({ "output": text }),
            };
            json!({ "functionResponse": { "id": call.id, "name": call.name, "response": response } })
        }
    });
    let role = if turn.model { "model" } else { "user" };
    json!({ "role": role, "parts": parts.collect::<Vec<_>>() })
}

/// What we read of an event. Fields that we do not need are not named, so that new ones do no harm.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Chunk {
    candidates: Vec<Candidate>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Tokens>,
    error: Option<Complaint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Candidate {
    content: Content,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content {
    parts: Vec<Given>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Given {
    text: Option<String>,
    thought: bool,
    function_call: Option<Taken>,
    thought_signature: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Taken {
    id: Option<String>,
    name: String,
    #[serde(default)]
    args: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tokens {
    prompt_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
}

/// Puts an answer together.
#[derive(Debug)]
struct Reader {
    signatures: Arc<Signatures>,
    calls: Vec<ToolCall>,
    usage: Usage,
    /// Words came.
    spoke: bool,
    /// Why the model ended, if it did.
    finished: Option<String>,
}

impl Reader {
    fn new(signatures: Arc<Signatures>) -> Self {
        let usage = Usage::default();
        Self { signatures, calls: Vec::new(), usage, spoke: false, finished: None }
    }

    fn take(&mut self, taken: Taken, signature: Option<String>) -> Result<(), Error> {
        if self.calls.len() >= CALLS {
            return Err(unreadable("too many tools at once".into()));
        }
        let id = taken.id.filter(|id| !id.is_empty()).unwrap_or_else(fresh);
        if let Some(signature) = signature {
            self.signatures.keep(&id, signature);
        }
        let arguments = if taken.args.is_null() { "{}".into() } else { taken.args.to_string() };
        self.calls.push(ToolCall { id, name: taken.name, arguments });
        Ok(())
    }
}

/// An id that no other call has, in no other process either: the vendor often gives none.
fn fresh() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("call-{now:x}-{:x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn unreadable(why: String) -> Error {
    Error::Unreadable { vendor: VENDOR, why }
}

impl answer::Reader for Reader {
    fn on(&mut self, data: &str) -> Result<Option<String>, Error> {
        let chunk: Chunk =
            serde_json::from_str(data).map_err(|error| unreadable(error.to_string()))?;
        if let Some(complaint) = chunk.error {
            return Err(complaint.error(VENDOR));
        }
        if let Some(reason) = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason) {
            return Err(Error::Refused {
                vendor: VENDOR,
                why: format!("it does not answer: {reason}"),
            });
        }
        if let Some(tokens) = chunk.usage_metadata {
            let output = tokens.candidates_token_count + tokens.thoughts_token_count;
            self.usage = Usage { input: tokens.prompt_token_count, output };
        }
        let Some(candidate) = chunk.candidates.into_iter().next() else { return Ok(None) };
        let mut words = String::new();
        for part in candidate.content.parts {
            if let Some(taken) = part.function_call {
                self.take(taken, part.thought_signature)?;
            } else if let Some(text) = part.text.filter(|_| !part.thought) {
                words.push_str(&text);
            }
        }
        self.spoke |= !words.is_empty();
        self.finished = candidate.finish_reason.or(self.finished.take());
        Ok(Some(words).filter(|words| !words.is_empty()))
    }

    fn done(&self) -> bool {
        // The usage comes with the reason or after it; the stream's end is the end.
        false
    }

    fn finish(self) -> Result<(Vec<ToolCall>, Usage), Error> {
        match self.finished.as_deref() {
            None => {
                let why = "the answer was cut off".into();
                Err(Error::Unreachable { vendor: VENDOR, why })
            }
            Some("STOP" | "MAX_TOKENS") => Ok((self.calls, self.usage)),
            // What was said already was said.
            Some(_) if self.spoke || !self.calls.is_empty() => Ok((self.calls, self.usage)),
            Some(reason) => Err(unreadable(format!("it answered nothing: {reason}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use agent::{Item, Tool};

    use super::*;
    use crate::answer::Reader as _;

    fn reader() -> Reader {
        Reader::new(Arc::default())
    }

    fn chunk(parts: &Value, finish: Option<&str>) -> String {
        json!({ "candidates": [{ "content": { "role": "model", "parts": parts },
                                 "finishReason": finish, "index": 0 }],
                "usageMetadata": { "promptTokenCount": 3, "candidatesTokenCount": 4,
                                   "thoughtsTokenCount": 2 }, "modelVersion": "m" })
        .to_string()
    }

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.into(), name: "book".into(), arguments: r#"{"at":9}"#.into() }
    }

    #[test]
    fn what_was_said_is_told_as_the_vendor_wants_it() {
        let signatures = Signatures::default();
        signatures.keep("known", "c2ln".into());
        let answer = |id: &str, text: &str| Item::Tool { call_id: id.into(), text: text.into() };
        let items = vec![
            Item::System { text: "s".into() },
            Item::User { text: "u".into() },
            Item::Assistant { text: "Well.".into(), calls: vec![call("known")] },
            answer("known", "done"),
            Item::Assistant { text: String::new(), calls: vec![call("other"), call("more")] },
            answer("other", r#"{"ok":true}"#),
            answer("more", "[]"),
        ];
        let tool =
            Tool { name: "book".into(), description: "d".into(), parameters: json!({ "a": 1 }) };
        let tools = vec![tool];
        let ask = Ask { config: Arc::default(), items, tools, session: String::new() };
        let written = body(&ask, &signatures, "gemini-3-flash");
        assert_eq!(written["systemInstruction"]["parts"][0]["text"], "s");
        let contents = written["contents"].as_array().unwrap();
        let roles: Vec<_> = contents.iter().map(|content| &content["role"]).collect();
        assert_eq!(roles, ["user", "model", "user", "model", "user"]);
        let taken = json!({ "functionCall": { "id": "known", "name": "book", "args": { "at": 9 } },
                            "thoughtSignature": "c2ln" });
        assert_eq!(contents[1]["parts"], json!([{ "text": "Well." }, taken]));
        let response = json!({ "id": "known", "name": "book", "response": { "output": "done" } });
        assert_eq!(contents[2]["parts"], json!([{ "functionResponse": response }]));
        assert_eq!(contents[3]["parts"][0]["thoughtSignature"], UNSIGNED);
        assert!(contents[3]["parts"][1].get("thoughtSignature").is_none());
        assert_eq!(contents[4]["parts"][0]["functionResponse"]["response"], json!({ "ok": true }));
        let declared = &written["tools"][0]["functionDeclarations"][0];
        assert_eq!(declared["parametersJsonSchema"], json!({ "a": 1 }));
        let old = body(&ask, &Signatures::default(), "gemini-2.5-flash").to_string();
        assert!(!old.contains("thoughtSignature"), "{old}");
    }

    #[test]
    fn words_and_tools_come_and_thoughts_do_not() {
        let mut reader = reader();
        let on =
            |reader: &mut Reader, parts: &Value, finish| reader.on(&chunk(parts, finish)).unwrap();
        let thought = json!([{ "text": "hm", "thought": true }, { "text": "Hi " }]);
        assert_eq!(on(&mut reader, &thought, None), Some("Hi ".into()));
        let taken = json!([
            { "functionCall": { "id": "a", "name": "f", "args": { "x": 1 } }, "thoughtSignature": "s" },
            { "functionCall": { "name": "g" } }]);
        assert_eq!(on(&mut reader, &taken, None), None);
        assert_eq!(reader.on(r#"{"candidates":[{"finishReason":"STOP"}]}"#).unwrap(), None);
        let signatures = Arc::clone(&reader.signatures);
        let (calls, usage) = reader.finish().unwrap();
        assert_eq!((calls[0].id.as_str(), calls[0].arguments.as_str()), ("a", r#"{"x":1}"#));
        assert_eq!((calls[1].name.as_str(), calls[1].arguments.as_str()), ("g", "{}"));
        assert!(!calls[1].id.is_empty() && calls[1].id != fresh());
        assert_eq!(usage, Usage { input: 3, output: 6 });
        assert_eq!(signatures.of("a"), Some("s".into()));
    }

    #[test]
    fn signatures_do_not_grow_without_end() {
        let signatures = Signatures::default();
        for n in 0..=KEPT {
            signatures.keep(&n.to_string(), "s".into());
        }
        assert_eq!((signatures.of("0"), signatures.of("1")), (None, Some("s".into())));
    }

    #[test]
    fn what_is_cut_off_blocked_or_unreadable_is_an_error() {
        let mut cut = reader();
        cut.on(&chunk(&json!([{ "text": "Hal" }]), None)).unwrap();
        assert_eq!(cut.finish().unwrap_err().kind(), "unreachable");
        assert_eq!(reader().on("<html>").unwrap_err().kind(), "unreadable");
        let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#;
        assert_eq!(reader().on(blocked).unwrap_err().kind(), "refused");
        let busy = r#"{"error":{"code":429,"message":"later","status":"RESOURCE_EXHAUSTED"}}"#;
        let error = reader().on(busy).unwrap_err();
        assert_eq!(error.to_string(), "gemini cannot be reached: RESOURCE_EXHAUSTED: later");
        let mut malformed = reader();
        malformed.on(&chunk(&json!([]), Some("MALFORMED_FUNCTION_CALL"))).unwrap();
        assert_eq!(malformed.finish().unwrap_err().kind(), "unreadable");
    }
}
