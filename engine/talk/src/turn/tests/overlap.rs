//! The caller speaks while we think or speak.

use super::*;

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
fn sound_that_runs_out_while_it_is_paused_is_waited_for_and_filled() {
    check(
        "
           0 > start listen
         100 > final hello
         600 < ask hello
        1000 > reply One moment,
        1000 < say One moment,
        1200 > sounding
        2000 > voice
        2060 < pause
        2100 > dry
        2100 < resume
        2120 > quiet
        4100 < speak filler
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
fn thinking_and_speaking_are_interrupted_each_in_its_own_way() {
    check_with(
        Manner { thinking: Interruption::None, ..manner() },
        "
           0 > start listen
        1000 > final I want a table
        1500 < ask I want a table
        1700 > voice
        2300 > partial for two
        2500 > quiet
        2600 > reply With pleasure.
        2600 < say With pleasure.
        2700 > sounding
        4000 > voice
        4060 < pause
        4200 < barge-in after 200
        4300 > quiet
        ",
    );
    check_with(
        Manner { interruption: Interruption::None, ..manner() },
        "
           0 > start listen
        1000 > final I want a table
        1500 < ask I want a table
        1700 > voice
        1900 < cut
        2400 > final for two
        2500 > quiet
        3000 < ask I want a table for two
        3100 > reply With pleasure.
        3100 < say With pleasure.
        3200 > sounding
        4000 > voice
        4900 > quiet
        ",
    );
}

#[test]
fn a_noise_while_we_speak_is_waited_out_as_often_as_it_comes() {
    check(
        "
           0 > start greet
           0 < speak greeting
         300 > sounding
        1000 > voice
        1060 < pause
        1150 > quiet
        1270 < resume
        2000 > voice
        2060 < pause
        2150 > quiet
        2270 < resume
        3000 > played
        ",
    );
}
