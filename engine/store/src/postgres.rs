//! PostgreSQL: the store of many processes.
//!
//! A transaction is one flight of statements on a pooled connection, and its end in a second one,
//! once all of them have done what they must. Commits that wait together share one: see `group`.
//! It runs in a task of its own, so a caller who goes away leaves no half transaction behind.
//!
//! Invariant: a connection whose transaction did not come to its end never returns to the pool.

mod group;
mod secure;
mod tables;

use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts,
};
use futures_util::future::{join, join_all};
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Config, Row};

use self::group::Groups;
use self::tables::Tables;
use crate::Error;
use crate::statement::{Cell, Database, Record, Statement};

/// Connections to the server, at most.
const CONNECTIONS: usize = 16;
/// How long a connection may take to be made or to become free.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long a commit or a query may take, all in all.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a commit that the server has undone by itself is begun anew.
const TRIES: u32 = 4;
/// Statements that travel together.
const FLIGHT: usize = 256;

/// The server ends what hangs: a process that froze in the middle of a transaction holds its locks
/// no longer than this.
const SESSION: &str = "SET statement_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '5s'; SET synchronous_commit = on";

/// A database on a server.
pub(crate) struct Postgres {
    pool: Pool,
    groups: Groups,
    tables: Tables,
    /// Where it is, without its password.
    place: String,
}

impl Postgres {
    /// Connects and makes the tables that are missing; while the server is away, that goes on beside.
    pub(crate) async fn open(url: &str) -> Result<Self, Error> {
        let unusable = |why| Error::Unavailable(format!("the URL of PostgreSQL: {why}"));
        let (url, tls) = secure::take(url).map_err(unusable)?;
        let mut config: Config = url.parse().map_err(|_| {
            // What the parser says may quote a part of the password.
            Error::Unavailable(
                "the URL of PostgreSQL cannot be read; it is \
                 `postgres://user:password@host:5432/database`, where odd characters are written \
                 as `%40`"
                    .into(),
            )
        })?;
        config.connect_timeout(CONNECTING).keepalives_idle(Duration::from_secs(10));
        if config.get_application_name().is_none() {
            config.application_name("voxflow");
        }
        let place = place(&config);
        let recycling_method = RecyclingMethod::Fast;
        let manager = Manager::from_config(config, tls, ManagerConfig { recycling_method });
        let patient = Some(CONNECTING);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: patient, create: patient, recycle: patient })
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(
                    async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) },
                )
            }))
            .build()
            .map_err(|e| Error::Unavailable(format!("PostgreSQL: {e}")))?;
        let tables = Tables::open(&pool).await.map_err(|failed| told(&place, failed))?;
        Ok(Self { groups: Groups::new(&pool), pool, tables, place })
    }

    fn told(&self, failed: Failed) -> Error {
        told(&self.place, failed)
    }
}

/// A failure at a place, in words.
fn told(place: &str, failed: Failed) -> Error {
    match failed {
        Failed::Must(_, Error::Unavailable(_))
        | Failed::Again(_)
        | Failed::Odd(_)
        | Failed::Server(_) => {
            Error::Unavailable(format!("PostgreSQL at {place}: {}", failed.why()))
        }
        Failed::Must(_, error) => error,
    }
}

#[async_trait]
impl Database for Postgres {
    async fn write(&self, lane: &str, statements: Vec<Statement>) -> Result<Vec<Record>, Error> {
        self.tables.there().map_err(|f| self.told(f))?;
        self.groups.commit(lane, statements).await.map_err(|f| self.told(f))
    }

    async fn read(&self, query: Statement) -> Result<Vec<Record>, Error> {
        self.tables.there().map_err(|f| self.told(f))?;
        let read = async {
            let client = self.pool.get().await.map_err(|e| Failed::Server(chain(&e)))?;
            alone(&client, &query).await
        };
        let done = match tokio::time::timeout(PATIENCE, read).await {
            Ok(done) => done,
            Err(_) => Err(Failed::Server("no answer".into())),
        };
        done.map_err(|f| self.told(f))
    }
}

/// Why a transaction came to nothing.
#[derive(Clone)]
enum Failed {
    /// A statement of this commit did not do what it must; nothing happened.
    Must(usize, Error),
    /// It was certainly undone for a reason that passes: a lost connection, a deadlock.
    Again(String),
    /// The server refused a statement for a reason of its own; nothing happened.
    Odd(String),
    /// The server or the way to it; whether a commit arrived is unknown.
    Server(String),
}

