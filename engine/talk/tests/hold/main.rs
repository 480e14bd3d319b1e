//! Conversations in virtual time, with a carrier and vendors that do what each test says.

#![allow(clippy::unwrap_used)]

mod ahead;
mod faulty;
mod faulty_model;
mod greeting;
mod ledger;
mod leg;
mod model;
mod plans;
mod recognizers;
mod rig;
mod wordless;

use std::collections::HashSet;

use agent::config::SpeakFirst;
use agent::{Config, Item, Took, ToolCall};
use rig::{Call, Close, End, Phone, Setup, Stall, Step, Text, Vendor, Wait};
use serde_json::json;
use talk::{Hear, How, Inbound, Note};

fn user(text: &str) -> Item {
    Item::User { text: text.into() }
}

fn agent(text: &str) -> Item {
    Item::Assistant { text: text.into(), calls: vec![] }
}

fn answers(answers: &[&[Step]]) -> Vec<Vec<Step>> {
    answers.iter().map(|steps| steps.to_vec()).collect()
}

/// Notes of what was said and done, without how it stood meanwhile.
fn spoken(notes: &[Note]) -> Vec<&Note> {
    let aside = |note: &&Note| matches!(note, Note::State(_) | Note::Standing(_) | Note::Turn(_));
    notes.iter().filter(|note| !aside(note)).collect()
}

fn has_trouble(notes: &[Note]) -> bool {
    notes.iter().any(|note| matches!(note, Note::Trouble(_)))
}

