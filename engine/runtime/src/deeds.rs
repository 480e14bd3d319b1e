//! What runs want done outside, besides texts: servers are asked, flows found, services called.
//!
//! A deed of a run is a row, written with the state that caused it, and a timer that wakes a
//! worker. It is carried out under its key, and its end is committed together with what that leads
//! to in the run. When a process dies in between, the row is still there and the deed is done again
//! under the same key: at least once. What a live call waits for is done by the process that hosts
//! the call, beside the call, and dies with it.
//!
//! Invariant: however often a deed is done, the run hears of its end once.

use std::time::{Duration, Instant};

use flow::{Activeflow, Command, Deed, Event, Key, Vars};
use jiff::{SignedDuration, Timestamp};
use store::{DeedRow, Line, TimerRow, Write};

use crate::outbox::FRESH;
use crate::web::{Asking, Unanswered};
use crate::{Role, Runtime, Trouble, flows, services, trace};

/// The longest that a server may take, whatever the flow says, seconds.
const LONGEST_S: u64 = 600;
/// How much longer than it may take a deed may be under way.
const MARGIN: Duration = Duration::from_secs(7);
/// How much longer it is kept from others: its end is to be stored.
const KEPT: Duration = Duration::from_secs(15);
/// How long a call that is to be made waits for a process with room.
const ROOM: SignedDuration = SignedDuration::from_secs(1);
/// How long a deed, or its end, waits for a store that does not answer before it is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// How a deed ended.
pub(crate) struct End {
    pub(crate) exit: &'static str,
    pub(crate) values: Vars,
    pub(crate) why: String,
    /// What is committed together with it.
    pub(crate) writes: Vec<Write>,
}

impl End {
    pub(crate) fn done(values: Vars) -> Self {
        Self { exit: "done", values, why: String::new(), writes: Vec::new() }
    }

    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self { exit: "failed", values: Vars::new(), why: why.into(), writes: Vec::new() }
    }

    /// Whether it is the end of a text that is told to the run, and not that the text was asked for.
    fn is_told_later(&self) -> bool {
        self.writes.iter().any(|write| matches!(write, Write::Outbox(_)))
    }

    fn event(&self, key: &Key) -> Event {
        let (key, exit) = (key.clone(), self.exit.to_owned());
        Event::Done { key, exit, values: self.values.clone(), why: self.why.clone(), then: None }
    }
}

/// Whether a run waits for the end of what was asked for under this key.
pub(crate) fn awaited(run: &Activeflow, key: &Key) -> bool {
    run.waits().any(|waiting| waiting.key == *key)
}

/// A deed as rows: what is wanted, and what wakes a worker for it.
pub(crate) fn wanted(row: DeedRow) -> [Write; 2] {
    let timer = timer(&row.command.key, row.created);
    [Write::Deed(row), timer]
}

fn timer(key: &Key, due: Timestamp) -> Write {
    let (kind, subject, guard) = ("deed".into(), key.0.clone(), String::new());
    let trace = trace::current();
    Write::Timer(TimerRow { id: format!("deed:{}", key.0), due, kind, subject, guard, trace })
}

/// The longest that a deed may take.
fn longest(deed: &Deed) -> Duration {
    match deed {
        Deed::Request { timeout_s, .. } => Duration::from_secs((*timeout_s).clamp(1, LONGEST_S)),
        _ => flows::PATIENCE,
    }
}

