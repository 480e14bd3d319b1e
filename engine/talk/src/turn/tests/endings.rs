//! Silence, goodbyes, tools that end it, vendors that fail.

use super::*;

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
         3500 < speak filler
         3700 > sounding
         4500 > dry
         6500 < speak filler
         6700 > sounding
         8500 > dry
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
fn the_callers_own_silence_counts() {
    check(
        "
            0 > start listen
         1000 > voice
         1800 > partial opening hours
         2000 > quiet
         3200 < ask opening hours
         4000 < speak filler
        ",
    );
    // He was waited for; it would be answered by now.
    check(
        "
           0 > start listen
           0 > awaits What is your four-digit code?
        1000 > voice
        1900 > final one two
        2000 > quiet
        4000 < ask one two
        4600 < speak filler
        ",
    );
    check(
        "
           0 > start listen
        1000 > key 7
        3000 < ask DTMF: 7
        3600 < speak filler
        ",
    );
}

#[test]
fn a_reply_that_is_about_to_sound_needs_no_filler() {
    check(
        "
            0 > start listen
         1000 > final look it up
         1500 < ask look it up
         3400 > reply Found it.
         3400 < say Found it.
         3400 > done
         3400 < done
         3800 > sounding
         6000 > played
        ",
    );
}

#[test]
fn a_failure_before_the_beginning_is_apologized_for_too() {
    check(
        "
           0 > failed
           0 < speak apology
        5000 < finish failed
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
         3500 < speak filler
        11500 < speak filler
        19500 < speak filler
        27500 < speak filler
        31500 < cut
        31500 < speak apology
        36500 < finish failed
        ",
    );
}
