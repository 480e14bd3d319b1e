//! A live conversation, message by message.

#![allow(clippy::unwrap_used)]

use agent::Tool;
use talk::Voice;

use super::*;

const ONE: TurnId = TurnId(1);
const TWO: TurnId = TurnId(2);

fn brief() -> Brief {
    let tool =
        Tool { name: "look_up".into(), description: "d".into(), parameters: json!({ "a": 1 }) };
    Brief {
        items: vec![
            Item::System { text: "Be brief.".into() },
            Item::User { text: "hi".into() },
            Item::Assistant { text: "Well.".into(), calls: Vec::new() },
        ],
        tools: vec![tool],
        voice: Voice { id: String::new(), language: "de-DE".into(), rate: 8000 },
    }
}

/// A conversation that is ready.
fn live() -> (Live, Due) {
    let (mut live, mut due) = (Live::new("gemini-x-live", &brief()), Due::new());
    told(&mut live, &mut due, json!({ "setupComplete": {} }));
    assert!(live.is_ready());
    (live, due)
}

fn told(live: &mut Live, due: &mut Due, event: Value) {
    assert!(live.read(&event.to_string(), due).unwrap().is_empty());
}

fn values(messages: &[Message]) -> Vec<Value> {
    let value = |message: &Message| serde_json::from_str(message.to_text().unwrap()).unwrap();
    messages.iter().map(value).collect()
}

fn sound(millis: usize) -> Value {
    let data = STANDARD.encode(vec![0; millis * 48]);
    json!({ "serverContent": { "modelTurn": { "parts": [
        { "inlineData": { "mimeType": "audio/pcm;rate=24000", "data": data } }] } } })
}

fn complete() -> Value {
    json!({ "serverContent": { "turnComplete": true } })
}

fn ask(live: &mut Live, turn: TurnId) -> Vec<Value> {
    let mut sent = live.tell(Tell::Voice);
    sent.extend(live.sound(&[Frame::silence(8000)]));
    sent.extend(live.tell(Tell::Ask { turn, words: String::new() }));
    values(&sent)
}

#[test]
fn a_session_is_told_everything_before() {
    let sent = values(&Live::new("gemini-x-live", &brief()).hello());
    let setup = &sent[0]["setup"];
    assert_eq!(setup["model"], "models/gemini-x-live");
    let instructions = setup["systemInstruction"]["parts"][0]["text"].as_str().unwrap();
    assert!(
        instructions.starts_with("Be brief.") && instructions.ends_with("Caller: hi\nYou: Well.")
    );
    assert_eq!(setup["realtimeInputConfig"]["automaticActivityDetection"]["disabled"], true);
    let speech = &setup["generationConfig"]["speechConfig"];
    assert_eq!(speech["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"], DEFAULT_VOICE);
    assert_eq!(speech["languageCode"], "de-DE");
    let declared = &setup["tools"][0]["functionDeclarations"][0];
    assert_eq!(declared["parametersJsonSchema"], json!({ "a": 1 }));
}

#[test]
fn a_question_by_sound_is_answered_and_written_down() {
    let (mut live, mut due) = live();
    let sent = ask(&mut live, ONE);
    assert_eq!(sent[0], json!({ "realtimeInput": { "activityStart": {} } }));
    assert_eq!(sent[1]["realtimeInput"]["audio"]["mimeType"], "audio/pcm;rate=8000");
    assert_eq!(sent[2], json!({ "realtimeInput": { "activityEnd": {} } }));
    told(
        &mut live,
        &mut due,
        json!({ "serverContent": { "inputTranscription": { "text": "hel" } } }),
    );
    told(
        &mut live,
        &mut due,
        json!({ "serverContent": { "inputTranscription": { "text": "lo" } } }),
    );
    told(&mut live, &mut due, sound(20));
    told(
        &mut live,
        &mut due,
        json!({ "serverContent": { "outputTranscription": { "text": "Hi." } } }),
    );
    told(
        &mut live,
        &mut due,
        json!({ "usageMetadata": { "promptTokenCount": 3, "responseTokenCount": 4 } }),
    );
    told(&mut live, &mut due, complete());
    assert!(matches!(due.pop_front(), Some(Told::Sound(ONE, frame)) if frame.millis() == 20));
    assert_eq!(due.pop_front(), Some(Told::Text(ONE, "Hi.".into())));
    assert_eq!(due.pop_front(), Some(Told::Heard(ONE, "hello".into())));
    assert_eq!(due.pop_front(), Some(Told::End(ONE, Usage { input: 3, output: 4 })));
    // A stray end is nobody's.
    told(&mut live, &mut due, complete());
    assert!(due.is_empty());
}

