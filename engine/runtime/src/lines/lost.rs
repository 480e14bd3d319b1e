//! Processes that have died, and what is left of their calls.
//!
//! Each process says that it is alive, more often while it hosts calls. A call whose process died
//! waits for its carrier; when that does not bring it back, or says that it is over, its run ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use call::Arrival;
use flow::{Event, Flows, HangupCause};
use jiff::{SignedDuration, Timestamp};
use store::{CallRow, LiveRow, WorkerRow, Write};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::taped;
use crate::{Runtime, Trouble, begin};

/// How often a process says that it is alive while it hosts calls.
const BUSY: Duration = Duration::from_millis(500);
/// And while it does not.
const IDLE: Duration = Duration::from_secs(2);
/// A process that said nothing for this long may be dead.
const SILENT: SignedDuration = SignedDuration::from_secs(6);
/// How long its calls are waited for then: carriers come back at once or not at all.
const GRACE: SignedDuration = SignedDuration::from_secs(20);
/// A process that hosts a call and says nothing for so long, watched, is dead.
const WATCHED: Duration = Duration::from_millis(1250);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(125);
/// How often calls of the dead are looked for.
const SWEEP: Duration = Duration::from_secs(2);
/// Calls that are ended at once.
const BATCH: u32 = 64;
/// How long a carrier that asks for a call waits for the store.
const PATIENCE: Duration = Duration::from_secs(2);
/// Processes of which nothing was heard for so long are forgotten.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(1);

