//! What nobody else may read is taken out of a recording: phone numbers, addresses, texts and
//! digits, and values that look secret. The same words become the same words everywhere, and what
//! the run needs to go the way that it went stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::{Event, Flow, Vars};
use serde_json::Value;

use super::Recording;
use super::replay::{Replay, replay};

/// Names of variables that hold what nobody may see.
const SECRET: &[&str] = &[
    "account",
    "auth",
    "birth",
    "card",
    "code",
    "credential",
    "cvc",
    "iban",
    "key",
    "passw",
    "pin",
    "secret",
    "signature",
    "ssn",
    "token",
];

/// Stands for what looked secret.
const REDACTED: &str = "redacted";

/// Leaves out the variables, and what deeds told, without which the run is the same.
pub(super) fn needed(
    flow: &Arc<Flow>,
    recording: Recording,
    played: Replay,
) -> (Recording, Replay) {
    let mut least = (recording, played);
    let names: Vec<String> = least.0.given.keys().cloned().collect();
    for name in names {
        let mut without = least.0.clone();
        if let Some(value) = without.given.remove(&name)
            && !least.0.staged(&name, &value)
        {
            least = unless_it_differs(flow, without, least);
        }
    }
    for n in 0..least.0.events.len() {
        let mut without = least.0.clone();
        if let Event::Done { values, .. } = &mut without.events[n].1
            && !std::mem::take(values).is_empty()
        {
            least = unless_it_differs(flow, without, least);
        }
    }
    least
}

fn unless_it_differs(
    flow: &Arc<Flow>,
    other: Recording,
    best: (Recording, Replay),
) -> (Recording, Replay) {
    match replay(flow, &other) {
        Ok(again) if again.is_like(&best.1) => (other, again),
        Ok(_) | Err(_) => best,
    }
}

/// The recording with other words for all that nobody may read.
pub(super) fn redacted(
    flow: &Arc<Flow>,
    recording: Recording,
    played: Replay,
) -> (Recording, Replay) {
    let mut words = Words::default();
    let mut best = (recording.clone(), played);
    for (old, new) in candidates(&recording) {
        words.0.insert(old.clone(), new);
        let other = words.recording(&recording);
        match replay(flow, &other) {
            Ok(again) if again.path == recording.path => best = (other, again),
            // The run needs it as it is.
            Ok(_) | Err(_) => drop(words.0.remove(&old)),
        }
    }
    best
}

/// New words by the old ones.
#[derive(Default)]
struct Words(BTreeMap<String, String>);

impl Words {
    fn recording(&self, recording: &Recording) -> Recording {
        let events = recording.events.iter().map(|(at, event)| (*at, self.event(event)));
        Recording {
            given: self.vars(&recording.given),
            events: events.collect(),
            ..recording.clone()
        }
    }

    fn event(&self, event: &Event) -> Event {
        let mut event = event.clone();
        match &mut event {
            Event::Done { values, then, why, .. } => {
                *values = self.vars(values);
                *then = then.as_ref().map(|then| self.value(then));
                *why = self.text(why);
            }
            Event::Message { text, values } => {
                *text = self.text(text);
                *values = self.vars(values);
            }
            Event::Signal { values, .. } => *values = self.vars(values),
            Event::Stopped { why } => *why = self.text(why),
            Event::Started
            | Event::TimedOut { .. }
            | Event::HungUp { .. }
            | Event::ServiceStopped => {}
        }
        event
    }

    fn vars(&self, vars: &Vars) -> Vars {
        vars.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(all) => all.iter().map(|one| self.value(one)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()
            }
            // A number is what its digits say.
            Value::Number(number) => match self.0.get(&number.to_string()) {
                Some(new) => serde_json::from_str(new).unwrap_or_else(|_| new.as_str().into()),
                None => value.clone(),
            },
            Value::Null | Value::Bool(_) => value.clone(),
        }
    }

    /// The whole text's new words, else those of the parts that have some.
    fn text(&self, text: &str) -> String {
        if let Some(new) = self.0.get(text) {
            return new.clone();
        }
        let mut text = text.to_owned();
        // The longest first, so that none is cut by a part of itself.
        let mut parts: Vec<_> = self.0.iter().filter(|(old, _)| is_part(old)).collect();
        parts.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        for (old, new) in parts {
            text = text.replace(old.as_str(), new);
        }
        text
    }
}

