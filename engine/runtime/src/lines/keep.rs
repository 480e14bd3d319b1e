//! What is kept of a call while it lives: its run under the fence, the words of its conversation, and
//! what another process needs in order to go on.

use std::sync::Arc;
use std::time::Duration;

use agent::{Ledger, Standing};
use call::Note;
use flow::Deed;
use serde_json::{Value, json};
use store::{Line, LiveRow, StandingRow, TurnRow, Write};

use super::host::{Going, Host};

/// How long an effect waits for a store that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile.
const AGAIN: Duration = Duration::from_millis(250);
/// Steps and lines that wait for a store that is down; the oldest go first.
const UNSAVED: usize = 10_000;

/// Whose a call is.
enum Fence {
    Ours,
    /// Another process has taken it, or ended it since it seemed dead.
    Taken,
    /// The store does not say.
    Unknown,
}

/// How long a save may take.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Patience {
    /// One try; the rest later.
    Brief,
    /// [`PATIENCE`]: something depends on it.
    Patient,
}

impl Host<'_> {
    /// Keeps what is worth remembering of a conversation, and tells it.
    pub(super) async fn note(&mut self, note: Note) {
        if self.going == Going::Lost {
            return;
        }
        let (kind, who, text, data): (_, _, _, Value) = match note {
            Note::Caller(text) => ("caller", "caller", text.clone(), json!({ "text": text })),
            Note::Agent(text) => ("agent", "agent", text.clone(), json!({ "text": text })),
            Note::Tool { name, arguments, result } => (
                "tool",
                "tool",
                format!("{name} {arguments} -> {result}"),
                json!({ "name": name, "arguments": arguments, "result": result }),
            ),
            Note::BargeIn(millis) => (
                "barge_in",
                "note",
                format!("barge-in after {millis} ms"),
                json!({ "millis": millis }),
            ),
            Note::Trouble(text) => ("trouble", "note", text.clone(), json!({ "text": text })),
            Note::State(state) => return self.tell("state", json!({ "state": state })),
            Note::Standing(standing) => return self.stood(standing),
            Note::Turn(ledger) => return self.took(*ledger),
        };
        self.tell(kind, data);
        let (run, at) = (self.run.id.clone(), self.runtime.parts.clock.now());
        self.unsaved.push(Write::Line(Line { run, at, who: who.into(), text }));
        if let Err(error) = self.save(Vec::new(), Patience::Brief).await {
            tracing::warn!(run = self.run.id, %error, "a line could not be saved yet");
        }
    }

    /// Saves the run, what was not saved before, and `writes`. What fails stays for the next time,
    /// but for `writes`: their fate is the caller's.
    pub(super) async fn save(
        &mut self,
        writes: Vec<Write>,
        patience: Patience,
    ) -> Result<(), store::Error> {
        self.run.outcome = self.run.state.outcome;
        self.run.updated = self.runtime.parts.clock.now();
        if self.unsaved.len() > UNSAVED {
            self.unsaved.drain(..self.unsaved.len() - UNSAVED);
        }
        let give_up = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut all = self.unsaved.clone();
            all.push(Write::Run(self.run.clone()));
            if !self.over {
                all.push(Write::Live(self.live()));
            }
            all.extend(writes.iter().cloned());
            let error = match self.runtime.commit(all).await {
                Ok(()) => {
                    self.unsaved.clear();
                    self.doubtful = 0;
                    self.run.seq += 1;
                    return Ok(());
                }
                Err(error) => error,
            };
            match error {
                store::Error::Unavailable(_) => {
                    self.doubtful = self.unsaved.len();
                    if patience == Patience::Brief || tokio::time::Instant::now() >= give_up {
                        return Err(error);
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                store::Error::Conflict { .. } => match self.fence().await {
                    // An attempt whose answer was lost had succeeded.
                    Fence::Ours if self.caught_up().await => {}
                    Fence::Ours | Fence::Unknown => return Err(error),
                    Fence::Taken => {
                        tracing::warn!(run = self.run.id, "another process has taken the call");
                        self.going = Going::Lost;
                        self.leave.cancel();
                        return Err(error);
                    }
                },
                store::Error::Duplicate => return Err(error),
            }
        }
    }

    /// Whose the call is by what is stored.
    async fn fence(&self) -> Fence {
        match self.runtime.parts.store.live(&self.run.id).await {
            Ok(Some(row)) if row.epoch == self.epoch => Fence::Ours,
            // It was ended as lost, too.
            Ok(Some(_) | None) => Fence::Taken,
            Err(_) => Fence::Unknown,
        }
    }

    /// Goes on from what the store has of the run, when that is one commit ahead of what we know.
    async fn caught_up(&mut self) -> bool {
        let Ok(Some(stored)) = self.runtime.parts.store.run(&self.run.id).await else {
            return false;
        };
        if stored.seq != self.run.seq + 1 {
            return false;
        }
        self.run.seq = stored.seq;
        self.unsaved.drain(..self.doubtful.min(self.unsaved.len()));
        self.doubtful = 0;
        true
    }

    /// What another process needs in order to go on.
    fn live(&self) -> LiveRow {
        let worker = match self.going {
            Going::Leaves => String::new(),
            Going::Stays | Going::Lost | Going::Ends => self.runtime.parts.worker.clone(),
        };
        LiveRow {
            run: self.run.id.clone(),
            call: self.call.id.clone(),
            carrier: self.arrival.carrier.clone(),
            carrier_id: self.arrival.carrier_id.clone(),
            worker,
            epoch: self.epoch,
            pending: self.pending.clone(),
            at: self.runtime.parts.clock.now(),
        }
    }

    /// How the conversation stands now; written behind it.
    fn stood(&mut self, standing: Standing) {
        let talks = |deed: &Deed| matches!(deed, Deed::Talk { .. });
        let mut pending = self.pending.iter().map(|pending| &pending.command);
        let Some(command) = pending.find(|command| talks(&command.deed)) else { return };
        let key = command.key.clone();
        let (settled, whole) = self.settled.of(&standing.items);
        let told = self.standing.as_ref().map_or(0, |row| row.told + 1);
        let row = Arc::new(StandingRow { key, standing, told, settled });
        self.standing = Some(Arc::clone(&row));
        if self.going != Going::Lost {
            self.runtime.behind.put(&self.runtime.parts.store, self.of(), row, whole);
        }
    }

    /// What a turn took; saved with what was said in it, which comes next.
    fn took(&mut self, ledger: Ledger) {
        self.tell("turn", json!(ledger));
        let (run, at) = (self.run.id.clone(), self.runtime.parts.clock.now());
        let row = TurnRow { run, epoch: self.epoch, n: self.turns, at, ledger };
        self.turns += 1;
        self.unsaved.push(Write::Turn(row));
    }

    /// The last word of a conversation that goes on elsewhere.
    pub(super) async fn stands(&self) {
        if let Some(row) = &self.standing
            && self.going == Going::Leaves
        {
            let store = &self.runtime.parts.store;
            self.runtime.behind.last(store, self.of(), Arc::clone(row)).await;
        }
    }

    /// Which conversation it is.
    pub(super) fn of(&self) -> (String, String, i64) {
        (self.call.id.clone(), self.run.id.clone(), self.epoch)
    }
}
