//! Models that hear and speak, over sockets on loopback: a conversation with each.

use std::time::Duration;

use agent::{Error, Item};
use audio::Frame;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use providers::gemini::Gemini;
use providers::openai::OpenAi;
use serde_json::{Value, json};
use talk::{Brief, Conversing, Duplex, Tell, Told, TurnId, Voice};
use tokio_tungstenite::tungstenite::Message;

use super::socket::{KEY, Vendor, is, text};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const ONE: TurnId = TurnId(1);

fn key(key: &str) -> secrecy::SecretString {
    let _ = rustls::crypto::ring::default_provider().install_default();
    key.to_owned().into()
}

fn openai(key_: &str, base: &str) -> Box<dyn Duplex> {
    Box::new(OpenAi::new(key(key_), Some(base)).unwrap().with_model("gpt-realtime-2.1"))
}

fn gemini(key_: &str, base: &str) -> Box<dyn Duplex> {
    Box::new(Gemini::new(key(key_), Some(base)).unwrap().with_model("gemini-x-live"))
}

fn brief() -> Brief {
    let items = vec![Item::System { text: "Be brief.".into() }, Item::User { text: "hi".into() }];
    Brief { items, tools: Vec::new(), voice: Voice { rate: 8000, ..Voice::default() } }
}

/// OpenAI, as far as one question goes: 20 ms of sound, its words, the caller's.
fn as_openai(message: &Message) -> Option<Vec<Message>> {
    let audio = STANDARD.encode([0x7F; 160]);
    let events = if is(message, "session.update") {
        vec![json!({ "type": "session.updated", "session": {} })]
    } else if is(message, "input_audio_buffer.commit") {
        vec![
            json!({ "type": "input_audio_buffer.committed", "item_id": "q", "previous_item_id": null }),
        ]
    } else if is(message, "response.create") {
        vec![
            json!({ "type": "response.created", "response": { "id": "r", "status": "in_progress" } }),
            json!({ "type": "response.output_audio.delta", "response_id": "r", "item_id": "a",
                    "output_index": 0, "content_index": 0, "delta": audio }),
            json!({ "type": "response.output_audio_transcript.delta", "response_id": "r",
                    "item_id": "a", "output_index": 0, "content_index": 0, "delta": "Hi." }),
            json!({ "type": "conversation.item.input_audio_transcription.completed",
                    "item_id": "q", "content_index": 0, "transcript": "hello", "usage": {} }),
            json!({ "type": "response.done", "response": { "id": "r", "status": "completed" } }),
        ]
    } else {
        Vec::new()
    };
    Some(events.iter().map(text).collect())
}

/// The same of Gemini, which sends its JSON in binary frames.
fn as_gemini(message: &Message) -> Option<Vec<Message>> {
    let data = STANDARD.encode([0; 960]);
    let content = |content: Value| json!({ "serverContent": content });
    let events = if is(message, "setup") {
        vec![json!({ "setupComplete": { "sessionId": "s" } })]
    } else if is(message, "activityEnd") {
        vec![
            content(json!({ "inputTranscription": { "text": "hello" } })),
            content(json!({ "modelTurn": { "parts": [
                { "inlineData": { "mimeType": "audio/pcm;rate=24000", "data": data } }] } })),
            content(json!({ "outputTranscription": { "text": "Hi." } })),
            content(json!({ "generationComplete": true })),
            content(json!({ "turnComplete": true })),
        ]
    } else {
        Vec::new()
    };
    Some(events.iter().map(|event| Message::binary(event.to_string())).collect())
}

async fn next(conversing: &mut Conversing) -> Result<Told, Error> {
    tokio::time::timeout(PATIENCE, conversing.told.recv()).await.expect("nothing comes").unwrap()
}

async fn asks(conversing: &Conversing) {
    let frames = vec![Tell::Frame(Frame::silence(8000)); 10];
    let ask = Tell::Ask { turn: ONE, words: String::new() };
    for tell in [Tell::Voice].into_iter().chain(frames).chain([ask]) {
        conversing.tell.send(tell).await.unwrap();
    }
}

#[tokio::test]
async fn a_question_by_sound_is_answered_by_sound() {
    type Make = fn(&str, &str) -> Box<dyn Duplex>;
    type React = fn(&Message) -> Option<Vec<Message>>;
    let cases: [(Make, React, &str); 2] = [
        (openai, as_openai, "/realtime?model=gpt-realtime-2.1"),
        (gemini, as_gemini, "/ws/google.ai.generativelanguage.v1beta.GenerativeService.Bidi"),
    ];
    for (make, react, path) in cases {
        let mut vendor = Vendor::open(&[], react).await;
        let mut conversing = make(KEY, &vendor.base).open(brief()).await.unwrap();
        let opened = vendor.opened.recv().await.unwrap();
        assert!(opened.starts_with(path) && !opened.contains(KEY), "{opened}");
        asks(&conversing).await;
        let mut told = Vec::new();
        while !matches!(told.last(), Some(Told::End(..))) {
            told.push(next(&mut conversing).await.unwrap());
        }
        let sound = |told: &Told| matches!(told, Told::Sound(ONE, frame) if frame.millis() == 20);
        assert_eq!(told.iter().filter(|told| sound(told)).count(), 1, "{told:?}");
        assert!(told.contains(&Told::Text(ONE, "Hi.".into())), "{told:?}");
        assert!(told.contains(&Told::Heard(ONE, "hello".into())), "{told:?}");
        // 200 ms of sound, in fewer messages than frames.
        let told = vendor.all();
        let sounds = told.iter().filter(|told| {
            told["type"] == "input_audio_buffer.append"
                || told["realtimeInput"]["audio"].is_object()
        });
        assert!((2..=10).contains(&sounds.count()), "{told:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_or_session_is_refused_at_once_and_a_vendor_that_is_gone_is_told() {
    let vendor = Vendor::open(&[], |message| {
        let error = json!({ "type": "error", "error": { "type": "invalid_request_error",
            "code": "unknown_parameter", "message": "no such field" } });
        is(message, "session.update").then(|| vec![text(&error)])
    })
    .await;
    for make in [openai, gemini] {
        let error = make("sk-wrong", &vendor.base).open(brief()).await.err().unwrap();
        assert_eq!(error.kind(), "refused", "{error}");
        assert!(!error.to_string().contains("sk-wrong"), "{error}");
    }
    let error = openai(KEY, &vendor.base).open(brief()).await.err().unwrap();
    assert_eq!(error.to_string(), "openai refused: unknown_parameter: no such field");
    let error = gemini(KEY, &vendor.base).open(brief()).await.err().unwrap();
    assert_eq!(error.kind(), "unreachable", "{error}");

    let vendor =
        Vendor::open(
            &[],
            |message| {
                if is(message, "response.create") { None } else { as_openai(message) }
            },
        )
        .await;
    let mut conversing = openai(KEY, &vendor.base).open(brief()).await.unwrap();
    asks(&conversing).await;
    assert_eq!(next(&mut conversing).await.unwrap_err().kind(), "unreachable");
}
