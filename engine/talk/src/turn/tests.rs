//! Scores: `>` goes in, `<` must come out, at that millisecond, and nothing else.

#![allow(clippy::unwrap_used)]

use agent::Config;
use agent::config::Interruption;
use proptest::prelude::*;

use super::*;

fn manner() -> Manner {
    Manner::of(&Config::default(), Duration::from_secs(600))
}

fn check(score: &str) {
    check_with(manner(), score);
}

fn check_in(interruption: Interruption, score: &str) {
    check_with(Manner { interruption, ..manner() }, score);
}

/// Plays a score. Deadlines are kept as the session keeps them. What the recognizer is told is
/// compared only where a score speaks of it.
fn check_with(manner: Manner, score: &str) {
    let lines: Vec<(u64, bool, &str)> =
        score.lines().filter(|line| !line.trim().is_empty()).map(read).collect();
    let tells = lines.iter().any(|(_, _, text)| text.starts_with("tell"));
    let mut turns = Turns::new(manner);
    let mut came = Vec::new();
    let mut note = |at: Moment, outputs: Vec<Output>| {
        for output in outputs {
            let text = show(at, &output);
            if tells || !text.starts_with("tell") {
                came.push(format!("{} < {text}", at.as_millis()));
            }
        }
    };
    for (at, inward, text) in &lines {
        let at = Duration::from_millis(*at);
        while let Some(deadline) = turns.deadline().filter(|deadline| *deadline < at) {
            note(deadline, turns.on(deadline, Input::Timeout));
        }
        if *inward {
            note(at, turns.on(at, input(text, turns.turn())));
        } else {
            note(at, turns.on(at, Input::Timeout));
        }
    }
    let want: Vec<String> = lines
        .iter()
        .filter(|(_, inward, _)| !inward)
        .map(|(at, _, text)| format!("{at} < {text}"))
        .collect();
    assert_eq!(came.join("\n"), want.join("\n"));
}

fn read(line: &str) -> (u64, bool, &str) {
    let (at, rest) = line.trim().split_once(' ').unwrap();
    (at.parse().unwrap(), rest.starts_with('>'), rest[1..].trim())
}

fn input(text: &str, turn: TurnId) -> Input {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let old = TurnId(turn.0.saturating_sub(1));
    match word {
        "start" if rest == "greet" => Input::Start(Opening::Greet),
        "start" if rest == "ask" => Input::Start(Opening::Ask),
        "start" => Input::Start(Opening::Listen),
        "voice" => Input::Voice,
        "quiet" => Input::Quiet,
        "partial" => Input::Partial(rest.into()),
        "final" => Input::Final(rest.into()),
        "end_of_turn" => Input::EndOfTurn,
        "key" => Input::Digit(rest.chars().next().unwrap()),
        "reply" => Input::Reply(turn, rest.into()),
        "old_reply" => Input::Reply(old, rest.into()),
        "old_played" => Input::Played(old),
        "working" => Input::Working(turn),
        "done" => Input::ReplyDone(turn),
        "sounding" => Input::Sounding(turn),
        "dry" => Input::Dry(turn),
        "played" => Input::Played(turn),
        "ends" => Input::Ends,
        "failed" => Input::Failed,
        other => unreachable!("{other} is no input"),
    }
}

fn show(at: Moment, output: &Output) -> String {
    match output {
        Output::TellVoice => "tell voice".into(),
        Output::TellQuiet => "tell quiet".into(),
        Output::Ask(_, words) => format!("ask {words}").trim().replace('\n', " / "),
        Output::Amend(_, words) => format!("amend {words}"),
        Output::Say(_, words) => format!("say {words}"),
        Output::Done(_) => "done".into(),
        Output::Speak(_, line) => format!("speak {line:?}").to_lowercase(),
        Output::Pause(_) => "pause".into(),
        Output::Resume(_) => "resume".into(),
        Output::Cut { barge_in: Some(since), .. } => {
            format!("barge-in after {}", (at - *since).as_millis())
        }
        Output::Cut { barge_in: None, .. } => "cut".into(),
        Output::Finish(why) => format!("finish {why:?}").to_lowercase(),
    }
}

