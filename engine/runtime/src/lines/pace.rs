//! Whether this process can take another call: how late it is with its ticks, and how busy its
//! threads are.
//!
//! While a call lives here, a tick every 20 ms, as a call's sound has them, measures how long after
//! its time it comes. That tells what callers hear, and tells it late: a process that is just not late
//! yet has no room for the calls that came in the last seconds and have not spoken. So the time counts
//! that its threads do not rest, too. While one of the two is above what the operator allows, new
//! calls are refused, and those that live keep their figures.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};
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
/// Ticks between two looks at the threads: 200 ms.
const LOOK: usize = 10;
/// Looks that count: 10 s.
const LOOKS: usize = 50;
/// Looks over which the time is divided that threads were busy: 2 s. The busiest of them counts, since
/// callers do not speak evenly.
const SPAN: usize = 10;

/// How much a process bears before it takes no more calls.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How late its ticks may be: 99 of 100 in 10 s.
    pub late: Duration,
    /// For how much of 2 s in the last 10 s its threads may be busy, percent.
    pub busy: u64,
}

/// Why a process takes no more calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Its ticks are so late, the latest of 99 in 100.
    #[error("ticks are {} ms late", .0.as_millis())]
    Late(Duration),
    /// Its threads are busy for so many percent of the time.
    #[error("its threads are {0} % busy")]
    Busy(u64),
}

/// What was measured last.
pub(crate) struct Pace {
    limits: Limits,
    seen: Mutex<Seen>,
    begun: Notify,
}

#[derive(Default)]
struct Seen {
    /// How late ticks were.
    late: VecDeque<Duration>,
    /// For how long the threads had been busy since they began, each, and when.
    busy: VecDeque<(std::time::Instant, Duration)>,
}

impl Pace {
    /// Nothing measured yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, seen: Mutex::default(), begun: Notify::new() }
    }

    /// A call lives here.
    pub(crate) fn begin(&self) {
        self.begun.notify_one();
    }

    /// Why there is no room for another call, if there is none.
    pub(crate) fn full(&self) -> Option<Full> {
        let (mut late, busy) = {
            let seen = self.seen();
            (Vec::from_iter(seen.late.iter().copied()), seen.busy())
        };
        late.sort_unstable();
        let late = late.iter().nth_back(SPARED).copied();
        let late = late.filter(|p99| *p99 > self.limits.late).map(Full::Late);
        late.or(busy.filter(|percent| *percent > self.limits.busy).map(Full::Busy))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn tick(&mut self, late: Duration) {
        keep(&mut self.late, WINDOW, late);
    }

    fn look(&mut self, at: std::time::Instant, busy: Duration) {
        keep(&mut self.busy, LOOKS + 1, (at, busy));
    }

    /// For how much of the time the threads were busy when they were busiest, percent; `None` = it is
    /// not known yet.
    fn busy(&self) -> Option<u64> {
        let ends = self.busy.iter().skip(SPAN);
        let shares = self.busy.iter().zip(ends).map(|(from, to)| {
            let (time, busy) = (to.0 - from.0, to.1.saturating_sub(from.1));
            (100.0 * busy.as_secs_f64() / time.as_secs_f64()).round() as u64
        });
        shares.max()
    }
}

fn keep<T>(all: &mut VecDeque<T>, most: usize, new: T) {
    if all.len() == most {
        all.pop_front();
    }
    all.push_back(new);
}

/// For how long a thread has been busy, on average.
fn busy(threads: &RuntimeMetrics) -> Duration {
    let count = threads.num_workers();
    let all: Duration = (0..count).map(|thread| threads.worker_total_busy_duration(thread)).sum();
    all / u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

impl Runtime {
    /// Measures until `stop`, whenever a call lives here.
    pub(crate) async fn keep_pace(self: Arc<Self>, stop: CancellationToken) {
        let lateness = metrics::histogram!("voxflow_tick_lateness_seconds");
        let share = metrics::gauge!("voxflow_busy_ratio");
        let threads = Handle::current().metrics();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.pace.begun.notified() => {}
            }
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            for count in 0_usize.. {
                if self.lines.count() == 0 {
                    break;
                }
                let due: Instant = tokio::select! {
                    () = stop.cancelled() => return,
                    due = ticks.tick() => due,
                };
                let late = due.elapsed();
                lateness.record(late.as_secs_f64());
                let mut seen = self.pace.seen();
                seen.tick(late);
                if count.is_multiple_of(LOOK) {
                    seen.look(std::time::Instant::now(), busy(&threads));
                    share.set(seen.busy().unwrap_or(0) as f64 / 100.0);
                }
            }
            *self.pace.seen() = Seen::default();
            share.set(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_process_whose_ticks_are_late_is_full_until_they_are_not() {
        let pace = Pace::new(Limits { late: ms(5), busy: 80 });
        let tick = |late_ms, times| (0..times).for_each(|_| pace.seen().tick(ms(late_ms)));
        tick(1, 40);
        tick(30, SPARED);
        assert_eq!(pace.full(), None, "a moment says nothing");
        tick(30, 1);
        assert_eq!(pace.full(), Some(Full::Late(ms(30))));
        tick(1, WINDOW - 6);
        assert_eq!(pace.full(), Some(Full::Late(ms(30))), "6 of 500 are above 1 %");
        tick(1, 1);
        assert_eq!(pace.full(), None);
    }

    #[test]
    fn so_is_one_whose_threads_hardly_rest() {
        let pace = Pace::new(Limits { late: ms(5), busy: 80 });
        let began = std::time::Instant::now();
        let (mut at, mut busy) = (Duration::ZERO, Duration::ZERO);
        let mut look = |millis| {
            at += ms(200);
            busy += ms(millis);
            pace.seen().look(began + at, busy);
            pace.full()
        };
        assert!((0..SPAN).all(|_| look(190).is_none()), "a moment says nothing");
        assert_eq!(look(190), Some(Full::Busy(95)));
        assert!((0..LOOKS - SPAN).all(|_| look(100).is_some()), "the busiest moment counts");
        // All that is left of it was not so busy.
        assert!((0..SPAN).any(|_| look(100).is_none()));
        assert_eq!(look(100), None);
        assert_eq!(Full::Busy(95).to_string(), "its threads are 95 % busy");
    }
}
