//! Whether this process can take another call: how late it is with its ticks, and how busy its
//! threads are.
//!
//! While a call lives here, a tick every 20 ms, as a call's sound has them, measures how long after
//! its time it comes. That tells what callers hear, and tells it late: a process that is just not late
//! yet has no room for the calls that came in the last seconds and have not spoken. So the time counts
//! that its threads do not rest, too, and what the calls that came since will add to it. While one of
//! the two is above what the operator allows, new calls are refused, and those that live keep their
//! figures.

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
/// What a call takes of a thread at most, percent, as long as nobody has measured it: other work keeps
/// threads busy, too.
const CALL: f64 = 1.0;

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
    /// Its threads are busy for so many percent of the time, or will be with the calls that have just
    /// come.
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
    threads: usize,
    /// How late ticks were.
    late: VecDeque<Duration>,
    looks: VecDeque<Look>,
}

/// A look at the threads.
#[derive(Clone, Copy)]
struct Look {
    at: std::time::Instant,
    /// For how long they had been busy since they began, all of them.
    busy: Duration,
    /// Calls that lived here.
    calls: usize,
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

    fn look(&mut self, look: Look) {
        keep(&mut self.looks, LOOKS + 1, look);
    }

    /// For how much of the time the threads were busy when they were busiest, and would have been with
    /// the calls that live now, percent; `None` = it is not known yet.
    fn busy(&self) -> Option<u64> {
        let (now, threads) = (self.looks.back()?.calls, self.threads.max(1) as f64);
        let spans = self.looks.iter().zip(self.looks.iter().skip(SPAN));
        let shares = spans.map(|(from, to)| {
            let time = (to.at - from.at).as_secs_f64() * threads;
            let share = 100.0 * to.busy.saturating_sub(from.busy).as_secs_f64() / time;
            let each = (share / to.calls.max(1) as f64).min(CALL / threads);
            (share + each * now.saturating_sub(to.calls) as f64).round().min(100.0) as u64
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

/// For how long threads have been busy, all of them.
fn busy(threads: &RuntimeMetrics) -> Duration {
    (0..threads.num_workers()).map(|thread| threads.worker_total_busy_duration(thread)).sum()
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
                let calls = self.lines.count();
                if calls == 0 {
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
                    seen.threads = threads.num_workers();
                    let at = std::time::Instant::now();
                    seen.look(Look { at, busy: busy(&threads), calls });
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

    /// Looks at two threads, which were busy for so many ms of 200 while so many calls lived.
    fn looks(pace: &Pace) -> impl FnMut(u64, usize) -> Option<Full> {
        let began = std::time::Instant::now();
        let (mut at, mut busy) = (began, Duration::ZERO);
        pace.seen().threads = 2;
        move |millis, calls| {
            at += ms(200);
            busy += 2 * ms(millis);
            pace.seen().look(Look { at, busy, calls });
            pace.full()
        }
    }

    #[test]
    fn so_is_one_whose_threads_hardly_rest() {
        let pace = Pace::new(Limits { late: ms(5), busy: 80 });
        let mut look = looks(&pace);
        assert!((0..SPAN).all(|_| look(190, 1).is_none()), "a moment says nothing");
        assert_eq!(look(190, 1), Some(Full::Busy(95)));
        assert!((0..LOOKS - SPAN).all(|_| look(100, 1).is_some()), "the busiest moment counts");
        // All that is left of it was not so busy.
        assert!((0..SPAN).any(|_| look(100, 1).is_none()));
        assert_eq!(look(100, 1), None);
        assert_eq!(Full::Busy(95).to_string(), "its threads are 95 % busy");
    }

    #[test]
    fn calls_that_have_just_come_count_before_they_are_felt() {
        let pace = Pace::new(Limits { late: ms(5), busy: 80 });
        let mut look = looks(&pace);
        assert!((0..=SPAN).all(|_| look(100, 400).is_none()));
        assert_eq!(look(100, 600), None, "75 %");
        assert_eq!(look(100, 700), Some(Full::Busy(88)));
        // That other work keeps the threads busy is no call's doing.
        let pace = Pace::new(Limits { late: ms(5), busy: 80 });
        let mut look = looks(&pace);
        assert!((0..=SPAN).all(|_| look(100, 1).is_none()));
        assert_eq!(look(100, 60), None, "half a percent for each");
        assert_eq!(look(100, 63), Some(Full::Busy(81)));
    }
}
