//! What is asked before the caller's turn is over: sooner heard, and never heard too soon.

use agent::{Config, Took};
use serde_json::json;
use talk::{How, Inbound, Note, Say, Words};

use super::{agent, answers, has_trouble, spoken, user};
use crate::rig::{Call, End, Phone, Setup, Step, Text, Vendor, Wait};

fn setup(llm: Vec<Vec<Vec<Step>>>) -> Setup {
    Setup { llm, ..Setup::default() }
}

/// The caller speaks, and the recognizer guesses his words shortly before he ends.
async fn speaks(phone: &Phone, words: &str) {
    phone.voice(true);
    phone.passes(900).await;
    phone.seems_to_say(words).await;
    phone.passes(100).await;
    phone.voice(false);
}

/// Fixed latencies: 200 ms of silence, 100 ms until the recognizer is sure, 290 ms until the first
/// sentence, 100 ms until its first sound: 690 ms, one after the other.
async fn answers_after(ask_ahead: bool, guess: &str) -> u64 {
    let mut setup = setup(vec![vec![vec![Wait(290), Text("We open at nine."), End]; 40]]);
    setup.config.vad_config.stop_secs = 0.2;
    setup.config.ask_ahead = ask_ahead;
    setup.first_sound = 100;
    let phone = Phone::begin(setup);
    phone.hears("Hello, this is Ada.").await;
    let mut after = Vec::new();
    for turn in 0..9 {
        // The frames of the leg and the ticks of the talk are at any distance.
        phone.passes(1_500 + turn * 7).await;
        let before = phone.at(|log| log.played.len());
        speaks(&phone, guess).await;
        let silent = phone.now();
        phone.passes(300).await;
        phone.says("When do you open?").await;
        phone.until("an answer", |log| log.played.len() > before).await;
        after.push(phone.now() - silent);
        phone.passes(1_500).await;
    }
    phone.gives(Inbound::Gone).await;
    let (ended, ..) = phone.ends().await;
    let turn = [user("When do you open?"), agent("We open at nine.")];
    assert_eq!(ended.history[1..], vec![turn; 9].concat());
    after.sort_unstable();
    after[after.len() / 2]
}

