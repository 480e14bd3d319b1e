//! PostgreSQL: the store of many processes.
//!
//! A transaction is one flight of statements on a pooled connection, and its end in a second one,
//! once all of them have done what they must. It runs in a task of its own, so a caller who goes
//! away leaves no half transaction behind.
//!
//! Read in this order: this file (the server) → `transaction` (one, to its end) → `group` (commits
//! that wait together share one) → `joint` and `many` (what they have in common is said once) →
//! `asks` (questions that wait together).
//!
//! Invariant: a connection whose transaction did not come to its end never returns to the pool.

mod asks;
mod group;
mod joint;
mod many;
mod secure;
mod tables;
mod transaction;

use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use tokio_postgres::config::Host;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Config, Row};

use self::asks::Asks;
use self::group::Groups;
use self::tables::Tables;
use self::transaction::{Failed, alone};
use crate::Error;
use crate::statement::{Cell, Database, Record, Statement};

/// Connections to the server, at most.
const CONNECTIONS: usize = 16;
/// How long a connection may take to be made or to become free.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long a commit or a query may take, all in all.
const PATIENCE: Duration = Duration::from_secs(15);

/// The server ends what hangs: a process that froze in the middle of a transaction holds its locks
/// no longer than this.
///
/// A plan for many rows by their keys is kept for long, and may be made while a table is nearly
/// empty: then reading all of it looks cheap, and is not any more an hour later.
const SESSION: &str = "SET statement_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '5s'; SET synchronous_commit = on; \
     SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
     SET jit = off";

/// A database on a server.
pub(crate) struct Postgres {
    pool: Pool,
    groups: Groups,
    asks: Asks,
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
        let (groups, asks) = (Groups::new(&pool), Asks::new(&pool));
        Ok(Self { pool, groups, asks, tables, place })
    }

    fn told(&self, failed: Failed) -> Error {
        told(&self.place, failed)
    }
}

/// A failure at a place, in words.
fn told(place: &str, failed: Failed) -> Error {
    match failed {
        Failed::Must(broken) => match broken.into_iter().next() {
            Some((_, Error::Unavailable(why))) => unavailable(place, &why),
            Some((_, error)) => error,
            None => unavailable(place, "a rule was broken"),
        },
        other => unavailable(place, &other.why()),
    }
}

fn unavailable(place: &str, why: &str) -> Error {
    Error::Unavailable(format!("PostgreSQL at {place}: {why}"))
}

#[async_trait]
impl Database for Postgres {
    const TIME: Option<&'static str> =
        Some("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)");

    async fn write(&self, lane: &str, statements: Vec<Statement>) -> Result<Vec<Record>, Error> {
        self.tables.there().map_err(|f| self.told(f))?;
        self.groups.commit(lane, statements).await.map_err(|f| self.told(f))
    }

    async fn read(&self, query: Statement) -> Result<Vec<Record>, Error> {
        self.tables.there().map_err(|f| self.told(f))?;
        if query.keyed {
            return self.asks.ask(query).await.map_err(|f| self.told(f));
        }
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

fn record(row: &Row) -> Result<Record, tokio_postgres::Error> {
    cells(row, row.len())
}

/// The last column is for ourselves.
fn record_but_last(row: &Row) -> Result<Record, tokio_postgres::Error> {
    cells(row, row.len() - 1)
}

fn cells(row: &Row, most: usize) -> Result<Record, tokio_postgres::Error> {
    let cells = row.columns().iter().take(most).enumerate().map(|(i, column)| {
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
