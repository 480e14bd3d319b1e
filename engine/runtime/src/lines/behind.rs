//! How conversations stand, written behind them: no step of a call waits for it.
//!
//! What the calls of a process tell within a moment is one commit. Of a conversation that has moved
//! on meanwhile only the last word counts; a store that is away is tried again until somebody else
//! hosts the call, whose word then counts.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent::Item;
use store::{StandingRow, Store, Write};
use tokio::time::timeout;

/// How long words are gathered.
const GATHER: Duration = Duration::from_millis(50);
/// How long it is waited for a store that does not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// The same for the last word of a call that is let go: the caller waits meanwhile.
const LAST: Duration = Duration::from_millis(500);
/// So many of the last items may change, or be followed by more, before those before them are written
/// again: a few turns.
const UNSETTLED: usize = 8;

/// Which conversation: call, run, epoch. Rows are written in the order of calls, as all commits do.
type Of = (String, String, i64);

/// What is to be written.
#[derive(Default)]
pub(crate) struct Behind {
    words: Mutex<Words>,
    /// Held while something is written, so that nothing overtakes it.
    writing: tokio::sync::Mutex<()>,
}

/// The latest word, and whether what is settled of it has to be written too.
type Word = (Arc<StandingRow>, bool);

#[derive(Default)]
struct Words {
    latest: BTreeMap<Of, Word>,
    /// Whether somebody is there who writes them.
    served: bool,
}

impl Behind {
    fn words(&self) -> MutexGuard<'_, Words> {
        // Nothing in here panics half way, so what a poisoned lock guards is whole.
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the latest word; `whole` = what is settled of it is news, too.
    pub(crate) fn put(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        of: Of,
        row: Arc<StandingRow>,
        whole: bool,
    ) {
        let mut words = self.words();
        // What was settled by a word that nobody has written is settled by this one.
        let whole = whole || words.latest.get(&of).is_some_and(|(_, whole)| *whole);
        words.latest.insert(of, (row, whole));
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
            let writes = latest.iter().map(|(of, word)| write(of, word.clone())).collect();
            let Err(error) = store.commit(writes).await else { continue };
            drop(writing);
            tracing::warn!(%error, "how conversations stand could not be written yet");
            self.put_back(latest);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// What is not newer by now waits for the next time.
    fn put_back(&self, latest: BTreeMap<Of, Word>) {
        let mut words = self.words();
        for (of, (row, whole)) in latest {
            words.latest.entry(of).or_insert((row, false)).1 |= whole;
        }
    }

    /// Writes the last word of a call, and returns when it is written or cannot be soon.
    pub(crate) async fn last(&self, store: &Arc<dyn Store>, of: Of, row: Arc<StandingRow>) {
        let written = async {
            let _writing = self.writing.lock().await;
            self.words().latest.remove(&of);
            store.commit(vec![write(&of, (row, true))]).await
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

fn write((_, run, epoch): &Of, (standing, whole): Word) -> Write {
    Write::Standing { run: run.clone(), epoch: *epoch, standing, whole }
}

/// What is settled of a conversation: the items that it begins with, as long as they stay the same.
#[derive(Default)]
pub(super) struct Settled {
    count: usize,
    hash: u64,
}

impl Settled {
    /// How many of the items are settled, and whether that is news.
    pub(super) fn of(&mut self, items: &[Item]) -> (usize, bool) {
        let same = self.count == 0
            || items.get(..self.count).is_some_and(|begin| hash(begin) == self.hash);
        let news = !same || items.len() - self.count > UNSETTLED;
        if news {
            *self = Self { count: items.len(), hash: hash(items) };
        }
        (self.count, news)
    }
}

fn hash(items: &[Item]) -> u64 {
    let mut hasher = DefaultHasher::new();
    items.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_is_settled_once() {
        let mut items: Vec<Item> = Vec::new();
        let mut settled = Settled::default();
        let mut written = Vec::new();
        for n in 0..40 {
            items.push(Item::User { text: format!("word {n}") });
            let (count, news) = settled.of(&items);
            assert!(items.len() - count <= UNSETTLED);
            if news {
                written.push(count);
            }
        }
        assert_eq!(written, [9, 18, 27, 36]);
        // What is said now changes nothing of that; a late answer to something old does.
        items[38] = Item::User { text: "more".into() };
        assert_eq!(settled.of(&items), (36, false));
        items[3] = Item::User { text: "late".into() };
        assert_eq!(settled.of(&items), (40, true));
        // Of a long call the oldest is forgotten.
        items.drain(..20);
        assert_eq!(settled.of(&items), (20, true));
        assert_eq!(settled.of(&items), (20, false));
    }
}
