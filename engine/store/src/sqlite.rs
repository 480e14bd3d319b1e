//! SQLite: the store of a single machine.
//!
//! One thread owns the only connection that writes. It takes all commits that wait, does them in
//! one transaction, each in its own savepoint, and answers each on its own: one sync to the disk
//! for all of them. Readers have connections of their own and see the last commit.
//!
//! Invariant: a commit is answered only after the transaction that holds it is on the disk
//! (`synchronous = FULL`).

use std::thread::available_parallelism;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_sqlite::{Config, Hook, HookError, Pool, Runtime};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, params_from_iter};
use tokio::sync::{mpsc, oneshot};

use crate::Error;
use crate::migration::{self, SQLITE};
use crate::statement::{Cell, Database, Record, Statement};

/// Commits that share one sync to the disk, at most.
const GROUP: usize = 256;
/// Commits that may wait for the writer before their makers do.
const WAITING: usize = 1024;
/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(5);
/// What a connection that reads keeps of the file, KiB (minus, as SQLite counts): it looks single rows
/// up, and the system has the pages.
const KEPT: i64 = -256;
/// Prepared statements that a connection keeps; there are about fifty.
const STATEMENTS: usize = 128;

/// A database file, or one in memory.
pub(crate) struct Sqlite {
    writer: mpsc::Sender<Ask>,
    /// None for a database in memory: only its one connection can see it.
    readers: Option<Pool>,
}

/// A commit that waits for the writer.
struct Ask {
    statements: Vec<Statement>,
    answer: oneshot::Sender<Result<Vec<Record>, Error>>,
}

impl Sqlite {
    /// Opens the file at `path`, made when it is not there; `:memory:` is a private database that
    /// lives as long as this does.
    pub(crate) async fn open(path: &str) -> Result<Self, Error> {
        let (writer, asks) = mpsc::channel(WAITING);
        let (answer, opened) = oneshot::channel();
        let file = path.to_owned();
        std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || match open_writer(&file) {
                Ok(connection) => {
                    // Whoever opened us may have given up.
                    let _ = answer.send(Ok(()));
                    serve(&connection, asks);
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                }
            })
            .map_err(|e| Error::Unavailable(format!("no thread for the writer: {e}")))?;
        opened.await.map_err(|_| gone())?.map_err(|e| match e {
            Error::Unavailable(why) => Error::Unavailable(format!("`{path}`: {why}")),
            other => other,
        })?;
        let readers = if path == ":memory:" { None } else { Some(readers(path)?) };
        Ok(Self { writer, readers })
    }
}

#[async_trait]
impl Database for Sqlite {
    const TIME: Option<&'static str> = None;