impl Runtime {
    /// Says that this process is alive, until `stop`.
    pub(crate) async fn keep_alive(self: Arc<Self>, stop: CancellationToken) {
        let before = self.parts.clock.now().checked_sub(FORGOTTEN).unwrap_or(Timestamp::MIN);
        let purge = Write::Quit { worker: String::new(), before };
        if let Err(error) = self.parts.store.commit(vec![purge]).await {
            tracing::debug!(%error, "dead processes are not forgotten yet");
        }
        while !stop.is_cancelled() {
            self.beat(false).await;
            let pause = if self.lines.count() > 0 { BUSY } else { IDLE };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = self.lines.first() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.beat(true).await;
    }

    /// Says once that it is alive.
    pub(super) async fn beat(&self, stopping: bool) {
        let beat = self.parts.clock.now();
        let (id, address) = (self.parts.worker.clone(), self.parts.address.clone());
        let row = WorkerRow { id, beat, stopping, address: address.unwrap_or_default() };
        if let Err(error) = self.parts.store.commit(vec![Write::Beat(row)]).await {
            tracing::debug!(%error, "nobody hears that this process is alive");
        }
    }

    /// Says that it is not any more.
    pub(super) async fn quits(&self) {
        let (worker, before) = (self.parts.worker.clone(), Timestamp::MIN);
        if let Err(error) = self.parts.store.commit(vec![Write::Quit { worker, before }]).await {
            tracing::debug!(%error, "nobody hears that this process has ended");
        }
    }

    /// Whether another process is there that takes calls.
    pub(super) async fn has_others(&self) -> bool {
        let since = self.parts.clock.now().checked_sub(SILENT).unwrap_or(Timestamp::MIN);
        let other =
            |row: &WorkerRow| row.id != self.parts.worker && !row.stopping && row.beat >= since;
        self.parts.store.workers().await.is_ok_and(|rows| rows.iter().any(other))
    }

    /// See [`call::Switchboard::address_of`].
    pub(super) async fn reached_at(&self, process: &str) -> Option<String> {
        if process == self.parts.worker {
            return None;
        }
        let since = self.parts.clock.now().checked_sub(SILENT).unwrap_or(Timestamp::MIN);
        let rows = timeout(PATIENCE, self.parts.store.workers()).await.ok()?.ok()?;
        let found = rows.into_iter().find(|row| row.id == process && row.beat >= since);
        found.map(|row| row.address).filter(|address| !address.is_empty())
    }

    /// See [`call::Switchboard::elsewhere`].
    pub(super) async fn hosted_at(&self, carrier: &str, id: &str) -> Option<String> {
        let (live, _) = self.stored(carrier, id).await?;
        self.reached_at(&live.worker).await
    }

    /// A call that lives by what is stored, and who calls whom in it.
    async fn stored(&self, carrier: &str, id: &str) -> Option<(LiveRow, Arrival)> {
        if id.is_empty() {
            return None;
        }
        let found = async {
            let Some(live) = self.parts.store.live_of(carrier, id).await? else { return Ok(None) };
            let call = self.parts.store.call(&live.call).await?;
            Ok::<_, store::Error>(call.map(|call| (live, arrival(call))))
        };
        match timeout(PATIENCE, found).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(call = id, %error, "nobody knows whether this call goes on");
                None
            }
            Err(_) => {
                tracing::warn!(call = id, "the store does not say whether this call goes on");
                None
            }
        }
    }

    /// See [`call::Switchboard::brought_back`].
    pub(super) async fn is_brought_back(&self, carrier: &str, id: &str) -> Option<Arrival> {
        let (live, arrival) = self.stored(carrier, id).await?;
        match self.parts.store.run(&live.run).await {
            Ok(Some(run)) if run.outcome.is_none() => Some(arrival),
            Ok(Some(_)) | Err(_) => None,
            // It was answered when nobody waited for it any more.
            Ok(None) => {
                self.end_lost(live, HangupCause::Failed).await;
                None
            }
        }
    }

    /// See [`call::Switchboard::orphaned`].
    pub(super) async fn is_orphaned(&self, carrier: &str, id: &str) -> Option<Arrival> {
        let (live, _) = self.stored(carrier, id).await?;
        if !self.is_dead(&live).await {
            return None;
        }
        self.is_brought_back(carrier, id).await
    }

    /// Whether nobody hosts a call: watches its process for a while.
    async fn is_dead(&self, live: &LiveRow) -> bool {
        if live.worker == self.parts.worker {
            return !self.lines.sees_to(&live.run);
        }
        let mut beat = None;
        let until = tokio::time::Instant::now() + WATCHED;
        loop {
            let now = self.parts.store.live(&live.run).await;
            let host = match now {
                Ok(Some(row)) if row.worker.is_empty() => return true,
                Ok(Some(row)) if row.epoch == live.epoch => row.worker,
                // Somebody was faster, or it is over.
                Ok(Some(_) | None) | Err(_) => return false,
            };
            let Ok(workers) = self.parts.store.workers().await else { return false };
            let seen = workers.into_iter().find(|row| row.id == host).map(|row| row.beat);
            match beat {
                None => beat = Some(seen),
                Some(before) if before != seen => return false,
                Some(None) => return true,
                Some(Some(_)) if tokio::time::Instant::now() >= until => return true,
                Some(Some(_)) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// See [`call::Switchboard::ended`].
    pub(super) async fn is_ended(&self, carrier: &str, id: &str) {
        if let Some((live, _)) = self.stored(carrier, id).await
            && self.is_dead(&live).await
        {
            self.end_lost(live, HangupCause::Normal).await;
        }
    }

    /// Ends calls that nobody hosts any more, until `stop`.
    pub(crate) async fn sweep_lost(self: Arc<Self>, stop: CancellationToken) {
        self.end_dropped().await;
        let mut suspects = HashSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP) => {}
            }
            let now = self.parts.clock.now();
            let before = now.checked_sub(SILENT + GRACE).unwrap_or(Timestamp::MIN);
            let lost = match self.parts.store.lost(before, BATCH).await {
                Ok(lost) => lost,
                Err(error) => {
                    tracing::warn!(%error, "lost calls could not be looked for");
                    continue;
                }
            };
            let lost: Vec<LiveRow> =
                lost.into_iter().filter(|row| row.worker != self.parts.worker).collect();
            // Twice in a row: a clock that jumps makes everybody old for a moment.
            let found = lost.iter().map(|row| (row.run.clone(), row.epoch)).collect();
            for row in lost {
                if suspects.contains(&(row.run.clone(), row.epoch)) {
                    self.end_lost(row, HangupCause::Failed).await;
                }
            }
            suspects = found;
        }
    }

    /// Ends calls of which nobody knows who hosted them.
    async fn end_dropped(&self) {
        let now = self.parts.clock.now();
        let before = now.checked_sub(SignedDuration::from_mins(1)).unwrap_or(Timestamp::MIN);
        match self.parts.store.dropped(before, BATCH).await {
            Ok(calls) => {
                for call in calls {
                    let CallRow { id, run, carrier, carrier_id, .. } = call;
                    let row = LiveRow {
                        run,
                        call: id,
                        carrier,
                        carrier_id,
                        worker: String::new(),
                        epoch: 0,
                        pending: Vec::new(),
                        at: now,
                    };
                    self.end_lost(row, HangupCause::Failed).await;
                }
            }
            Err(error) => tracing::warn!(%error, "dropped calls could not be looked for"),
        }
    }

    /// The run of a lost call ends, and the call is closed.
    async fn end_lost(&self, live: LiveRow, cause: HangupCause) {
        match self.ended_lost(&live, cause).await {
            Ok(()) => tracing::warn!(call = live.call, run = live.run, "a lost call is closed"),
            // Somebody was faster, or has the call.
            Err(error) if error.is_conflict() => {}
            Err(error) => tracing::warn!(call = live.call, %error, "a lost call stays open"),
        }
    }

    async fn ended_lost(&self, live: &LiveRow, cause: HangupCause) -> Result<(), Trouble> {
        let store = &self.parts.store;
        let now = self.parts.clock.now();
        let mut writes = Vec::new();
        let (run, call) = tokio::join!(store.run(&live.run), store.call(&live.call));
        let run = run?;
        if let Some(run) = &run {
            writes.extend(taped::lost(run, &live.pending, now));
        }
        if let Some(mut run) = run
            && run.outcome.is_none()
        {
            let event = Event::HungUp { cause };
            let flow = self.flow(&run.flow).await?;
            let called = self.called(&run.state, &event).await?;
            let flows = Flows::new(&flow, &called);
            let advance = run.state.advance_noted(flows, now, event);
            let taken = advance.taken;
            writes.extend([Write::Taken { run: run.id.clone(), taken }]);
            writes.extend(begin::afterwards(&flow, &run, now));
            run.outcome = run.state.outcome;
            run.updated = now;
            writes.push(Write::Run(run));
        }
        if let Some(mut call) = call?
            && call.ended.is_none()
        {
            call.ended = Some(now);
            let failed = cause == HangupCause::Failed;
            call.status = if failed { "failed" } else { "completed" }.into();
            writes.push(Write::Call(call));
        }
        writes.push(Write::Over { run: live.run.clone() });
        Ok(self.commit(writes).await?)
    }
}

fn arrival(call: CallRow) -> Arrival {
    let CallRow { carrier, carrier_id, from, to, .. } = call;
    Arrival { carrier, carrier_id, from, to }
}
