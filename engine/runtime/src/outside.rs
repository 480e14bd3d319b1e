//! Events from outside, for runs wherever they are: about a thread, on a call hosted here, on a call
//! hosted by another process.
//!
//! Between processes an event is a row: the process that hosts the call takes it, once. Nobody
//! else can act for a call.

use std::sync::Arc;
use std::time::Duration;

use flow::{Event, Medium};
use jiff::SignedDuration;
use store::{ToldRow, Write};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Runtime, Trouble};

/// How often a process with live calls looks for events of theirs.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked whether the other process has taken an event.
const AGAIN: Duration = Duration::from_millis(100);
/// How long the other process may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Events that are looked at together.
const BATCH: u32 = 256;
/// Whoever told an event that is older has died since.
const LOST: SignedDuration = SignedDuration::from_mins(1);

/// What became of an event from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The run has it.
    Taken,
    /// The run does not wait for such an event.
    Unwanted,
    /// The run has ended.
    Over,
    /// There is no such run.
    Unknown,
    /// Another process hosts the call, and does not answer.
    Silent,
}

impl Runtime {
    /// Gives an event to a run.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn tell_run(&self, run: &str, event: Event) -> Result<Told, store::Error> {
        let Some(row) = self.parts.store.run(run).await? else { return Ok(Told::Unknown) };
        if row.outcome.is_some() {
            return Ok(Told::Over);
        }
        if matches!(event, Event::Signal { .. }) && row.state.waits().next().is_none() {
            return Ok(Told::Unwanted);
        }
        if row.medium == Medium::Call {
            let told = self.lines.tell(run, event.clone());
            return if told { Ok(Told::Taken) } else { self.tell_elsewhere(run, event).await };
        }
        loop {
            match self.step(run, None, event.clone()).await {
                Ok(None) => return Ok(Told::Over),
                Ok(Some(stepped)) if stepped.dropped => return Ok(Told::Unwanted),
                Ok(Some(stepped)) => match self.commit(stepped.writes.clone()).await {
                    Ok(()) => {
                        stepped.committed(self);
                        return Ok(Told::Taken);
                    }
                    // Something else happened in the run meanwhile.
                    Err(store::Error::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                },
                Err(Trouble::Store(error)) => return Err(error),
                Err(Trouble::Broken(why)) => return Err(store::Error::Unavailable(why)),
            }
        }
    }

    /// Gives an event to a call of another process, and waits until that has taken it.
    async fn tell_elsewhere(&self, run: &str, event: Event) -> Result<Told, store::Error> {
        let (id, at) = (Uuid::now_v7().to_string(), self.parts.clock.now());
        let row = ToldRow { id: id.clone(), run: run.into(), event, at };
        self.parts.store.commit(vec![Write::Tell(row)]).await?;
        let heard = async {
            loop {
                tokio::time::sleep(AGAIN).await;
                if !self.parts.store.told(BATCH).await?.iter().any(|row| row.id == id) {
                    return Ok::<_, store::Error>(());
                }
            }
        };
        match tokio::time::timeout(PATIENCE, heard).await {
            Ok(heard) => heard.map(|()| Told::Taken),
            Err(_) => match self.parts.store.commit(vec![Write::Heard { id }]).await {
                Ok(()) => Ok(Told::Silent),
                Err(store::Error::Conflict { .. }) => Ok(Told::Taken),
                Err(error) => Err(error),
            },
        }
    }

    /// Takes events for calls that this process hosts, until `stop`.
    pub(crate) async fn listen(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if self.lines.count() > 0
                && let Err(error) = self.hear().await
            {
                tracing::warn!(%error, "events for calls could not be read");
            }
        }
    }

    async fn hear(&self) -> Result<(), store::Error> {
        let now = self.parts.clock.now();
        for row in self.parts.store.told(BATCH).await? {
            let lost = now.duration_since(row.at) > LOST;
            if !lost && !self.lines.has(&row.run) {
                continue;
            }
            match self.parts.store.commit(vec![Write::Heard { id: row.id }]).await {
                Ok(()) if !lost => drop(self.lines.tell(&row.run, row.event)),
                // Somebody else took it, or took it back.
                Ok(()) | Err(store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
