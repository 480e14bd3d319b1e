//! Runs that nobody called or texted for: what comes after a run or a recording of it that has ended,
//! and what a client of the API starts.
//!
//! Such a run is stored as one that has not begun, with a timer that wakes a worker for it; so it
//! is started once, by whichever process is there.

use std::sync::Arc;

use conversation::Tenant;
use flow::{Activeflow, Flow, Medium, Taken, Vars};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{DeedRow, FlowRow, RunRow, TimerRow, Write};
use uuid::Uuid;

use crate::{Runtime, Trouble, trace};

/// Runs that may follow on one another by `on_complete`, besides the first.
const CHAIN: u64 = 5;
/// Runs that follow have an id that is made of the run before, so that no two of them follow it.
const FOLLOWING: Uuid = Uuid::from_u128(0x5c1d_27a4_11f3_4d0a_9b6e_7f20_84c9_3e02);

/// A run to begin.
pub struct Begin {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its flow, by name or version; or the text of a document.
    pub flow: Wanted,
    /// The thread that it is about, if any.
    pub thread: Option<String>,
    /// Its variables.
    pub vars: Vars,
}

/// Which flow.
pub enum Wanted {
    /// One of the tenant's, by name or version.
    Named(String),
    /// This document.
    Text(String),
}

/// What follows on something of a run that has ended.
#[derive(Deserialize)]
struct OnEnd {
    /// The flow, by name or version.
    flow: String,
    /// What has ended; its name is the first word of the variables.
    of: String,
    /// What is known of it.
    values: Vars,
}

/// Why a run was not begun.
#[derive(Debug, thiserror::Error)]
pub enum NotBegun {
    /// There is no such flow or thread.
    #[error("{0}")]
    Unknown(String),
    /// The document has errors.
    #[error("{0}")]
    Faulty(String),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What wakes a worker for the end of a run, when its flow says what comes afterwards.
pub(crate) fn afterwards(flow: &Flow, run: &RunRow, now: Timestamp) -> Option<Write> {
    flow.on_complete.as_ref()?;
    Some(timer("complete", &run.id, now))
}

fn timer(kind: &str, run: &str, due: Timestamp) -> Write {
    let (id, subject, guard) = (format!("{kind}:{run}"), run.into(), String::new());
    Write::Timer(TimerRow { id, due, kind: kind.into(), subject, guard, trace: trace::current() })
}

impl Runtime {
    /// Begins a run: a worker takes it up at once.
    ///
    /// # Errors
    /// There is no such flow or thread, the document has errors, or the store did not answer.
    pub async fn begin_run(&self, begin: Begin) -> Result<RunRow, NotBegun> {
        let (medium, subject) = match &begin.thread {
            None => (Medium::None, String::new()),
            Some(id) => match self.parts.store.thread(id).await? {
                Some(thread) if thread.peering.tenant == begin.tenant => (Medium::Text, id.clone()),
                Some(_) | None => {
                    return Err(NotBegun::Unknown(format!("no conversation has the id {id}")));
                }
            },
        };
        let (version, flow) = match begin.flow {
            Wanted::Named(name) => match self.named(&begin.tenant, &name).await {
                Ok(found) => found,
                Err(Trouble::Store(error)) => return Err(error.into()),
                Err(Trouble::Broken(why)) => return Err(NotBegun::Unknown(why)),
            },
            Wanted::Text(text) => {
                self.fresh_version(&begin.tenant, "inline", text).await.map_err(NotBegun::Faulty)?
            }
        };
        let id = Uuid::now_v7().to_string();
        let run = self.unbegun(&id, (&version, &flow), (medium, subject), begin.vars);
        let now = run.created;
        let row = Write::Run(run.clone());
        self.commit(vec![Write::Flow(version), row, timer("run", &id, now)]).await?;
        Ok(run)
    }

