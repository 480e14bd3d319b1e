//! The time that all processes of a database agree on: the database's.
//!
//! The clocks of machines differ, and are set while we look. Who has claimed what, and for how long,
//! must not depend on that. So the database is asked for its time now and then, and what has passed
//! since is told by a clock that nobody sets. Where a database is one machine's, its clock counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::Runtime;
use crate::clock::Clock;

/// How often the database is asked: clocks that nobody sets drift by milliseconds a minute.
const AGAIN: Duration = Duration::from_secs(10);
/// How often it is asked as long as it has not answered.
const SOON: Duration = Duration::from_secs(1);
/// An answer that took longer says too little, unless there is none yet.
const SLOW: Duration = Duration::from_secs(1);
/// A machine that is further from the database is worth a word to its operator.
const FAR: SignedDuration = SignedDuration::from_secs(5);
/// Instead of a time: nobody has told any.
const NONE: i64 = i64::MIN;

/// A machine's clock, set right by whoever all go by.
pub struct Agreed {
    machine: Arc<dyn Clock>,
    /// What time it was when the steady clock began, microseconds since 1970.
    began: AtomicI64,
}

impl Agreed {
    /// As the machine's, until it is told better.
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        Self { machine, began: AtomicI64::new(NONE) }
    }
}

#[async_trait]
impl Clock for Agreed {
    fn now(&self) -> Timestamp {
        let began = match self.began.load(Ordering::Relaxed) {
            NONE => return self.machine.now(),
            began => began,
        };
        let now = began.saturating_add(micros(self.machine.steady()));
        Timestamp::from_microsecond(now).unwrap_or(Timestamp::MAX)
    }

    fn steady(&self) -> Duration {
        self.machine.steady()
    }

    async fn until(&self, then: Timestamp) {
        let left = then.duration_since(self.now());
        let then = self.machine.now().checked_add(left).unwrap_or(Timestamp::MAX);
        self.machine.until(then).await;
    }

    fn agree(&self, steady: Duration, give: Duration, theirs: Timestamp) {
        let began = theirs.as_microsecond().saturating_sub(micros(steady));
        let before = self.began.load(Ordering::Relaxed);
        if before != NONE {
            // What is no further off than the answer is inexact stays: time shall not tremble.
            if before.abs_diff(began) > give.as_micros().try_into().unwrap_or(u64::MAX) {
                self.began.store(began, Ordering::Relaxed);
            }
            return;
        }
        let ahead = self.machine.now().duration_since(theirs);
        if ahead.abs() > FAR {
            tracing::warn!(
                seconds = ahead.as_secs(),
                "this machine's clock is ahead of the database's by so much; the database's counts"
            );
        }
        self.began.store(began, Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Runtime {
    /// Asks the database for its time until it has told it, so that nothing is claimed before.
    pub(crate) async fn agree_on_time(&self, stop: &CancellationToken) {
        while let Err(error) = self.agree(Duration::MAX).await {
            tracing::warn!(%error, "the database does not tell the time yet");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SOON) => {}
            }
        }
    }

    /// Asks it again and again until `stop`.
    pub(crate) async fn keep_time(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
            if let Err(error) = self.agree(SLOW).await {
                tracing::debug!(%error, "the database does not tell the time");
            }
        }
    }

    async fn agree(&self, at_most: Duration) -> Result<(), store::Error> {
        let clock = &self.parts.clock;
        let asked = clock.steady();
        let Some(theirs) = self.parts.store.time().await? else { return Ok(()) };
        let took = clock.steady().saturating_sub(asked);
        if took <= at_most {
            clock.agree(asked + took / 2, took / 2, theirs);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap_or_default()
    }

    #[tokio::test]
    async fn it_is_as_late_as_was_told_and_goes_on_by_the_steady_clock() {
        let machine = Manual::at(at(600));
        let clock = Agreed::new(machine.clone());
        assert_eq!(clock.now(), at(600));
        clock.agree(clock.steady(), Duration::ZERO, at(0));
        assert_eq!(clock.now(), at(0));
        machine.advance(SignedDuration::from_secs(7));
        assert_eq!(clock.now(), at(7));
        clock.until(at(7)).await;
        // Within what the answer is inexact by, nothing changes.
        clock.agree(clock.steady(), Duration::from_secs(2), at(8));
        assert_eq!(clock.now(), at(7));
        clock.agree(clock.steady(), Duration::from_secs(2), at(10));
        assert_eq!(clock.now(), at(10));
    }
}
