//! The queue of a single process: jobs wait in memory, each kind and id once.
//!
//! It forgets everything with the process, which loses nothing: the runtime's sweep finds the work
//! in the store. Memory is bounded by what has work, not by how often it was told.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};

use crate::{Dead, Delivery, Error, Job, Jobs, LIMIT, Queue, pause};

/// Dead jobs that are kept; the oldest go first.
const DEAD: usize = 1000;

/// The queue of a single process.
#[derive(Default)]
pub struct Embedded {
    waiting: Arc<Waiting>,
}

/// What waits to be taken.
#[derive(Default)]
struct Waiting {
    line: Mutex<Line>,
    more: Notify,
}

#[derive(Default)]
struct Line {
    order: VecDeque<(String, String)>,
    jobs: HashMap<(String, String), Waiter>,
    dead: VecDeque<Job>,
}

struct Waiter {
    job: Job,
    /// How often it was given out and dropped.
    dropped: u32,
}

impl Embedded {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Queue for Embedded {
    async fn publish(&self, job: Job) -> Result<(), Error> {
        metrics::counter!("voxflow_jobs_published_total").increment(1);
        self.waiting.put(Waiter { job, dropped: 0 });
        Ok(())
    }

    async fn subscribe(&self) -> Result<Jobs, Error> {
        // One job at a time is taken from the line, so that what waits can still be merged and
        // every subscriber gets its share.
        let (jobs, taken) = mpsc::channel(1);
        let waiting = self.waiting.clone();
        tokio::spawn(async move {
            // Ends when the subscriber has dropped its end.
            while let Ok(place) = jobs.reserve().await {
                let waiter = tokio::select! {
                    waiter = waiting.take() => waiter,
                    () = jobs.closed() => break,
                };
                let (delivery, done) = Delivery::new(waiter.job.clone());
                metrics::counter!("voxflow_jobs_delivered_total").increment(1);
                place.send(delivery);
                let waiting = waiting.clone();
                tokio::spawn(async move {
                    if done.await.is_ok() {
                        metrics::counter!("voxflow_jobs_acknowledged_total").increment(1);
                    } else {
                        waiting.again(waiter).await;
                    }
                });
            }
        });
        Ok(Jobs(taken))
    }

    async fn dead(&self, limit: u32) -> Result<Vec<Dead>, Error> {
        let first: Vec<Job> =
            self.waiting.line().dead.iter().take(limit as usize).cloned().collect();
        let dead = first.iter().map(|job| {
            let body = serde_json::to_string(job)
                .map_err(|e| Error { queue: "embedded".into(), why: e.to_string() })?;
            Ok(Dead { body, why: "delivery_limit".into() })
        });
        dead.collect()
    }

    async fn replay(&self, limit: u32) -> Result<u32, Error> {
        let mut replayed = 0;
        while replayed < limit {
            let Some(job) = self.waiting.line().dead.pop_front() else {
                break;
            };
            self.waiting.put(Waiter { job, dropped: 0 });
            replayed += 1;
        }
        Ok(replayed)
    }

    async fn ready(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Waiting {
    fn line(&self) -> MutexGuard<'_, Line> {
        // Nothing in here panics while it holds the lock; if it did, the line would still be whole.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job at the end, unless it waits already: then the newer cause is kept.
    fn put(&self, waiter: Waiter) {
        let key = (waiter.job.kind.clone(), waiter.job.id.clone());
        let mut line = self.line();
        match line.jobs.entry(key.clone()) {
            Entry::Occupied(mut there) => there.get_mut().job = waiter.job,
            Entry::Vacant(free) => {
                free.insert(waiter);
                line.order.push_back(key);
            }
        }
        drop(line);
        self.more.notify_one();
    }

    async fn take(&self) -> Waiter {
        loop {
            if let Some(waiter) = self.first() {
                return waiter;
            }
            self.more.notified().await;
        }
    }

    fn first(&self) -> Option<Waiter> {
        let mut line = self.line();
        let key = line.order.pop_front()?;
        let first = line.jobs.remove(&key);
        if !line.order.is_empty() {
            // A notice is one, however many jobs it was for.
            self.more.notify_one();
        }
        first
    }

    /// A job that was dropped comes back after a pause, and is given up when it comes back for
    /// ever: who needs it finds it in the store.
    async fn again(&self, waiter: Waiter) {
        let Waiter { job, dropped } = waiter;
        metrics::counter!("voxflow_jobs_redelivered_total").increment(1);
        if dropped >= LIMIT {
            metrics::counter!("voxflow_jobs_dead_total").increment(1);
            tracing::error!(kind = job.kind, id = job.id, "a job was dropped too often");
            let mut line = self.line();
            if line.dead.len() == DEAD {
                line.dead.pop_front();
            }
            line.dead.push_back(job);
            return;
        }
        tokio::time::sleep(pause(dropped)).await;
        self.put(Waiter { job, dropped: dropped + 1 });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn job(id: &str, trace: Option<&str>) -> Job {
        Job { kind: "thread".into(), id: id.into(), trace: trace.map(Into::into) }
    }

    #[tokio::test]
    async fn what_waits_already_is_merged() {
        let queue = Embedded::new();
        for trace in ["1", "2", "3"] {
            queue.publish(job("a", Some(trace))).await.unwrap();
            queue.publish(job("b", Some(trace))).await.unwrap();
        }
        let mut jobs = queue.subscribe().await.unwrap();
        let a = jobs.0.recv().await.unwrap();
        assert_eq!(a.job, job("a", Some("3")));
        // One in hand does not swallow a new one: its work may have looked already.
        queue.publish(job("a", Some("4"))).await.unwrap();
        assert_eq!(jobs.0.recv().await.unwrap().job, job("b", Some("3")));
        assert_eq!(jobs.0.recv().await.unwrap().job, job("a", Some("4")));
        assert!(jobs.0.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_nobody_finishes_is_given_up() {
        let queue = Embedded::new();
        queue.publish(job("a", None)).await.unwrap();
        let mut jobs = queue.subscribe().await.unwrap();
        for _ in 0..=LIMIT {
            drop(jobs.0.recv().await.unwrap());
        }
        let hour = std::time::Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, jobs.0.recv()).await.is_err());
        let dead = queue.dead(9).await.unwrap();
        assert_eq!(serde_json::from_str::<Job>(&dead[0].body).unwrap(), job("a", None));
        assert_eq!((dead.len(), dead[0].why.as_str()), (1, "delivery_limit"));
        assert_eq!(queue.replay(9).await.unwrap(), 1);
        jobs.0.recv().await.unwrap().done();
        assert!(queue.dead(9).await.unwrap().is_empty());
        queue.publish(job("a", None)).await.unwrap();
        jobs.0.recv().await.unwrap().done();
    }
}
