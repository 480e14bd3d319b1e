//! A run by chance, and what must hold of it: it ends or waits with a deadline, the same events do
//! the same again from the stored state, no deed has the key of another, and it stays small.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flow::{
    Activeflow, Event, Flow, Flows, HangupCause, Key, Linking, Medium, Needs, Outcome, Vars,
    limits, link,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Chance;
use super::document::{CALLED, document};

/// How far a run may be from its variables' limit: names of places and keys, not values.
const BESIDE: usize = 256 * 1024;

/// What came of some bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Played {
    /// Whether the document linked.
    pub linked: bool,
    /// Actions that were entered.
    pub entered: u64,
    /// The most waits at one time.
    pub waits: usize,
    /// Flows that were entered.
    pub called: usize,
}

/// Links and plays what the bytes say.
///
/// # Panics
/// When something does not hold that must.
pub fn play(bytes: &[u8]) -> Played {
    let mut chance = Chance::new(bytes);
    if chance.once_in(8) {
        broken(&mut chance, bytes);
        return Played::default();
    }
    let medium = chance.of(&[Medium::Call, Medium::Text, Medium::None]);
    let Some(own) = linked(&document(&mut chance, medium)) else { return Played::default() };
    let versions: BTreeMap<String, Arc<Flow>> = CALLED
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), linked(&document(&mut chance, medium))?)))
        .collect();
    let run = Activeflow::new("r", &own, medium, Vars::new());
    let mut player = Player {
        own,
        versions,
        medium,
        run,
        keys: Vec::new(),
        asked: BTreeSet::new(),
        now: Timestamp::from_second(1_767_268_800).unwrap(),
        played: Played { linked: true, ..Played::default() },
    };
    player.take(Event::Started);
    for _ in 0..40 {
        if chance.is_over() {
            break;
        }
        let event = player.event(&mut chance);
        player.take(event);
    }
    player.played
}

/// Text that is hardly a flow: linking ends in words, each at a place of the text.
fn broken(chance: &mut Chance<'_>, bytes: &[u8]) {
    let mut chars: Vec<char> = match chance.once_in(2) {
        true => String::from_utf8_lossy(bytes).chars().collect(),
        false => document(chance, Medium::Call).chars().collect(),
    };
    for _ in 0..1 + chance.below(3) {
        let at = chance.below(chars.len());
        if chance.once_in(2) && at < chars.len() {
            chars.remove(at);
        } else {
            let odd = ['{', '}', '"', '\\', '$', ',', '0', '\u{1F600}', '\n', '\u{0}', '[', 'é'];
            chars.insert(at.min(chars.len()), chance.of(&odd));
        }
    }
    let text: String = chars.into_iter().collect();
    let linking = Linking { catalog: actions::ALL, medium: Needs::Call };
    let (found, linked) = match link(&text, linking) {
        Ok((_, found)) => (found, true),
        Err(found) => (found, false),
    };
    assert!(linked || !found.is_empty(), "{text}");
    for one in found {
        assert!(one.span.start <= one.span.end && one.span.end <= text.len(), "{one:?} in {text}");
        assert!(text.is_char_boundary(one.span.start), "{one:?} in {text}");
        assert!(one.line >= 1 && one.column >= 1 && !one.message.is_empty(), "{one:?}");
    }
}

fn linked(text: &str) -> Option<Arc<Flow>> {
    let linking = Linking { catalog: actions::ALL, medium: Needs::Nothing };
    link(text, linking).ok().map(|(flow, _)| flow)
}

struct Player {
    own: Arc<Flow>,
    versions: BTreeMap<String, Arc<Flow>>,
    medium: Medium,
    run: Activeflow,
    /// Keys of the waits so far.
    keys: Vec<Key>,
    /// Keys of the deeds so far.
    asked: BTreeSet<Key>,
    now: Timestamp,
    played: Played,
}