#[test]
fn what_still_comes_of_a_turn_that_was_cut_is_dropped() {
    let (mut live, mut due) = live();
    ask(&mut live, ONE);
    told(&mut live, &mut due, sound(20));
    due.clear();
    assert!(live.tell(Tell::Cut { turn: ONE, heard: 5 }).is_empty());
    ask(&mut live, TWO);
    told(&mut live, &mut due, sound(20));
    told(&mut live, &mut due, json!({ "serverContent": { "interrupted": true } }));
    told(&mut live, &mut due, complete());
    assert!(due.is_empty());
    told(&mut live, &mut due, sound(40));
    assert!(matches!(due.pop_front(), Some(Told::Sound(TWO, frame)) if frame.millis() == 40));
    told(&mut live, &mut due, complete());
    assert!(matches!(due.pop_front(), Some(Told::End(TWO, _))));
    // All of it had come before it was cut: nothing is waited for.
    live.tell(Tell::Cut { turn: TWO, heard: 5 });
    assert_eq!(live.stale, 0);
}

#[test]
fn a_tool_is_taken_and_the_model_goes_on_by_itself() {
    let (mut live, mut due) = live();
    ask(&mut live, ONE);
    let call = |id: &str| json!({ "id": id, "name": "look_up", "args": { "x": 1 } });
    told(&mut live, &mut due, json!({ "toolCall": { "functionCalls": [call("c1"), call("c2")] } }));
    let taken = |id: &str| ToolCall {
        id: id.into(),
        name: "look_up".into(),
        arguments: r#"{"x":1}"#.into(),
    };
    assert_eq!(due.pop_front(), Some(Told::Call(ONE, taken("c1"))));
    assert_eq!(due.pop_front(), Some(Told::Call(ONE, taken("c2"))));
    assert!(matches!(due.pop_front(), Some(Told::End(ONE, _))));
    told(&mut live, &mut due, json!({ "toolCallCancellation": { "ids": ["c2"] } }));
    let result = |call: &str| Tell::Result { call: call.into(), text: "free".into() };
    assert!(live.tell(result("c2")).is_empty(), "it was taken back");
    let sent = values(&live.tell(result("c1")));
    let response = json!({ "id": "c1", "name": "look_up", "response": { "output": "free" } });
    assert_eq!(sent[0]["toolResponse"]["functionResponses"], json!([response]));
    assert!(live.tell(Tell::Ask { turn: ONE, words: String::new() }).is_empty());
    told(&mut live, &mut due, sound(20));
    assert!(matches!(due.pop_front(), Some(Told::Sound(ONE, _))));
}

#[test]
fn fixed_words_keys_and_nothing_at_all_are_told_as_text() {
    let (mut live, mut due) = live();
    let text = |sent: Vec<Message>| {
        values(&sent)[0]["realtimeInput"]["text"].as_str().unwrap_or_default().to_owned()
    };
    let said = text(live.tell(Tell::Say { turn: ONE, words: "Hello.".into() }));
    assert!(said.contains(": Hello."), "{said}");
    told(
        &mut live,
        &mut due,
        json!({ "serverContent": { "outputTranscription": { "text": "Hello." } } }),
    );
    told(&mut live, &mut due, complete());
    assert_eq!(due.pop_front(), Some(Told::Said(ONE)));
    let keys = live.tell(Tell::Ask { turn: TWO, words: "DTMF: 1".into() });
    assert_eq!(text(keys), "DTMF: 1");
    assert_eq!(text(live.tell(Tell::Ask { turn: TWO, words: String::new() })), YOUR_TURN);
}

#[test]
fn a_vendor_that_leaves_is_left_between_turns_and_rubbish_ends_it() {
    let (mut live, mut due) = live();
    ask(&mut live, ONE);
    told(&mut live, &mut due, json!({ "goAway": { "timeLeft": "50s" } }));
    let error = live.read(&complete().to_string(), &mut due).unwrap_err();
    assert_eq!(error.kind(), "unreachable");
    assert!(matches!(due.pop_front(), Some(Told::End(ONE, _))), "the turn itself was whole");
    assert_eq!(live.read("<html>", &mut due).unwrap_err().kind(), "unreadable");
    let bad = json!({ "serverContent": { "modelTurn": { "parts": [{ "inlineData": { "data": "!" } }] } } });
    assert_eq!(live.read(&bad.to_string(), &mut due).unwrap_err().kind(), "unreadable");
}
