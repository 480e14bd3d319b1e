//! Who looks on: what happens in runs, as it happens, with sequence numbers.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;

/// Happenings that are remembered for those who come late, and that a slow one may be behind.
const REMEMBERED: usize = 1024;

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Happening {
    /// Counts from 1 in this process.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The run.
    pub run: String,
    /// The thread or call.
    pub subject: String,
    /// `run_started`, `run_ended`, `action` (left by an exit), `waiting`, `caller`, `agent`,
    /// `tool`, `state`, `barge_in`, `turn`, `trouble`, `text_in`, `text_out`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What there is to say about it, an object: `action` gives `{action, kind, exit, why}`,
    /// `waiting` `{action, kind, what, until}`, `run_ended` `{outcome}`, `state` `{state}`,
    /// `caller`, `agent`, `trouble`, `text_in` and `text_out` `{text}`, `tool`
    /// `{name, arguments, result}`, `barge_in` `{millis}`, `turn` what it took ([`agent::Ledger`]).
    pub data: Value,
}

/// Tells whoever subscribed. Nobody listening is fine; a slow listener misses the oldest.
pub struct Watch {
    past: Mutex<Past>,
    happenings: broadcast::Sender<Happening>,
}

#[derive(Default)]
struct Past {
    seq: u64,
    newest: VecDeque<Happening>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { past: Mutex::default(), happenings: broadcast::channel(REMEMBERED).0 }
    }
}

impl Watch {
    /// Tells that something happened.
    pub fn tell(&self, at: Timestamp, run: &str, subject: &str, kind: &'static str, data: Value) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.seq += 1;
        let (run, subject) = (run.into(), subject.into());
        let happening = Happening { seq: past.seq, at, run, subject, kind, data };
        if past.newest.len() == REMEMBERED {
            past.newest.pop_front();
        }
        past.newest.push_back(happening.clone());
        // Sent under the lock, so that the order is the numbers' and nobody misses one between
        // the past and the present. That nobody listens is fine.
        let _ = self.happenings.send(happening);
    }

    /// What happens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Happening> {
        self.happenings.subscribe()
    }

    /// What came after `seq`, as far as it is remembered, then what happens from now on; nothing
    /// is missing in between.
    pub fn since(&self, seq: u64) -> (Vec<Happening>, broadcast::Receiver<Happening>) {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = past.newest.iter().filter(|happening| happening.seq > seq);
        (newer.cloned().collect(), self.happenings.subscribe())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_late_listener_hears_the_past_and_then_the_present() {
        let watch = Watch::default();
        let tell = |kind| watch.tell(Timestamp::UNIX_EPOCH, "run", "thread", kind, Value::Null);
        tell("run_started");
        tell("action");
        let (past, mut now) = watch.since(1);
        assert_eq!(past.iter().map(|h| h.seq).collect::<Vec<_>>(), [2]);
        tell("run_ended");
        let happening = now.recv().await.unwrap();
        assert_eq!((happening.seq, happening.kind), (3, "run_ended"));
    }

    #[test]
    fn the_past_is_bounded() {
        let watch = Watch::default();
        for _ in 0..REMEMBERED + 5 {
            watch.tell(Timestamp::UNIX_EPOCH, "run", "thread", "action", Value::Null);
        }
        let (past, _) = watch.since(0);
        assert_eq!((past.len(), past[0].seq), (REMEMBERED, 6));
    }
}