impl Player {
    fn event(&mut self, chance: &mut Chance<'_>) -> Event {
        let waits: Vec<&flow::run::Waiting> = self.run.waits().collect();
        let key = match chance.below(8) {
            0 => self.keys.get(chance.below(self.keys.len())).cloned(),
            _ if waits.is_empty() => None,
            _ => Some(waits[chance.below(waits.len())].key.clone()),
        };
        let key = key.unwrap_or_else(|| Key("r/none/0/0".into()));
        let loads = waits.iter().any(|wait| wait.key == key && wait.what == flow::step::LOAD);
        match chance.below(20) {
            0..=8 => {
                let exits = [
                    "done",
                    "done",
                    "done",
                    "done",
                    "failed",
                    "busy",
                    "no_input",
                    "timeout",
                    "opted_out",
                    "odd",
                ];
                let mut values = Vars::new();
                if loads || chance.once_in(3) {
                    values.insert("version".into(), chance.of(&["s0", "s1", "missing"]).into());
                }
                values.insert("digits".into(), "1".into());
                values.insert("status".into(), chance.of(&[200, 404]).into());
                values.insert("body".into(), json!({ "a": [1], "b": "${x}" }));
                let exit = chance.of(&exits).into();
                Event::Done { key, exit, values, why: "so".into(), then: then(chance) }
            }
            9..=12 => Event::TimedOut { key },
            13..=14 => {
                let text: &str = chance.of(&["a", "1", "${x}", "", "\u{1F600}"]);
                Event::Message { text: text.into(), values: Vars::new() }
            }
            15..=17 => {
                let name: &str = chance.of(&["a", "1", "x", "b"]);
                let values = Vars::from([("n".into(), json!(chance.below(9)))]);
                Event::Signal { name: name.into(), values }
            }
            18 => Event::ServiceStopped,
            _ => match chance.below(6) {
                0 => Event::HungUp { cause: HangupCause::Normal },
                1 => Event::Stopped { why: "enough".into() },
                2 => Event::Started,
                _ => Event::Message { text: "x".repeat(9_000), values: Vars::new() },
            },
        }
    }

    fn take(&mut self, event: Event) {
        self.now += SignedDuration::from_secs(1);
        let ended = self.run.outcome;
        let stored = serde_json::to_vec(&self.run).unwrap();
        let mut again: Activeflow = serde_json::from_slice(&stored).unwrap();
        assert_eq!(again, self.run, "the state is stored whole");
        let needed = self.run.flows(&event).into_iter();
        let called: BTreeMap<_, _> = needed
            .filter_map(|name| self.versions.get_key_value(name))
            .map(|(name, flow)| (name.clone(), Arc::clone(flow)))
            .collect();
        let flows = Flows::new(&self.own, &called);
        let first = self.run.advance(flows, self.now, event.clone());
        let second = again.advance(flows, self.now, event.clone());
        assert_eq!(first, second, "the same events have the same effects");
        let state = serde_json::to_vec(&self.run).unwrap();
        assert_eq!(state, serde_json::to_vec(&again).unwrap(), "to the byte");
        assert!(state.len() < limits::ALL_VARIABLES + BESIDE, "{} bytes", state.len());
        for command in &first.commands {
            assert!(self.asked.insert(command.key.clone()), "{:?} was used twice", command.key);
        }
        let mut keys = BTreeSet::new();
        for waiting in self.run.waits() {
            assert!(keys.insert(&waiting.key), "two waits have the key {:?}", waiting.key);
            let lives = self.medium == Medium::Call;
            assert!(waiting.until.is_some() || lives, "{waiting:?} has no deadline");
            if !self.keys.contains(&waiting.key) {
                self.keys.push(waiting.key.clone());
            }
        }
        match self.run.outcome {
            Some(outcome) => {
                assert!(keys.is_empty(), "it has ended and waits");
                assert!(outcome != Outcome::Limit || self.run.entered() > 900, "{}", self.run.why);
            }
            None => assert!(!keys.is_empty(), "it neither waits nor has ended"),
        }
        if ended.is_some() {
            assert_eq!(self.run.outcome, ended);
            assert!(first.dropped && first.commands.is_empty() && first.taken.is_empty());
        }
        let inside = first.taken.iter().filter(|taken| !taken.flow.is_empty()).count();
        self.played.called += inside;
        self.played.waits = self.played.waits.max(keys.len());
        self.played.entered = self.run.entered();
    }
}

/// What a model may have chosen.
fn then(chance: &mut Chance<'_>) -> Option<Value> {
    chance.once_in(6).then(|| match chance.below(5) {
        0 => {
            json!({ "type": "connect_call", "option": { "destinations": [{ "target": "${x}" }] } })
        }
        1 => json!({ "type": "stop" }),
        2 => json!({ "type": "stop_service" }),
        3 => json!({ "type": "talk" }),
        _ => json!([1]),
    })
}
