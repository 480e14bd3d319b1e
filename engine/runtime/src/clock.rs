//! What time it is. Tests bring their own, so that a day of silence takes no time.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// Tells and awaits the time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// How long since some moment in the life of this process, by a clock that nobody sets.
    fn steady(&self) -> Duration;

    /// Resolves at that time, or at once when it has passed.
    async fn until(&self, then: Timestamp);

    /// It was `theirs` by the clock of whoever all go by when the steady one said `steady`, and
    /// nobody knows it better than to `give` more or less. A clock that is right by itself does not
    /// care.
    fn agree(&self, steady: Duration, give: Duration, theirs: Timestamp) {
        let _ = (steady, give, theirs);
    }
}

/// The machine's clock.
pub struct System;

#[async_trait]
impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn steady(&self) -> Duration {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGAN.elapsed()
    }

    async fn until(&self, then: Timestamp) {
        // A negative duration means that it has passed.
        if let Ok(left) = Duration::try_from(then.duration_since(Timestamp::now())) {
            tokio::time::sleep(left).await;
        }
    }
}

/// A clock that stands until it is told to go on: the time of tests and of played scenarios.
pub struct Manual {
    now: watch::Sender<Timestamp>,
}

impl Manual {
    /// A clock that stands at a time.
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self { now: watch::Sender::new(now) })
    }

    /// Goes on, and wakes whoever awaited a time up to then.
    pub fn advance(&self, by: SignedDuration) {
        self.now.send_modify(|now| *now = now.checked_add(by).unwrap_or(Timestamp::MAX));
    }
}

#[async_trait]
impl Clock for Manual {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn steady(&self) -> Duration {
        // Tests live after 1970.
        self.now.borrow().duration_since(Timestamp::UNIX_EPOCH).unsigned_abs()
    }

    async fn until(&self, then: Timestamp) {
        // Fails only when the clock is gone, and nobody can wait on it then.
        let _ = self.now.subscribe().wait_for(|now| *now >= then).await;
    }
}
