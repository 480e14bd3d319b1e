//! The events of a run again, and the acts of a scenario that brings them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flow::{Activeflow, Command, Deed, Event, Flow, FlowSource, Flows, Key, Vars};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Recording, Way};
use crate::play::scenario::{Act, Reply, Signal};

/// What came of the events.
pub(super) struct Replay {
    pub(super) path: Vec<Way>,
    pub(super) acts: Vec<Act>,
    /// The versions of the flows that were called, by the names under which the stage finds them.
    pub(super) called: BTreeMap<String, String>,
}

impl Replay {
    /// Whether a reader would see the same: the way, and what was asked for on it.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let asked = |replay: &Self| -> Vec<_> {
            replay.acts.iter().map(|act| (act.expect.clone(), act.with.clone())).collect()
        };
        self.path == other.path && asked(self) == asked(other)
    }
}

/// A run on its way through its events.
struct Player<'a> {
    flows: Flows<'a>,
    run: Activeflow,
    now: Timestamp,
    /// Asked for, and not in an act yet.
    asked: VecDeque<Command>,
    /// Those in an act that have not come to their end in it.
    left: Vec<(Key, String)>,
    replay: Replay,
}

/// Plays a recording.
///
/// # Errors
/// An event is not for the run as it stands.
pub(super) fn replay(flow: &Arc<Flow>, recording: &Recording) -> Result<Replay, String> {
    let given = recording.given.clone();
    let mut player = Player {
        flows: Flows::new(flow, &recording.called),
        run: Activeflow::new(&recording.id, flow, recording.medium, given),
        now: recording.began,
        asked: VecDeque::new(),
        left: Vec::new(),
        replay: Replay { path: Vec::new(), acts: Vec::new(), called: BTreeMap::new() },
    };
    player.advance(Event::Started);
    for (at, event) in &recording.events {
        player.take(*at, event)?;
    }
    player.look(None);
    Ok(player.replay)
}