    fn unbegun(
        &self,
        id: &str,
        (version, flow): (&FlowRow, &Arc<Flow>),
        (medium, subject): (Medium, String),
        vars: Vars,
    ) -> RunRow {
        let now = self.parts.clock.now();
        RunRow {
            id: id.into(),
            tenant: version.tenant.clone(),
            flow: version.id.clone(),
            flow_name: version.name.clone(),
            medium,
            subject,
            seq: 0,
            state: Activeflow::new(id, flow, medium, vars),
            outcome: None,
            created: now,
            updated: now,
        }
    }

    /// A run has ended: starts the flow that its own flow names for that.
    pub(crate) async fn complete(&self, id: &str) -> Result<(), Trouble> {
        let mut writes = vec![Write::Fired { id: format!("complete:{id}") }];
        if let Some(run) = self.parts.store.run(id).await?
            && run.outcome.is_some()
            && let Some(name) = self.flow(&run.flow).await?.on_complete.clone()
        {
            let next = Uuid::new_v5(&FOLLOWING, id.as_bytes()).to_string();
            if self.parts.store.run(&next).await?.is_none() {
                match self.next(&run, &next, &name, Vars::new()).await {
                    Ok(begun) => writes.extend(begun),
                    Err(Trouble::Broken(why)) => writes.push(self.refused(&run, &why)),
                    Err(error) => return Err(error),
                }
            }
        }
        match self.commit(writes).await {
            // Somebody else has done it.
            Err(store::Error::Conflict { what }) if what.starts_with("timer") => Ok(()),
            done => Ok(done?),
        }
    }

    /// Begins the flow that follows on something of a run that has ended, once for each deed.
    pub(crate) async fn begin_on_end(
        &self,
        row: &DeedRow,
        option: &Value,
    ) -> Result<Vec<Write>, Trouble> {
        let wanted = OnEnd::deserialize(option).map_err(|error| Trouble::Broken(error.to_string()));
        let OnEnd { flow, of, values } = wanted?;
        let unknown = || Trouble::Broken(format!("there is no run {}", row.run));
        let run = self.parts.store.run(&row.run).await?.ok_or_else(unknown)?;
        let next = Uuid::new_v5(&FOLLOWING, row.command.key.0.as_bytes()).to_string();
        if self.parts.store.run(&next).await?.is_some() {
            return Ok(Vec::new());
        }
        let named = |(name, value): (String, Value)| {
            // The names of the older dialect are readable too.
            [(format!("{of}.{name}"), value.clone()), (format!("voipbin.{of}.{name}"), value)]
        };
        self.next(&run, &next, &flow, values.into_iter().flat_map(named).collect()).await
    }

    /// A run that follows on another, which also knows `more`.
    async fn next(
        &self,
        run: &RunRow,
        next: &str,
        name: &str,
        more: Vars,
    ) -> Result<Vec<Write>, Trouble> {
        if run.state.chain >= CHAIN {
            let why = format!("{CHAIN} runs have followed on one another: `{name}` is not started");
            return Err(Trouble::Broken(why));
        }
        let (version, flow) = self.named(&run.tenant, name).await?;
        // What follows is about a call, and cannot speak on it: it is over, or has a run of its own.
        let medium = if run.medium == Medium::Text { Medium::Text } else { Medium::None };
        let mut vars = run.state.vars.clone();
        vars.extend(more);
        for name in ["run.parent", "voipbin.activeflow.reference_activeflow_id"] {
            vars.insert(name.into(), json!(run.id));
        }
        let about = (medium, run.subject.clone());
        let mut row = self.unbegun(next, (&version, &flow), about, vars);
        row.state.chain = run.state.chain + 1;
        let now = row.created;
        Ok(vec![Write::Flow(version), Write::Run(row), timer("run", next, now)])
    }

    /// Says in the history of a run why nothing follows it.
    fn refused(&self, run: &RunRow, why: &str) -> Write {
        tracing::warn!(run = run.id, why, "no run follows");
        let taken = Taken {
            flow: String::new(),
            action: "on_complete".into(),
            kind: "on_complete".into(),
            exit: "failed".into(),
            why: why.into(),
            at: self.parts.clock.now(),
            changed: Vec::new(),
            cause: None,
        };
        Write::Taken { run: run.id.clone(), taken: vec![taken] }
    }
}
