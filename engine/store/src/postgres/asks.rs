//! Questions by key that wait at the same moment go in one flight, and those with the same words as
//! one question.

use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool_postgres::Pool;
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::joint::{self, Forms};
use super::transaction::Failed;
use super::{PATIENCE, chain};
use crate::statement::{Record, Statement};

/// Readers of a process; each has a connection while it reads.
const READERS: usize = 2;
/// Questions of one flight, at most.
const GROUP: usize = 256;
/// Questions that may wait for a reader before their askers do.
const WAITING: usize = 1024;

/// The readers.
pub(super) struct Asks {
    readers: Vec<mpsc::Sender<Ask>>,
    next: AtomicUsize,
}

/// A question that waits.
struct Ask {
    query: Statement,
    answer: oneshot::Sender<Result<Vec<Record>, Failed>>,
}

impl Asks {
    pub(super) fn new(pool: &Pool) -> Self {
        let forms = Forms::default();
        let readers = (0..READERS).map(|_| {
            let (asks, waiting) = mpsc::channel(WAITING);
            tokio::spawn(read_for_ever(pool.clone(), forms.clone(), waiting));
            asks
        });
        Self { readers: readers.collect(), next: AtomicUsize::new(0) }
    }

    /// Asks, together with whoever else waits.
    pub(super) async fn ask(&self, query: Statement) -> Result<Vec<Record>, Failed> {
        let gone = || Failed::Server("the reader has ended".into());
        let reader = self.next.fetch_add(1, Ordering::Relaxed) % READERS;
        let (answer, answered) = oneshot::channel();
        self.readers[reader].send(Ask { query, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// A reader's life.
async fn read_for_ever(pool: Pool, forms: Forms, mut waiting: mpsc::Receiver<Ask>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let queries: Vec<&Statement> = group.iter().map(|ask| &ask.query).collect();
        let read = tokio::time::timeout(PATIENCE, read(&pool, &forms, &queries)).await;
        let answers = read.unwrap_or_else(|_| Err(Failed::Server("no answer".into())));
        match answers {
            Ok(answers) => {
                for (ask, answer) in group.drain(..).zip(answers) {
                    // Who no longer waits does not need it.
                    let _ = ask.answer.send(answer);
                }
            }
            Err(failed) => {
                for ask in group.drain(..) {
                    let _ = ask.answer.send(Err(failed.clone()));
                }
            }
        }
    }
}

/// The answers, in the order of the questions.
async fn read(
    pool: &Pool,
    forms: &Forms,
    queries: &[&Statement],
) -> Result<Vec<Result<Vec<Record>, Failed>>, Failed> {
    let client = pool.get().await.map_err(|e| Failed::Server(chain(&e)))?;
    let mut alike: Vec<Vec<(usize, &Statement)>> = Vec::new();
    for (at, query) in queries.iter().enumerate() {
        match alike.iter_mut().find(|same| same[0].1.sql == query.sql) {
            Some(same) => same.push((at, query)),
            None => alike.push(vec![(at, query)]),
        }
    }
    let calls = joint::prepare(&client, forms, alike).await?;
    let read = join_all(calls.iter().map(|call| call.carry_out(&client))).await;
    let mut answers: Vec<_> = queries.iter().map(|_| Ok(Vec::new())).collect();
    for (result, call) in read.into_iter().zip(&calls) {
        match result {
            Ok(all) => all.into_iter().for_each(|done| answers[done.at] = Ok(done.records)),
            Err(error) => {
                let failed = Failed::from(error);
                call.parts.iter().for_each(|(at, _)| answers[*at] = Err(failed.clone()));
            }
        }
    }
    Ok(answers)
}
