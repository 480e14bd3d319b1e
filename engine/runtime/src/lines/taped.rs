//! Recordings of a call: when one has ended, the flow begins that its action names for that.
//!
//! While a recording goes on, the command that asked for it is kept with the call among what holds for
//! the rest of it, though the run waits for it no more. It goes in the commit that leaves a deed in its
//! place: the flow is to begin. So it begins once, whether the process that recorded sees the end, or
//! another takes the call over, or closes it.

use flow::{Activeflow, Command, Deed, Key};
use jiff::Timestamp;
use serde_json::json;
use store::{DeedRow, Pending, RunRow, Write};

use super::host::{Going, Host};
use super::keep::Patience;
use crate::deeds;
use crate::services::ON_END;

impl Host<'_> {
    /// A recording has ended, and its file is complete.
    pub(super) async fn recorded(&mut self, key: &Key) {
        // Whoever takes the call over finds it among what is pending.
        if matches!(self.going, Going::Leaves | Going::Lost) {
            return;
        }
        self.recording.retain(|other| other != key);
        self.end_of(key);
        if let Err(error) = self.save(Vec::new(), Patience::Brief).await {
            tracing::warn!(run = self.run.id, %error, "the end of a recording is not saved yet");
        }
    }

    /// A recording goes on no more: what follows on it is written with the next save.
    pub(super) fn end_of(&mut self, key: &Key) {
        let Some(at) = self.pending.iter().position(|it| it.command.key == *key) else { return };
        let ended = self.pending.remove(at);
        let now = self.runtime.parts.clock.now();
        self.unsaved.extend(follows(&self.run, &ended.command, now).into_iter().flatten());
    }

    /// Recordings of the process that had the call before: they ended with it.
    pub(super) async fn close_tapes(&mut self) {
        let lost = over(&self.pending, &self.run.state);
        if lost.is_empty() {
            return;
        }
        for key in &lost {
            self.end_of(key);
        }
        if let Err(error) = self.save(Vec::new(), Patience::Brief).await {
            tracing::warn!(run = self.run.id, %error, "the end of a recording is not saved yet");
        }
    }
}

/// What follows on the recordings of a call whose process has died.
pub(super) fn lost(run: &RunRow, pending: &[Pending], now: Timestamp) -> Vec<Write> {
    let keys = over(pending, &run.state);
    let ended = pending.iter().filter(|it| keys.contains(&it.command.key));
    ended.filter_map(|it| follows(run, &it.command, now)).flatten().collect()
}

/// Recordings that had begun: the run does not wait for their beginning any more.
fn over(pending: &[Pending], run: &Activeflow) -> Vec<Key> {
    let begun = |it: &&Pending| {
        call::services::Taped::by(&it.command).is_some() && !deeds::awaited(run, &it.command.key)
    };
    pending.iter().filter(begun).map(|it| it.command.key.clone()).collect()
}

/// The flow that follows on a recording, as a deed of its own; `None` when none does.
fn follows(run: &RunRow, command: &Command, now: Timestamp) -> Option<[Write; 2]> {
    let taped = call::services::Taped::by(command)?;
    let option = json!({ "flow": taped.on_end.as_ref()?, "of": "recording", "values": {
        "id": taped.id,
        "reference_type": "call",
        "reference_id": run.subject,
        "format": taped.format,
        "recording_name": taped.id,
        "filenames": taped.file(),
        "file": taped.file(),
    } });
    let deed = Deed::Service { name: ON_END.into(), option };
    let command = Command { key: Key(format!("{}/end", command.key.0)), deed };
    let (tenant, run) = (run.tenant.clone(), run.id.clone());
    Some(deeds::wanted(DeedRow { tenant, run, command, created: now }))
}
