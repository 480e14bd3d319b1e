//! Asking ahead: what is supposed while the caller may go on.

use super::*;

#[test]
fn a_likely_end_is_asked_ahead_and_then_asked() {
    check(
        "
           0 > start listen
        1000 > voice
        2000 > partial what are your hours
        2100 > quiet
        2100 < suppose what are your hours
        2500 > final What are your hours?
        2600 < ask What are your hours?
        2600 > reply We open at nine.
        2600 < say We open at nine.
        ",
    );
}

#[test]
fn other_words_throw_it_away_and_are_asked_ahead_later() {
    check(
        "
           0 > start listen
        1000 > voice
        1900 > final I would like
        2000 > quiet
        2000 < suppose I would like
        2200 > voice
        2600 > partial a table
        2600 < forget
        2800 > quiet
        2880 < suppose I would like a table
        3000 > final a table.
        3300 < ask I would like a table.
        ",
    );
}

#[test]
fn a_guess_that_was_wrong_does_not_hold_back_what_is_sure() {
    check(
        "
           0 > start listen
        1000 > voice
        2000 > partial this is my question
        2100 > quiet
        2100 < suppose this is my question
        2120 > final This is my question to you.
        2120 < forget
        2120 < suppose This is my question to you.
        2600 < ask This is my question to you.
        ",
    );
}

#[test]
fn a_breath_changes_nothing() {
    check(
        "
           0 > start listen
        1000 > voice
        1900 > final a table please
        2000 > quiet
        2000 < suppose a table please
        2200 > voice
        2300 > quiet
        2800 < ask a table please
        ",
    );
}

#[test]
fn a_guess_that_still_changes_is_waited_for() {
    check(
        "
           0 > start listen
        1000 > voice
        2000 > quiet
        2070 > partial opening
        2100 > partial opening hours
        2140 < suppose opening hours
        2300 > final opening hours
        2500 < ask opening hours
        ",
    );
}

#[test]
fn a_guess_of_the_beginning_says_nothing_of_the_end() {
    check(
        "
           0 > start listen
        1000 > voice
        1400 > partial what do
        2000 > quiet
        2300 > final what do you sell
        2300 < suppose what do you sell
        2500 < ask what do you sell
        ",
    );
}

#[test]
fn a_sentence_in_the_middle_is_not_asked_ahead() {
    check(
        "
           0 > start listen
        1000 > voice
        1900 > final I would like a table and
        2000 > quiet
        3000 < ask I would like a table and
        3500 > reply Yes?
        3500 < say Yes?
        ",
    );
}

#[test]
fn a_recognizer_that_hears_the_end_coming_is_believed_at_once() {
    check(
        "
           0 > start listen
        1000 > voice
        1800 > partial opening
        1850 > likely_end
        1850 < suppose opening
        1900 > goes_on
        1900 < forget
        2000 > partial opening hours
        2050 > likely_end
        2050 < suppose opening hours
        2200 > final Opening hours?
        2200 > end_of_turn
        2200 < ask Opening hours?
        ",
    );
}

#[test]
fn keys_failures_and_silence_throw_it_away() {
    check(
        "
           0 > start listen
        1000 > final opening hours
        1000 < suppose opening hours
        1200 > key 1
        1200 < forget
        3200 < ask opening hours / DTMF: 1
        ",
    );
    check(
        "
           0 > start listen
        1000 > final opening hours
        1000 < suppose opening hours
        1200 > failed
        1200 < forget
        1200 < speak apology
        ",
    );
    check(
        "
           0 > start listen
        1000 > partial open sesame
        1040 < suppose open sesame
        1300 > final
        1300 < forget
        ",
    );
}

#[test]
fn what_nobody_could_answer_is_left_until_it_is_asked() {
    check(
        "
           0 > start listen
        1000 > final opening hours
        1000 < suppose opening hours
        1050 > unanswered
        1050 < forget
        1500 < ask opening hours
        ",
    );
    check(
        "
           0 > start listen
        1000 > final opening hours
        1000 < suppose opening hours
        1050 > goes_on
        1050 < forget
        1080 < suppose opening hours
        1500 < ask opening hours
        ",
    );
}

#[test]
fn nothing_is_asked_ahead_where_that_is_not_wanted() {
    for manner in [Manner { ahead: false, ..manner() }, Manner { wordless: true, ..manner() }] {
        let mut turns = Turns::new(manner);
        let mut came = turns.on(Moment::ZERO, Input::Start(Opening::Listen));
        let inputs = [Input::Voice, Input::Final("opening hours".into()), Input::LikelyEnd];
        for (at, input) in (1..).zip(inputs.into_iter().chain([Input::Quiet, Input::Timeout])) {
            came.extend(turns.on(Duration::from_secs(at), input));
        }
        assert!(came.iter().any(|output| matches!(output, Output::Ask(..))), "{came:?}");
        assert!(!came.iter().any(|output| matches!(output, Output::Suppose(..))), "{came:?}");
    }
}

/// Silence of 200 ms ends the turn; the recognizer is sure 100 ms after it, the model's first
/// sentence takes 290 ms, and its first sound 100 ms. One after the other that is 690 ms.
#[test]
fn an_answer_comes_sooner_than_one_step_after_the_other() {
    let manner = Manner { stop: Duration::from_millis(200), ..manner() };
    let asked = |ahead: bool, likely: &str| {
        let mut answered = Vec::new();
        for spoke in [700_u64, 1_300, 2_900, 4_100] {
            let mut turns = Turns::new(Manner { ahead, ..manner });
            turns.on(Moment::ZERO, Input::Start(Opening::Listen));
            let at = |late: u64| Duration::from_millis(1_000 + spoke + late);
            turns.on(at(0) - Duration::from_millis(spoke), Input::Voice);
            turns.on(at(0) - Duration::from_millis(60), Input::Partial(likely.into()));
            let (mut thought, mut committed, mut now) = (None, None, 0);
            while committed.is_none() {
                let input = match now {
                    0 => Input::Quiet,
                    300 => Input::Final("Opening hours?".into()),
                    _ => Input::Timeout,
                };
                for output in turns.on(at(now), input) {
                    match output {
                        Output::Suppose(turn, _) => thought = Some((turn, now)),
                        Output::Forget(_) => thought = None,
                        Output::Ask(turn, _) => committed = Some((turn, now)),
                        _ => {}
                    }
                }
                now += 1;
            }
            let (turn, committed) = committed.unwrap();
            let begun =
                thought.filter(|(supposed, _)| *supposed == turn).map_or(committed, |t| t.1);
            answered.push((begun + 290 + 100).max(committed));
        }
        answered.sort_unstable();
        answered[answered.len() / 2]
    };
    assert_eq!(asked(false, "opening hours"), 690);
    assert!(asked(true, "opening hours") <= 520, "{}", asked(true, "opening hours"));
    // A guess that was wrong costs nothing.
    assert_eq!(asked(true, "opening ours"), 690);
}
