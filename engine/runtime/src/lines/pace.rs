//! How late this process is with its ticks, and so whether it can take another call.
//!
//! While a call lives here, a tick every 20 ms, as a call's sound has them, measures how long after
//! its time it comes. While the 99th percentile of the last 10 s is above what the operator allows,
//! new calls are refused, and those that live keep their figures.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::Runtime;

/// As often as a call has a frame.
const TICK: Duration = Duration::from_millis(20);
/// Ticks that count: 10 s.
const WINDOW: usize = 500;
/// So many of them may be late, however short the measurement is yet: 1 %.
const SPARED: usize = WINDOW / 100;

/// The last ticks.
pub(crate) struct Pace {
    most: Duration,
    late: Mutex<VecDeque<Duration>>,
    begun: Notify,
}

impl Pace {
    /// Nothing measured yet; ticks may be so late.
    pub(crate) fn new(most: Duration) -> Self {
        Self { most, late: Mutex::default(), begun: Notify::new() }
    }

    /// A call lives here.
    pub(crate) fn begin(&self) {
        self.begun.notify_one();
    }

    /// The 99th percentile of the lateness in 10 s, when it is too much for another call.
    pub(crate) fn too_late(&self) -> Option<Duration> {
        let mut late: Vec<Duration> = {
            let late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            late.iter().copied().collect()
        };
        late.sort_unstable();
        late.iter().nth_back(SPARED).copied().filter(|p99| *p99 > self.most)
    }

    fn note(&self, late: Duration) {
        let mut all = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == WINDOW {
            all.pop_front();
        }
        all.push_back(late);
    }

    fn forget(&self) {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Runtime {
    /// Measures until `stop`, whenever a call lives here.
    pub(crate) async fn keep_pace(self: Arc<Self>, stop: CancellationToken) {
        let lateness = metrics::histogram!("voxflow_tick_lateness_seconds");
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.pace.begun.notified() => {}
            }
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while self.lines.count() > 0 {
                let due: Instant = tokio::select! {
                    () = stop.cancelled() => return,
                    due = ticks.tick() => due,
                };
                let late = due.elapsed();
                lateness.record(late.as_secs_f64());
                self.pace.note(late);
            }
            self.pace.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_ticks_are_late_is_full_until_they_are_not() {
        let pace = Pace::new(Duration::from_millis(5));
        let tick = |late_ms, times| {
            (0..times).for_each(|_| pace.note(Duration::from_millis(late_ms)));
        };
        tick(1, 40);
        tick(30, SPARED);
        assert_eq!(pace.too_late(), None, "a moment says nothing");
        tick(30, 1);
        assert_eq!(pace.too_late(), Some(Duration::from_millis(30)));
        tick(1, WINDOW - 6);
        assert_eq!(pace.too_late(), Some(Duration::from_millis(30)), "6 of 500 are above 1 %");
        tick(1, 1);
        assert_eq!(pace.too_late(), None);
    }
}
