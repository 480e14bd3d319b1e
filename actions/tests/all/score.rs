//! A run as a score: what goes in stands behind `>`, what must come of it below.
//!
//! ```text
//! > started
//! < say Hello.            a command
//! ~ talk 1800s            the run waits, at most so long
//! > done
//! - hi done               the action `hi` was left by `done`
//! = finished              the run ended
//! ```
//!
//! In goes `started`, `done [EXIT] [name=value ...] [then={...}]`, `message TEXT`, `timeout`,
//! `signal NAME [name=value ...]`, `hung_up`, `service_stopped`, `stopped WHY`, `late` (an answer
//! to the wait before this one). A value is JSON or a word. Where there are several waits the one
//! with the nearest deadline is answered, or that of the action `id` by `done@id` and
//! `timeout@id`; they are told as `~ what at id 5s`.
//! Every step is also played twice, and from the state as a store keeps it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::run::Waiting;
use flow::{
    Activeflow, Advance, Deed, Event, Flow, FlowSource, Flows, HangupCause, Key, Linking, Medium,
    Needs, Severity, Vars, link,
};
use jiff::{SignedDuration, Timestamp};

/// Links a flow that must have no error; warnings are allowed.
#[track_caller]
pub(crate) fn linked(text: &str) -> Arc<Flow> {
    match link(text, Linking { catalog: actions::ALL, medium: Needs::Nothing }) {
        Ok((flow, _)) => flow,
        Err(all) => {
            let all: Vec<String> = all
                .iter()
                .filter(|one| one.severity == Severity::Error)
                .map(ToString::to_string)
                .collect();
            panic!("{}", all.join("\n"))
        }
    }
}

/// Plays a score about a call.
#[track_caller]
pub(crate) fn call(flow: &str, score: &str) -> Activeflow {
    check(flow, Medium::Call, &[], score)
}

/// Plays a score about a thread of texts.
#[track_caller]
pub(crate) fn text(flow: &str, score: &str) -> Activeflow {
    check(flow, Medium::Text, &[], score)
}

/// Plays a score with variables given to the run.
#[track_caller]
pub(crate) fn check(
    flow: &str,
    medium: Medium,
    vars: &[(&str, serde_json::Value)],
    score: &str,
) -> Activeflow {
    calls(flow, &[], medium, vars, score)
}

/// Plays a score in which flows are called: each by the version that the score loads it as.
#[track_caller]
pub(crate) fn calls(
    flow: &str,
    called: &[(&str, &str)],
    medium: Medium,
    vars: &[(&str, serde_json::Value)],
    score: &str,
) -> Activeflow {
    let flow = linked(flow);
    let called = called.iter().map(|(name, text)| ((*name).into(), linked(text))).collect();
    let vars: Vars = vars.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    let mut player = Player {
        run: Activeflow::new("r", &flow, medium, vars),
        flow,
        called,
        now: "2026-11-20T20:00:00Z".parse().unwrap(),
        before: None,
        heard: Vec::new(),
    };
    for line in score.lines().map(str::trim).filter(|line| line.starts_with('>')) {
        player.play(line.trim_start_matches('>').trim());
    }
    let expected: Vec<&str> =
        score.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(
        player.heard.join("\n"),
        expected.join("\n"),
        "\n--- played:\n{}\n",
        player.heard.join("\n")
    );
    player.run
}

struct Player {
    run: Activeflow,
    flow: Arc<Flow>,
    called: BTreeMap<String, Arc<Flow>>,
    now: Timestamp,
    /// The key of the wait before this one.
    before: Option<Key>,
    heard: Vec<String>,
}

impl Player {
    #[track_caller]
    fn play(&mut self, input: &str) {
        self.heard.push(format!("> {input}"));
        let event = self.event(input);
        let waited = self.run.waiting().map(|waiting| waiting.key.clone());
        let advance = self.advance(event);
        if advance.dropped {
            self.heard.push("~ dropped".into());
            return;
        }
        self.before = waited;
        for taken in &advance.taken {
            self.heard.push(format!("- {} {}", taken.action, taken.exit));
        }
        for command in &advance.commands {
            assert!(command.key.0.starts_with("r/"), "{:?}", command.key);
            self.heard.push(format!("< {}", words(&command.deed)));
        }
        let waits: Vec<&Waiting> = self.run.waits().collect();
        match (waits.as_slice(), self.run.outcome) {
            ([], Some(outcome)) => {
                let word = serde_json::to_value(outcome).unwrap();
                let why = if self.run.why.is_empty() {
                    String::new()
                } else {
                    format!(": {}", self.run.why)
                };
                self.heard.push(format!("= {}{why}", word.as_str().unwrap()));
            }
            ([], None) => panic!("a run waits or has ended"),
            (waits, None) => {
                for waiting in waits {
                    let left = waiting.until.map(|until| until.duration_since(self.now).as_secs());
                    let left = left.map(|s| format!(" {s}s")).unwrap_or_default();
                    let at = match waits {
                        [_] => String::new(),
                        _ => format!(" at {}", waiting.key.0.split('/').nth(1).unwrap()),
                    };
                    self.heard.push(format!("~ {}{at}{left}", waiting.what));
                }
            }
            (waits, Some(outcome)) => panic!("{outcome:?}, and it waits: {waits:?}"),
        }
    }

