//! Random flows and random events: every run ends or waits, nothing panics, and the state survives
//! being stored at each step.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::chance::play::play;

/// Bytes that are played as they are; those that fail are made shorter.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 40..1500)
}

#[test]
fn random_flows_end_or_wait() {
    let mut runner = TestRunner::new(Config { cases: 400, ..Config::default() });
    let run = |bytes: Vec<u8>| {
        play(&bytes);
        Ok(())
    };
    runner.run(&bytes(), run).unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn chance_finds_its_way_into_everything() {
    let mut runner = TestRunner::deterministic();
    let (mut linked, mut branched, mut called, mut entered) = (0, 0, 0, 0);
    for _ in 0..400 {
        let bytes = bytes().new_tree(&mut runner).unwrap().current();
        let played = play(&bytes);
        linked += usize::from(played.linked);
        branched += usize::from(played.waits > 1);
        called += usize::from(played.called > 0);
        entered += played.entered;
    }
    let seen = format!("{linked} linked, {branched} branched, {called} called, {entered} entered");
    assert!(linked > 60 && branched > 2 && called > 1 && entered > 200, "of 400: {seen}");
}