/// Whether words are taken out of the middle of a text, too.
fn is_part(old: &str) -> bool {
    is_phone(old) || is_address(old)
}

fn is_address(text: &str) -> bool {
    text.trim_matches('@').contains('@') && !text.contains(char::is_whitespace)
}

/// What shall be replaced, and by what: numbers and addresses first, wherever they stand, then
/// whole values.
fn candidates(recording: &Recording) -> Vec<(String, String)> {
    let mut found = Found::default();
    for (name, value) in &recording.given {
        let said = name.starts_with("message.") || name.contains("_message.");
        found.leaf(name, value, said && !name.ends_with(".id"));
    }
    for (_, event) in &recording.events {
        match event {
            Event::Message { text, values } => {
                found.text(text);
                values.iter().for_each(|(name, value)| found.leaf(name, value, name == "text"));
            }
            Event::Done { values, then, .. } => {
                values.iter().for_each(|(name, value)| found.leaf(name, value, true));
                then.iter().for_each(|then| found.leaf("then", &then["option"], true));
            }
            Event::Signal { values, .. } => {
                values.iter().for_each(|(name, value)| found.leaf(name, value, true));
            }
            Event::Stopped { why } => found.text(why),
            Event::Started
            | Event::TimedOut { .. }
            | Event::HungUp { .. }
            | Event::ServiceStopped => {}
        }
    }
    found.parts.into_iter().chain(found.whole).collect()
}

#[derive(Default)]
struct Found {
    parts: Vec<(String, String)>,
    whole: Vec<(String, String)>,
}

impl Found {
    /// A value under a name, and all below it; `text` when somebody said, wrote or typed it.
    fn leaf(&mut self, name: &str, value: &Value, text: bool) {
        match value {
            Value::Array(all) => all.iter().for_each(|one| self.leaf(name, one, text)),
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| self.leaf(name, value, text));
            }
            Value::String(words) if is_secret(name, words) => self.add_whole(words, REDACTED),
            Value::String(words) if text => self.text(words),
            Value::String(words) => self.parts(words),
            Value::Number(number) if is_secret(name, "") => {
                self.add_whole(&number.to_string(), "0");
            }
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn text(&mut self, words: &str) {
        self.parts(words);
        if words.is_empty() || is_part(words) {
            return;
        }
        if words.chars().all(|c| c.is_ascii_digit() || "*#".contains(c)) {
            return self.add_whole(words, &"0".repeat(words.len()));
        }
        let n = self.whole.iter().filter(|(_, new)| new.starts_with("text ")).count() + 1;
        self.add_whole(words, &format!("text {n}"));
    }

    /// The phone numbers and the addresses of people in a text.
    fn parts(&mut self, words: &str) {
        let ends = |c: char| !(c.is_alphanumeric() || "+@._-".contains(c));
        for part in words.split(ends).map(|part| part.trim_matches(['.', '-'])) {
            let n = self.parts.len() + 1;
            let new = match part {
                phone if is_phone(phone) => format!("+1555010{:04}", n % 10_000),
                address if is_address(address) => {
                    format!("someone{n}@example.com")
                }
                _ => continue,
            };
            if !self.parts.iter().any(|(old, _)| old == part) {
                self.parts.push((part.into(), new));
            }
        }
    }

    fn add_whole(&mut self, old: &str, new: &str) {
        if old != new && !old.is_empty() && !self.whole.iter().any(|(known, _)| known == old) {
            self.whole.push((old.into(), new.into()));
        }
    }
}

/// A phone number as machines write it: 7 digits at least, 15 at most.
fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (7..=15).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit())
}

/// Whether a name says so, or the value looks like a key: long, without a space, letters and
/// digits mixed.
fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_lowercase();
    if SECRET.iter().any(|word| name.contains(word)) {
        return true;
    }
    let has = |test: fn(&char) -> bool| value.chars().any(|c| test(&c));
    value.len() >= 20
        && !has(|c| c.is_whitespace() || *c == '/')
        && has(char::is_ascii_digit)
        && has(char::is_ascii_alphabetic)
        && !value.contains("://")
        // An id of ours is no secret.
        && value.chars().filter(|c| *c == '-').count() != 4
}
