//! OpenAI on loopback: what is posted, what is made of the answers, and that nothing hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent::{Ask, Config, Error, Item, Llm, Piece};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::stream;
use providers::openai::OpenAi;
use serde_json::Value;
use talk::{Say, Speaking, Spoken, Tts, TurnId, Voice};
use tokio::sync::{mpsc, oneshot};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service that answers the `n`th request with `answer(n)`, and tells what it was asked.
async fn service(
    answer: impl Fn(usize) -> Response + Clone + Send + Sync + 'static,
) -> (OpenAi, mpsc::UnboundedReceiver<(String, Value)>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (tell, asked) = mpsc::unbounded_channel();
    let requests = Arc::new(AtomicUsize::new(0));
    let handle = move |headers: HeaderMap, Json(body): Json<Value>| async move {
        let key = headers["authorization"].to_str().unwrap().to_owned();
        tell.send((key, body)).unwrap();
        answer(requests.fetch_add(1, Ordering::SeqCst))
    };
    let router = Router::new()
        .route("/v1/audio/speech", post(handle.clone()))
        .route("/v1/chat/completions", post(handle));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (OpenAi::new("sk-secret".to_owned().into(), Some(&base)).unwrap(), asked)
}

fn sound(pieces: &'static [&'static [u8]]) -> Response {
    let pieces = pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece)));
    ([("content-type", "audio/pcm")], Body::from_stream(stream::iter(pieces))).into_response()
}

fn events(text: &'static str) -> Response {
    ([("content-type", "text/event-stream")], text).into_response()
}

async fn speaking(openai: &OpenAi, text: &str) -> Speaking {
    let speaking = openai.open(Voice::default()).await.unwrap();
    speaking.say.send(Say::Text(TurnId(1), text.into())).await.unwrap();
    speaking.say.send(Say::End(TurnId(1))).await.unwrap();
    speaking
}

async fn next(speaking: &mut Speaking) -> Result<Spoken, Error> {
    tokio::time::timeout(PATIENCE, speaking.sound.recv()).await.expect("nothing comes").unwrap()
}

/// All words of an answer, and how it ended.
async fn answer(openai: &OpenAi) -> (String, Result<(), Error>) {
    let config = Config { engine_model: "openai.gpt-4o".into(), ..Config::default() };
    let mut answer = openai.with_model("gpt-4o").ask(Ask {
        config: config.into(),
        items: vec![Item::User { text: "hello".into() }],
        tools: Vec::new(),
        session: String::new(),
    });
    let mut words = String::new();
    loop {
        match tokio::time::timeout(PATIENCE, answer.0.recv()).await.expect("nothing comes") {
            Some(Ok(Piece::Text(text))) => words.push_str(&text),
            Some(Ok(Piece::Call(call))) => words.push_str(&call.name),
            Some(Ok(Piece::End(_))) => return (words, Ok(())),
            Some(Err(error)) => return (words, Err(error)),
            None => panic!("it closed without an end"),
        }
    }
}

const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

#[tokio::test]
async fn speech_is_posted_and_sounds_as_it_comes() {
    // A sample is divided between two pieces.
    let (openai, mut asked) = service(|_| sound(&[&[1, 0, 2], &[0], &[], &[0xff, 0xff]])).await;
    let mut speaking = speaking(&openai, "Hello.").await;
    let mut samples = Vec::new();
    while let Spoken::Sound(TurnId(1), frame) = next(&mut speaking).await.unwrap() {
        assert_eq!(frame.rate, 24_000);
        samples.extend(frame.samples);
    }
    assert_eq!(samples, [1, 2, -1]);
    let (key, body) = asked.recv().await.unwrap();
    assert_eq!(key, "Bearer sk-secret");
    assert_eq!(body["input"], "Hello.");
    assert_eq!(body["response_format"], "pcm");
}

#[tokio::test]
async fn a_refusal_of_speech_is_told_without_the_key_and_the_voice_lives_on() {
    let (openai, _asked) = service(|n| match n {
        0 => (StatusCode::UNAUTHORIZED, r#"{"error":{"message":"no","code":"invalid_api_key"}}"#)
            .into_response(),
        1 => Json(serde_json::json!({ "not": "sound" })).into_response(),
        _ => sound(&[&[1, 0]]),
    })
    .await;
    let mut speaking = speaking(&openai, "Hello.").await;
    let error = next(&mut speaking).await.unwrap_err();
    assert_eq!(error.to_string(), "openai refused: 401 Unauthorized invalid_api_key: no");
    for (turn, kind) in [(2, Some("unreadable")), (3, None)] {
        speaking.say.send(Say::Text(TurnId(turn), "Again.".into())).await.unwrap();
        let spoken = next(&mut speaking).await;
        assert_eq!(spoken.err().map(|error| error.kind()), kind);
    }
}

/// Tells when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            let _ = tell.send(());
        }
    }
}

