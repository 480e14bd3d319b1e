//! The words in which a play is told.

use std::fmt::Write as _;

use flow::{Deed, Destination, FlowSource, Medium, Vars};
use jiff::Timestamp;
use serde_json::json;

use crate::play::stage::{News, Stage};

/// Before anything happens.
pub(super) fn opening(stage: &Stage) -> String {
    let what = match stage.run.medium {
        Medium::Call => "a call",
        Medium::Text => "texts; type the first",
        Medium::None => "about neither a call nor texts",
    };
    let name = if stage.flow.name.is_empty() { "the flow" } else { &stage.flow.name };
    format!("{name} at {}, {what}. /help tells what you can type\n", time(stage.now))
}

/// A time, to the second.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// What a deed looks like to whoever meets it.
pub(super) fn deed(deed: &Deed) -> String {
    match deed {
        Deed::Answer => "picks up".into(),
        Deed::Hangup { cause } => format!("hangs up ({})", cause.word()),
        Deed::Say { text, .. } => format!("says: {text}"),
        Deed::Play { sources } => format!("plays {}", sources.join(", ")),
        Deed::ReceiveDigits { max_digits, finish_on, timeout_ms, .. } => {
            let keys = match max_digits {
                0 => "keys".to_owned(),
                1 => "1 key".to_owned(),
                many => format!("{many} keys"),
            };
            let ended = match finish_on.as_str() {
                "" => String::new(),
                keys => format!(", ended by {keys}"),
            };
            format!("listens for {keys}{ended}; {} s for the first", *timeout_ms as f64 / 1000.0)
        }
        Deed::Talk { agent, duration_s, .. } => {
            let name = agent["name"].as_str().filter(|name| !name.is_empty()).unwrap_or("agent");
            format!("the agent {name} takes over, for {duration_s} s at most")
        }
        Deed::Connect { destinations, ring_s, .. } => {
            format!("dials {} for {ring_s} s", targets(destinations))
        }
        Deed::SendMessage { destinations, text, media, .. } => {
            let to = match destinations.as_slice() {
                [] => String::new(),
                all => format!(" to {}", targets(all)),
            };
            let media = match media.as_slice() {
                [] => String::new(),
                all => format!(" [{}]", all.join(", ")),
            };
            format!("texts{to}: {text}{media}")
        }
        Deed::StopService => "ends the conversation with the agent".into(),
        Deed::Request { method, url, body, .. } => match body {
            None => format!("asks {method} {url}"),
            Some(body) => format!("asks {method} {url} with {body}"),
        },
        Deed::LoadFlow { source: FlowSource::Known { flow } } => format!("loads the flow {flow}"),
        Deed::LoadFlow { source: FlowSource::Url { method, url } } => {
            format!("loads a flow by {method} {url}")
        }
        Deed::Service { name, option } => format!("asks the service {name} {option}"),
    }
}

fn targets(all: &[Destination]) -> String {
    let one = |to: &Destination| match &to.name {
        Some(name) => format!("{} ({name})", to.target),
        None => to.target.clone(),
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Something that happened.
pub(super) fn news(news: &News) -> String {
    match news {
        News::Begins => "begins\n".into(),
        News::Taken(taken, changed) => {
            let why = if taken.why.is_empty() { String::new() } else { format!(": {}", taken.why) };
            let mut out = format!("{} ({}) -> {}{why}\n", taken.action, taken.kind, taken.exit);
            for (name, value) in changed {
                let _ = writeln!(out, "    {name} = {value}");
            }
            out
        }
        News::Says(words) => format!("  agent: {words}\n"),
        News::Took { name, args, result } => match result {
            Ok(value) => format!("  agent takes {name} {args}: {value}\n"),
            Err(why) => format!("  agent cannot take {name}: {why}\n"),
        },
        News::Note(note) => format!("  {note}\n"),
        News::Ends(outcome, why) => {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            let outcome = json!(outcome);
            format!("ends: {}{why}\n", outcome.as_str().unwrap_or_default())
        }
    }
}

/// What the run waits for, and until when; nothing when it does not wait.
pub(super) fn standing(stage: &Stage) -> String {
    let Some(waiting) = stage.run.waiting() else { return String::new() };
    let action = stage.here().map_or("", |(action, _)| action);
    let mut out = format!("waits at {action} for {}", waiting.what);
    if let Some((at, then)) = stage.due() {
        let left = at.duration_since(stage.now);
        let _ = write!(out, " until {} ({left:#}), then {then}", time(at));
    }
    out.push('\n');
    out
}

/// The variables whose names begin so.
pub(super) fn vars(vars: &Vars, part: &str) -> String {
    let fitting = vars.iter().filter(|(name, _)| name.starts_with(part));
    let out: String = fitting.map(|(name, value)| format!("    {name} = {value}\n")).collect();
    if out.is_empty() { format!("    no variable begins with `{part}`\n") } else { out }
}
