//! Whatever comes: somebody is always due, nothing of an older turn gets out, and nothing of a turn
//! that is only supposed.

use proptest::prelude::*;

use super::*;
use crate::endpoint::Awaited;
use crate::said::same;

/// A pause, which input, and of which turn: an older one, that which counts, or one that does not
/// yet.
type Step = (u64, u8, i8);

fn inputs() -> impl Strategy<Value = Vec<Step>> {
    let turn = prop_oneof![1 => Just(-1_i8), 6 => Just(0_i8), 2 => Just(1_i8)];
    let pause = prop_oneof![0..200_u64, 0..5_000_u64];
    // What ends it comes seldom, so that most of them last.
    let which = prop_oneof![80 => 0..27_u8, 1 => 30..32_u8];
    proptest::collection::vec((pause, which, turn), 0..120)
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
        19 | 20 => Input::LikelyEnd,
        21 => Input::GoesOn,
        22 => Input::Partial("four five and".into()),
        23 => Input::Final("I want!".into()),
        24 => Input::Unanswered,
        30 => Input::Ends,
        31 => Input::Failed,
        _ => Input::Timeout,
    }
}

fn turn_of(output: &Output) -> Option<TurnId> {
    match output {
        Output::Ask(turn, _)
        | Output::Amend(turn, _)
        | Output::Say(turn, _)
        | Output::Done(turn) => Some(*turn),
        Output::Suppose(turn, _) | Output::Forget(turn) => Some(*turn),
        Output::Speak(turn, _)
        | Output::Pause(turn)
        | Output::Resume(turn)
        | Output::Cut { turn, .. } => Some(*turn),
        Output::TellVoice | Output::TellQuiet | Output::Finish(_) => None,
    }
}

/// Who looks on.
#[derive(Default)]
struct Witness {
    last: TurnId,
    supposed: Option<(TurnId, String)>,
    over: bool,
}

impl Witness {
    fn sees(&mut self, output: &Output) -> Result<(), TestCaseError> {
        prop_assert!(!self.over, "{:?} after the end", output);
        let before = self.last;
        if let Some(turn) = turn_of(output) {
            prop_assert!(turn >= self.last, "{:?} after {:?}", output, self.last);
            self.last = turn;
        }
        match output {
            Output::Suppose(turn, words) => {
                prop_assert!(*turn > before && !words.is_empty(), "{:?}", output);
                let two = self.supposed.replace((*turn, words.clone()));
                prop_assert!(two.is_none(), "{:?} is supposed too", two);
            }
            Output::Forget(turn) => {
                let forgotten = self.supposed.take().map(|(turn, _)| turn);
                prop_assert_eq!(forgotten, Some(*turn));
            }
            Output::Ask(turn, words) => {
                if let Some((supposed, likely)) = self.supposed.take() {
                    prop_assert_eq!(supposed, *turn, "what was supposed hangs about");
                    prop_assert!(same(&likely, words), "{:?} is not {:?}", words, likely);
                } else {
                    prop_assert!(*turn > before, "{:?} was forgotten", turn);
                }
            }
            Output::Finish(_) => {
                prop_assert!(self.supposed.is_none(), "what was supposed hangs about");
                self.over = true;
            }
            Output::Amend(..) | Output::Say(..) | Output::Done(_) | Output::Speak(..) => {
                prop_assert!(self.supposed.is_none(), "{:?} of what is supposed", output);
            }
            Output::Pause(_) | Output::Resume(_) | Output::Cut { .. } => {
                prop_assert!(self.supposed.is_none(), "{:?} of what is supposed", output);
            }
            Output::TellVoice | Output::TellQuiet => {}
        }
        Ok(())
    }

    fn see(&mut self, turns: &Turns, now: Moment, outputs: &[Output]) -> Result<(), TestCaseError> {
        outputs.iter().try_for_each(|output| self.sees(output))?;
        match turns.deadline() {
            Some(at) => prop_assert!(!self.over && at > now, "{:?} at {:?}", at, now),
            None => prop_assert!(self.over, "nobody is due in {:?}", turns),
        }
        Ok(())
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
        thinking in prop_oneof![Just(Interruption::Any), Just(Interruption::None)],
        wordless in proptest::bool::weighted(0.2),
        longest in prop_oneof![Just(600_u64), 1..60_u64],
        ahead in proptest::bool::weighted(0.8),
        awaited in prop_oneof![
            Just(Awaited::Anything), Just(Awaited::YesNo), Just(Awaited::Digits(Some(4))), Just(Awaited::Name)
        ],
    ) {
        // Some reach their longest time in the middle.
        let longest = Duration::from_secs(longest);
        let mut turns = Turns::new(Manner { longest, interruption, thinking, wordless, ahead, ..manner() });
        turns.awaits(awaited);
        let mut now = Moment::ZERO;
        let mut witness = Witness::default();
        let outputs = turns.on(now, Input::Start(opening));
        witness.see(&turns, now, &outputs)?;
        for (pause, which, of) in inputs {
            now += Duration::from_millis(pause);
            let turn = TurnId(turns.turn().0.saturating_add_signed(i64::from(of)));
            let outputs = turns.on(now, any_input(which, turn));
            witness.see(&turns, now, &outputs)?;
        }
        // When nothing comes any more, the machine comes to its end by itself, and soon.
        let mut steps = 0;
        while let Some(deadline) = turns.deadline() {
            steps += 1;
            prop_assert!(steps < 100, "it goes round in {:?}", turns);
            let outputs = turns.on(deadline, Input::Timeout);
            witness.see(&turns, deadline, &outputs)?;
        }
        prop_assert!(witness.over, "it never ends: {:?}", turns);
    }
}
