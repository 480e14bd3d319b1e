//! Commits that wait at the same moment go in one transaction: one way to the server and back, one
//! sync to its disk.
//!
//! Each lane (a thread, for us) belongs to one writer, but for what comes in, and a writer sorts its
//! group by lane. So two groups take the rows of threads in the same order, whoever writes them.
//!
//! Invariant: a commit that fails, fails alone. The group is undone, that one is told, and the
//! others go again: jointly, in turn when the server refuses that, and at last each alone.

use std::hash::{DefaultHasher, Hash, Hasher};

use deadpool_postgres::Pool;
use tokio::sync::{mpsc, oneshot};

use super::PATIENCE;
use super::joint::{Commit, Forms};
use super::transaction::{Failed, How, transact};
use crate::Error;
use crate::statement::{Record, Statement};

/// Writers of a process, besides the one for what comes in; each has a connection while it writes.
const WRITERS: u64 = 2;
/// How often a commit that the server has undone by itself is begun anew.
const TRIES: u32 = 4;
/// Commits of one transaction, at most.
const GROUP: usize = 128;
/// Commits that may wait for a writer before their makers do.
const WAITING: usize = 1024;

/// The writers.
pub(super) struct Groups(Vec<mpsc::Sender<Ask>>);

/// A commit that waits.
struct Ask {
    lane: String,
    statements: Vec<Statement>,
    answer: oneshot::Sender<Result<Vec<Record>, Failed>>,
}

impl Groups {
    pub(super) fn new(pool: &Pool) -> Self {
        let forms = Forms::default();
        let writers = (0..=WRITERS).map(|_| {
            let (asks, waiting) = mpsc::channel(WAITING);
            tokio::spawn(write_for_ever(pool.clone(), forms.clone(), waiting));
            asks
        });
        Self(writers.collect())
    }

    /// Commits, together with whatever else waits.
    pub(super) async fn commit(
        &self,
        lane: &str,
        statements: Vec<Statement>,
    ) -> Result<Vec<Record>, Failed> {
        let gone = || Failed::Server("the writer has ended".into());
        // A carrier waits for the answer to its webhook: that is short, and not put behind the rest.
        let comes_in = statements.iter().any(|s| s.must == Some(Error::Duplicate));
        let writer = if comes_in { WRITERS } else { hash(lane) % WRITERS };
        let writer = usize::try_from(writer).unwrap_or(0);
        let (answer, answered) = oneshot::channel();
        let ask = Ask { lane: lane.into(), statements, answer };
        self.0[writer].send(ask).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn hash(lane: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    lane.hash(&mut hasher);
    hasher.finish()
}

/// A writer's life.
async fn write_for_ever(pool: Pool, forms: Forms, mut waiting: mpsc::Receiver<Ask>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        metrics::histogram!("voxflow_store_group_size").record(group.len() as f64);
        group.sort_by(|a, b| a.lane.cmp(&b.lane));
        write(&pool, How::Jointly(&forms), std::mem::take(&mut group)).await;
    }
}

/// Commits a group, without those of it that cannot be.
async fn write(pool: &Pool, how: How<'_>, mut group: Vec<Ask>) {
    let mut tries = 1;
    while !group.is_empty() {
        let commits: Vec<Commit<'_>> =
            group.iter().map(|ask| (&*ask.lane, &*ask.statements)).collect();
        let done = tokio::time::timeout(PATIENCE, transact(pool, &commits, how)).await;
        // Who no longer waits reads the rows again.
        match done.unwrap_or_else(|_| Err(Failed::Server("no answer".into()))) {
            Ok(records) => {
                for (ask, records) in group.drain(..).zip(records) {
                    let _ = ask.answer.send(Ok(records));
                }
            }
            Err(Failed::Must(broken)) => {
                // From the last one, so that the places of the others stay.
                for (at, error) in broken.into_iter().rev() {
                    let ask = group.remove(at);
                    let _ = ask.answer.send(Err(Failed::Must(vec![(0, error)])));
                }
            }
            Err(Failed::Again(why)) if tries < TRIES => {
                tries += 1;
                tracing::warn!(why, "a commit is begun anew");
            }
            // One of them may be what the server cannot do, or what it cannot do with the others.
            Err(Failed::Odd(why)) if group.len() > 1 => {
                tracing::debug!(why, "a group of commits is done one by one");
                if let How::Jointly(_) = how {
                    return Box::pin(write(pool, How::InTurn, group)).await;
                }
                for ask in group.drain(..) {
                    Box::pin(write(pool, how, vec![ask])).await;
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
