//! A realtime conversation, message by message.

#![allow(clippy::unwrap_used)]

use agent::Tool;
use talk::Voice;

use super::*;

const ONE: TurnId = TurnId(1);
const TWO: TurnId = TurnId(2);

fn brief(rate: Rate) -> Brief {
    let call = ToolCall { id: "c".into(), name: "look_up".into(), arguments: "{}".into() };
    let tool = Tool {
        name: "look_up".into(),
        description: "d".into(),
        parameters: json!({ "type": "object" }),
    };
    Brief {
        items: vec![
            Item::System { text: "Be brief.".into() },
            Item::User { text: "hi".into() },
            Item::Assistant { text: "Well.".into(), calls: vec![call] },
            Item::Tool { call_id: "c".into(), text: "done".into() },
        ],
        tools: vec![tool],
        voice: Voice { id: "verse".into(), language: "de-CH".into(), rate },
    }
}

/// A conversation that is ready.
fn realtime() -> (Realtime, Due) {
    let mut realtime = Realtime::new(&brief(8000));
    realtime.hello();
    let mut due = Due::new();
    told(&mut realtime, &mut due, json!({ "type": "session.updated", "session": {} }));
    assert!(realtime.is_ready());
    (realtime, due)
}

fn values(messages: &[Message]) -> Vec<Value> {
    let value = |message: &Message| serde_json::from_str(message.to_text().unwrap()).unwrap();
    messages.iter().map(value).collect()
}

fn kinds(messages: &[Message]) -> Vec<String> {
    values(messages).iter().map(|value| value["type"].as_str().unwrap().to_owned()).collect()
}

fn told(realtime: &mut Realtime, due: &mut Due, event: Value) -> Vec<Message> {
    realtime.read(&event.to_string(), due).unwrap()
}

fn sound(item: &str, millis: usize) -> Value {
    json!({ "type": "response.output_audio.delta", "response_id": "r", "item_id": item,
            "output_index": 0, "content_index": 0, "delta": STANDARD.encode(vec![0xFF; millis * 8]) })
}

fn done(status: &str) -> Value {
    json!({ "type": "response.done", "response": { "id": "r", "status": status,
            "usage": { "input_tokens": 3, "output_tokens": 4 } } })
}

fn ask(realtime: &mut Realtime, turn: TurnId) -> Vec<String> {
    realtime.sound(&vec![Frame::silence(8000); 5]);
    kinds(&realtime.tell(Tell::Ask { turn, words: String::new() }))
}

#[test]
fn a_session_is_told_everything_before() {
    let told = values(&Realtime::new(&brief(8000)).hello());
    let session = &told[0]["session"];
    assert_eq!(
        (&session["type"], &session["instructions"]),
        (&json!("realtime"), &json!("Be brief."))
    );
    let input = json!({ "format": { "type": "audio/pcmu" }, "turn_detection": null,
        "transcription": { "model": WRITER, "language": "de" } });
    assert_eq!(session["audio"]["input"], input);
    let output = json!({ "format": { "type": "audio/pcmu" }, "voice": "verse" });
    assert_eq!(session["audio"]["output"], output);
    assert_eq!(session["tools"][0]["name"], "look_up");
    let items: Vec<&Value> = told[1..].iter().map(|event| &event["item"]["type"]).collect();
    assert_eq!(items, ["message", "message", "function_call", "function_call_output"]);
    let wide = values(&Realtime::new(&brief(16_000)).hello());
    let format = json!({ "type": "audio/pcm", "rate": 24_000 });
    assert_eq!(wide[0]["session"]["audio"]["output"]["format"], format);
}

#[test]
fn a_question_by_sound_is_answered_and_written_down_later() {
    let (mut realtime, mut due) = realtime();
    let sent = ask(&mut realtime, ONE);
    assert_eq!(sent, ["input_audio_buffer.commit", "response.create"]);
    for event in [
        json!({ "type": "input_audio_buffer.committed", "item_id": "q1" }),
        json!({ "type": "response.created", "response": { "id": "r" } }),
        json!({ "type": "response.output_audio_transcript.delta", "item_id": "a1", "delta": "Hi." }),
        sound("a1", 20),
        json!({ "type": "conversation.item.input_audio_transcription.completed", "item_id": "q1",
                "transcript": "hello" }),
        json!({ "type": "response.output_item.done", "item": { "type": "function_call",
                "call_id": "c1", "name": "look_up", "arguments": "" } }),
        done("completed"),
    ] {
        assert!(told(&mut realtime, &mut due, event).is_empty());
    }
    assert_eq!(due.pop_front(), Some(Told::Text(ONE, "Hi.".into())));
    assert!(matches!(due.pop_front(), Some(Told::Sound(ONE, frame)) if frame.millis() == 20));
    assert_eq!(due.pop_front(), Some(Told::Heard(ONE, "hello".into())));
    let call = ToolCall { id: "c1".into(), name: "look_up".into(), arguments: "{}".into() };
    assert_eq!(due.pop_front(), Some(Told::Call(ONE, call)));
    assert_eq!(due.pop_front(), Some(Told::End(ONE, Usage { input: 3, output: 4 })));
    // The tool answers, and it goes on without sound.
    let result = realtime.tell(Tell::Result { call: "c1".into(), text: "x".into() });
    assert_eq!(values(&result)[0]["item"]["type"], "function_call_output");
    let on = realtime.tell(Tell::Ask { turn: ONE, words: String::new() });
    assert_eq!(kinds(&on), ["response.create"]);
}

