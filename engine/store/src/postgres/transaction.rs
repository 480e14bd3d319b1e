//! One transaction, to its end.

use deadpool_postgres::{Object, Pool};
use futures_util::future::{join, join_all};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::chain;
use super::joint::{self, Call, Commit, Done, Forms};
use crate::Error;
use crate::statement::{Record, Statement};

/// Requests that travel together.
const FLIGHT: usize = 256;
/// Groups of several lanes take the rows of their threads in one order, whatever they do with them
/// then: so two processes never wait for each other.
const IN_ORDER: &str = "SELECT id FROM threads WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";

/// Why a transaction came to nothing.
#[derive(Clone)]
pub(super) enum Failed {
    /// Statements of these commits did not do what they must; nothing happened.
    Must(Vec<(usize, Error)>),
    /// It was certainly undone for a reason that passes: a lost connection, a deadlock.
    Again(String),
    /// The server refused a statement for a reason of its own; nothing happened.
    Odd(String),
    /// The server or the way to it; whether a commit arrived is unknown.
    Server(String),
}

impl Failed {
    /// In words.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Again(why) | Self::Odd(why) | Self::Server(why) => why.clone(),
            Self::Must(broken) => match broken.first() {
                Some((_, Error::Unavailable(why))) => why.clone(),
                Some((_, error)) => error.to_string(),
                None => String::new(),
            },
        }
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        let passing = [
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ];
        let again = error.is_closed() || error.code().is_some_and(|c| passing.contains(c));
        match error.code() {
            _ if again => Self::Again(chain(&error)),
            Some(_) => Self::Odd(chain(&error)),
            None => Self::Server(chain(&error)),
        }
    }
}

/// How the commits of a group are carried out.
#[derive(Clone, Copy)]
pub(super) enum How<'a> {
    /// What they have in common is said once.
    Jointly(&'a Forms),
    /// One after the other.
    InTurn,
}

/// One transaction of several commits, to its end: the rows that the statements of each have
/// returned.
pub(super) async fn transact(
    pool: &Pool,
    commits: &[Commit<'_>],
    how: How<'_>,
) -> Result<Vec<Vec<Record>>, Failed> {
    let client = pool.get().await.map_err(|e| Failed::Server(chain(&e)))?;
    let lent = Lent(Some(client));
    let client = lent.client();
    let done = if let [(_, [statement])] = commits {
        alone(client, statement).await.map(|records| vec![records])
    } else {
        together(client, commits, how).await
    };
    // After a broken rule the transaction was rolled back, and the connection is as good as new.
    if matches!(done, Ok(_) | Err(Failed::Must(..))) {
        lent.give_back();
    }
    done
}

/// A statement that is its own transaction.
pub(super) async fn alone(client: &Object, statement: &Statement) -> Result<Vec<Record>, Failed> {
    let plan = vec![vec![(0, statement)]];
    let done = async {
        let mut done = Vec::new();
        for call in joint::prepare(client, &Forms::default(), plan).await? {
            done.extend(call.carry_out(client).await?);
        }
        Ok::<_, tokio_postgres::Error>(done)
    };
    let broken = |error: &Error| Failed::Must(vec![(0, error.clone())]);
    match (done.await, &statement.must) {
        (Ok(done), Some(error)) if done.iter().all(|done| done.rows == 0) => Err(broken(error)),
        (Ok(done), _) => Ok(done.into_iter().flat_map(|done| done.records).collect()),
        (Err(error), Some(must)) if is_unique_violation(&error) => Err(broken(must)),
        // A lost connection leaves open whether it arrived: who asks again must look first.
        (Err(error), _) if error.is_closed() => Err(Failed::Server(chain(&error))),
        (Err(error), _) => Err(error.into()),
    }
}

async fn together(
    client: &Object,
    commits: &[Commit<'_>],
    how: How<'_>,
) -> Result<Vec<Vec<Record>>, Failed> {
    let (forms, plan) = match how {
        How::Jointly(forms) => (forms.clone(), joint::plan(commits)),
        How::InTurn => {
            let all = commits.iter().enumerate().flat_map(|(at, (_, statements))| {
                statements.iter().map(move |statement| vec![(at, statement)])
            });
            (Forms::default(), all.collect())
        }
    };
    // The first use of a statement on a connection waits for its preparation, and nothing may
    // wait between the requests of a flight.
    let calls = joint::prepare(client, &forms, plan).await?;
    let mut lanes: Vec<&str> = commits.iter().map(|(lane, _)| *lane).collect();
    lanes.dedup();
    let order = client.prepare_cached(IN_ORDER).await?;
    let mut told: Vec<Vec<Record>> = commits.iter().map(|_| Vec::new()).collect();
    let mut begun = false;
    for flight in calls.chunks(FLIGHT) {
        // A request leaves when its future is polled for the first time, and a set of futures is
        // first polled in order: so they arrive in order, without an answer in between.
        let begin = async {
            if begun {
                return Ok(());
            }
            if lanes.len() == 1 {
                return client.batch_execute("BEGIN").await;
            }
            let values: [&(dyn ToSql + Sync); 1] = [&lanes];
            let ordered = client.execute(&order, &values);
            let (begun, ordered) = join(client.batch_execute("BEGIN"), ordered).await;
            begun.and(ordered.map(|_| ()))
        };
        let requests = join_all(flight.iter().map(|call| call.carry_out(client)));
        let (begin, results) = join(begin, requests).await;
        begin?;
        begun = true;
        let broken = gather(flight, results, &mut told)?;
        if !broken.is_empty() {
            client.batch_execute("ROLLBACK").await?;
            return Err(Failed::Must(broken));
        }
    }
    match client.batch_execute("COMMIT").await {
        Ok(()) => Ok(told),
        // It may have arrived: who asks again must look first.
        Err(error) => Err(Failed::Server(chain(&error))),
    }
}

/// What a flight brought back; the commits of which something did not do what it must.
fn gather(
    flight: &[Call<'_>],
    results: Vec<Result<Vec<Done>, tokio_postgres::Error>>,
    told: &mut [Vec<Record>],
) -> Result<Vec<(usize, Error)>, Failed> {
    let mut broken: Vec<(usize, Error)> = Vec::new();
    for (result, call) in results.into_iter().zip(flight) {
        let musts = || call.parts.iter().map(|(at, statement)| (*at, statement.must.clone()));
        match result {
            Ok(all) => {
                for (done, (at, must)) in all.into_iter().zip(musts()) {
                    match must {
                        Some(must) if done.rows == 0 => broken.push((at, must)),
                        _ => told[at].extend(done.records),
                    }
                }
            }
            // What is found out about those before it is true all the same.
            Err(_) if !broken.is_empty() => break,
            Err(error) => match (musts().next(), call.parts.len()) {
                (Some((at, Some(must))), 1) if is_unique_violation(&error) => {
                    broken.push((at, must));
                    break;
                }
                _ => return Err(error.into()),
            },
        }
    }
    broken.sort_by_key(|(at, _)| *at);
    broken.dedup_by_key(|(at, _)| *at);
    Ok(broken)
}

/// A connection that is thrown away, with whatever it was doing, unless it is given back.
struct Lent(Option<Object>);

impl Lent {
    fn client(&self) -> &Object {
        self.0.as_ref().expect("it is lent until it is given back or dropped")
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

fn is_unique_violation(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
}
