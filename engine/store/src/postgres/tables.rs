//! The tables are made as soon as the server can be reached: a process that starts before its
//! database waits for it.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Pool, PoolError};
use tokio::sync::watch;
use tokio_postgres::error::SqlState;

use super::chain;
use super::transaction::Failed;
use crate::migration::{self, POSTGRES};

/// Held while tables are made, so that processes that start together take turns.
const MIGRATING: i64 = 0x766f_7866_6c6f_7701;
/// The first pause before the server is asked again; it doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Why the tables are not there yet; `None` once they are.
pub(super) struct Tables(watch::Receiver<Option<Arc<str>>>);

impl Tables {
    /// Makes the tables that are missing, or goes on trying to while the server is away.
    ///
    /// # Errors
    /// The server is there, and waiting will not help: it does not know us or the database, or its
    /// tables are newer than we are.
    pub(super) async fn open(pool: &Pool) -> Result<Self, Failed> {
        let why = match make(pool).await {
            Ok(()) => None,
            Err(Failed::Server(why) | Failed::Again(why)) => Some(Arc::from(why)),
            Err(lasting) => return Err(lasting),
        };
        let waits = why.is_some();
        let (told, heard) = watch::channel(why);
        if waits {
            tokio::spawn(keep_trying(pool.clone(), told));
        }
        Ok(Self(heard))
    }

    /// Whether the tables can be used.
    pub(super) fn there(&self) -> Result<(), Failed> {
        match &*self.0.borrow() {
            None => Ok(()),
            Some(why) => {
                Err(Failed::Server(format!("not reached since this process began: {why}")))
            }
        }
    }
}

/// Tries until the tables are there, or nobody wants them any more.
async fn keep_trying(pool: Pool, told: watch::Sender<Option<Arc<str>>>) {
    let mut wait = SHORTEST;
    loop {
        if let Some(why) = told.borrow().as_deref() {
            tracing::warn!(why, ?wait, "the database is away; asking again");
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = told.closed() => return,
        }
        wait = (wait * 2).min(LONGEST);
        let why = match make(&pool).await {
            Ok(()) => {
                tracing::info!("the database is there");
                None
            }
            Err(failed) => Some(Arc::from(failed.why())),
        };
        let there = why.is_none();
        // Nobody listens when the store is gone; the next look at it ends this.
        let _ = told.send(why);
        if there {
            return;
        }
    }
}

async fn make(pool: &Pool) -> Result<(), Failed> {
    let mut client = pool.get().await.map_err(not_connected)?;
    let transaction = client.transaction().await?;
    let locked = format!("SELECT pg_advisory_xact_lock({MIGRATING})");
    transaction.batch_execute(&locked).await?;
    transaction.batch_execute(migration::TABLE).await?;
    let version = transaction.query_one(migration::VERSION, &[]).await?.try_get(0)?;
    let missing = migration::missing(POSTGRES, version);
    for migration in missing.map_err(|error| Failed::Must(vec![(0, error)]))? {
        transaction.batch_execute(migration.sql).await?;
        transaction.execute(migration::DONE, &[&migration.number]).await?;
    }
    Ok(transaction.commit().await?)
}

/// A server that answers with a reason of its own is there; only some of its reasons pass.
fn not_connected(error: PoolError) -> Failed {
    let passing = [
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
    ];
    let code = match &error {
        PoolError::Backend(error) => error.code(),
        _ => None,
    };
    match code {
        Some(code) if !passing.contains(code) => Failed::Odd(chain(&error)),
        _ => Failed::Server(chain(&error)),
    }
}
