//! How conversations stand, written behind them: no step of a call waits for it.
//!
//! What the calls of a process tell within a moment is one commit. Of a conversation that has moved
//! on meanwhile only the last word counts; a store that is away is tried again until somebody else
//! hosts the call, whose word then counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::{StandingRow, Store, Write};
use tokio::time::timeout;

/// How long words are gathered.
const GATHER: Duration = Duration::from_millis(50);
/// How long it is waited for a store that does not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// The same for the last word of a call that is let go: the caller waits meanwhile.
const LAST: Duration = Duration::from_millis(500);

/// Which conversation: call, run, epoch. Rows are written in the order of calls, as all commits do.
type Of = (String, String, i64);

/// What is to be written.
#[derive(Default)]
pub(crate) struct Behind {
    words: Mutex<Words>,
    /// Held while something is written, so that nothing overtakes it.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Words {
    latest: BTreeMap<Of, Arc<StandingRow>>,
    /// Whether somebody is there who writes them.
    served: bool,
}

impl Behind {
    fn words(&self) -> MutexGuard<'_, Words> {
        // Nothing in here panics half way, so what a poisoned lock guards is whole.
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the latest word.
    pub(crate) fn put(self: &Arc<Self>, store: &Arc<dyn Store>, of: Of, row: Arc<StandingRow>) {
        let mut words = self.words();
        words.latest.insert(of, row);
        if !std::mem::replace(&mut words.served, true) {
            tokio::spawn(Arc::clone(self).write(Arc::clone(store)));
        }
    }

    async fn write(self: Arc<Self>, store: Arc<dyn Store>) {
        loop {
            tokio::time::sleep(GATHER).await;
            let writing = self.writing.lock().await;
            let latest = {
                let mut words = self.words();
                if words.latest.is_empty() {
                    words.served = false;
                    return;
                }
                std::mem::take(&mut words.latest)
            };
            let writes = latest.iter().map(|(of, row)| write(of, Arc::clone(row))).collect();
            let Err(error) = store.commit(writes).await else { continue };
            drop(writing);
            tracing::warn!(%error, "how conversations stand could not be written yet");
            self.put_back(latest);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// What is not newer by now waits for the next time.
    fn put_back(&self, latest: BTreeMap<Of, Arc<StandingRow>>) {
        let mut words = self.words();
        for (of, row) in latest {
            words.latest.entry(of).or_insert(row);
        }
    }

    /// Writes the last word of a call, and returns when it is written or cannot be soon.
    pub(crate) async fn last(&self, store: &Arc<dyn Store>, of: Of, row: Arc<StandingRow>) {
        let written = async {
            let _writing = self.writing.lock().await;
            self.words().latest.remove(&of);
            store.commit(vec![write(&of, row)]).await
        };
        match timeout(LAST, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(run = of.1, %error, "how a conversation stood is lost")
            }
            Err(_) => tracing::warn!(run = of.1, "how a conversation stood is lost: no answer"),
        }
    }

    /// The call is over.
    pub(crate) fn forget(&self, of: &Of) {
        self.words().latest.remove(of);
    }
}

fn write((_, run, epoch): &Of, standing: Arc<StandingRow>) -> Write {
    Write::Standing { run: run.clone(), epoch: *epoch, standing }
}
