//! Recognizers over sockets on loopback: how they are opened, what they are told, what is made of
//! their answers, and that nothing hangs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent::Error;
use audio::Frame;
use providers::assemblyai::AssemblyAi;
use providers::deepgram::Deepgram;
use providers::elevenlabs::ElevenLabs;
use providers::openai::OpenAi;
use serde_json::{Value, json};
use talk::{Hear, Listening, Stt, Want, Words};
use tokio_tungstenite::tungstenite::Message;

use super::socket::{KEY, Vendor, is, text};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The vendors: how each is made, what opens it, and what it says of 'my name' and 'my name is eve'.
struct Case {
    name: &'static str,
    make: fn(&str, &str) -> Box<dyn Stt>,
    opened: &'static str,
    first: Value,
    /// After so many messages of sound the words come.
    said: Vec<Value>,
    words: Vec<Words>,
    goodbye: &'static str,
}

fn key(key: &str) -> secrecy::SecretString {
    let _ = rustls::crypto::ring::default_provider().install_default();
    key.to_owned().into()
}

fn ends() -> Vec<Words> {
    vec![Words::Partial("my name".into()), Words::Final("my name is eve".into()), Words::EndOfTurn]
}

fn cases() -> Vec<Case> {
    let turn = |event: &str, words: &str| {
        json!({ "type": "TurnInfo", "request_id": "r", "sequence_id": 1, "event": event,
                "turn_index": 0, "audio_window_start": 0.0, "audio_window_end": 1.0,
                "transcript": words, "words": [], "end_of_turn_confidence": 0.9 })
    };
    let assembly = |words: &str, end: bool| {
        json!({ "type": "Turn", "turn_order": 0, "turn_is_formatted": false, "end_of_turn": end,
                "transcript": words, "end_of_turn_confidence": 0.9, "words": [] })
    };
    let results = |words: &str, end: bool| {
        json!({ "type": "Results", "channel_index": [0, 1], "duration": 1.0, "start": 0.0,
                "is_final": end, "speech_final": end, "from_finalize": false,
                "channel": { "alternatives": [{ "transcript": words, "confidence": 0.9, "words": [] }] },
                "metadata": {} })
    };
    let item = "conversation.item.input_audio_transcription";
    vec![
        Case {
            name: "deepgram",
            make: |key_, base| Box::new(Deepgram::new(key(key_), Some(base)).unwrap()),
            opened: "/v1/listen?model=nova-3&language=en-US&encoding=mulaw&sample_rate=8000",
            first: json!({ "type": "Metadata" }),
            said: vec![results("my name", false), results("my name is eve", true)],
            words: ends(),
            goodbye: "CloseStream",
        },
        Case {
            name: "deepgram",
            make: |key_, base| {
                let account = Deepgram::new(key(key_), Some(base)).unwrap();
                Box::new(account.with_model("flux-general-en"))
            },
            opened: "/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000",
            first: json!({ "type": "Connected", "request_id": "r", "sequence_id": 0 }),
            said: vec![turn("Update", "my name"), turn("EndOfTurn", "my name is eve")],
            words: ends(),
            goodbye: "CloseStream",
        },
        Case {
            name: "assemblyai",
            make: |key_, base| Box::new(AssemblyAi::new(key(key_), Some(base)).unwrap()),
            opened: "/v3/ws?sample_rate=8000&encoding=pcm_mulaw",
            first: json!({ "type": "Begin", "id": "x", "expires_at": 1 }),
            said: vec![assembly("my name", false), assembly("my name is eve", true)],
            words: ends(),
            goodbye: "Terminate",
        },
        Case {
            name: "elevenlabs",
            make: |key_, base| Box::new(ElevenLabs::new(key(key_), Some(base)).unwrap()),
            opened: "/v1/speech-to-text/realtime?model_id=scribe_v2_realtime&audio_format=ulaw_8000",
            first: json!({ "message_type": "session_started", "session_id": "s", "config": {} }),
            said: vec![
                json!({ "message_type": "partial_transcript", "text": "my name" }),
                json!({ "message_type": "committed_transcript", "text": "my name is eve" }),
            ],
            words: ends()[..2].to_vec(),
            goodbye: "",
        },
        Case {
            name: "openai",
            make: |key_, base| Box::new(OpenAi::new(key(key_), Some(base)).unwrap()),
            opened: "/realtime?intent=transcription",
            first: json!({ "type": "session.created", "session": {} }),
            said: vec![
                json!({ "type": format!("{item}.delta"), "item_id": "i", "delta": "my name" }),
                json!({ "type": format!("{item}.completed"), "item_id": "i", "transcript": "my name is eve" }),
            ],
            words: ends(),
            goodbye: "",
        },
    ]
}