impl Failed {
    /// In words.
    fn why(&self) -> String {
        match self {
            Self::Must(_, Error::Unavailable(why))
            | Self::Again(why)
            | Self::Odd(why)
            | Self::Server(why) => why.clone(),
            Self::Must(_, error) => error.to_string(),
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

/// One transaction of several commits, to its end: the rows that the last statement of each has
/// returned.
async fn transact(pool: &Pool, commits: &[&[Statement]]) -> Result<Vec<Vec<Record>>, Failed> {
    let client = pool.get().await.map_err(|e| Failed::Server(chain(&e)))?;
    let lent = Lent(Some(client));
    let client = lent.client();
    let done = if let [[statement]] = commits {
        alone(client, statement).await.map(|records| vec![records])
    } else {
        together(client, commits).await
    };
    // After a broken rule the transaction was rolled back, and the connection is as good as new.
    if matches!(done, Ok(_) | Err(Failed::Must(..))) {
        lent.give_back();
    }
    done
}

/// A statement that is its own transaction.
async fn alone(client: &Object, statement: &Statement) -> Result<Vec<Record>, Failed> {
    let done = carry_out(client, statement).await;
    match (done, &statement.must) {
        // Only what touches a row has anything to undo.
        (Ok((0, _)), Some(error)) => Err(Failed::Must(0, error.clone())),
        (Ok((_, records)), _) => Ok(records),
        (Err(error), Some(must)) if is_unique_violation(&error) => {
            Err(Failed::Must(0, must.clone()))
        }
        // A lost connection leaves open whether it arrived: who asks again must look first.
        (Err(error), _) if error.is_closed() => Err(Failed::Server(chain(&error))),
        (Err(error), _) => Err(error.into()),
    }
}

async fn together(client: &Object, commits: &[&[Statement]]) -> Result<Vec<Vec<Record>>, Failed> {
    let mut last: Vec<Vec<Record>> = commits.iter().map(|_| Vec::new()).collect();
    let all: Vec<(usize, &Statement)> = commits
        .iter()
        .enumerate()
        .flat_map(|(at, statements)| statements.iter().map(move |statement| (at, statement)))
        .collect();
    let mut begun = false;
    for flight in all.chunks(FLIGHT) {
        // The first use of a statement on a connection waits for its preparation, and nothing may
        // wait between the requests of a flight.
        for prepared in join_all(flight.iter().map(|(_, s)| client.prepare_cached(&s.sql))).await {
            prepared?;
        }
        // A request leaves when its future is polled for the first time, and a set of futures is
        // first polled in order: so they arrive in order, without an answer in between.
        let begin = async { if begun { Ok(()) } else { client.batch_execute("BEGIN").await } };
        let requests = join_all(flight.iter().map(|(_, s)| carry_out(client, s)));
        let (begin, results) = join(begin, requests).await;
        begin?;
        begun = true;
        for (result, (at, statement)) in results.into_iter().zip(flight) {
            let broken = match (result, &statement.must) {
                (Ok((0, _)), Some(must)) => must.clone(),
                (Err(error), Some(must)) if is_unique_violation(&error) => must.clone(),
                (Ok((_, records)), _) => {
                    last[*at] = records;
                    continue;
                }
                (Err(error), _) => return Err(error.into()),
            };
            client.batch_execute("ROLLBACK").await?;
            return Err(Failed::Must(*at, broken));
        }
    }
    match client.batch_execute("COMMIT").await {
        Ok(()) => Ok(last),
        // It may have arrived: who asks again must look first.
        Err(error) => Err(Failed::Server(chain(&error))),
    }
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

/// How many rows were touched, and the rows that it returned.
async fn carry_out(
    client: &Object,
    statement: &Statement,
) -> Result<(u64, Vec<Record>), tokio_postgres::Error> {
    let prepared = client.prepare_cached(&statement.sql).await?;
    let cells: Vec<&(dyn ToSql + Sync)> =
        statement.cells.iter().map(|c| c as &(dyn ToSql + Sync)).collect();
    if prepared.columns().is_empty() || statement.lock {
        return Ok((client.execute(&prepared, &cells).await?, Vec::new()));
    }
    let rows = client.query(&prepared, &cells).await?;
    let records = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    Ok((records.len() as u64, records))
}

fn record(row: &Row) -> Result<Record, tokio_postgres::Error> {
    let cells = row.columns().iter().enumerate().map(|(i, column)| {
        Ok(match *column.type_() {
            Type::BOOL => row.try_get::<_, Option<bool>>(i)?.map(Cell::Flag),
            Type::INT4 => row.try_get::<_, Option<i32>>(i)?.map(|int| Cell::Int(int.into())),
            Type::INT8 => row.try_get::<_, Option<i64>>(i)?.map(Cell::Int),
            _ => row.try_get::<_, Option<String>>(i)?.map(Cell::Text),
        }
        .unwrap_or(Cell::Null))
    });
    cells.collect::<Result<Vec<_>, _>>().map(Record::new)
}

impl ToSql for Cell {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Text(text) => text.to_sql_checked(kind, out),
            Self::Int(int) if *kind == Type::INT4 => i32::try_from(*int)?.to_sql(kind, out),
            Self::Int(int) => int.to_sql_checked(kind, out),
            Self::Flag(flag) => flag.to_sql_checked(kind, out),
        }
    }

    /// Each value looks for itself.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn is_unique_violation(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
}

/// Hosts and database, for people.
fn place(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let hosts: Vec<String> = hosts.collect();
    let ports: Vec<String> = config.get_ports().iter().map(u16::to_string).collect();
    let database = config.get_dbname().unwrap_or("its default database");
    format!("{}:{}/{database}", hosts.join(","), ports.join(","))
}

/// An error with all its causes: the outermost says only that something happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_said = next.to_string();
        if !said.contains(&next_said) {
            said = format!("{said}: {next_said}");
        }
        cause = next.source();
    }
    said
}
