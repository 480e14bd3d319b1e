//! Texts of ours for peers who come for them. The store is the truth; only who waits looks there, and
//! is told when a text of its thread was sent by this process.
//!
//! Invariant: texts of a thread are sent in the order of their places, one after the other. So what a
//! peer has seen is one place, and what he gets goes up to the first text that still waits.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conversation::{Outgoing, Reader, Status};
use store::{Peering, Place};
use tokio::sync::Notify;

use crate::Runtime;

/// How often a reader looks for what other processes have sent.
const LOOK: Duration = Duration::from_millis(500);
/// Texts of a thread that are read at once.
const PAGE: u32 = 64;

/// Who waits in this process, by thread.
#[derive(Default)]
pub(crate) struct Readers(Mutex<HashMap<String, Called>>);

/// How many wait, and what calls them.
type Called = (usize, Arc<Notify>);

impl Readers {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Called>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A text of this thread was sent.
    pub(crate) fn call(&self, thread: &str) {
        if let Some((_, called)) = self.all().get(thread) {
            called.notify_waiters();
        }
    }

    /// One more waits, for as long as the value lives.
    fn wait<'a>(&'a self, thread: &'a str) -> Waiting<'a> {
        let mut all = self.all();
        let (count, called) = all.entry(thread.to_owned()).or_default();
        *count += 1;
        Waiting { readers: self, thread, called: Arc::clone(called) }
    }
}

struct Waiting<'a> {
    readers: &'a Readers,
    thread: &'a str,
    called: Arc<Notify>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut all = self.readers.all();
        if let Some((count, _)) = all.get_mut(self.thread) {
            *count -= 1;
            if *count == 0 {
                all.remove(self.thread);
            }
        }
    }
}

impl Runtime {
    /// See [`conversation::Inbox::unread`].
    pub(crate) async fn unread_by(&self, reader: Reader) -> Vec<Outgoing> {
        let seen = reader.seen.clone();
        let thread = Peering::from(reader).thread_id();
        let waiting = self.readers.wait(&thread);
        let mut place = None;
        loop {
            let mut called = pin!(waiting.called.notified());
            // Whatever is sent from now on calls, also while we look.
            called.as_mut().enable();
            match self.look(&thread, seen.as_deref(), &mut place).await {
                Ok(texts) if texts.is_empty() => {}
                Ok(texts) => return texts,
                Err(error) => tracing::debug!(thread, %error, "nobody can read what was sent"),
            }
            let _ = tokio::time::timeout(LOOK, called).await;
        }
    }

    /// Texts that were sent after a place of the thread, and the place up to which there are none.
    async fn look(
        &self,
        thread: &str,
        seen: Option<&str>,
        place: &mut Option<i64>,
    ) -> Result<Vec<Outgoing>, store::Error> {
        let store = &self.parts.store;
        let mut above = match *place {
            Some(place) => place,
            None => self.seen(thread, seen).await?,
        };
        let newest = store.place(thread, Place::Newest).await?.unwrap_or(0);
        let mut texts = Vec::new();
        'pages: while above < newest && texts.is_empty() {
            let page = store.messages(thread, above, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for text in page {
                if !text.inbound
                    && let Some(row) = store.outbox(&text.claim).await?
                {
                    match row.status {
                        Status::Queued => break 'pages,
                        Status::Sent | Status::Delivered => texts.push(row.outgoing),
                        Status::Failed => {}
                    }
                }
                above = text.n;
            }
        }
        *place = Some(above);
        Ok(texts)
    }

    /// The place of what was seen last.
    async fn seen(&self, thread: &str, seen: Option<&str>) -> Result<i64, store::Error> {
        let store = &self.parts.store;
        let named = match seen {
            Some(key) => store.place(thread, Place::Of(key)).await?,
            None => None,
        };
        let place = match named {
            Some(place) => Some(place),
            None => store.place(thread, Place::Delivered).await?,
        };
        Ok(place.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_waits_is_called_and_leaves_nothing_behind() {
        let readers = Readers::default();
        let (one, two) = (readers.wait("a"), readers.wait("a"));
        let (mut first, mut second) =
            (Box::pin(one.called.notified()), Box::pin(two.called.notified()));
        first.as_mut().enable();
        second.as_mut().enable();
        readers.call("b");
        assert_eq!((&mut first).now_or_never(), None);
        readers.call("a");
        assert_eq!((first.now_or_never(), second.now_or_never()), (Some(()), Some(())));
        drop(one);
        assert_eq!(readers.all().len(), 1);
        drop(two);
        assert!(readers.all().is_empty());
    }
}
