//! Time passes: timers that are due become jobs, and work that lost its wake-up is found again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use store::Write;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Runtime;
use crate::reply::TOGETHER;

/// How long a timer that became a job is kept from others, seconds: longer than a reply takes.
const HOLD: u32 = 40;
/// Timers that become jobs at once.
const BATCH: u32 = 1024;
/// Commits that end sessions at once, beside the other timers.
const ENDING: usize = 4;
/// How often timers that other processes set are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How often lost wake-ups are looked for.
const SWEEP: SignedDuration = SignedDuration::from_secs(5);
/// How long a text may wait before its wake-up counts as lost.
const LOST: SignedDuration = SignedDuration::from_secs(5);
/// Threads that are woken at once.
const WOKEN: u32 = 256;

impl Runtime {
    /// Turns timers that are due into jobs until `stop`.
    pub(crate) async fn watch_timers(self: Arc<Self>, stop: CancellationToken) {
        // Those that a stop cuts off come again when nobody keeps them any more.
        let mut ending = JoinSet::new();
        loop {
            // Whatever is set from now on may be missed by what follows.
            self.next_timer.store(i64::MAX, Ordering::Relaxed);
            let more = self.fire(&mut ending).await;
            if more {
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.timers_set.notified() => {}
                () = self.next_timer() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Fires what is due; whether there may be more.
    async fn fire(self: &Arc<Self>, ending: &mut JoinSet<()>) -> bool {
        let timers = match self.parts.store.due(self.parts.clock.now(), HOLD, BATCH).await {
            Ok(timers) => timers,
            Err(error) => {
                tracing::warn!(%error, "the timers could not be read");
                return false;
            }
        };
        let full = timers.len() == BATCH as usize;
        let (silent, others): (Vec<_>, Vec<_>) =
            timers.into_iter().partition(|timer| timer.kind == "session");
        let woken = others.into_iter().map(|timer| async {
            let heard = self.wake(&timer.kind, &timer.subject, timer.trace.clone()).await;
            (!heard).then_some(Write::Unfired(timer))
        });
        let unheard: Vec<Write> = join_all(woken).await.into_iter().flatten().collect();
        for some in silent.chunks(TOGETHER) {
            while ending.try_join_next().is_some() {}
            if ending.len() >= ENDING {
                ending.join_next().await;
            }
            let (runtime, some) = (Arc::clone(self), some.to_vec());
            ending.spawn(async move { runtime.expire_sessions(some).await });
        }
        if unheard.is_empty() {
            return full;
        }
        // Nobody works on these, so nobody needs to be kept from them. One that is not wanted any
        // more finds nothing to do.
        if let Err(error) = self.commit(unheard).await {
            tracing::warn!(%error, "timers wait until their time is over");
        }
        false
    }

    async fn next_timer(&self) {
        match self.parts.store.next_due().await {
            Ok(Some(due)) if due > self.parts.clock.now() => {
                self.next_timer.store(due.as_microsecond(), Ordering::Relaxed);
                self.parts.clock.until(due).await
            }
            // What is due and held by others comes with the next look.
            Ok(_) | Err(_) => std::future::pending().await,
        }
    }

    /// Wakes threads whose texts nobody has handled, at once and then again and again until `stop`.
    pub(crate) async fn sweep(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let now = self.parts.clock.now();
            let before = now.checked_sub(LOST).unwrap_or(now);
            match self.parts.store.unhandled(before, WOKEN).await {
                Ok(threads) => {
                    let woken = threads.iter().map(|thread| self.wake("thread", thread, None));
                    join_all(woken).await;
                }
                Err(error) => tracing::warn!(%error, "lost wake-ups could not be looked for"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.parts.clock.until(now.checked_add(SWEEP).unwrap_or(Timestamp::MAX)) => {}
            }
        }
    }
}
