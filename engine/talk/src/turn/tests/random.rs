//! Whatever comes: somebody is always due, and nothing of an older turn gets out.

use proptest::prelude::*;

use super::*;

fn inputs() -> impl Strategy<Value = Vec<(u64, u8, bool)>> {
    // A pause, which input, and whether it is of an older turn.
    proptest::collection::vec(
        (prop_oneof![0..200_u64, 0..5_000_u64], 0..20_u8, prop::bool::weighted(0.2)),
        0..120,
    )
}

fn any_input(which: u8, turn: TurnId) -> Input {
    match which {
        0..=2 => Input::Voice,
        3..=5 => Input::Quiet,
        6 => Input::Partial("I want".into()),
        7 => Input::Final("a table".into()),
        8 => Input::Final(String::new()),
        9 => Input::EndOfTurn,
        10 => Input::Digit('1'),
        11 | 12 => Input::Reply(turn, "Yes.".into()),
        13 => Input::Working(turn),
        14 => Input::ReplyDone(turn),
        15 => Input::Sounding(turn),
        16 => Input::Dry(turn),
        17 => Input::Played(turn),
        18 => Input::Partial("mm-hm".into()),
        _ => Input::Timeout,
    }
}

fn turn_of(output: &Output) -> Option<TurnId> {
    match output {
        Output::Ask(turn, _)
        | Output::Amend(turn, _)
        | Output::Say(turn, _)
        | Output::Done(turn) => Some(*turn),
        Output::Speak(turn, _)
        | Output::Pause(turn)
        | Output::Resume(turn)
        | Output::Cut { turn, .. } => Some(*turn),
        Output::TellVoice | Output::TellQuiet | Output::Finish(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn somebody_is_always_due_and_nothing_old_gets_out(
        inputs in inputs(),
        opening in prop_oneof![Just(Opening::Greet), Just(Opening::Ask), Just(Opening::Listen)],
        interruption in prop_oneof![
            Just(Interruption::Any), Just(Interruption::Words), Just(Interruption::Digits), Just(Interruption::None)
        ],
        wordless in proptest::bool::ANY,
    ) {
        let mut turns = Turns::new(Manner { interruption, wordless, ..manner() });
        let mut now = Moment::ZERO;
        let mut last = TurnId::default();
        let mut over = false;
        let mut see = |turns: &Turns, now: Moment, outputs: &[Output]| {
            for output in outputs {
                prop_assert!(!over, "{:?} after the end", output);
                if let Some(turn) = turn_of(output) {
                    prop_assert!(turn >= last, "{:?} after {:?}", output, last);
                    last = turn;
                }
                over |= matches!(output, Output::Finish(_));
            }
            match turns.deadline() {
                Some(deadline) => prop_assert!(!over && deadline > now, "{:?} at {:?}", deadline, now),
                None => prop_assert!(over, "nobody is due in {:?}", turns),
            }
            Ok(())
        };
        let outputs = turns.on(now, Input::Start(opening));
        see(&turns, now, &outputs)?;
        for (pause, which, old) in inputs {
            now += Duration::from_millis(pause);
            let turn = TurnId(turns.turn().0.saturating_sub(u64::from(old)));
            let outputs = turns.on(now, any_input(which, turn));
            see(&turns, now, &outputs)?;
        }
        // When nothing comes any more, the machine comes to its end by itself, and soon.
        let mut steps = 0;
        while let Some(deadline) = turns.deadline() {
            steps += 1;
            prop_assert!(steps < 100, "it goes round in {:?}", turns);
            let outputs = turns.on(deadline, Input::Timeout);
            see(&turns, deadline, &outputs)?;
        }
        prop_assert!(over, "it never ends: {:?}", turns);
    }
}