#[test]
fn a_question_is_answered() {
    check(
        "
           0 > start listen
        1000 > voice
        1600 > partial what are your
        2000 > partial what are your hours
        2100 > quiet
        2300 > final What are your hours?
        2600 < ask What are your hours?
        3000 > reply We open at nine.
        3000 < say We open at nine.
        3100 > done
        3100 < done
        3200 > sounding
        4500 > played
        5000 > quiet
        ",
    );
}

#[test]
fn the_greeting_comes_first() {
    check(
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        2000 > played
        3000 > voice
        3500 > final hello
        3600 > quiet
        4100 < ask hello
        ",
    );
}

#[test]
fn the_model_speaks_unasked() {
    check(
        "
           0 > start ask
           0 < ask
         900 > reply Hello!
         900 < say Hello!
         900 > done
         900 < done
        ",
    );
}

#[test]
fn a_breath_does_not_end_the_turn() {
    check(
        "
           0 > start listen
        1000 > voice
        1900 > final I would like
        2000 > quiet
        2400 > voice
        3000 > final a table for two
        3100 > quiet
        3600 < ask I would like a table for two
        ",
    );
}

#[test]
fn the_recognizer_is_told_before_the_turn_can_end() {
    check(
        "
           0 > start listen
        1000 > voice
        1000 < tell voice
        1500 > quiet
        1600 > voice
        2000 > quiet
        2350 < tell quiet
        2450 > final opening hours
        2500 < ask opening hours
        ",
    );
}

#[test]
fn a_vendors_end_of_turn_saves_the_wait() {
    check(
        "
           0 > start listen
        1000 > voice
        1800 > final opening hours
        1800 > end_of_turn
        1800 < ask opening hours
        1900 > quiet
        4800 < speak filler
        ",
    );
}

#[test]
fn an_end_of_turn_that_is_out_of_date_is_not_believed() {
    check(
        "
           0 > start listen
        1000 > voice
        2000 > quiet
        2400 > voice
        2450 > final I would like
        2450 > end_of_turn
        3000 > quiet
        3400 > final a table
        3400 > end_of_turn
        3400 < ask I would like a table
        ",
    );
}

#[test]
fn a_guess_is_waited_for_and_then_taken() {
    check(
        "
           0 > start listen
        1000 > voice
        1800 > partial opening hours
        2000 > quiet
        3200 < ask opening hours
        ",
    );
}

#[test]
fn words_that_come_late_join_the_question() {
    check(
        "
           0 > start listen
        1000 > voice
        1800 > partial opening ours
        2000 > quiet
        3200 < ask opening ours
        3300 > final Opening hours.
        3300 < cut
        3300 < ask Opening hours.
        3400 > final Please.
        3400 < cut
        3400 < ask Opening hours. Please.
        3500 > reply Nine to five.
        3500 < say Nine to five.
        3600 > sounding
        3700 > final Thanks.
        3700 < amend Opening hours. Please. Thanks.
        ",
    );
}

#[test]
fn a_late_final_that_says_the_same_changes_nothing() {
    check(
        "
           0 > start listen
        1000 > voice
        1800 > partial opening hours
        2000 > quiet
        3200 < ask opening hours
        3300 > final Opening hours?
        3400 > reply Nine to five.
        3400 < say Nine to five.
        ",
    );
}

#[test]
fn a_noise_is_no_turn() {
    check(
        "
            0 > start listen
         1000 > voice
         1300 > quiet
         3800 > quiet
        30000 < speak idleprompt
        ",
    );
}

#[test]
fn speech_that_nobody_understood_is_asked_about_soon() {
    check(
        "
           0 > start listen
        1000 > voice
        2500 > quiet
        3000 > final
        7000 < speak idleprompt
        ",
    );
}

#[test]
fn words_without_a_voice_are_a_turn_too() {
    check(
        "
           0 > start listen
        1000 > final opening hours
        1400 > final please
        1900 < ask opening hours please
        ",
    );
}

