//! Who sends texts in this process, and when.
//!
//! Whoever commits a text claims it in the same commit and sends it from memory, unless another one
//! of its thread waits or this process is busy: then it is claimed by whoever looks next.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conversation::Messenger;
use store::{OutboxRow, Write};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::hold::{Claimed, Held};
use crate::outbox::HOLD;
use crate::{Role, Runtime, trace};

/// Texts that one process sends at once.
const AT_ONCE: u32 = 512;
/// Texts that are claimed at once.
const CLAIMED: usize = 64;
/// How often other processes' texts are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How often they are looked for while texts of ours wait behind others.
const SOON: Duration = Duration::from_millis(100);
/// For how long that is done.
const BEHIND: Duration = Duration::from_secs(30);
/// How long a commit may be on its way of which nobody saw the end.
const DOUBT: Duration = Duration::from_secs(1);

/// Who sends texts in this process, and how many more can be sent.
pub(crate) struct Senders {
    room: Arc<Semaphore>,
    /// No more are begun.
    ending: AtomicBool,
    /// Threads of which texts wait behind others, and since when.
    kept: Mutex<HashMap<String, Instant>>,
    /// One more does.
    behind: Notify,
    by_channel: HashMap<&'static str, Arc<dyn Messenger>>,
}

impl Senders {
    pub(crate) fn new(messengers: &[Arc<dyn Messenger>]) -> Self {
        let by_channel = messengers.iter().map(|m| (m.channel(), Arc::clone(m))).collect();
        // Nothing is sent from memory before the loop runs, nor after it has ended.
        let (room, ending) = (Arc::new(Semaphore::new(0)), AtomicBool::new(false));
        Self { room, ending, kept: Mutex::default(), behind: Notify::new(), by_channel }
    }

    /// A text of this thread waits behind another.
    fn keep(&self, thread: String) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(thread, Instant::now());
        self.behind.notify_one();
    }

    /// Whether one does, or did: the next look will tell.
    fn keeps(&self, thread: &str) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(thread).is_some()
    }

    /// Until it is worth while to look for texts whose way is free without our knowing, since
    /// another process has sent the one before them.
    async fn soon(&self) {
        let waits = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|_, since| since.elapsed() < BEHIND);
            !kept.is_empty()
        };
        if !waits {
            self.behind.notified().await;
        }
        tokio::time::sleep(SOON).await;
    }
}

