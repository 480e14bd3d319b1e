//! Scores: `>` goes in, `<` must come out, at that millisecond, and nothing else.

#![allow(clippy::unwrap_used)]

mod ahead;
mod caller;
mod endings;
mod overlap;
mod random;

use super::*;
use agent::Config;
use agent::config::Interruption;

fn manner() -> Manner {
    Manner::of(&Config::default(), Duration::from_secs(600))
}

fn check(score: &str) {
    check_with(manner(), score);
}

fn check_in(interruption: Interruption, score: &str) {
    check_with(Manner { interruption, thinking: interruption, ..manner() }, score);
}

/// Plays a score. Deadlines are kept as the session keeps them. What the recognizer is told is
/// compared only where a score speaks of it, and so is what is asked ahead. `awaits` is what the
/// agent has asked.
fn check_with(manner: Manner, score: &str) {
    let lines: Vec<(u64, bool, &str)> =
        score.lines().filter(|line| !line.trim().is_empty()).map(read).collect();
    let speaks_of = |words: [&str; 2]| {
        lines.iter().any(|(_, _, text)| words.iter().any(|word| text.starts_with(word)))
    };
    let tells = speaks_of(["tell", "tell"]);
    let supposes = speaks_of(["suppose", "forget"]);
    let mut turns = Turns::new(manner);
    let mut came = Vec::new();
    let mut note = |at: Moment, outputs: Vec<Output>| {
        for output in outputs {
            let text = show(at, &output);
            let told = text.starts_with("tell");
            let ahead = text.starts_with("suppose") || text.starts_with("forget");
            if (tells || !told) && (supposes || !ahead) {
                came.push(format!("{} < {text}", at.as_millis()));
            }
        }
    };
    for (at, inward, text) in &lines {
        let at = Duration::from_millis(*at);
        while let Some(deadline) = turns.deadline().filter(|deadline| *deadline < at) {
            note(deadline, turns.on(deadline, Input::Timeout));
        }
        if let Some(question) = text.strip_prefix("awaits ") {
            turns.awaits(crate::endpoint::awaited(question));
        } else if *inward {
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
        "likely_end" => Input::LikelyEnd,
        "goes_on" => Input::GoesOn,
        "unanswered" => Input::Unanswered,
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
        Output::Suppose(_, words) => format!("suppose {words}"),
        Output::Forget(_) => "forget".into(),
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
