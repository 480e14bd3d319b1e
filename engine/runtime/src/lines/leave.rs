//! A process that stops lets its calls go: to another process where the carrier brings them back,
//! with a word to the caller where nobody could go on.

use std::time::Duration;

use agent::Floor;
use flow::{Command, Deed, Event, Key};
use store::Pending;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::host::{Going, Host};
use super::keep::Patience;
use crate::{Runtime, deeds};

/// What a caller hears whose call nobody can go on with.
const NOTICE: &str = "We are sorry, this call has to end now. Please call again in a moment.";
/// The key under which it is said; no run has asked for it.
const LAST_WORDS: &str = "last words";
/// How long the doors stay open once it is known that the process stops, at most: whoever spreads
/// requests learns of it from `/readyz`.
const LAME: Duration = Duration::from_secs(1);
/// From here to the end of the time calls are handed over in the middle of a sentence.
const AT_ONCE: Duration = Duration::from_secs(8);
/// And from here callers are told.
const TOLD: Duration = Duration::from_secs(6);
/// How often it is looked whether the last call is over, and whether others are there.
const LOOK: Duration = Duration::from_millis(100);

/// When calls are let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Letting {
    /// They stay.
    #[default]
    No,
    /// Those that another process can take: while nobody speaks, between two actions.
    WhenQuiet,
    /// The same, whatever they do.
    Now,
    /// The same; and whoever can be taken by nobody is told that the call ends.
    Ended {
        /// Whether another process is there.
        others: bool,
    },
}

/// What the time that is left, of so much, means for calls.
fn letting(all: Duration, left: Duration, others: bool) -> Letting {
    if left <= TOLD.min(all / 2) {
        Letting::Ended { others }
    } else if !others || all.saturating_sub(left) < LAME.min(all / 8) {
        Letting::No
    } else if left <= AT_ONCE.min(all * 3 / 4) {
        Letting::Now
    } else {
        Letting::WhenQuiet
    }
}

impl Runtime {
    /// Lets the live calls go, for at most so long: call it when [`Runtime::serve`] was told to stop.
    /// `doors` is cancelled as soon as another process shall answer instead of this one.
    pub async fn drain(&self, at_most: Duration, doors: &CancellationToken) {
        let end = Instant::now() + at_most;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.lines.count() == 0 || left.is_zero() {
                break;
            }
            self.beat(true).await;
            let others = self.has_others().await;
            let now = letting(at_most, left, others);
            if others && now != Letting::No {
                doors.cancel();
            }
            self.letting.send_if_modified(|letting| std::mem::replace(letting, now) != now);
            tokio::time::sleep(LOOK).await;
        }
        self.quits().await;
    }
}

impl Host<'_> {
    /// Lets the call go if it is time to.
    pub(super) async fn consider(&mut self) {
        if self.going != Going::Stays || self.run.state.outcome.is_some() {
            return;
        }
        let letting = *self.runtime.letting.borrow();
        let outlives = self.control.outlives();
        match letting {
            Letting::No => {}
            Letting::WhenQuiet if outlives && self.is_quiet() => self.let_go().await,
            Letting::Now | Letting::Ended { others: true } if outlives => self.let_go().await,
            Letting::Ended { .. } => self.last_words().await,
            Letting::WhenQuiet | Letting::Now => {}
        }
    }

    /// Whether it is let go before these commands, of which none has begun, are carried out.
    pub(super) async fn leaves_before(&mut self, orders: &[Command]) -> bool {
        let letting = *self.runtime.letting.borrow();
        let goes = match letting {
            Letting::No | Letting::Ended { others: false } => false,
            Letting::WhenQuiet | Letting::Now | Letting::Ended { others: true } => true,
        };
        let ends = |order: &Command| matches!(order.deed, Deed::Hangup { .. });
        let fresh = |key: &Key| orders.iter().any(|order| order.key == *key);
        let begun = self.under_way().any(|pending| !fresh(&pending.command.key));
        if goes
            && self.going == Going::Stays
            && self.run.state.outcome.is_none()
            && !begun
            && !orders.iter().any(ends)
            && self.control.outlives()
        {
            self.let_go().await;
        }
        self.going == Going::Leaves
    }

    /// Whether nothing is lost when the call goes on elsewhere: nobody speaks or is about to.
    fn is_quiet(&self) -> bool {
        self.under_way().all(|pending| match &self.standing {
            Some(row) => row.key == pending.command.key && row.standing.floor == Floor::Free,
            None => false,
        })
    }

    /// What the run waits for.
    fn under_way(&self) -> impl Iterator<Item = &Pending> {
        let state = &self.run.state;
        self.pending.iter().filter(|pending| deeds::awaited(state, &pending.command.key))
    }

    /// Another process may take the call from now on; the leg is let go of when that is stored.
    async fn let_go(&mut self) {
        self.going = Going::Leaves;
        match self.save(Vec::new(), Patience::Brief).await {
            Ok(()) => {
                metrics::counter!("voxflow_calls_handed_over_total").increment(1);
                tracing::info!(run = self.run.id, "a call is handed over");
                self.leave.cancel();
            }
            Err(error) => {
                tracing::warn!(run = self.run.id, %error, "a call cannot be handed over yet");
                if self.going == Going::Leaves {
                    self.going = Going::Stays;
                }
            }
        }
    }

    /// Tells the caller that the call ends.
    async fn last_words(&mut self) {
        self.going = Going::Ends;
        let text = NOTICE.into();
        let (language, tts_type, voice_id) = (None, None, None);
        let say = Deed::Say { text, language, tts_type, voice_id, stop_on_digit: false };
        for (key, deed) in [("", Deed::StopService), (LAST_WORDS, say)] {
            self.order(Command { key: Key(key.into()), deed }, Vec::new()).await;
        }
    }

    /// Whether an event is the end of the last words.
    pub(super) fn said_last(event: &Event) -> bool {
        matches!(event, Event::Done { key, .. } if key.0 == LAST_WORDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(left_s: u64, others: bool) -> Letting {
        letting(Duration::from_secs(30), Duration::from_secs(left_s), others)
    }

    #[test]
    fn calls_are_handed_over_when_it_is_quiet_and_at_last_at_once() {
        assert_eq!(at(30, true), Letting::No, "the doors are still open");
        assert_eq!(at(29, true), Letting::WhenQuiet);
        assert_eq!(at(9, true), Letting::WhenQuiet);
        assert_eq!(at(8, true), Letting::Now);
        assert_eq!(at(6, true), Letting::Ended { others: true });
    }

    #[test]
    fn who_is_alone_keeps_its_calls_and_says_goodbye() {
        assert_eq!(at(29, false), Letting::No);
        assert_eq!(at(7, false), Letting::No);
        assert_eq!(at(6, false), Letting::Ended { others: false });
    }

    #[test]
    fn a_short_time_is_shared_alike() {
        let of = |left| letting(Duration::from_secs(2), Duration::from_millis(left), true);
        assert_eq!(of(1900), Letting::No);
        assert_eq!(of(1700), Letting::WhenQuiet);
        assert_eq!(of(1400), Letting::Now);
        assert_eq!(of(1000), Letting::Ended { others: true });
    }
}
