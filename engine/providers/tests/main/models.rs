//! Models over HTTP on loopback, other than OpenAI: what is posted where, and what is made of the
//! answers.

use std::time::Duration;

use agent::{Answer, Ask, Error, Item, Llm, Piece, Tool, Usage};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use providers::anthropic::Anthropic;
use providers::gemini::Gemini;
use providers::openai::{OpenAi, dialects};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What it was asked: where, with which headers, what.
type Asked = (Uri, HeaderMap, Value);

async fn service(
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> (String, mpsc::UnboundedReceiver<Asked>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (tell, asked) = mpsc::unbounded_channel();
    let handle = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
        tell.send((uri, headers, serde_json::from_slice(&body).unwrap())).unwrap();
        answer()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(handle);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, asked)
}

fn ask() -> Ask {
    let tool = Tool {
        name: "look_up".into(),
        description: "Looks up.".into(),
        parameters: json!({ "type": "object", "properties": {} }),
    };
    Ask {
        config: std::sync::Arc::default(),
        items: vec![Item::System { text: "s".into() }, Item::User { text: "hello".into() }],
        tools: vec![tool],
        session: String::new(),
    }
}

/// All of an answer: words, tools as `[name arguments]`, and its cost or error.
async fn whole(mut answer: Answer) -> (String, Result<Usage, Error>) {
    let mut words = String::new();
    loop {
        match tokio::time::timeout(PATIENCE, answer.0.recv()).await.expect("nothing comes") {
            Some(Ok(Piece::Text(text))) => words.push_str(&text),
            Some(Ok(Piece::Call(call))) => {
                words.push_str(&format!("[{} {}]", call.name, call.arguments));
            }
            Some(Ok(Piece::End(usage))) => return (words, Ok(usage)),
            Some(Err(error)) => return (words, Err(error)),
            None => panic!("it closed without an end"),
        }
    }
}

fn events(named: bool, events: &[Value]) -> Response {
    let event = |event: &Value| {
        let name = if named {
            format!("event: {}\r\n", event["type"].as_str().unwrap())
        } else {
            String::new()
        };
        format!("{name}data: {event}\r\n\r\n")
    };
    let text: String = events.iter().map(event).collect();
    ([("content-type", "text/event-stream")], text).into_response()
}

#[tokio::test]
async fn anthropic_streams_words_and_tools() {
    let answer = || {
        events(
            true,
            &[
                json!({ "type": "message_start", "message": { "id": "m", "type": "message",
                "role": "assistant", "content": [], "model": "x", "stop_reason": null,
                "usage": { "input_tokens": 5, "output_tokens": 1 } } }),
                json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
                json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Let me see." } }),
                json!({ "type": "content_block_stop", "index": 0 }),
                json!({ "type": "content_block_start", "index": 1, "content_block":
                { "type": "tool_use", "id": "t", "name": "look_up", "input": {} } }),
                json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "{\"a\":" } }),
                json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "1}" } }),
                json!({ "type": "content_block_stop", "index": 1 }),
                json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 7 } }),
                json!({ "type": "message_stop" }),
            ],
        )
    };
    let (base, mut asked) = service(answer).await;
    let llm = Anthropic::new("sk-secret".to_owned().into(), Some(&base)).unwrap();
    let (words, usage) = whole(llm.with_model("claude-x").ask(ask())).await;
    assert_eq!(words, "Let me see.[look_up {\"a\":1}]");
    assert_eq!(usage, Ok(Usage { input: 5, output: 7 }));
    let (uri, headers, body) = asked.recv().await.unwrap();
    assert_eq!(uri.path(), "/v1/messages");
    assert_eq!(headers["authorization"], "Bearer sk-secret");
    assert_eq!(headers["anthropic-version"], "2026-10-21");
    assert_eq!((&body["model"], &body["system"]), (&json!("claude-x"), &json!("s")));
    assert!(body["max_tokens"].as_u64().unwrap() > 0 && body.get("temperature").is_none());
}