impl Runtime {
    /// Carries out a deed, and commits its end together with what it leads to.
    pub(crate) async fn carry_out(&self, key: &str) -> Result<(), Trouble> {
        let timer = format!("deed:{key}");
        let Some(row) = self.parts.store.deed(key).await? else {
            return Ok(self.commit(vec![Write::Forget { id: timer }]).await?);
        };
        if let (Role::Worker, Some(doors)) = (self.parts.role, &self.parts.doors)
            && services::needs_doors(&row.command.deed)
        {
            // Its timer comes back when it does not arrive.
            self.wake_doors(&**doors, "deed", key).await;
            return Ok(());
        }
        let (held, now) = (self.hold(), self.parts.clock.now());
        if services::needs_doors(&row.command.deed)
            && let Some(why) = self.full()
        {
            tracing::info!(key, %why, "a call that is to be made waits for room");
            let later = now.checked_add(ROOM).unwrap_or(now);
            return Ok(self.commit(vec![self::timer(&row.command.key, later)]).await?);
        }
        // Others leave it alone for as long as it may take.
        let longest = longest(&row.command.deed);
        let until = now.checked_add(longest + KEPT).unwrap_or(Timestamp::MAX);
        if self.parts.store.claim_deed(key, now, until, &timer).await?.is_none() {
            return Ok(());
        }
        if self.held_for(held) > FRESH {
            // Whoever finds the claim lapsed begins anew.
            return Ok(());
        }
        let Some(end) = self.while_held(held, longest + MARGIN, self.effect(&row)).await else {
            tracing::warn!(key, "a deed was held up, and is left to whoever finds it");
            return Ok(());
        };
        loop {
            match self.ended(&row, &end, until).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Store(store::Error::Conflict { what })) if what.contains("deed") => {
                    tracing::warn!(key, "somebody else carried out this deed too");
                    return Ok(());
                }
                Err(error) if error.is_conflict() => {}
                Err(Trouble::Broken(why)) => {
                    tracing::error!(key, why, "nobody can be told of the end of a deed");
                    return Ok(self.commit(over(&row.command.key, until)).await?);
                }
                Err(error) => {
                    tracing::warn!(key, %error, "the end of a deed could not be stored yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Commits the end of a deed, with what it leads to in a run that waits for it.
    async fn ended(&self, row: &DeedRow, end: &End, until: Timestamp) -> Result<(), Trouble> {
        let key = &row.command.key;
        let mut writes = over(key, until);
        writes.extend(end.writes.iter().cloned());
        let run = self.parts.store.run(&row.run).await?;
        let stepped = match &run {
            Some(run) if awaited(&run.state, key) && !end.is_told_later() => {
                self.step(&row.run, Some(&run.subject), end.event(key)).await?
            }
            _ => None,
        };
        match &stepped {
            Some(stepped) => writes.extend(stepped.writes.iter().cloned()),
            None => writes.extend(self.trouble(row, end)),
        }
        self.commit(writes).await?;
        if let Some(stepped) = stepped {
            stepped.committed(self);
        }
        Ok(())
    }

    /// What is remembered of a deed that nobody waits for and that went wrong.
    fn trouble(&self, row: &DeedRow, end: &End) -> Option<Write> {
        if end.exit == "done" {
            return None;
        }
        let text = format!("`{}` ended by `{}`: {}", row.command.deed.kind(), end.exit, end.why);
        let at = self.parts.clock.now();
        Some(Write::Line(Line { run: row.run.clone(), at, who: "note".into(), text }))
    }

    /// Carries out a deed that a call hosted here waits for, beside the call.
    pub(crate) fn carry_out_beside(&self, row: DeedRow) {
        // Gone only when the process ends.
        let Some(runtime) = self.me.upgrade() else { return };
        tokio::spawn(async move {
            let end = runtime.effect(&row).await;
            let (mut event, later) = (end.event(&row.command.key), end.is_told_later());
            match runtime.commit(end.writes).await {
                Ok(()) if later => return,
                Ok(()) => {}
                Err(error) => event = End::failed(error.to_string()).event(&row.command.key),
            }
            // False when the call is over, and then nobody waits.
            runtime.lines.tell(&row.run, event);
        });
    }

    /// Does it, however long the store takes to say what it needs.
    async fn effect(&self, row: &DeedRow) -> End {
        let deed = &row.command.deed;
        let began = Instant::now();
        let end = loop {
            match self.try_effect(row).await {
                Ok(end) => break end,
                Err(Trouble::Broken(why)) => break End::failed(why),
                Err(error) => {
                    tracing::warn!(key = row.command.key.0, %error, "a deed waits for the store");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        let (kind, exit) = (deed.kind().to_owned(), end.exit);
        metrics::histogram!("voxflow_deeds_seconds", "type" => kind.clone())
            .record(began.elapsed().as_secs_f64());
        metrics::counter!("voxflow_deeds_total", "type" => kind, "exit" => exit).increment(1);
        if exit != "done" {
            let kind = deed.kind();
            tracing::warn!(
                run = row.run,
                key = row.command.key.0,
                kind,
                exit,
                why = end.why,
                "a deed"
            );
        }
        end
    }

    /// Does it, unless the store does not answer.
    async fn try_effect(&self, row: &DeedRow) -> Result<End, Trouble> {
        let Command { key, deed } = &row.command;
        match deed {
            Deed::Request { method, url, headers, body, timeout_s: _ } => {
                let asking = Asking {
                    key: key.0.clone(),
                    method: method.clone(),
                    url: url.clone(),
                    headers: headers.clone(),
                    body: body.clone(),
                    timeout: longest(deed),
                };
                Ok(match self.parts.web.ask(asking).await {
                    Ok(answered) => End::done(answered.values()),
                    Err(error @ Unanswered::TooSlow(_)) => {
                        End { exit: "timeout", ..End::failed(error.to_string()) }
                    }
                    Err(error) => End::failed(error.to_string()),
                })
            }
            Deed::LoadFlow { source } => self.load(row, source).await,
            Deed::Service { name, option } => self.serve_deed(row, name, option).await,
            other => {
                let why = format!("nothing here carries out `{}`", other.kind());
                Err(Trouble::Broken(why))
            }
        }
    }
}

/// A deed is over that was ours until then.
fn over(key: &Key, until: Timestamp) -> Vec<Write> {
    let timer = format!("deed:{}", key.0);
    vec![Write::Did { key: key.0.clone(), until }, Write::Forget { id: timer }]
}