#[test]
fn a_cut_takes_back_what_was_not_heard() {
    let (mut realtime, mut due) = realtime();
    ask(&mut realtime, ONE);
    for item in ["a1", "a2", "a3"] {
        told(&mut realtime, &mut due, sound(item, 1_000));
    }
    due.clear();
    let cut = values(&realtime.tell(Tell::Cut { turn: ONE, heard: 1_400 }));
    let expected = [
        json!({ "type": "response.cancel" }),
        json!({ "type": "conversation.item.truncate", "item_id": "a2", "content_index": 0,
                "audio_end_ms": 400 }),
        json!({ "type": "conversation.item.delete", "item_id": "a3" }),
    ];
    assert_eq!(cut, expected);
    // The next question waits for the end of what was cut, and late sound is nobody's.
    let sent = ask(&mut realtime, TWO);
    assert_eq!(sent, ["input_audio_buffer.commit"]);
    told(&mut realtime, &mut due, sound("a3", 20));
    assert!(due.is_empty());
    let next = told(&mut realtime, &mut due, done("cancelled"));
    assert_eq!(kinds(&next), ["response.create"]);
    assert!(due.is_empty());
    told(&mut realtime, &mut due, sound("b1", 20));
    assert!(matches!(due.pop_front(), Some(Told::Sound(TWO, _))));
    // Cut after all of it had come: nothing is left to cancel.
    told(&mut realtime, &mut due, done("completed"));
    let cut = realtime.tell(Tell::Cut { turn: TWO, heard: 5 });
    assert_eq!(kinds(&cut), ["conversation.item.truncate"]);
}

#[test]
fn fixed_words_are_said_beside_the_conversation_and_remembered() {
    let (mut realtime, mut due) = realtime();
    let say = Tell::Say { turn: ONE, words: "Hello.".into() };
    let sent = values(&realtime.tell(say));
    assert_eq!(sent[0]["response"]["conversation"], "none");
    assert!(sent[0]["response"]["instructions"].as_str().unwrap().ends_with(": Hello."));
    told(&mut realtime, &mut due, sound("x", 500));
    let words = json!({ "type": "response.output_audio_transcript.delta", "delta": "Hello." });
    told(&mut realtime, &mut due, words);
    let remembered = values(&told(&mut realtime, &mut due, done("completed")));
    let said = json!({ "type": "conversation.item.create", "item": { "id": "said_1_0",
        "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Hello." }] } });
    assert_eq!(remembered, [said]);
    assert!(matches!(due.pop_front(), Some(Told::Sound(ONE, _))));
    assert_eq!(due.pop_front(), Some(Told::Said(ONE)));
    assert!(due.is_empty());
    let cut = values(&realtime.tell(Tell::Cut { turn: ONE, heard: 100 }));
    let forgotten = json!({ "type": "conversation.item.delete", "item_id": "said_1_0" });
    assert_eq!(cut, [forgotten]);
}

#[test]
fn keys_are_words_and_noise_is_forgotten() {
    let (mut realtime, _) = realtime();
    realtime.sound(&[Frame::silence(8000)]);
    assert_eq!(kinds(&realtime.tell(Tell::Noise)), ["input_audio_buffer.clear"]);
    let sent = realtime.tell(Tell::Ask { turn: ONE, words: "DTMF: 1".into() });
    assert_eq!(kinds(&sent), ["conversation.item.create", "response.create"]);
    realtime.active = None;
    // Too little to be a question.
    realtime.sound(&[Frame::silence(8000)]);
    let sent = realtime.tell(Tell::Ask { turn: TWO, words: String::new() });
    assert_eq!(kinds(&sent), ["input_audio_buffer.clear", "response.create"]);
}

#[test]
fn errors_are_told_apart() {
    let error = |code: &str| {
        json!({ "type": "error", "error": { "type": "invalid_request_error", "code": code,
                "message": "no" } })
        .to_string()
    };
    let mut due = Due::new();
    let mut early = Realtime::new(&brief(8000));
    assert_eq!(early.read(&error("unknown_parameter"), &mut due).unwrap_err().kind(), "refused");
    let (mut realtime, mut due) = realtime();
    let mut kind = |text: &str| realtime.read(text, &mut due).err().map(|error| error.kind());
    assert_eq!(kind(&error("response_cancel_not_active")), None);
    assert_eq!(kind(&error("item_truncate_invalid_item_id")), None);
    assert_eq!(kind(&error("session_expired")), Some("unreachable"));
    let failed = json!({ "type": "response.done", "response": { "status": "failed",
        "status_details": { "type": "failed", "error": { "code": "insufficient_quota" } } } });
    assert_eq!(kind(&failed.to_string()), Some("refused"));
    assert_eq!(kind("<html>"), Some("unreadable"));
    assert_eq!(kind("{}"), Some("unreadable"));
    assert_eq!(kind(r#"{"type":"rate_limits.updated","rate_limits":[]}"#), None);
}
