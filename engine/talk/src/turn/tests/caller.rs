//! The caller's turn: when it begins, what belongs to it, when it is over.

use super::*;

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
        3800 < speak filler
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
fn speech_of_which_no_recognizer_says_anything_is_asked_about_before_the_silence_is_long() {
    check(
        "
            0 > start listen
         1000 > voice
         2000 > quiet
         4000 < speak idleprompt
         4200 > sounding
         5000 > played
         6000 > voice
         7000 > quiet
         9000 < speak idleprompt
         9200 > sounding
        10000 > played
        11000 > voice
        11300 > quiet
        11500 > voice
        12000 > quiet
        14000 < speak idleprompt
        14200 > sounding
        15000 > played
        16000 > voice
        17000 > quiet
        45000 < finish noinput
        ",
    );
}

#[test]
fn words_that_come_after_the_caller_was_asked_for_them_are_answered() {
    check(
        "
           0 > start listen
        1000 > voice
        2000 > quiet
        4000 < speak idleprompt
        4200 > sounding
        4300 > final opening hours
        4300 < barge-in after 0
        4300 < ask opening hours
        4800 > reply Nine to five.
        4800 < say Nine to five.
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
fn a_number_is_waited_for_until_it_has_its_digits() {
    check(
        "
           0 > start listen
           0 > awaits What is your four-digit code?
        1000 > voice
        1900 > final one two
        2000 > quiet
        2100 > end_of_turn
        3500 > voice
        3900 > final three four
        4000 > quiet
        4300 < ask one two three four
        ",
    );
}

#[test]
fn a_yes_is_taken_soon_and_a_name_is_waited_for() {
    check(
        "
           0 > start listen
           0 > awaits Shall I book it?
        1000 > voice
        1300 > final yes
        1400 > quiet
        1700 < ask yes
        ",
    );
    check(
        "
           0 > start listen
           0 > awaits What is your name?
        1000 > voice
        1300 > final Ada
        1400 > quiet
        2400 < ask Ada
        ",
    );
}

#[test]
fn a_sentence_in_the_middle_is_waited_for_whatever_the_recognizer_says() {
    let score = "
           0 > start listen
        1000 > voice
        1900 > final I would like to
        2000 > quiet
        2100 > end_of_turn
        ";
    check(&format!("{score} 3000 < ask I would like to"));
    let fixed = Manner { stop_at_most: Duration::ZERO, ..manner() };
    check_with(fixed, &format!("{score} 2100 < ask I would like to"));
}

#[test]
fn who_begins_to_speak_when_he_would_be_asked_is_heard_first() {
    check(
        "
            0 > start listen
        29700 > voice
        30500 > final hello
        30600 > quiet
        31100 < ask hello
        ",
    );
    // A voice that says nothing (a television) does not hold the prompt up for long.
    check(
        "
            0 > start listen
        29700 > voice
        32200 < speak idleprompt
        ",
    );
    // Too short for a voice.
    check(
        "
            0 > start listen
        29900 > voice
        30000 < speak idleprompt
        ",
    );
}

#[test]
fn nobody_is_listened_to_for_longer_than_a_minute() {
    let mut score = String::from("0 > start listen\n1000 > voice\n");
    for second in 2..61 {
        score.push_str(&format!("{}000 > partial so many words {second}\n", second));
    }
    score.push_str("62000 < ask so many words 60\n");
    check(&score);
}