#[tokio::test(start_paused = true)]
async fn half_of_the_answers_come_within_520_ms_where_690_are_needed_one_after_the_other() {
    let serial = answers_after(false, "when do you open").await;
    assert!((690..=730).contains(&serial), "{serial}");
    let ahead = answers_after(true, "when do you open").await;
    assert!(ahead <= 520, "{ahead}");
    // A guess that was wrong costs no time.
    let wrong = answers_after(true, "when do you hope").await;
    assert!((690..=730).contains(&wrong), "{wrong}");
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_ahead_of_other_words_is_never_heard_kept_or_done() {
    let long = "That costs you nothing at all.";
    let phone = Phone::begin(setup(vec![answers(&[
        &[Text(long), Call("look_up"), End],
        &[Text("For two, gladly."), End],
    ])]));
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    speaks(&phone, "I want a table").await;
    phone.until("its sound", |log| log.texts.iter().any(|text| text == long)).await;
    phone.passes(150).await;
    phone.at(|log| {
        assert_eq!((log.heard(), log.taken.len()), (vec!["Hello, this is Ada."], 0));
    });
    phone.voice(true);
    phone.passes(500).await;
    phone.says("I want a table for two").await;
    phone.voice(false);
    phone.hears("For two, gladly.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, log, _) = phone.ends().await;
    let history =
        [agent("Hello, this is Ada."), user("I want a table for two"), agent("For two, gladly.")];
    assert_eq!(ended.history, history);
    let said = spoken(&notes);
    assert_eq!(
        said,
        [
            &Note::Agent("Hello, this is Ada.".into()),
            &Note::Caller("I want a table for two".into()),
            &Note::Agent("For two, gladly.".into()),
        ]
    );
    let log = log.lock().unwrap();
    assert_eq!(log.heard(), ["Hello, this is Ada.", "For two, gladly."]);
    assert!(log.taken.is_empty() && log.clears.is_empty(), "{:?} {:?}", log.taken, log.clears);
    assert!(log.says.iter().any(|say| matches!(say, Say::Cut(_))), "the voice goes on for nobody");
    // The model was not shown the first guess again.
    assert_eq!(log.asks[1].items.last(), Some(&user("I want a table for two")));
}

#[tokio::test(start_paused = true)]
async fn a_tool_waits_for_the_end_of_the_turn_and_is_taken_once() {
    let phone = Phone::begin(setup(vec![answers(&[
        &[Text("Let me see."), Call("look_up"), End],
        &[Text("It is free."), End],
    ])]));
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    speaks(&phone, "is it free").await;
    phone.until("the question", |log| !log.asks.is_empty()).await;
    phone.passes(200).await;
    assert!(phone.at(|log| log.taken.is_empty()));
    phone.says("Is it free?").await;
    phone.hears("It is free.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, _, log, _) = phone.ends().await;
    let log = log.lock().unwrap();
    assert_eq!((log.taken.len(), log.asks.len()), (1, 2));
    assert_eq!(log.heard(), ["Hello, this is Ada.", "Let me see.", "It is free."]);
    assert_eq!(ended.history.len(), 5);
    assert_eq!(ended.history[1], user("Is it free?"));
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_answers_meanwhile_makes_the_model_be_asked_anew() {
    let mut setup = setup(vec![answers(&[
        &[Call("look_up"), End],
        &[Text("I do not know yet."), End],
        &[Text("It is free."), End],
    ])]);
    setup.tool = (2_050, Took::Result { value: json!("free"), speak: true });
    let phone = Phone::begin(setup);
    phone.hears("Hello, this is Ada.").await;
    phone.says("is it free").await;
    phone.until("the tool", |log| !log.taken.is_empty()).await;
    phone.passes(750).await;
    speaks(&phone, "hello there").await;
    phone.says("hello there").await;
    phone.passes(2000).await;
    phone.hears("It is free.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (_, _, log, _) = phone.ends().await;
    let log = log.lock().unwrap();
    assert_eq!(log.heard(), ["Hello, this is Ada.", "It is free."]);
    assert!(format!("{:?}", log.asks[2].items).contains("free"), "{:?}", log.asks[2].items);
}

#[tokio::test(start_paused = true)]
async fn vendors_that_fail_ahead_are_asked_once_more_when_it_counts() {
    // The model.
    let phone = Phone::begin(setup(vec![answers(&[&[Step::Error], &[Text("At nine."), End]])]));
    phone.hears("Hello, this is Ada.").await;
    phone.says("When do you open?").await;
    phone.hears("At nine.").await;
    phone.gives(Inbound::Gone).await;
    assert!(has_trouble(&phone.ends().await.1));

    // The voice: it drops in the first clause, and is opened again.
    let llm = vec![answers(&[&[Text("We open at nine."), End]])];
    let phone = Phone::begin(Setup { llm, tts: vec![Vendor::Drops(1)], ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("When do you open?").await;
    phone.hears_begin("We open at nine.").await;
    phone.passes(2_000).await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, ..) = phone.ends().await;
    assert!(has_trouble(&notes));
    assert_eq!(ended.history[2], agent("We open at nine."));
}

#[tokio::test(start_paused = true)]
async fn a_recognizer_that_hears_the_end_coming_saves_the_silence() {
    let phone = Phone::begin(setup(vec![answers(&[&[Wait(300), Text("At nine."), End]])]));
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    phone.voice(true);
    phone.passes(800).await;
    phone.seems_to_say("when do you open").await;
    phone.recognizes(Words::LikelyEnd).await;
    phone.passes(50).await;
    phone.voice(false);
    phone.passes(350).await;
    phone.says("When do you open?").await;
    phone.recognizes(Words::EndOfTurn).await;
    let over = phone.now();
    phone.hears_begin("At nine.").await;
    // The answer was there.
    assert!(phone.now() - over <= 20, "{}", phone.now() - over);
    phone.gives(Inbound::Gone).await;
    phone.ends().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_meanwhile_remembers_nothing_of_it() {
    let phone = Phone::begin(setup(vec![answers(&[&[Text("At nine."), End]])]));
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    speaks(&phone, "when do you open").await;
    phone.until("its sound", |log| log.texts.iter().any(|text| text == "At nine.")).await;
    phone.gives(Inbound::Gone).await;
    let (ended, ..) = phone.ends().await;
    assert_eq!((ended.how, ended.history), (How::Gone, vec![agent("Hello, this is Ada.")]));
    assert!(Config::default().ask_ahead);
}