#[tokio::test]
async fn a_cut_ends_a_request_that_stalls() {
    let (tell, dropped) = oneshot::channel();
    let tell = Arc::new(std::sync::Mutex::new(Some(tell)));
    let (openai, _asked) = service(move |n| {
        let tell = tell.lock().unwrap().take();
        if n > 0 {
            return sound(&[&[7, 0]]);
        }
        let guard = Dropped(tell);
        let body = stream::unfold((guard, true), |(guard, first)| async move {
            if !first {
                std::future::pending::<()>().await;
            }
            Some((Ok::<_, std::io::Error>(Bytes::from_static(&[1, 0])), (guard, false)))
        });
        ([("content-type", "audio/pcm")], Body::from_stream(body)).into_response()
    })
    .await;
    let mut speaking = speaking(&openai, "Hello.").await;
    assert!(matches!(next(&mut speaking).await, Ok(Spoken::Sound(TurnId(1), _))));
    speaking.say.send(Say::Cut(TurnId(1))).await.unwrap();
    tokio::time::timeout(PATIENCE, dropped).await.expect("the request goes on").unwrap();
    speaking.say.send(Say::Text(TurnId(2), "Yes?".into())).await.unwrap();
    let Ok(Spoken::Sound(TurnId(2), frame)) = next(&mut speaking).await else { panic!() };
    assert_eq!(frame.samples, [7]);
}

#[tokio::test]
async fn an_answer_streams_and_passing_trouble_is_tried_once_more() {
    let (openai, mut asked) = service(|n| match n {
        0 => StatusCode::BAD_GATEWAY.into_response(),
        _ => events(HELLO),
    })
    .await;
    assert_eq!(answer(&openai).await, ("Hello.".into(), Ok(())));
    let (_, body) = asked.recv().await.unwrap();
    assert_eq!(body["model"], "gpt-4o");
    assert_eq!(body["stream"], true);
    assert!(asked.try_recv().is_ok() && asked.try_recv().is_err(), "two requests");
}

#[tokio::test]
async fn lasting_trouble_is_told_at_once() {
    let quota = r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#;
    let busy = r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#;
    let cases = [
        (StatusCode::UNAUTHORIZED, "", "", "refused", 1),
        (StatusCode::NOT_FOUND, "", "", "refused", 1),
        (StatusCode::TOO_MANY_REQUESTS, "0", quota, "refused", 1),
        (StatusCode::TOO_MANY_REQUESTS, "60", busy, "unreachable", 1),
        (StatusCode::TOO_MANY_REQUESTS, "0", busy, "unreachable", 2),
        (StatusCode::INTERNAL_SERVER_ERROR, "0", "<html>", "unreachable", 2),
    ];
    for (status, after, body, kind, requests) in cases {
        let (openai, mut asked) =
            service(move |_| (status, [("retry-after", after)], body).into_response()).await;
        let (words, ended) = answer(&openai).await;
        assert_eq!((words.as_str(), ended.unwrap_err().kind()), ("", kind), "{status} {after}");
        let mut seen = 0;
        while asked.try_recv().is_ok() {
            seen += 1;
        }
        assert_eq!(seen, requests, "{status} {after}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_rubbish_is_an_error_after_its_words() {
    let cases = [
        ("data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n", "Hel", "unreachable"),
        (
            "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: {\"error\":{\"message\":\"sorry\"}}\n\n",
            "Hel",
            "unreachable",
        ),
        ("data: no json\n\n", "", "unreadable"),
        ("<html>", "", "unreachable"),
    ];
    for (text, words, kind) in cases {
        let (openai, _asked) = service(move |_| events(text)).await;
        let (said, ended) = answer(&openai).await;
        assert_eq!((said.as_str(), ended.unwrap_err().kind()), (words, kind), "{text}");
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let openai = OpenAi::new("sk-secret".to_owned().into(), Some("http://127.0.0.1:9/v1")).unwrap();
    let (_, ended) = answer(&openai).await;
    let error = ended.unwrap_err().to_string();
    assert!(error.starts_with("openai cannot be reached"), "{error}");
    assert!(!error.contains("sk-secret"), "{error}");
}
