//! A job is worked: read, advance, commit, acknowledge.
//!
//! Jobs are worked side by side, those of one row one after the other. A job whose work is done
//! already finds nothing to do, so it does not matter how often it comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use queue::{Delivery, Jobs, Queue};
use store::Write;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field};

use crate::{Runtime, Trouble, trace};

/// Jobs that are worked at once in a process: most of them wait for a model.
const AT_ONCE: usize = 1024;
/// How often work is done again at once when somebody else was faster.
const CONFLICTS: usize = 8;
/// How long work waits that could not be done.
const LATER: Duration = Duration::from_millis(500);
/// How long work may take to end once the process is to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// What a job is about.
type Row = (String, String);

/// Jobs at work, and those that wait for the one before them.
#[derive(Default)]
struct Desk {
    tasks: JoinSet<(Row, Ended)>,
    busy: HashMap<Row, Busy>,
}

/// A row at work.
struct Busy {
    running: AbortHandle,
    delivery: Delivery,
    waiting: Vec<Delivery>,
}

/// How the work on a job ended.
enum Ended {
    /// It is committed.
    Done,
    /// It could not be done; the queue shall bring it back.
    Later,
}

impl Desk {
    /// The row whose work has ended, taken from the desk. `None` when its place was taken by the
    /// job that aborted it: what is at work there now is not over.
    fn ended(
        &mut self,
        ended: Result<(Id, (Row, Ended)), JoinError>,
    ) -> Option<(Row, Busy, Ended)> {
        let (row, ended) = match ended {
            Ok((id, (row, ended))) => {
                let busy = self.busy.get(&row)?;
                (busy.running.id() == id).then_some((row, ended))?
            }
            Err(error) => {
                let at = |(_, busy): &(&Row, &Busy)| busy.running.id() == error.id();
                let row = self.busy.iter().find(at)?.0.clone();
                tracing::error!(kind = row.0, id = row.1, %error, "the work on a job broke");
                (row, Ended::Later)
            }
        };
        let busy = self.busy.remove(&row)?;
        Some((row, busy, ended))
    }
}

impl Runtime {
    /// Takes jobs from a queue until `stop`, then ends those at work.
    pub(crate) async fn work(self: Arc<Self>, queue: Arc<dyn Queue>, stop: CancellationToken) {
        let mut desk = Desk::default();
        while let Some(mut jobs) = subscribe(&*queue, &stop).await {
            self.take_jobs(&mut jobs, &mut desk, &stop).await;
        }
        let drained = async {
            while let Some(ended) = desk.tasks.join_next_with_id().await {
                if let Some((_, busy, Ended::Done)) = desk.ended(ended) {
                    busy.delivery.done();
                }
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("work was left to others");
        }
    }

    async fn take_jobs(
        self: &Arc<Self>,
        jobs: &mut Jobs,
        desk: &mut Desk,
        stop: &CancellationToken,
    ) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(ended) = desk.tasks.join_next_with_id() => self.end(desk, ended),
                delivery = jobs.0.recv(), if desk.busy.len() < AT_ONCE => match delivery {
                    Some(delivery) => self.begin(desk, delivery),
                    None => return,
                },
            }
        }
    }

    fn begin(self: &Arc<Self>, desk: &mut Desk, delivery: Delivery) {
        let row = (delivery.job.kind.clone(), delivery.job.id.clone());
        if row.0 == "reply"
            && let Some(older) = desk.busy.remove(&row)
        {
            // A newer text is answered together with the one that is being thought about.
            older.running.abort();
            older.delivery.done();
        }
        match desk.busy.get_mut(&row) {
            Some(busy) => busy.waiting.push(delivery),
            None => self.start(desk, row, delivery),
        }
    }

    fn end(self: &Arc<Self>, desk: &mut Desk, ended: Result<(Id, (Row, Ended)), JoinError>) {
        let Some((row, mut busy, ended)) = desk.ended(ended) else { return };
        match ended {
            Ended::Done => busy.delivery.done(),
            Ended::Later => drop(busy.delivery),
        }
        if let Some(delivery) = busy.waiting.pop() {
            // All that wait are about one row: one look at it serves them all.
            busy.waiting.into_iter().for_each(Delivery::done);
            self.start(desk, row, delivery);
        }
    }

    fn start(self: &Arc<Self>, desk: &mut Desk, row: Row, delivery: Delivery) {
        let runtime = Arc::clone(self);
        let about = row.clone();
        let span = tracing::info_span!(
            target: trace::TARGET, "job", otel.name = format!("job {}", row.0), otel.kind = "consumer",
            kind = row.0, id = row.1, outcome = field::Empty, { trace::LAY } = field::Empty
        );
        trace::follow(&span, delivery.job.trace.as_deref());
        let lay = delivery.came.elapsed().as_micros();
        span.record(trace::LAY, u64::try_from(lay).unwrap_or(u64::MAX));
        let running = desk.tasks.spawn(async move {
            let began = std::time::Instant::now();
            let ended = runtime.do_job(&about.0, &about.1).instrument(span.clone()).await;
            let outcome = match ended {
                Ended::Done => "done",
                Ended::Later => "later",
            };
            span.record("outcome", outcome);
            metrics::counter!("voxflow_jobs_worked_total", "kind" => about.0.clone(), "outcome" => outcome)
                .increment(1);
            metrics::histogram!("voxflow_jobs_seconds", "kind" => about.0.clone())
                .record(began.elapsed().as_secs_f64());
            (about, ended)
        });
        desk.busy.insert(row, Busy { running, delivery, waiting: Vec::new() });
    }

    async fn do_job(&self, kind: &str, id: &str) -> Ended {
        for _ in 0..CONFLICTS {
            let done = match kind {
                "thread" => self.handle_thread(id).await,
                "reply" => self.reply(id).await,
                "session" => self.expire_session(id).await,
                "run" => self.run_deadline(id).await,
                "awaits" => self.release_run(id).await,
                "deed" => self.carry_out(id).await,
                "complete" => self.complete(id).await,
                "outbox" => {
                    self.outbox_changed();
                    Ok(())
                }
                other => Err(Trouble::Broken(format!("no job is called `{other}`"))),
            };
            match done {
                Ok(()) => return Ended::Done,
                Err(error) if error.is_conflict() => {}
                Err(Trouble::Store(error)) => {
                    tracing::warn!(kind, id, %error, "a job waits");
                    break;
                }
                Err(Trouble::Broken(why)) => {
                    tracing::error!(kind, id, why, "a job makes no sense and is put away");
                    // The timers of runs and sessions are called after their jobs.
                    let timer = Write::Forget { id: format!("{kind}:{id}") };
                    match self.parts.store.commit(vec![timer]).await {
                        Ok(()) => return Ended::Done,
                        Err(_) => break,
                    }
                }
            }
        }
        tokio::time::sleep(LATER).await;
        Ended::Later
    }
}

async fn subscribe(queue: &dyn Queue, stop: &CancellationToken) -> Option<Jobs> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            jobs = queue.subscribe() => match jobs {
                Ok(jobs) => return Some(jobs),
                Err(error) => tracing::warn!(%error, "no jobs can be taken yet"),
            },
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(LATER) => {}
        }
    }
}