#[test]
fn a_short_yes_is_a_turn() {
    check(
        "
           0 > start listen
        1000 > voice
        1140 > quiet
        1600 > final yes
        1640 < ask yes
        ",
    );
}

#[test]
fn a_voice_that_never_ends_does_not_hold_the_turn_up() {
    check(
        "
            0 > start listen
         1000 > voice
         2000 > final opening hours
         8000 < ask opening hours
         8400 > reply Nine to five.
         8400 < say Nine to five.
         8500 > sounding
        ",
    );
}

#[test]
fn a_barge_in_cuts_the_reply_and_keeps_the_words() {
    check(
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        1000 > voice
        1060 < pause
        1200 < barge-in after 200
        1300 > old_reply Nobody hears this.
        1400 > old_played
        1500 > partial no sorry
        1900 > final no sorry
        2000 > quiet
        2500 < ask no sorry
        ",
    );
}

#[test]
fn a_short_noise_pauses_the_reply_and_it_goes_on() {
    check(
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        1000 > voice
        1060 < pause
        1100 > quiet
        1220 < resume
        2000 > played
        ",
    );
}

#[test]
fn a_click_does_not_even_pause_it() {
    check(
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        1000 > voice
        1040 > quiet
        2000 > played
        ",
    );
}

#[test]
fn words_cut_before_the_voice_is_long_enough() {
    check(
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        1000 > voice
        1060 < pause
        1100 > partial stop
        1100 < barge-in after 100
        ",
    );
}

#[test]
fn in_words_mode_only_talk_interrupts() {
    check_in(
        Interruption::Words,
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        1000 > voice
        1500 > partial mm-hm
        1600 > final Mm-hm.
        1700 > quiet
        2500 > voice
        2900 > partial wait a moment
        2900 < barge-in after 400
        ",
    );
}

#[test]
fn in_digits_mode_only_keys_interrupt() {
    check_in(
        Interruption::Digits,
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        1000 > voice
        1500 > final hello hello
        1700 > quiet
        3000 > key 1
        3000 < cut
        5000 < ask hello hello / DTMF: 1
        ",
    );
}

#[test]
fn in_none_mode_nothing_interrupts_and_nothing_is_lost_at_the_end() {
    check_in(
        Interruption::None,
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        1000 > voice
        1500 > final hello
        1700 > quiet
        1800 > key 4
        2000 > played
        4000 < ask hello / DTMF: 4
        ",
    );
}

#[test]
fn an_answer_just_before_the_reply_ends_is_taken() {
    check_in(
        Interruption::None,
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        3000 > voice
        3300 > final yes please
        3400 > quiet
        3600 > played
        3900 < ask yes please
        ",
    );
}

#[test]
fn speech_while_we_think_is_part_of_the_question() {
    check(
        "
           0 > start listen
        1000 > voice
        1900 > final I want a table
        2000 > quiet
        2500 < ask I want a table
        2700 > voice
        2900 < cut
        3000 > old_reply Nobody hears this.
        3500 > final for two
        3600 > quiet
        4100 < ask I want a table for two
        ",
    );
}

#[test]
fn a_noise_while_we_think_asks_the_same_again() {
    check(
        "
           0 > start listen
        1000 > voice
        1900 > final I want a table
        2000 > quiet
        2500 < ask I want a table
        2700 > voice
        2900 < cut
        3000 > quiet
        3500 < ask I want a table
        ",
    );
}

#[test]
fn keys_are_gathered() {
    check(
        "
           0 > start listen
        1000 > key 1
        1500 > key 2
        2000 > key 3
        4000 < ask DTMF: 123
        ",
    );
    check(
        "
           0 > start listen
        1000 > key 7
        1500 > key #
        1500 < ask DTMF: 7
        ",
    );
}

#[test]
fn keys_cut_a_reply() {
    check(
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        1000 > key 5
        1000 < cut
        3000 < ask DTMF: 5
        ",
    );
}