fn want() -> Want {
    Want { rate: 8000, language: "en-US".into(), ..Want::default() }
}

async fn hears(listening: &Listening, frames: usize) {
    for _ in 0..frames {
        listening.sound.send(Hear::Frame(Frame::silence(8000))).await.unwrap();
    }
}

async fn next(listening: &mut Listening) -> Option<Result<Words, Error>> {
    tokio::time::timeout(PATIENCE, listening.words.recv()).await.expect("nothing comes")
}

/// Opened with `make`; answers the `n`th message of sound with `answer(n)`.
async fn opened(
    case: &Case,
    answer: impl Fn(usize) -> Option<Vec<Message>> + Send + Sync + 'static,
) -> (Vendor, Listening) {
    let sounds = AtomicUsize::new(0);
    let react = move |message: &Message| {
        let sound = message.is_binary() || is(message, "input_audio_buffer.append");
        if sound || is(message, "input_audio_chunk") {
            answer(sounds.fetch_add(1, Ordering::SeqCst))
        } else {
            Some(Vec::new())
        }
    };
    let vendor = Vendor::open(std::slice::from_ref(&case.first), react).await;
    let listening = (case.make)(KEY, &vendor.base).open(want()).await.unwrap();
    (vendor, listening)
}

#[tokio::test]
async fn sound_goes_in_and_words_come_out() {
    for case in cases() {
        let said: Vec<Message> = case.said.iter().map(text).collect();
        let answer = move |n| Some(if n == 0 { said.clone() } else { Vec::new() });
        let (mut vendor, mut listening) = opened(&case, answer).await;
        let path = vendor.opened.recv().await.unwrap();
        assert!(path.starts_with(case.opened), "{path}");
        assert!(!path.contains(KEY), "a key in an address is in many logs");
        hears(&listening, 12).await;
        for expected in &case.words {
            assert_eq!(next(&mut listening).await, Some(Ok(expected.clone())), "{}", case.opened);
        }
        drop(listening);
        // It is told the end, where it wants to be told, and the socket is closed.
        while let Some(message) = tokio::time::timeout(PATIENCE, vendor.told.recv()).await.unwrap()
        {
            if is(&message, case.goodbye) || case.goodbye.is_empty() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_not_shown() {
    for case in cases() {
        let vendor = Vendor::open(&[], |_| Some(Vec::new())).await;
        let stt = (case.make)("sk-wrong", &vendor.base);
        let error = stt.open(want()).await.err().unwrap();
        assert_eq!((error.vendor(), error.kind()), (case.name, "refused"), "{error}");
        assert!(!error.to_string().contains("sk-wrong"), "{error}");
        assert!(error.to_string().contains("401 Unauthorized no such key"), "{error}");
    }
}

#[tokio::test]
async fn a_vendor_that_hangs_up_closes_or_talks_rubbish_ends_the_stream_with_an_error() {
    type Fault = fn() -> Option<Vec<Message>>;
    let faults: [(&str, Fault); 3] = [
        ("unreachable", || None),
        ("unreachable", || Some(vec![Message::Close(None)])),
        ("unreadable", || Some(vec![Message::text("<html>")])),
    ];
    for case in cases() {
        for (kind, fault) in faults {
            let (_vendor, mut listening) = opened(&case, move |_| fault()).await;
            hears(&listening, 12).await;
            let error = next(&mut listening).await.unwrap().unwrap_err();
            assert_eq!(
                (error.vendor(), error.kind()),
                (case.name, kind),
                "{}: {error}",
                case.opened
            );
            assert_eq!(next(&mut listening).await, None);
        }
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_told() {
    for case in cases() {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", gone.local_addr().unwrap());
        drop(gone);
        let error = (case.make)(KEY, &base).open(want()).await.err().unwrap();
        assert_eq!((error.vendor(), error.kind()), (case.name, "unreachable"), "{error}");
    }
}
