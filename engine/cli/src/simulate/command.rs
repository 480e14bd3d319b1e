//! What can be typed, and what it means.

use std::str::FromStr as _;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde_json::Value;

/// A line, understood.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    /// An empty line.
    Nothing,
    /// Speech on a call, else a text.
    Words(String),
    Digits(String),
    /// Time passes.
    Pass(SignedDuration),
    /// Time passes until then.
    Until(Timestamp),
    /// What time is it?
    Clock,
    HangUp,
    /// The deed that runs ends by this exit, with these values.
    Exit(String, Value),
    AiSays(String),
    AiTakes(String, Value),
    /// The variables whose names begin so.
    Vars(String),
    Step,
    Help,
    Quit,
}

/// Each with what follows it, and what it does.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("/digits", "12#", "press keys"),
    ("/silence", "30s", "say and press nothing for so long"),
    ("/time", "+24h", "let time pass, or until 2026-11-20T20:00:00Z; alone: what time it is"),
    ("/hangup", "", "hang up"),
    ("/exit", "busy", "end the deed that runs by this exit; {\"name\": value} is what was learned"),
    ("/ai", "TEXT", "say this as the agent"),
    ("/tool", "NAME {json}", "take this tool as the agent"),
    ("/vars", "[name]", "the variables, or those whose names begin so"),
    ("/step", "", "let each deed wait for /exit, or no more"),
    ("/help", "", "this"),
    ("/quit", "", "end the play"),
];

/// All commands, each with a space where something follows.
pub(super) fn names() -> Vec<String> {
    let with_space = |rest: &str| if rest.is_empty() { "" } else { " " };
    COMMANDS.iter().map(|(name, rest, _)| format!("{name}{}", with_space(rest))).collect()
}

/// A page for people.
pub(super) fn help() -> String {
    let mut out = "  what you type is said on a call, and texted else; and:\n".to_owned();
    for (name, rest, what) in COMMANDS {
        out += &format!("  {:<20} {what}\n", format!("{name} {rest}"));
    }
    out
}

/// Understands a line.
///
/// # Errors
/// A sentence that says what is wrong with it, and the way out.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Command::Nothing);
    }
    if !line.starts_with('/') {
        return Ok(Command::Words(line.into()));
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let alone = |command: Command| match rest {
        "" => Ok(command),
        _ => Err(format!("nothing follows {name}")),
    };
    let needed = || {
        let usage = COMMANDS.iter().find(|(known, ..)| *known == name).map_or("", |(_, it, _)| it);
        if rest.is_empty() { Err(format!("write {name} {usage}")) } else { Ok(rest.to_owned()) }
    };
    match name {
        "/digits" => Ok(Command::Digits(needed()?.replace(' ', "").to_uppercase())),
        "/silence" => Ok(Command::Pass(duration(&needed()?)?)),
        "/time" if rest.is_empty() => Ok(Command::Clock),
        "/time" => match rest.parse() {
            Ok(then) => Ok(Command::Until(then)),
            Err(_) => Ok(Command::Pass(duration(rest)?)),
        },
        "/hangup" => alone(Command::HangUp),
        "/exit" => {
            let (exit, values) = with_json(&needed()?)?;
            Ok(Command::Exit(exit, values))
        }
        "/ai" => Ok(Command::AiSays(needed()?)),
        "/tool" => {
            let (tool, args) = with_json(&needed()?)?;
            Ok(Command::AiTakes(tool, args))
        }
        "/vars" => Ok(Command::Vars(rest.into())),
        "/step" => alone(Command::Step),
        "/help" => alone(Command::Help),
        "/quit" => alone(Command::Quit),
        _ => {
            let known = COMMANDS.iter().map(|(name, ..)| *name);
            let help = match flow::nearest(name, known) {
                Some(near) => format!("did you mean {near}?"),
                None => "/help tells all".into(),
            };
            Err(format!("no command is called {name}; {help}"))
        }
    }
}

/// A name, and the JSON object behind it if there is one.
fn with_json(text: &str) -> Result<(String, Value), String> {
    let Some((name, json)) = text.split_once(char::is_whitespace) else {
        return Ok((text.into(), Value::Object(Default::default())));
    };
    match serde_json::from_str(json.trim()) {
        Ok(value @ Value::Object(_)) => Ok((name.into(), value)),
        Ok(_) => Err(format!("`{}` must be a JSON object such as {{\"a\": 1}}", json.trim())),
        Err(error) => Err(format!("`{}` is no JSON: {error}", json.trim())),
    }
}

/// `30s`, `+24h`, `1h30m`, `2d`; a bare number counts seconds.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("`{text}` is no length of time; write 30s, 5m, 24h or 2d");
    let bare = text.trim_start_matches('+').trim();
    let length = match bare.parse::<i64>() {
        Ok(seconds) => SignedDuration::from_secs(seconds),
        Err(_) => Span::from_str(bare)
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
            .map_err(|_| wrong())?,
    };
    if length < SignedDuration::ZERO { Err("time does not go back".into()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn time_is_written_as_people_do() {
        let seconds = |text: &str| match parse(text).unwrap() {
            Command::Pass(length) => length.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(seconds("/time +24h"), 86_400);
        assert_eq!(seconds("/time 2d"), 172_800);
        assert_eq!(seconds("/silence 1h30m"), 5400);
        assert_eq!(seconds("/silence 90"), 90);
        assert_eq!(parse("/time").unwrap(), Command::Clock);
        assert!(matches!(parse("/time 2026-11-20T20:00:00Z").unwrap(), Command::Until(_)));
    }

    #[test]
    fn what_is_wrong_is_named_with_the_way_out() {
        let wrong = |line: &str| parse(line).unwrap_err();
        assert_eq!(wrong("/digts 1"), "no command is called /digts; did you mean /digits?");
        assert_eq!(wrong("/frobnicate"), "no command is called /frobnicate; /help tells all");
        assert_eq!(wrong("/digits"), "write /digits 12#");
        assert_eq!(wrong("/hangup now"), "nothing follows /hangup");
        assert_eq!(wrong("/time soon"), "`soon` is no length of time; write 30s, 5m, 24h or 2d");
        assert_eq!(wrong("/time -1h"), "time does not go back");
        assert!(wrong("/tool send_message text").starts_with("`text` is no JSON: "));
        assert!(wrong("/exit done 7").contains("must be a JSON object"));
    }
}
