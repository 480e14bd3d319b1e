//! Recognizers that drop, hang, or say nothing of what they hear.

use agent::Config;
use talk::{Hear, How, Inbound};

use crate::rig::{End, Log, Phone, Setup, Text, Vendor};
use crate::{answers, has_trouble, user};

#[tokio::test(start_paused = true)]
async fn a_recognizer_that_drops_is_opened_again() {
    let phone = Phone::begin(Setup { stt: vec![Vendor::Drops(2)], ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.says("one").await;
    phone.hears("Okay.").await;
    phone.passes(5_000).await;
    phone.says("two").await;
    phone.until("two answers", |log| log.heard().len() == 3).await;
    phone.gives(Inbound::Gone).await;
    let (ended, notes, ..) = phone.ends().await;
    assert!(has_trouble(&notes));
    assert!(ended.history.contains(&user("two")));
}

#[tokio::test(start_paused = true)]
async fn a_recognizer_that_hangs_is_replaced_and_without_any_it_fails() {
    let phone = Phone::begin(Setup { stt: vec![Vendor::Hangs, Vendor::Works], ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    phone.passes(2_000).await;
    phone.says("hello").await;
    phone.hears("Okay.").await;
    phone.gives(Inbound::Gone).await;
    phone.ends().await;

    let phone =
        Phone::begin(Setup { stt: vec![Vendor::Refuses, Vendor::Hangs], ..Setup::default() });
    phone.hears(&Config::default().fallback).await;
    let (ended, .., at) = phone.ends().await;
    assert!(matches!(ended.how, How::Failed(_)) && at < 10_000, "{:?} after {at}", ended.how);
}

#[tokio::test(start_paused = true)]
async fn a_recognizer_that_says_nothing_of_what_it_hears_is_replaced() {
    let phone = Phone::begin(Setup {
        stt: vec![Vendor::Silent, Vendor::Works],
        llm: vec![answers(&[&[Text("At nine."), End]])],
        ..Setup::default()
    });
    phone.hears("Hello, this is Ada.").await;
    phone.passes(1_000).await;
    phone.voice(true);
    phone.passes(1_000).await;
    phone.voice(false);
    let quiet = phone.now();
    // The next one hears at once what was said, and the caller does not wait for 3 s.
    let voices = |log: &Log| log.hears.iter().filter(|hear| **hear == Hear::Voice).count();
    phone.until("the same voice again", |log| voices(log) == 2).await;
    phone.says("when do you open").await;
    phone.hears_begin("At nine.").await;
    assert!(phone.now() - quiet < 2_000, "{}", phone.now() - quiet);
    phone.gives(Inbound::Gone).await;
    let (_, notes, _, _) = phone.ends().await;
    assert!(has_trouble(&notes));
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_whom_no_recognizer_says_anything_does_not_wait_in_silence() {
    // Whatever becomes of the voice that should ask him.
    for does in [Vendor::Works, Vendor::Drops(1), Vendor::Hangs] {
        let phone = Phone::begin(Setup {
            stt: vec![Vendor::Silent],
            tts: vec![does, Vendor::Works],
            ..Setup::default()
        });
        phone.hears("Hello, this is Ada.").await;
        phone.passes(1_000).await;
        for _ in 0..3 {
            phone.voice(true);
            phone.passes(1_000).await;
            phone.voice(false);
            let quiet = phone.now();
            let heard = |log: &Log| log.played.last().is_some_and(|(at, _)| *at > quiet);
            phone.until("anything", heard).await;
            assert!(phone.now() - quiet < 3_000, "{does:?}: {}", phone.now() - quiet);
            phone.passes(2_000).await;
        }
        phone.gives(Inbound::Gone).await;
        phone.ends().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_noise_alone_nobody_is_deaf() {
    let phone = Phone::begin(Setup { stt: vec![Vendor::Silent], ..Setup::default() });
    phone.hears("Hello, this is Ada.").await;
    for _ in 0..6 {
        phone.voice(true);
        phone.passes(1_000).await;
        phone.voice(false);
        phone.passes(3_000).await;
    }
    phone.gives(Inbound::Gone).await;
    assert_eq!(phone.ends().await.0.how, How::Gone);
}