impl Runtime {
    /// Commits, and sends the texts among the writes at once where that can be.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<(), store::Error> {
        self.commit_for_next(writes).await.map(|_| ())
    }

    /// The same; the text that [`Write::Next`] has claimed.
    pub(crate) async fn commit_for_next(
        &self,
        mut writes: Vec<Write>,
    ) -> Result<Option<Claimed>, store::Error> {
        let held = self.hold();
        let now = self.parts.clock.now();
        let (mut ours, mut others) = (Vec::new(), false);
        for write in &mut writes {
            let Write::Outbox(row) = write else { continue };
            let room = Arc::clone(&self.senders.room).try_acquire_owned();
            let (Ok(room), true) = (room, row.not_before <= now) else {
                others = true;
                continue;
            };
            row.claimed_by = Some(self.parts.worker.clone());
            (row.tried, row.attempts) = (Some(now), 1);
            ours.push((row.clone(), room));
            *write = Write::Send(row.clone(), HOLD);
        }
        let timers = writes.iter().filter_map(|write| match write {
            Write::Timer(timer) => Some(timer.due),
            _ => None,
        });
        let sooner = timers.min();
        let next = match self.me.upgrade() {
            // Whoever commits may be stopped by a newer text; what is claimed leaves all the same.
            Some(runtime) if !ours.is_empty() => {
                let sent = async move { runtime.commit_and_send(writes, ours, held).await };
                let broke = |error: JoinError| store::Error::Unavailable(error.to_string());
                tokio::spawn(sent.in_current_span()).await.map_err(broke)??
            }
            _ => self.commit_and_send(writes, ours, held).await?,
        };
        if others {
            self.outbox_changed();
            if self.parts.role == Role::Edge {
                self.wakes.outbox(&self.parts.worker);
            }
        }
        if sooner.is_some_and(|due| due.as_microsecond() < self.next_timer.load(Ordering::Relaxed))
        {
            self.timers_changed();
        }
        Ok(next)
    }

    /// Commits, and sends those texts of ours that do not wait behind another; the text that
    /// [`Write::Next`] has claimed.
    async fn commit_and_send(
        &self,
        writes: Vec<Write>,
        mut ours: Vec<(OutboxRow, OwnedSemaphorePermit)>,
        held: Held,
    ) -> Result<Option<Claimed>, store::Error> {
        let texts = match trace::database(self.parts.store.commit_told(writes)).await {
            Ok(texts) => texts,
            Err(error) => {
                if let store::Error::Unavailable(_) = error {
                    self.let_go(ours.into_iter().map(|(row, _)| row).collect());
                }
                return Err(error);
            }
        };
        let mut next = None;
        for text in texts {
            match ours.iter().position(|(row, _)| row.key == text.key) {
                Some(at) if text.claimed_by.is_some() => {
                    let (_, room) = ours.swap_remove(at);
                    self.send(Claimed { row: text, held }, room);
                }
                // It leaves after the one before it of its thread.
                Some(_) => self.senders.keep(text.thread),
                None if text.claimed_by.is_some() => {
                    // There may be more behind it.
                    self.senders.keep(text.thread.clone());
                    next = Some(Claimed { row: text, held });
                }
                None => {}
            }
        }
        Ok(next)
    }

    /// Claims the next text of a thread, unless no more are sent.
    pub(crate) fn next_of(&self, thread: &str) -> Option<Write> {
        let (thread, worker) = (thread.to_owned(), self.parts.worker.clone());
        let now = self.parts.clock.now();
        let ending = self.senders.ending.load(Ordering::Relaxed);
        (!ending && self.senders.keeps(&thread)).then_some(Write::Next {
            thread,
            worker,
            now,
            hold: HOLD,
        })
    }

    /// Sends texts until `stop`, then lets those under way end.
    pub(crate) async fn send_texts(self: Arc<Self>, stop: CancellationToken) {
        self.senders.room.add_permits(AT_ONCE as usize);
        loop {
            let mut rooms = Vec::with_capacity(CLAIMED);
            while rooms.len() < CLAIMED
                && let Ok(room) = Arc::clone(&self.senders.room).try_acquire_owned()
            {
                rooms.push(room);
            }
            let wished = rooms.len();
            let rows = if wished == 0 { Vec::new() } else { self.claim(wished).await };
            let full = wished > 0 && rows.len() == wished;
            for (claimed, room) in rows.into_iter().zip(rooms) {
                self.send(claimed, room);
            }
            if full {
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.texts_to_send.notified() => {}
                _ = self.senders.room.acquire(), if wished == 0 => {}
                () = self.next_text() => {}
                () = self.senders.soon() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.senders.ending.store(true, Ordering::Relaxed);
        if let Ok(all) = self.senders.room.acquire_many(AT_ONCE).await {
            all.forget();
        }
    }

    /// Sends a text that is claimed by this process.
    fn send(&self, claimed: Claimed, room: OwnedSemaphorePermit) {
        let Some(runtime) = self.me.upgrade() else { return };
        let channel = claimed.row.outgoing.channel.as_str();
        let messenger = self.senders.by_channel.get(channel).cloned();
        tokio::spawn(async move {
            let mut next = Some(claimed);
            while let Some(claimed) = next {
                next = runtime.send_text(claimed, messenger.clone()).await;
            }
            drop(room);
        });
    }

    async fn claim(&self, room: usize) -> Vec<Claimed> {
        let (held, now) = (self.hold(), self.parts.clock.now());
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        match self.parts.store.claim_outbox(&self.parts.worker, now, HOLD, limit).await {
            Ok(rows) => rows.into_iter().map(|row| Claimed { row, held }).collect(),
            Err(error) => {
                tracing::warn!(%error, "the outbox could not be read");
                Vec::new()
            }
        }
    }

    /// Until the next text may be sent, by the runtime's clock.
    async fn next_text(&self) {
        match self.parts.store.next_outbox().await {
            Ok(Some(at)) if at > self.parts.clock.now() => self.parts.clock.until(at).await,
            // What is due and not ours to take comes with the next look.
            Ok(_) | Err(_) => std::future::pending().await,
        }
    }

    /// Gives up claims of a commit whose end is not known: nobody has sent these texts, so nobody
    /// shall have to ask the carrier about them.
    fn let_go(&self, rows: Vec<OutboxRow>) {
        let Some(runtime) = self.me.upgrade() else { return };
        tokio::spawn(async move {
            for row in rows {
                let key = row.key.clone();
                let put_back = || runtime.parts.store.commit(vec![Write::PutBack(row.clone())]);
                for _ in 0..HOLD {
                    // What may still be on its way to the database is there then, or never will be.
                    tokio::time::sleep(DOUBT).await;
                    match put_back().await {
                        Err(store::Error::Unavailable(why)) => {
                            tracing::warn!(key, why, "a text that was not sent is still claimed");
                        }
                        _ => break,
                    }
                }
            }
            runtime.outbox_changed();
        });
    }
}