    /// Advances, and sees to it that the same happens again from the stored state.
    #[track_caller]
    fn advance(&mut self, event: Event) -> Advance {
        let stored = serde_json::to_vec(&self.run).unwrap();
        let mut again: Activeflow = serde_json::from_slice(&stored).unwrap();
        assert_eq!(again, self.run, "the state is stored whole");
        let event_again: Event =
            serde_json::from_slice(&serde_json::to_vec(&event).unwrap()).unwrap();
        assert_eq!(event_again, event, "the event is stored whole");
        // Nothing but what the run asks for.
        let needed = self.run.flows(&event);
        let called = needed.iter().filter_map(|name| self.called.get_key_value(*name));
        let called = called.map(|(name, flow)| (name.clone(), Arc::clone(flow))).collect();
        let flows = Flows::new(&self.flow, &called);
        let first = self.run.advance(flows, self.now, event);
        let second = again.advance(flows, self.now, event_again);
        assert_eq!(first, second, "the same events have the same effects");
        assert_eq!(
            serde_json::to_vec(&self.run).unwrap(),
            serde_json::to_vec(&again).unwrap(),
            "to the byte"
        );
        first
    }

    fn event(&mut self, input: &str) -> Event {
        let (word, rest) = input.split_once(' ').unwrap_or((input, ""));
        let (word, at) = word.split_once('@').unwrap_or((word, ""));
        let named = |waiting: &&Waiting| waiting.key.0.split('/').nth(1) == Some(at);
        let found = match at {
            "" => self.run.waiting(),
            _ => Some(self.run.waits().find(named).expect("nothing waits there")),
        };
        let key = || found.map_or(Key("none".into()), |waiting| waiting.key.clone());
        match word {
            "signal" => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let values = rest.split_whitespace().map(|word| word.split_once('=').unwrap());
                let values = values.map(|(name, value)| (name.into(), json(value))).collect();
                Event::Signal { name: name.into(), values }
            }
            "started" => Event::Started,
            "message" => Event::Message {
                text: rest.into(),
                values: Vars::from([("from".into(), "+15557654321".into())]),
            },
            "timeout" => {
                let waiting = found.unwrap();
                let key = waiting.key.clone();
                self.now = waiting.until.unwrap_or(self.now + SignedDuration::from_hours(1));
                Event::TimedOut { key }
            }
            "hung_up" => Event::HungUp { cause: HangupCause::Normal },
            "service_stopped" => Event::ServiceStopped,
            "stopped" => Event::Stopped { why: rest.into() },
            "late" => Event::Done {
                key: self.before.clone().unwrap(),
                exit: "done".into(),
                values: Vars::new(),
                why: String::new(),
                then: None,
            },
            "done" => done(key(), rest),
            other => panic!("what is `{other}`?"),
        }
    }
}

fn done(key: Key, rest: &str) -> Event {
    let (rest, then) = match rest.split_once("then=") {
        Some((rest, then)) => (rest, Some(serde_json::from_str(then).unwrap())),
        None => (rest, None),
    };
    let (mut exit, mut why, mut values) = ("done".to_string(), String::new(), Vars::new());
    for (n, word) in rest.split_whitespace().enumerate() {
        match word.split_once('=') {
            Some((name, value)) => {
                values.insert(name.into(), json(value));
            }
            None if n == 0 => exit = word.into(),
            None => why = word.into(),
        }
    }
    Event::Done { key, exit, values, why, then }
}

fn json(value: &str) -> serde_json::Value {
    match value.starts_with(['{', '[', '"']) {
        true => serde_json::from_str(value).unwrap(),
        false => value.into(),
    }
}

fn words(deed: &Deed) -> String {
    let to = |all: &[flow::Destination]| {
        all.iter().map(|one| one.target.clone()).collect::<Vec<_>>().join(" ")
    };
    match deed {
        Deed::Answer => "answer".into(),
        Deed::Hangup { cause } => format!("hangup {}", cause.word()),
        Deed::Say { text, .. } => format!("say {text}"),
        Deed::Play { sources } => format!("play {}", sources.join(" ")),
        Deed::ReceiveDigits { max_digits, .. } => format!("receive {max_digits} digits"),
        Deed::Talk { agent, wait, .. } => {
            let name = agent["name"].as_str().unwrap();
            format!("talk as {name}{}", if *wait { ", wait" } else { "" })
        }
        Deed::Connect { destinations, .. } => format!("connect {}", to(destinations)),
        Deed::SendMessage { destinations, text, .. } if destinations.is_empty() => {
            format!("send {text}")
        }
        Deed::SendMessage { destinations, text, .. } => {
            format!("send to {}: {text}", to(destinations))
        }
        Deed::Request { method, url, .. } => format!("{method} {url}"),
        Deed::LoadFlow { source: FlowSource::Known { flow } } => format!("load {flow}"),
        Deed::LoadFlow { source: FlowSource::Url { method, url } } => {
            format!("load {method} {url}")
        }
        Deed::StopService | Deed::Service { .. } => deed.kind().into(),
    }
}
