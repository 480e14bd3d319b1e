//! Conversations with a model that hears and speaks by itself.

use agent::config::Interruption;
use agent::{Item, Took, ToolCall};
use serde_json::json;
use talk::{How, Inbound, Note, Tell, TurnId};

use super::{agent, answers, has_trouble, spoken, user};
use crate::model::Mute;
use crate::rig::{Call, Close, End, Log, Phone, Setup, Stall, Step, Text, Vendor, Wait};

fn heard(words: &'static str) -> Step {
    Step::Heard(words)
}

fn setup(opens: Vec<Vec<Vec<Step>>>) -> Setup {
    Setup { duplex: opens, ..Setup::default() }
}

/// The caller speaks for so long, and is silent then for long enough.
async fn speaks(phone: &Phone, millis: u64) {
    phone.voice(true);
    phone.passes(millis).await;
    phone.voice(false);
}

fn asks(log: &Log) -> Vec<(TurnId, String)> {
    let ask = |tell: &Tell| match tell {
        Tell::Ask { turn, words } => Some((*turn, words.clone())),
        _ => None,
    };
    log.tells.iter().filter_map(ask).collect()
}

#[tokio::test(start_paused = true)]
async fn a_greeting_a_question_by_sound_alone_and_an_answer() {
    let opens = vec![answers(&[&[
        Wait(200),
        Text("We open at nine."),
        heard("What are your hours?"),
        End,
    ]])];
    let phone = Phone::begin(setup(opens));
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    speaks(&phone, 1_000).await;
    let silent = phone.now();
    phone.hears_begin("We open at nine.").await;
    let answered = phone.now() - silent;
    // The silence after the voice, what the detector needs, the model, and a frame; no recognizer.
    assert!((650..=900).contains(&answered), "{answered}");
    phone.hears("We open at nine.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, log, _) = phone.ends().await;
    assert_eq!(ended.how, How::Gone);
    let history =
        [agent("Hello, this is Ada."), user("What are your hours?"), agent("We open at nine.")];
    assert_eq!(ended.history, history);
    let said = spoken(&notes);
    let expected = [
        &Note::Agent("Hello, this is Ada.".into()),
        &Note::Caller("What are your hours?".into()),
        &Note::Agent("We open at nine.".into()),
    ];
    assert_eq!(said, expected);
    let log = log.lock().unwrap();
    // What he said, a little before it, and the silence that ended it.
    assert!((60..=110).contains(&log.frames), "{}", log.frames);
    assert!(log.hears.is_empty() && log.says.is_empty(), "nobody else was opened");
    assert!(matches!(log.briefs[0].items.last(), Some(Item::System { .. })));
    assert_eq!(log.briefs[0].tools.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_barge_in_cuts_at_what_was_heard_and_is_the_next_question() {
    for interruption in [Interruption::Any, Interruption::Words] {
        let long = "We have bread and cakes and rolls and pies and tarts and buns.";
        let opens =
            vec![answers(&[&[Text(long), heard("What is there?"), End], &[Text("Right."), End]])];
        let mut setup = setup(opens);
        setup.config.interruption = interruption;
        let phone = Phone::begin(setup);
        phone.hears("Hello, this is Ada.").await;
        phone.passes(500).await;
        speaks(&phone, 600).await;
        phone.hears_begin(long).await;
        phone.passes(1_000).await;
        let before = phone.at(|log| log.frames);
        phone.voice(true);
        let spoke = phone.now();
        phone.until("a clear", |log| log.clears.iter().any(|at| *at > spoke)).await;
        phone.passes(800).await;
        phone.voice(false);
        phone.hears("Right.").await;
        phone.passes(500).await;
        phone.gives(Inbound::Gone).await;
        let (ended, notes, log, _) = phone.ends().await;
        let Some(Item::Assistant { text, .. }) = ended.history.get(2) else { panic!() };
        assert!(long.starts_with(text.as_str()) && text.len() < long.len() / 2, "{text}");
        assert!(text.starts_with("We have bread"), "{text}");
        assert!(notes.iter().any(|note| matches!(note, Note::BargeIn(_))));
        let log = log.lock().unwrap();
        let cut = log.tells.iter().find_map(|tell| match tell {
            Tell::Cut { heard, .. } => Some(*heard),
            _ => None,
        });
        assert!((1_000..1_500).contains(&cut.unwrap()), "{cut:?}");
        assert_eq!(asks(&log).len(), 2);
        // All that he said over us was given, also what came before the cut.
        assert!(log.frames - before > 55, "{} of {before}", log.frames);
        assert_eq!(log.heard().last(), Some(&"Right."));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_answers_and_the_model_goes_on() {
    let opens = vec![answers(&[
        &[Text("Let me look."), Call("look_up"), End],
        &[Text("It is free."), heard("Is it free?"), End],
    ])];
    let phone = Phone::begin(setup(opens));
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    speaks(&phone, 600).await;
    phone.hears("It is free.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (ended, _, log, _) = phone.ends().await;
    let call = ToolCall { id: "c1".into(), name: "look_up".into(), arguments: "{}".into() };
    let took = Item::Assistant { text: "Let me look.".into(), calls: vec![call] };
    let result = Item::Tool { call_id: "c1".into(), text: r#"{"free":true}"#.into() };
    let history =
        [agent("Hello, this is Ada."), user("Is it free?"), took, result, agent("It is free.")];
    assert_eq!(ended.history, history);
    let log = log.lock().unwrap();
    let told = Tell::Result { call: "c1".into(), text: r#"{"free":true}"#.into() };
    let at = log.tells.iter().position(|tell| *tell == told).unwrap();
    assert!(matches!(log.tells[at + 1], Tell::Ask { .. }), "{:?}", log.tells);
}

#[tokio::test(start_paused = true)]
async fn a_slow_tool_is_filled_and_a_tool_that_ends_it_is_said_goodbye_for() {
    let tool = (5_000, Took::Ends { then: Some(json!({"type": "hangup"})), stop: true });
    let opens = vec![answers(&[&[Text("Goodbye then."), Call("look_up"), End]])];
    let phone = Phone::begin(Setup { tool, ..setup(opens) });
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    speaks(&phone, 600).await;
    phone.hears("One moment, please.").await;
    let (ended, _, log, _) = phone.ends().await;
    assert_eq!(ended.how, How::Tool { then: Some(json!({"type": "hangup"})), stop: true });
    let texts = ["Hello, this is Ada.", "Goodbye then.", "One moment, please."];
    assert_eq!(log.lock().unwrap().heard(), texts);
}

#[tokio::test(start_paused = true)]
async fn keys_are_told_as_words_and_a_noise_is_forgotten() {
    let phone = Phone::begin(setup(vec![answers(&[&[Text("Thank you."), End]])]));
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    speaks(&phone, 60).await;
    phone.until("a noise", |log| log.tells.contains(&Tell::Noise)).await;
    assert!(phone.at(|log| asks(log).is_empty()));
    for key in ['4', '2', '#'] {
        phone.gives(Inbound::Digit(key)).await;
    }
    phone.hears("Thank you.").await;
    phone.gives(Inbound::Gone).await;
    let (ended, _, log, _) = phone.ends().await;
    assert_eq!(asks(&log.lock().unwrap())[0].1, "DTMF: 42");
    assert_eq!(ended.history[1], user("DTMF: 42"));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_lost_takes_the_question_up_again() {
    for loss in [Close, Stall] {
        // Whom it lets wait for too long hears a voice of ours meanwhile.
        let filled = matches!(loss, Stall);
        let opens = vec![
            answers(&[&[Text("Nine."), heard("When?"), End], &[loss]]),
            answers(&[&[Text("At six."), heard("And till when?"), End]]),
        ];
        let phone = Phone::begin(setup(opens));
        phone.hears("Hello, this is Ada.").await;
        phone.passes(500).await;
        speaks(&phone, 600).await;
        phone.hears("Nine.").await;
        phone.passes(1_000).await;
        speaks(&phone, 600).await;
        phone.hears("At six.").await;
        phone.passes(500).await;
        phone.gives(Inbound::Gone).await;
        let (ended, notes, log, _) = phone.ends().await;
        assert!(has_trouble(&notes));
        assert_eq!(ended.history.len(), 5);
        assert_eq!(ended.history[3..], [user("And till when?"), agent("At six.")]);
        let log = log.lock().unwrap();
        assert_eq!(log.briefs.len(), 2);
        let told = &log.briefs[1].items;
        assert!(told.contains(&user("When?")) && told.contains(&agent("Nine.")), "{told:?}");
        let again = log.tells.iter().filter(|tell| **tell == Tell::Voice).count();
        assert_eq!(again, 3, "the question's sound was given again");
        assert_eq!(log.says.is_empty(), !filled, "{:?}", log.says);
        assert_eq!(log.heard().contains(&"One moment, please."), filled);
    }
}

#[tokio::test(start_paused = true)]
async fn others_stand_in_for_a_model_that_is_gone_for_good() {
    let llm = vec![answers(&[&[Text("We open at nine."), End]])];
    let phone = Phone::begin(Setup { llm, duplex: vec![vec![vec![Stall]]], ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    speaks(&phone, 600).await;
    // It says nothing, is opened once more and refuses; a mind of words is asked instead.
    phone.hears("We open at nine.").await;
    phone.says("And on Sundays?").await;
    phone.hears("Okay.").await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, log, _) = phone.ends().await;
    assert!(has_trouble(&notes));
    assert_eq!(ended.history[3..], [user("And on Sundays?"), agent("Okay.")]);
    assert!(!log.lock().unwrap().says.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_model_that_refuses_leaves_its_greeting_to_a_voice() {
    let duplex = vec![vec![vec![Step::Error]]];
    let phone = Phone::begin(Setup { duplex, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("Hello?").await;
    phone.hears("Okay.").await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, log, _) = phone.ends().await;
    assert!(has_trouble(&notes));
    let history = [agent("Hello, this is Ada."), user("Hello?"), agent("Okay.")];
    assert_eq!(ended.history, history);
    assert_eq!(log.lock().unwrap().briefs.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_is_left_the_caller_hears_of_it() {
    let duplex = vec![vec![vec![Close]]];
    let tts = vec![Vendor::Refuses];
    let phone = Phone::begin(Setup { duplex, tts, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    speaks(&phone, 600).await;
    let (ended, _, _, _) = phone.ends().await;
    assert!(matches!(ended.how, How::Failed(_)), "{:?}", ended.how);
}

#[tokio::test(start_paused = true)]
async fn silence_is_asked_about_and_ends_it() {
    let mut setup = setup(vec![vec![]]);
    setup.config.idle_timeout_s = 5;
    let phone = Phone::begin(setup);
    let (ended, _, log, _) = phone.ends().await;
    assert_eq!(ended.how, How::NoInput);
    assert_eq!(log.lock().unwrap().heard(), ["Hello, this is Ada.", "Are you still there?"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_does_not_say_its_greeting_leaves_it_to_a_voice_in_time() {
    // It says nothing of it, or stops in its middle.
    for mute in [Mute::Says(0), Mute::Says(2)] {
        let opens = vec![answers(&[&[Text("Nine."), heard("When?"), End]])];
        let phone = Phone::begin(Setup { mute, ..setup(opens) });
        phone.until("the greeting by a voice", |log| !log.says.is_empty()).await;
        phone.passes(2_000).await;
        // What it says of it later is not heard.
        speaks(&phone, 600).await;
        phone.hears("Nine.").await;
        phone.gives(Inbound::Gone).await;
        let (ended, _, log, _) = phone.ends().await;
        let log = log.lock().unwrap();
        assert_eq!(ended.history[0], agent("Hello, this is Ada."));
        let greeted = log.played.iter().filter(|(_, text)| log.texts[*text] != "Nine.");
        let greeted: Vec<u64> = greeted.map(|(at, _)| *at).collect();
        let gaps = std::iter::once(0).chain(greeted.iter().copied()).collect::<Vec<_>>();
        let longest = gaps.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest <= 3_000, "{mute:?}: {longest}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_stalls_while_a_tool_works_is_filled_in_for_in_time() {
    for tts in [vec![Vendor::Works], vec![Vendor::Silent, Vendor::Works]] {
        let tool = (5_000, Took::Result { value: json!({}), speak: true });
        let opens = vec![answers(&[&[Call("look_up"), End], &[Stall]])];
        let phone = Phone::begin(Setup { tool, tts, mute: Mute::AfterGreeting, ..setup(opens) });
        phone.hears("Hello, this is Ada.").await;
        phone.passes(500).await;
        speaks(&phone, 600).await;
        phone.until("the question", |log| !asks(log).is_empty()).await;
        let from = phone.now();
        phone.hears("One moment, please.").await;
        let silent = phone.at(|log| {
            let after = log.played.iter().map(|(at, _)| *at).filter(|at| *at > from);
            after.min().unwrap() - from
        });
        assert!(silent <= 3_000, "{silent}");
        phone.gives(Inbound::Gone).await;
        phone.ends().await;
    }
}
