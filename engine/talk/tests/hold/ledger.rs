//! What turns took, as it is told when they are over.

use agent::Ledger;
use agent::ledger::Spent;
use talk::{Inbound, Note};

use super::answers;
use crate::rig::{Call, End, Phone, Setup, Text, Wait};

fn ledgers(notes: Vec<Note>) -> Vec<Ledger> {
    let ledger = |note| if let Note::Turn(ledger) = note { Some(*ledger) } else { None };
    notes.into_iter().filter_map(ledger).collect()
}

/// 200 ms of silence end a turn; the model takes 290 ms to its first clause, the voice 100 ms.
fn setup(ask_ahead: bool) -> Setup {
    let llm = vec![answers(&[&[Wait(290), Text("We open at nine."), End]])];
    let mut setup = Setup { llm, first_sound: 100, ..Setup::default() };
    setup.config.vad_config.stop_secs = 0.2;
    setup.config.ask_ahead = ask_ahead;
    setup
}

/// The caller asks aloud; the recognizer is sure 100 ms after him.
async fn asks(phone: &Phone) {
    phone.hears("Hello, this is Ada.").await;
    phone.passes(1_000).await;
    phone.voice(true);
    phone.passes(900).await;
    phone.seems_to_say("when do you open").await;
    phone.passes(100).await;
    phone.voice(false);
    phone.passes(100).await;
    phone.says("When do you open?").await;
}

fn spent<'a>(ledger: &'a Ledger, part: &str) -> &'a Spent {
    ledger.spent.iter().find(|row| row.part == part).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_turn_tells_when_each_step_was_and_what_the_engine_added() {
    let phone = Phone::begin(setup(false));
    asks(&phone).await;
    phone.hears("We open at nine.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (_, notes, ..) = phone.ends().await;
    let turns = ledgers(notes);
    assert_eq!(turns.len(), 3, "{turns:#?}");
    let (greeting, answer) = (&turns[0], &turns[1]);
    assert_eq!((greeting.kind.as_str(), greeting.engine_added), ("greeting", None));
    assert_eq!(spent(greeting, "tts").characters, 19);
    assert_eq!(answer.kind, "answer");
    let stages = answer.stages;
    let in_order = [
        stages.vad_stop,
        stages.end_of_turn,
        stages.llm_asked,
        stages.llm_first_token,
        stages.first_clause,
        stages.tts_asked,
        stages.tts_first_byte,
        stages.first_frame,
        stages.first_mark,
    ];
    assert!(in_order.iter().all(Option::is_some), "{stages:?}");
    assert!(in_order.is_sorted(), "{stages:?}");
    let first_token = stages.llm_first_token.unwrap() - stages.llm_asked.unwrap();
    assert!((290..=292).contains(&first_token), "{stages:?}");
    let first_byte = stages.tts_first_byte.unwrap() - stages.tts_asked.unwrap();
    assert!((100..=102).contains(&first_byte), "{stages:?}");
    assert!((100..=140).contains(&stages.stt_final.unwrap()), "{stages:?}");
    // The silence is counted from when the detector knew of it; the recognizer worked for the first
    // 100 ms, and nobody for the rest.
    let silence = stages.end_of_turn.unwrap() - stages.stt_final.unwrap();
    let added = answer.engine_added.unwrap();
    assert!((silence..=silence + 5).contains(&added), "{added} {stages:?}");
    assert!(!answer.ahead && answer.cut.is_none());
    assert_eq!(spent(answer, "llm").requests, 1);
    assert!(spent(answer, "stt").heard_ms >= 1_500);
    assert!(spent(answer, "tts").spoke_ms >= 900);
    // What nobody was answered with has its place too.
    assert_eq!((turns[2].kind.as_str(), turns[2].spent[0].part.as_str()), ("", "stt"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_asked_for_ahead_takes_next_to_nothing_of_ours() {
    let phone = Phone::begin(setup(true));
    asks(&phone).await;
    phone.hears("We open at nine.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (_, notes, ..) = phone.ends().await;
    let answer = ledgers(notes).into_iter().find(|turn| turn.kind == "answer").unwrap();
    assert!(answer.ahead, "{answer:#?}");
    assert!(answer.stages.llm_asked < answer.stages.end_of_turn, "{answer:#?}");
    assert!(answer.engine_added.unwrap() <= 20, "{answer:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_cut_tells_its_point_and_tools_their_time() {
    let llm = vec![answers(&[
        &[Call("look_up"), End],
        &[Text("One two three four five six seven eight nine ten eleven."), End],
    ])];
    let phone = Phone::begin(Setup { llm, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("count").await;
    phone.until("the answer", |log| log.heard().len() > 1).await;
    phone.passes(1_000).await;
    phone.voice(true);
    phone.until("a clear", |log| !log.clears.is_empty()).await;
    phone.passes(400).await;
    phone.gives(Inbound::Gone).await;
    let (_, notes, ..) = phone.ends().await;
    let answer = ledgers(notes).into_iter().find(|turn| turn.kind == "answer").unwrap();
    let cut = answer.cut.unwrap();
    assert!((1_000..=1_400).contains(&cut.heard_ms), "{cut:?}");
    assert!((200..=220).contains(&cut.barge_in_ms.unwrap()), "{cut:?}");
    let tools: Vec<_> =
        answer.tools.iter().map(|tool| (tool.name.as_str(), tool.took_ms)).collect();
    assert!(matches!(tools[..], [("look_up", 100..=102)]), "{tools:?}");
    assert_eq!(spent(&answer, "llm").requests, 2);
}

#[tokio::test(start_paused = true)]
async fn of_a_model_that_hears_and_speaks_it_tells_what_there_is() {
    let duplex = vec![answers(&[&[Wait(200), Text("We open at nine."), End]])];
    let phone = Phone::begin(Setup { duplex, ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.passes(500).await;
    phone.voice(true);
    phone.passes(1_000).await;
    phone.voice(false);
    phone.hears("We open at nine.").await;
    phone.passes(500).await;
    phone.gives(Inbound::Gone).await;
    let (_, notes, ..) = phone.ends().await;
    let answer = ledgers(notes).into_iter().find(|turn| turn.kind == "answer").unwrap();
    let stages = answer.stages;
    assert!(stages.tts_asked.is_none() && stages.stt_final.is_none(), "{stages:?}");
    let took = stages.tts_first_byte.unwrap() - stages.llm_asked.unwrap();
    let added = answer.engine_added.unwrap();
    assert_eq!(added, stages.first_frame.unwrap() - took, "{answer:#?}");
    let model = spent(&answer, "duplex");
    assert!(model.heard_ms >= 1_000 && model.spoke_ms >= 900, "{model:?}");
}