#[test]
fn silence_is_asked_about_once_and_then_ends_it() {
    check(
        "
            0 > start greet
            0 < speak greeting
          300 > sounding
         2000 > played
        32000 < speak idleprompt
        32300 > sounding
        34000 > played
        64000 < finish noinput
        70000 > voice
        ",
    );
}

#[test]
fn an_answer_to_the_prompt_starts_anew() {
    check(
        "
            0 > start listen
        30000 < speak idleprompt
        30300 > sounding
        31000 > played
        32000 > final yes
        32500 < ask yes
        32600 > reply Good.
        32600 < say Good.
        32600 > done
        32600 < done
        32700 > sounding
        33000 > played
        63000 < speak idleprompt
        ",
    );
}

#[test]
fn the_longest_time_ends_with_a_goodbye() {
    check_with(
        Manner { longest: Duration::from_secs(10), ..manner() },
        "
            0 > start listen
         8000 > final hello
         8500 < ask hello
         9000 > reply Hello. How are you?
         9000 < say Hello. How are you?
         9100 > sounding
        10000 < cut
        10000 < speak goodbye
        10100 > sounding
        10500 > voice
        11500 > played
        11500 < finish timeout
        ",
    );
}

#[test]
fn a_goodbye_whose_mark_is_lost_ends_nevertheless() {
    check_with(
        Manner { longest: Duration::from_secs(10), ..manner() },
        "
            0 > start listen
        10000 < speak goodbye
        11000 > sounding
        16000 < finish timeout
        ",
    );
}

#[test]
fn a_tool_that_ends_lets_the_goodbye_be_heard() {
    check(
        "
           0 > start listen
        1000 > final connect me
        1500 < ask connect me
        2000 > reply One moment.
        2000 < say One moment.
        2000 > done
        2000 < done
        2000 > ends
        2300 > sounding
        2500 > voice
        2600 > final wait
        3500 > played
        3500 < finish ended
        ",
    );
}

#[test]
fn a_tool_that_ends_without_words_ends_at_once() {
    check(
        "
           0 > start listen
        1000 > final bye
        1500 < ask bye
        2000 > ends
        2000 < finish ended
        ",
    );
}

#[test]
fn a_barge_in_does_not_undo_a_tool_that_ends() {
    check(
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        1000 > voice
        1060 < pause
        1200 < barge-in after 200
        1300 > ends
        1300 < finish ended
        ",
    );
}

#[test]
fn a_long_silence_of_ours_is_filled() {
    check(
        "
            0 > start listen
         1000 > final look it up
         1500 < ask look it up
         4500 < speak filler
         4700 > sounding
         5500 > dry
         8500 < speak filler
         8700 > sounding
         9500 > dry
        10000 > reply Found it.
        10000 < say Found it.
        10000 > done
        10000 < done
        10200 > sounding
        11000 > played
        ",
    );
}

#[test]
fn without_vendors_an_apology_is_the_end() {
    check(
        "
           0 > start listen
        1000 > final hello
        1500 < ask hello
        2000 > failed
        2000 < cut
        2000 < speak apology
        2300 > sounding
        4000 > played
        4000 < finish failed
        ",
    );
    check(
        "
           0 > start listen
        1000 > failed
        1000 < speak apology
        1500 > failed
        1500 < finish failed
        ",
    );
}

#[test]
fn a_reply_without_words_gives_the_turn_back() {
    check(
        "
            0 > start listen
         1000 > final thanks
         1500 < ask thanks
         2000 > done
         2000 < done
        32000 < speak idleprompt
        ",
    );
}

#[test]
fn a_reply_that_nobody_makes_is_given_up() {
    check(
        "
            0 > start listen
         1000 > final hello
         1500 < ask hello
         4500 < speak filler
        12500 < speak filler
        20500 < speak filler
        28500 < speak filler
        31500 < cut
        31500 < speak apology
        36500 < finish failed
        ",
    );
}

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
    ) {
        let mut turns = Turns::new(Manner { interruption, ..manner() });
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