#[tokio::test(start_paused = true)]
async fn a_greeting_a_question_and_an_answer() {
    let llm = vec![answers(&[&[
        Wait(300),
        Text("We open at nine."),
        Text(" And close"),
        Text(" at five."),
        End,
    ]])];
    let phone = Phone::begin(Setup { llm, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("What are your hours?").await;
    let asked = phone.now();
    phone.hears_begin("We open at nine.").await;
    let answered = phone.now() - asked;
    // The silence after the words, and a frame: model and voice were asked meanwhile.
    assert!((500..=540).contains(&answered), "{answered}");
    phone.hears("And close at five.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, log, _) = phone.ends().await;
    assert_eq!(ended.how, How::Gone);
    let history = [
        agent("Hello, this is Ada."),
        user("What are your hours?"),
        agent("We open at nine. And close at five."),
    ];
    assert_eq!(ended.history, history);
    let said = spoken(&notes);
    assert_eq!(
        said,
        [
            &Note::Agent("Hello, this is Ada.".into()),
            &Note::Caller("What are your hours?".into()),
            &Note::Agent("We open at nine. And close at five.".into()),
        ]
    );
    let log = log.lock().unwrap();
    assert_eq!(log.clears, Vec::<u64>::new());
    // The model was told the rules, and everything before.
    assert!(matches!(&log.asks[0].items[0], Item::System { .. }));
    assert_eq!(log.asks[0].items[log.asks[0].items.len() - 2..], history[..2]);
    // Phrases that make sense were told before the caller's turn.
    let hints: Vec<&Hear> =
        log.hears.iter().filter(|hear| matches!(hear, Hear::Expect(_))).collect();
    assert_eq!(hints[1], &Hear::Expect(Some(vec!["after Hello, this is Ada.".into()])));
}

#[tokio::test(start_paused = true)]
async fn frames_come_in_time_without_a_gap() {
    let phone = Phone::begin(Setup { room: 4, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.at(|log| {
        let times: Vec<u64> = log.played.iter().map(|(at, _)| *at).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 20), "{times:?}");
    });
    phone.gives(Inbound::Gone).await;
    phone.ends().await;
}

#[tokio::test(start_paused = true)]
async fn a_voice_of_another_rate_sounds_as_long() {
    let phone = Phone::begin(Setup { voice_rate: 22_050, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.passes(1_000).await;
    let frames = phone.at(|log| log.frames_of(0));
    assert!((55..=58).contains(&frames), "{frames}");
    phone.gives(Inbound::Gone).await;
    let (ended, ..) = phone.ends().await;
    assert_eq!(ended.history, [agent("Hello, this is Ada.")]);
}

#[tokio::test(start_paused = true)]
async fn a_barge_in_clears_at_once_and_only_what_was_heard_is_remembered() {
    let config = Config {
        greeting: "One two three four five six seven eight nine ten eleven twelve.".into(),
        ..Setup::default().config
    };
    let phone = Phone::begin(Setup { config, ..Setup::default() });
    phone.hears_begin("One two three four five six seven eight nine ten eleven twelve.").await;
    phone.passes(1_000).await;
    phone.voice(true);
    phone.until("a clear", |log| !log.clears.is_empty()).await;
    let cleared = phone.now();
    phone.passes(400).await;
    phone.says("stop please").await;
    phone.voice(false);
    phone.hears("Okay.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, log, _) = phone.ends().await;
    let log = log.lock().unwrap();
    // Nothing of the greeting was played after the clear.
    let late: Vec<_> =
        log.played.iter().filter(|(at, text)| *text == 0 && *at > cleared + 20).collect();
    assert!(late.is_empty(), "{late:?} after {cleared}");
    let after = notes
        .iter()
        .find_map(|note| if let Note::BargeIn(after) = note { Some(*after) } else { None })
        .unwrap();
    assert!((200..=220).contains(&after), "{after}");
    let Item::Assistant { text, .. } = &ended.history[0] else {
        unreachable!("{:?}", ended.history)
    };
    // So many letters were played, give or take a word.
    let letters = log.frames_of(0) * 20 / 60;
    assert!(
        text.len() as u64 <= letters + 5 && text.len() as u64 + 8 >= letters,
        "{text:?} for {letters} letters"
    );
    assert!(text.starts_with("One two three") && !text.contains("twelve"), "{text:?}");
    assert_eq!(ended.history[1..], [user("stop please"), agent("Okay.")]);
}

#[tokio::test(start_paused = true)]
async fn a_short_noise_only_pauses_the_sound() {
    let phone = Phone::begin(Setup::default());
    phone.hears_begin("Hello, this is Ada.").await;
    phone.passes(200).await;
    phone.voice(true);
    phone.until("a pause", |log| !log.clears.is_empty()).await;
    phone.voice(false);
    phone.until("the rest", |log| log.frames_of(0) >= 56).await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, log, _) = phone.ends().await;
    assert!(!notes.iter().any(|note| matches!(note, Note::BargeIn(_))), "{notes:?}");
    assert_eq!(ended.history, [agent("Hello, this is Ada.")]);
    let log = log.lock().unwrap();
    assert_eq!((log.clears.len(), log.texts.len()), (1, 1));
    // Nothing was lost or heard twice but for a frame at the border.
    assert!((56..=59).contains(&log.frames_of(0)), "{}", log.frames_of(0));
}

#[tokio::test(start_paused = true)]
async fn the_recognizer_hears_of_voice_and_silence() {
    let phone = Phone::begin(Setup::default());
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    phone.voice(true);
    phone.passes(1_000).await;
    phone.voice(false);
    phone.until("quiet", |log| log.hears.contains(&Hear::Quiet)).await;
    phone.says("hello").await;
    phone.hears("Okay.").await;
    phone.at(|log| {
        let voice = log.hears.iter().position(|hear| *hear == Hear::Voice).unwrap();
        let quiet = log.hears.iter().position(|hear| *hear == Hear::Quiet).unwrap();
        assert!(quiet > voice + 50 && quiet < voice + 100, "{voice} {quiet}");
    });
    phone.gives(Inbound::Gone).await;
    phone.ends().await;
}

#[tokio::test(start_paused = true)]
async fn sound_goes_to_the_recognizer_at_once_while_somebody_speaks_and_together_in_silence() {
    let phone = Phone::begin(Setup::default());
    let comes = async || {
        let mut times = 0;
        for _ in 0..20 {
            let before = phone.at(|log| log.hears.len());
            phone.passes(20).await;
            times += usize::from(phone.at(|log| log.hears.len()) > before);
        }
        times
    };
    phone.hears("Hello, this is Ada.").await;
    phone.passes(1_000).await;
    assert_eq!(comes().await, 4);
    phone.voice(true);
    phone.until("a voice", |log| log.hears.contains(&Hear::Voice)).await;
    assert_eq!(comes().await, 20);
    phone.voice(false);
    phone.until("quiet", |log| log.hears.contains(&Hear::Quiet)).await;
    assert_eq!(comes().await, 20, "a recognizer waits for silence too");
    phone.gives(Inbound::Gone).await;
    phone.ends().await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_is_apologized_for() {
    for fault in [Step::Error, Close, Stall, End] {
        // Ahead, and when it counts.
        let llm = vec![vec![vec![fault.clone()]; 2]];
        let phone = Phone::begin(Setup { llm, ..Setup::default() });
        phone.hears("Hello, this is Ada.").await;
        phone.says("hello").await;
        phone.hears(&Config::default().fallback).await;
        let (ended, notes, ..) = phone.ends().await;
        assert!(
            matches!(&ended.how, How::Failed(why) if !why.is_empty()),
            "{fault:?}: {:?}",
            ended.how
        );
        assert!(has_trouble(&notes), "{fault:?}");
        assert_eq!(ended.history.last(), Some(&agent(&Config::default().fallback)), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_stalls_is_replaced_and_the_silence_is_filled() {
    let llm = vec![answers(&[&[Stall]]), answers(&[&[Text("From the other one."), End]])];
    let phone = Phone::begin(Setup { llm, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("hello").await;
    let asked = phone.now();
    phone.hears_begin("One moment, please.").await;
    assert!(phone.now() - asked < 4_000);
    phone.hears("From the other one.").await;
    // The next question goes to the one that works.
    phone.passes(500).await;
    phone.says("and again").await;
    phone.hears("Okay.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, log, _) = phone.ends().await;
    assert!(has_trouble(&notes));
    assert_eq!(ended.history[2], agent("From the other one."));
    assert_eq!(log.lock().unwrap().asks.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_stalls_in_the_middle_is_followed_by_another() {
    let llm = vec![
        answers(&[&[Text("We open at nine. "), Text("And we "), Stall]]),
        answers(&[&[Text("close at five."), End]]),
    ];
    let phone = Phone::begin(Setup { llm, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("hello").await;
    phone.hears("And we close at five.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, _, log, _) = phone.ends().await;
    assert_eq!(ended.history[2], agent("We open at nine. And we close at five."));
    // It was shown what was said already.
    assert_eq!(log.lock().unwrap().asks[1].items.last(), Some(&agent("We open at nine. And we ")));
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_drops_in_the_middle_is_replaced() {
    let llm = vec![answers(&[&[Text("We open at nine. We close at five. Goodbye then."), End]])];
    let phone =
        Phone::begin(Setup { llm, tts: vec![Vendor::Drops(2), Vendor::Works], ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("hello").await;
    phone.hears("Goodbye then.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, log, _) = phone.ends().await;
    assert!(has_trouble(&notes));
    assert_eq!(ended.history[2], agent("We open at nine. We close at five. Goodbye then."));
    let log = log.lock().unwrap();
    let heard = log.heard();
    assert_eq!(heard.iter().filter(|text| **text == "We open at nine.").count(), 1, "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn voices_that_refuse_hang_or_keep_silent_are_replaced_in_time() {
    for (does, within) in [(Vendor::Refuses, 300), (Vendor::Hangs, 4_300), (Vendor::Silent, 4_300)]
    {
        let phone = Phone::begin(Setup { tts: vec![does, Vendor::Works], ..Setup::default() });
        phone.hears_begin("Hello, this is Ada.").await;
        assert!(phone.now() < within, "{does:?}: {}", phone.now());
        phone.gives(Inbound::Gone).await;
        phone.ends().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_any_voice_the_conversation_fails_and_does_not_hang() {
    for does in [Vendor::Refuses, Vendor::Hangs, Vendor::Silent] {
        let phone = Phone::begin(Setup { tts: vec![does, does], ..Setup::default() });
        let (ended, notes, _, at) = phone.ends().await;
        assert!(matches!(ended.how, How::Failed(_)), "{does:?}: {:?}", ended.how);
        assert!(
            has_trouble(&notes) && ended.history.is_empty() && at < 20_000,
            "{does:?} after {at}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_closes_when_it_is_not_used_is_opened_again() {
    let config = Config { speak_first: SpeakFirst::Caller, ..Setup::default().config };
    let phone = Phone::begin(Setup { config, tts: vec![Vendor::Idles], ..Setup::default() });
    phone.passes(5_000).await;
    phone.says("hello").await;
    phone.hears("Okay.").await;
    phone.passes(5_000).await;
    phone.says("once more").await;
    phone.until("two answers", |log| log.heard().len() == 2).await;
    phone.gives(Inbound::Gone).await;
    let (_, notes, ..) = phone.ends().await;
    assert!(!has_trouble(&notes), "{notes:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_tool_answers_is_spoken_of() {
    let llm =
        vec![answers(&[&[Text("Let me see."), Call("look_up"), End], &[Text("It is free."), End]])];
    let phone = Phone::begin(Setup { llm, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("a table").await;
    phone.hears("Let me see.").await;
    phone.hears("It is free.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, log, _) = phone.ends().await;
    let call = ToolCall { id: "c1".into(), name: "look_up".into(), arguments: "{}".into() };
    let result = r#"{"free":true}"#;
    assert_eq!(
        ended.history[1..],
        [
            user("a table"),
            Item::Assistant { text: "Let me see.".into(), calls: vec![call] },
            Item::Tool { call_id: "c1".into(), text: result.into() },
            agent("It is free."),
        ]
    );
    assert!(notes.contains(&Note::Tool {
        name: "look_up".into(),
        arguments: "{}".into(),
        result: result.into()
    }));
    let log = log.lock().unwrap();
    assert_eq!(log.taken, ["run:1:2:0:c1"]);
    assert_eq!(
        log.asks[1].items.last(),
        Some(&Item::Tool { call_id: "c1".into(), text: result.into() })
    );
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_hangs_is_filled_over_and_the_model_hears_of_it() {
    let llm = vec![answers(&[&[Call("look_up"), End], &[Text("That did not work."), End]])];
    let tool = (100_000, Took::Result { value: json!({}), speak: true });
    let phone = Phone::begin(Setup { llm, tool, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("a table").await;
    let asked = phone.now();
    phone.hears_begin("One moment, please.").await;
    assert!(phone.now() - asked < 4_000);
    phone.hears("That did not work.").await;
    assert!(phone.now() - asked < 20_000);
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, ..) = phone.ends().await;
    assert!(
        matches!(&ended.history[3], Item::Tool { text, .. } if text.contains("15 seconds")),
        "{:?}",
        ended.history
    );
    // The filler was heard, but it is no part of what was said.
    assert_eq!(ended.history[4], agent("That did not work."));
}

#[tokio::test(start_paused = true)]
async fn a_barge_in_does_not_undo_a_tool() {
    let llm = vec![answers(&[&[Text("Let me look that up for you now."), Call("look_up"), End]])];
    let tool = (4_000, Took::Result { value: json!("booked"), speak: true });
    let phone = Phone::begin(Setup { llm, tool, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("a table").await;
    phone.hears_begin("Let me look that up for you now.").await;
    phone.passes(2_000).await;
    phone.says("no wait").await;
    phone.hears("Okay.").await;
    phone.passes(5_000).await;
    phone.gives(Inbound::Gone).await;
    let (ended, ..) = phone.ends().await;
    assert_eq!(ended.history[3], Item::Tool { call_id: "c1".into(), text: "booked".into() });
    assert_eq!(ended.history[4..], [user("no wait"), agent("Okay.")]);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_never_stops_taking_tools_is_stopped() {
    let rounds = vec![vec![Call("look_up"), End]; 30];
    let phone = Phone::begin(Setup { llm: vec![rounds], ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("a table").await;
    let (ended, _, log, _) = phone.ends().await;
    let log = log.lock().unwrap();
    assert!(log.asks.iter().any(|ask| ask.tools.is_empty()));
    assert!(log.taken.len() <= 9, "{}", log.taken.len());
    // This model calls each of its calls `c1`, and yet none is a repetition.
    let keys: HashSet<&String> = log.taken.iter().collect();
    assert_eq!(keys.len(), log.taken.len(), "{:?}", log.taken);
    assert!(matches!(ended.how, How::Failed(_)), "{:?}", ended.how);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_ends_it_lets_the_goodbye_be_heard() {
    let llm = vec![answers(&[&[Text("I connect you now. Goodbye!"), Call("connect_call"), End]])];
    let then = Some(json!({"type": "connect_call"}));
    let tool = (50, Took::Ends { then: then.clone(), stop: false });
    let phone = Phone::begin(Setup { llm, tool, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("connect me").await;
    phone.hears_begin("I connect you now.").await;
    phone.says("wait").await;
    let (ended, _, log, _) = phone.ends().await;
    assert_eq!(ended.how, How::Tool { then, stop: false });
    let log = log.lock().unwrap();
    assert_eq!(log.heard().last(), Some(&"Goodbye!"));
    assert!(log.frames_of(2) >= 24, "{}", log.frames_of(2));
    assert!(
        matches!(&ended.history[2], Item::Assistant { text, calls } if text == "I connect you now. Goodbye!" && calls.len() == 1)
    );
}

#[tokio::test(start_paused = true)]
async fn silence_is_asked_about_and_then_ends_it() {
    let phone = Phone::begin(Setup::default());
    let (ended, _, log, at) = phone.ends().await;
    assert_eq!(ended.how, How::NoInput);
    assert_eq!(log.lock().unwrap().heard(), ["Hello, this is Ada.", "Are you still there?"]);
    assert!((62_000..65_000).contains(&at), "{at}");
}

#[tokio::test(start_paused = true)]
async fn the_longest_time_ends_with_a_goodbye() {
    let phone = Phone::begin(Setup { duration: 10, ..Setup::default() });
    let (ended, _, log, at) = phone.ends().await;
    assert_eq!(ended.how, How::Timeout);
    assert_eq!(log.lock().unwrap().heard().last(), Some(&"I have to end our call here. Goodbye."));
    assert!((12_000..13_000).contains(&at), "{at}");
}

#[tokio::test(start_paused = true)]
async fn keys_are_told_to_the_model() {
    let phone = Phone::begin(Setup::default());
    phone.hears_begin("Hello, this is Ada.").await;
    for key in ['1', '2', '#'] {
        phone.gives(Inbound::Digit(key)).await;
    }
    phone.hears("Okay.").await;
    phone.gives(Inbound::Gone).await;
    let (ended, ..) = phone.ends().await;
    assert!(ended.history.contains(&user("DTMF: 12")), "{:?}", ended.history);
}

#[tokio::test(start_paused = true)]
async fn the_model_or_the_caller_may_speak_first() {
    let config = Config { greeting: String::new(), ..Setup::default().config };
    let llm = vec![answers(&[&[Text("Good evening."), End]])];
    let phone = Phone::begin(Setup { config, llm, ..Setup::default() });
    phone.hears("Good evening.").await;
    phone.gives(Inbound::Gone).await;
    phone.ends().await;

    let config = Config { speak_first: SpeakFirst::Caller, ..Setup::default().config };
    let phone = Phone::begin(Setup { config, ..Setup::default() });
    phone.passes(5_000).await;
    assert!(phone.at(|log| log.texts.is_empty()));
    phone.says("hello").await;
    phone.hears("Okay.").await;
    phone.gives(Inbound::Gone).await;
    phone.ends().await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_taken_up_where_it_was() {
    let history = vec![agent("Hello, this is Ada."), user("my hours?")];
    let phone = Phone::begin(Setup { history, ..Setup::default() });
    phone.hears("Okay.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, ..) = phone.ends().await;
    assert_eq!(ended.history, [agent("Hello, this is Ada."), user("my hours?"), agent("Okay.")]);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_dropped_leaves_nothing_behind() {
    let phone = Phone::begin(Setup { llm: vec![answers(&[&[Stall]])], ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("hello").await;
    phone.until("a question", |log| !log.asks.is_empty()).await;
    phone.drops().await;
}