#[tokio::test]
async fn gemini_streams_words_and_tools() {
    let answer = || {
        events(
            false,
            &[
                json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": "Let me " }] }, "index": 0 }] }),
                json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": "see." },
                { "functionCall": { "name": "look_up", "args": { "a": 1 } }, "thoughtSignature": "c2ln" }] },
                "finishReason": "STOP", "index": 0 }],
                "usageMetadata": { "promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12 } }),
            ],
        )
    };
    let (base, mut asked) = service(answer).await;
    let llm = Gemini::new("sk-secret".to_owned().into(), Some(&base)).unwrap();
    let (words, usage) = whole(llm.with_model("gemini-x").ask(ask())).await;
    assert_eq!(words, "Let me see.[look_up {\"a\":1}]");
    assert_eq!(usage, Ok(Usage { input: 5, output: 7 }));
    let (uri, headers, body) = asked.recv().await.unwrap();
    assert_eq!(uri.path(), "/v1beta/models/gemini-x:streamGenerateContent");
    assert_eq!(
        (uri.query(), &headers["x-goog-api-key"]),
        (Some("alt=sse"), &"sk-secret".parse().unwrap())
    );
    assert_eq!(body["contents"], json!([{ "role": "user", "parts": [{ "text": "hello" }] }]));
}

#[tokio::test]
async fn services_of_one_protocol_are_asked_by_their_own_names() {
    for (name, header) in
        [("azure", "api-key"), ("groq", "authorization"), ("mistral", "authorization")]
    {
        let chunk =
            json!({ "choices": [{ "delta": { "content": "Hi." }, "finish_reason": "stop" }] });
        let (base, mut asked) = service(move || events(false, std::slice::from_ref(&chunk))).await;
        let dialect = dialects::dialect(name).unwrap();
        let llm = OpenAi::at(dialect, "sk-secret".to_owned().into(), Some(&base)).unwrap();
        let (words, ended) = whole(llm.with_model("m").ask(ask())).await;
        assert_eq!((words.as_str(), ended.is_ok()), ("Hi.", true), "{name}");
        let (uri, headers, body) = asked.recv().await.unwrap();
        assert_eq!(uri.path(), "/chat/completions");
        assert!(headers[header].to_str().unwrap().ends_with("sk-secret"), "{name}");
        assert_eq!(body["model"], "m");
        assert_eq!(Llm::name(&llm), name);
    }
}

#[tokio::test]
async fn refusals_and_trouble_are_told_apart_and_no_key_is_shown() {
    let cases = [
        (
            401,
            r#"{"type":"error","error":{"type":"authentication_error","message":"bad"}}"#,
            "refused",
        ),
        (400, r#"{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}"#, "refused"),
        (
            429,
            r#"{"error":{"code":429,"message":"busy","status":"RESOURCE_EXHAUSTED"}}"#,
            "unreachable",
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
            "unreachable",
        ),
        (500, "<html>", "unreachable"),
    ];
    for (status, body, kind) in cases {
        let status = StatusCode::from_u16(status).unwrap();
        let (base, _asked) = service(move || (status, body).into_response()).await;
        let key = || "sk-secret".to_owned().into();
        let anthropic = Anthropic::new(key(), Some(&base)).unwrap();
        let gemini = Gemini::new(key(), Some(&base)).unwrap();
        for llm in [&anthropic as &dyn Llm, &gemini] {
            let (words, ended) = whole(llm.ask(ask())).await;
            let error = ended.unwrap_err();
            assert_eq!(
                (words.as_str(), error.kind(), error.vendor()),
                ("", kind, llm.name()),
                "{error}"
            );
            assert!(!error.to_string().contains("sk-secret"), "{error}");
        }
    }
    // Cut in the middle, and rubbish.
    for (text, kind) in
        [("data: {\"candidates\":[]}\n\n", "unreachable"), ("data: <html>\n\n", "unreadable")]
    {
        let answer = move || ([("content-type", "text/event-stream")], text).into_response();
        let (base, _asked) = service(answer).await;
        let gemini = Gemini::new("k".to_owned().into(), Some(&base)).unwrap();
        assert_eq!(whole(gemini.ask(ask())).await.1.unwrap_err().kind(), kind);
    }
}
