//! Voices over sockets on loopback: how they are opened, what they are told, what is made of their
//! sound, and what a cut leaves.

use std::time::Duration;

use agent::Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use providers::cartesia::Cartesia;
use providers::deepgram::Deepgram;
use providers::elevenlabs::ElevenLabs;
use serde_json::{Value, json};
use talk::{Say, Speaking, Spoken, Tts, TurnId, Voice};
use tokio_tungstenite::tungstenite::Message;

use super::socket::{KEY, Vendor, text};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const ONE: TurnId = TurnId(1);
const TWO: TurnId = TurnId(2);

/// A voice, and a vendor that gives 20 ms of sound for every text and ends when it is told to.
struct Case {
    name: &'static str,
    make: fn(&str, &str) -> Box<dyn Tts>,
    opened: &'static str,
    react: fn(&Value) -> Vec<Message>,
    /// What it is told of a cut.
    cut: fn(&Value) -> bool,
}

fn key(key: &str) -> secrecy::SecretString {
    key.to_owned().into()
}

fn sound() -> String {
    STANDARD.encode([0x7F; 160])
}

fn cases() -> [Case; 3] {
    [
        Case {
            name: "deepgram",
            make: |key_, base| Box::new(Deepgram::new(key(key_), Some(base)).unwrap()),
            opened: "/v1/speak?model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000",
            react: |told| match told["type"].as_str() {
                Some("Speak") => vec![Message::binary(vec![0x7F; 160])],
                Some("Flush") => vec![text(&json!({ "type": "Flushed", "sequence_id": 0 }))],
                Some("Clear") => vec![
                    // On its way already.
                    Message::binary(vec![0x7F; 160]),
                    text(&json!({ "type": "Cleared", "sequence_id": 1 })),
                ],
                _ => Vec::new(),
            },
            cut: |told| told["type"] == "Clear",
        },
        Case {
            name: "cartesia",
            make: |key_, base| Box::new(Cartesia::new(key(key_), Some(base)).unwrap()),
            opened: "/tts/websocket",
            react: |told| {
                let id = &told["context_id"];
                let chunk = json!({ "type": "chunk", "data": sound(), "done": false,
                    "status_code": 206, "step_time": 1.0, "context_id": id });
                let done =
                    json!({ "type": "done", "done": true, "status_code": 200, "context_id": id });
                match (told["continue"].as_bool(), told["cancel"].as_bool()) {
                    (Some(true), _) | (_, Some(true)) => vec![text(&chunk)],
                    _ => vec![text(&done)],
                }
            },
            cut: |told| told["cancel"] == true,
        },
        Case {
            name: "elevenlabs",
            make: |key_, base| Box::new(ElevenLabs::new(key(key_), Some(base)).unwrap()),
            opened: "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/multi-stream-input?model_id=",
            react: |told| {
                let id = &told["context_id"];
                let audio = json!({ "audio": sound(), "isFinal": null, "contextId": id });
                let end = json!({ "isFinal": true, "contextId": id });
                match (told["flush"].as_bool(), told["close_context"].as_bool()) {
                    (Some(true), _) => vec![text(&audio)],
                    (_, Some(true)) => vec![text(&audio), text(&end)],
                    _ => Vec::new(),
                }
            },
            cut: |told| told["close_context"] == true,
        },
    ]
}

async fn opened(case: &Case) -> (Vendor, Speaking) {
    let react = case.react;
    let vendor = Vendor::open(&[], move |message| match message {
        Message::Text(text) => Some(react(&serde_json::from_str(text).unwrap())),
        _ => Some(Vec::new()),
    })
    .await;
    let voice = Voice { rate: 8000, ..Voice::default() };
    let speaking = (case.make)(KEY, &vendor.base).open(voice).await.unwrap();
    (vendor, speaking)
}

async fn next(speaking: &mut Speaking) -> Result<Spoken, Error> {
    tokio::time::timeout(PATIENCE, speaking.sound.recv()).await.expect("nothing comes").unwrap()
}

async fn say(speaking: &Speaking, say: Say) {
    speaking.say.send(say).await.unwrap();
}

#[tokio::test]
async fn clauses_sound_and_the_turn_ends() {
    for case in cases() {
        let (mut vendor, mut speaking) = opened(&case).await;
        let path = vendor.opened.recv().await.unwrap();
        assert!(path.starts_with(case.opened), "{path}");
        for clause in ["One.", "Two."] {
            say(&speaking, Say::Text(ONE, clause.into())).await;
            let spoken = next(&mut speaking).await.unwrap();
            assert!(
                matches!(&spoken, Spoken::Sound(ONE, frame) if frame.millis() == 20),
                "{}: {spoken:?}",
                case.name
            );
        }
        say(&speaking, Say::End(ONE)).await;
        loop {
            match next(&mut speaking).await.unwrap() {
                Spoken::End(ONE) => break,
                Spoken::Sound(ONE, _) | Spoken::Words(ONE, _) => {}
                other => panic!("{}: {other:?}", case.name),
            }
        }
        // A second turn over the same socket.
        say(&speaking, Say::Text(TWO, "Three.".into())).await;
        assert!(matches!(next(&mut speaking).await, Ok(Spoken::Sound(TWO, _))), "{}", case.name);
        assert!(vendor.opened.try_recv().is_err(), "{}: one socket is enough", case.name);
    }
}

#[tokio::test]
async fn nothing_is_heard_of_a_turn_after_its_cut() {
    for case in cases() {
        let (mut vendor, mut speaking) = opened(&case).await;
        say(&speaking, Say::Text(ONE, "One.".into())).await;
        assert!(matches!(next(&mut speaking).await, Ok(Spoken::Sound(ONE, _))));
        say(&speaking, Say::Cut(ONE)).await;
        say(&speaking, Say::Text(TWO, "Two.".into())).await;
        let spoken = next(&mut speaking).await.unwrap();
        assert!(matches!(spoken, Spoken::Sound(TWO, _)), "{}: {spoken:?}", case.name);
        let told = vendor.all();
        assert!(told.iter().any(case.cut), "{}: {told:?}", case.name);
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_a_vendor_that_is_gone_is_told() {
    for case in cases() {
        let vendor = Vendor::open(&[], |_| None).await;
        let voice = Voice { rate: 8000, ..Voice::default() };
        let refused = (case.make)("sk-wrong", &vendor.base).open(voice.clone()).await;
        let error = refused.err().unwrap();
        assert_eq!((error.vendor(), error.kind()), (case.name, "refused"), "{error}");
        assert!(!error.to_string().contains("sk-wrong"), "{error}");
        let mut speaking = (case.make)(KEY, &vendor.base).open(voice).await.unwrap();
        say(&speaking, Say::Text(ONE, "One.".into())).await;
        let error = next(&mut speaking).await.unwrap_err();
        assert_eq!((error.vendor(), error.kind()), (case.name, "unreachable"), "{error}");
    }
}