    async fn write(&self, _: &str, statements: Vec<Statement>) -> Result<Vec<Record>, Error> {
        let (answer, answered) = oneshot::channel();
        self.writer.send(Ask { statements, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    async fn read(&self, query: Statement) -> Result<Vec<Record>, Error> {
        let Some(readers) = &self.readers else {
            return self.write("", vec![query]).await;
        };
        let reader = readers.get().await.map_err(unavailable)?;
        reader
            .interact(move |connection| carry_out(connection, &query))
            .await
            .map_err(unavailable)?
    }
}

fn open_writer(path: &str) -> Result<Connection, Error> {
    let mut connection = Connection::open(path).map_err(unavailable)?;
    connection.busy_timeout(BUSY).map_err(unavailable)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(unavailable)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(unavailable)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    migrate(&mut connection)?;
    Ok(connection)
}

fn readers(path: &str) -> Result<Pool, Error> {
    Config::new(path)
        .builder(Runtime::Tokio1)
        .map_err(unavailable)?
        // One for each processor; at least two, so that a long look does not hold up a short one.
        .max_size(available_parallelism().map_or(2, |processors| processors.get().max(2)))
        .post_create(Hook::async_fn(|reader, _| {
            Box::pin(async move {
                let prepared = reader
                    .interact(|connection| {
                        connection.set_prepared_statement_cache_capacity(STATEMENTS);
                        connection.busy_timeout(BUSY)?;
                        connection.pragma_update(None, "cache_size", KEPT)?;
                        connection.pragma_update(None, "query_only", true)
                    })
                    .await;
                match prepared {
                    Ok(done) => done.map_err(HookError::Backend),
                    Err(gone) => Err(HookError::message(gone.to_string())),
                }
            })
        }))
        .build()
        .map_err(unavailable)
}

/// Makes the tables, once, however many processes open the file at the same time.
fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(unavailable)?;
    transaction.execute_batch(migration::TABLE).map_err(unavailable)?;
    let version: Option<i64> = transaction
        .query_row(migration::VERSION, [], |row| row.get(0))
        .optional()
        .map_err(unavailable)?
        .flatten();
    for migration in migration::missing(SQLITE, version)? {
        transaction.execute_batch(migration.sql).map_err(unavailable)?;
        transaction.execute(migration::DONE, [migration.number]).map_err(unavailable)?;
    }
    transaction.commit().map_err(unavailable)
}

/// The writer's life: groups of commits, until nobody can ask any more.
fn serve(connection: &Connection, mut asks: mpsc::Receiver<Ask>) {
    let mut group = Vec::with_capacity(GROUP);
    while asks.blocking_recv_many(&mut group, GROUP) > 0 {
        metrics::histogram!("voxflow_store_group_size").record(group.len() as f64);
        let (statements, answers): (Vec<_>, Vec<_>) =
            group.drain(..).map(|ask| (ask.statements, ask.answer)).unzip();
        let results = match together(connection, &statements) {
            Ok(results) => results,
            Err(error) => {
                if !connection.is_autocommit()
                    && let Err(error) = connection.execute_batch("ROLLBACK")
                {
                    tracing::error!(%error, "a transaction cannot be rolled back");
                }
                answers.iter().map(|_| Err(error.clone())).collect()
            }
        };
        for (answer, result) in answers.into_iter().zip(results) {
            // Who no longer waits reads the rows again.
            let _ = answer.send(result);
        }
    }
}

/// One transaction for all commits; one that fails is undone alone.
fn together(
    connection: &Connection,
    commits: &[Vec<Statement>],
) -> Result<Vec<Result<Vec<Record>, Error>>, Error> {
    let run = |sql: &str| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map_err(unavailable)
    };
    run("BEGIN IMMEDIATE")?;
    let mut results = Vec::with_capacity(commits.len());
    for commit in commits {
        run("SAVEPOINT one")?;
        let result = one(connection, commit);
        if result.is_err() {
            run("ROLLBACK TO one")?;
        }
        run("RELEASE one")?;
        results.push(result);
    }
    run("COMMIT")?;
    Ok(results)
}

fn one(connection: &Connection, statements: &[Statement]) -> Result<Vec<Record>, Error> {
    let mut told = Vec::new();
    for statement in statements.iter().filter(|s| !s.lock) {
        told.extend(carry_out(connection, statement)?);
    }
    Ok(told)
}

fn carry_out(connection: &Connection, statement: &Statement) -> Result<Vec<Record>, Error> {
    // One writer needs no row locks.
    let sql = statement.sql.replace(" FOR UPDATE SKIP LOCKED", "").replace('$', "?");
    let done = run(connection, &sql, &statement.cells);
    match (done, &statement.must) {
        (Ok((0, _)), Some(error)) => Err(error.clone()),
        (Ok((_, records)), _) => Ok(records),
        (Err(error), Some(must)) if is_unique_violation(&error) => Err(must.clone()),
        (Err(error), _) => Err(unavailable(error)),
    }
}

/// How many rows were touched, and the rows that it returned.
fn run(
    connection: &Connection,
    sql: &str,
    cells: &[Cell],
) -> Result<(usize, Vec<Record>), rusqlite::Error> {
    let mut prepared = connection.prepare_cached(sql)?;
    let columns = prepared.column_count();
    if columns == 0 {
        return Ok((prepared.execute(params_from_iter(cells))?, Vec::new()));
    }
    let mut rows = prepared.query(params_from_iter(cells))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let cells = (0..columns).map(|i| row.get(i)).collect::<Result<Vec<Value>, _>>()?;
        records.push(Record::new(cells.into_iter().map(cell).collect()));
    }
    Ok((records.len(), records))
}

fn cell(value: Value) -> Cell {
    match value {
        Value::Integer(int) => Cell::Int(int),
        Value::Text(text) => Cell::Text(text),
        // There is neither in our tables; reading it as what it should be fails by name.
        Value::Null | Value::Real(_) | Value::Blob(_) => Cell::Null,
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Int(int) => ToSqlOutput::Owned(Value::Integer(*int)),
            Self::Flag(flag) => ToSqlOutput::Owned(Value::Integer((*flag).into())),
        })
    }
}

fn is_unique_violation(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::ConstraintViolation))
}

fn unavailable(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!("SQLite: {error}"))
}

fn gone() -> Error {
    Error::Unavailable("SQLite: the writer has ended".into())
}