impl Player<'_> {
    fn take(&mut self, at: Timestamp, event: &Event) -> Result<(), String> {
        // Another try leaves no trace in the history.
        while let Some(waiting) = self.run.waiting().filter(|waiting| waiting.what == "retry")
            && waiting.until.is_some_and(|until| until <= at)
        {
            let key = waiting.key.clone();
            self.time_out(at, Event::TimedOut { key });
        }
        let passed = at.duration_since(self.now).as_secs().max(0);
        match event {
            Event::Started => return Ok(()),
            Event::Done { key, exit, values, then, .. } => {
                let reply = Reply {
                    after_s: passed,
                    values: values.clone(),
                    then: then.clone(),
                    ..Reply::by(exit)
                };
                if let Some(at) = self.left.iter().position(|(left, _)| left == key) {
                    self.look(None);
                    let end = Some(self.left.remove(at).1);
                    self.replay.acts.push(Act { end, reply: Some(reply), ..Act::default() });
                    self.now = later(self.now, passed);
                    self.advance(event.clone());
                    return Ok(());
                }
                match self.look(Some((key, reply))) {
                    Met::Not => {
                        return Err(format!("something ended that was not asked for: {}", key.0));
                    }
                    Met::Silently => {}
                    Met::InAnAct => self.now = later(self.now, passed),
                }
            }
            Event::TimedOut { .. } => {
                self.time_out(at, event.clone());
                return Ok(());
            }
            other => {
                self.look(None);
                self.wait(passed);
                let act = match other {
                    Event::Message { text, .. } => {
                        Act { text: Some(text.clone()), ..Act::default() }
                    }
                    Event::HungUp { .. } => Act { hang_up: Some(true), ..Act::default() },
                    Event::ServiceStopped => Act { stop_service: Some(true), ..Act::default() },
                    Event::Stopped { why } => Act { stop: Some(why.clone()), ..Act::default() },
                    Event::Signal { name, values } => {
                        let signal = Signal { name: name.clone(), values: values.clone() };
                        Act { signal: Some(signal), ..Act::default() }
                    }
                    Event::Started | Event::Done { .. } | Event::TimedOut { .. } => Act::default(),
                };
                self.replay.acts.push(act);
            }
        }
        self.advance(event.clone());
        Ok(())
    }

    /// The deadline of the run's wait passes.
    fn time_out(&mut self, at: Timestamp, event: Event) {
        self.look(None);
        let until = self.run.waiting().and_then(|waiting| waiting.until).unwrap_or(at);
        let left = until.duration_since(self.now).max(SignedDuration::ZERO);
        let seconds = left.as_secs() + i64::from(left.subsec_nanos() > 0);
        // The stage meets the deadline itself, and then waits for the second to be over.
        let end = later(self.now, seconds);
        self.wait(seconds);
        self.now = until;
        self.advance(event);
        self.now = end;
    }

    fn advance(&mut self, event: Event) {
        let advance = self.run.advance(self.flows, self.now, event);
        self.asked.extend(advance.commands);
        let ways = advance.taken.iter().map(super::way);
        self.replay.path.extend(ways);
    }

    fn wait(&mut self, seconds: i64) {
        if seconds > 0 {
            self.now = later(self.now, seconds);
            self.replay.acts.push(Act { wait_s: Some(seconds), ..Act::default() });
        }
    }

    /// An act for each thing that was asked for, up to the one that ends so, else for all. What
    /// the run still waits for does not end in them. Whether that one was met.
    fn look(&mut self, mut ends: Option<(&Key, Reply)>) -> Met {
        while let Some(Command { key, deed }) = self.asked.pop_front() {
            let met = ends.as_ref().is_some_and(|(ending, _)| **ending == key);
            if let Deed::LoadFlow { source } = &deed
                && let Some((_, reply)) = ends.as_ref().filter(|_| met)
            {
                let version = reply.values.get("version").and_then(Value::as_str);
                let name = match source {
                    FlowSource::Known { flow } => Some(flow.as_str()),
                    FlowSource::Url { .. } => version,
                };
                let called = name.zip(version).map(|(name, version)| (name.into(), version.into()));
                self.replay.called.extend(called);
            }
            // The stage finds it by itself.
            if matches!(&deed, Deed::LoadFlow { source: FlowSource::Known { .. } }) {
                if met {
                    return Met::Silently;
                }
                continue;
            }
            let reply = match ends.take_if(|_| met) {
                Some((_, reply)) => Some(reply).filter(|reply| *reply != Reply::default()),
                None if self.run.waits().any(|waiting| waiting.key == key) => {
                    self.left.push((key.clone(), deed.kind().to_owned()));
                    Some(Reply { never: true, ..Reply::default() })
                }
                // Nobody waits for it; an agent shall not begin to talk all the same.
                None => matches!(deed, Deed::Talk { .. }).then(Reply::default),
            };
            // Without a word, these would go on.
            let goes_on = matches!(deed, Deed::Talk { .. } | Deed::ReceiveDigits { .. });
            let reply = reply.or_else(|| goes_on.then(Reply::default));
            let (expect, with) = (Some(deed.kind().to_owned()), essence(&deed));
            self.replay.acts.push(Act { expect, with, reply, ..Act::default() });
            if met {
                return Met::InAnAct;
            }
        }
        Met::Not
    }
}

/// Whether what ended had been asked for.
enum Met {
    Not,
    /// The stage ends it by itself.
    Silently,
    InAnAct,
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// What of a deed a reader wants to see again.
fn essence(deed: &Deed) -> Option<Value> {
    let all = json!(deed);
    let names: &[&str] = match deed {
        Deed::Say { .. } | Deed::SendMessage { .. } => &["text"],
        Deed::Play { .. } => &["sources"],
        Deed::Connect { .. } => &["destinations"],
        Deed::Request { .. } => &["method", "url"],
        Deed::LoadFlow { .. } => &["source"],
        Deed::Answer
        | Deed::Hangup { .. }
        | Deed::ReceiveDigits { .. }
        | Deed::Talk { .. }
        | Deed::StopService
        | Deed::Service { .. } => return None,
    };
    let part: Vars = names.iter().map(|name| ((*name).to_owned(), all[*name].clone())).collect();
    Some(json!(part))
}
