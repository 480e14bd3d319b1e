//! A process that freezes: at one moment of its work all that it does stands still, until it thaws.
//!
//! Moments are before and after each commit, after each question whose answer it acts on, and before
//! and after whatever leaves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use conversation::{Messenger, Outgoing, Refusal, Sent};
use jiff::Timestamp;
use runtime::web::{Answered, Asking, Unanswered, Web};
use store::{Error, OutboxRow, Store, Write};
use tokio::sync::watch;

use crate::faults::{Between, is_pulse};

/// When it freezes, and whether it is frozen.
pub(crate) struct Ice {
    at: usize,
    moments: AtomicUsize,
    frozen: watch::Sender<bool>,
}

impl Ice {
    /// It will freeze at this moment of its work; the first is 1.
    pub(crate) fn at(moment: usize) -> Arc<Self> {
        let (moments, frozen) = (AtomicUsize::new(0), watch::Sender::new(false));
        Arc::new(Self { at: moment, moments, frozen })
    }

    pub(crate) fn is_frozen(&self) -> bool {
        *self.frozen.borrow()
    }

    pub(crate) fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    async fn moment(&self) {
        if self.moments.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
            self.frozen.send_replace(true);
        }
        self.still().await;
    }

    /// Nothing happens while it is frozen.
    async fn still(&self) {
        let _ = self.frozen.subscribe().wait_for(|frozen| !frozen).await;
    }
}

/// What is between a process that freezes and the world.
pub(crate) struct Icy<T: ?Sized> {
    pub(crate) ice: Arc<Ice>,
    pub(crate) behind: Arc<T>,
}

impl Between for Icy<dyn Store> {
    fn store(&self) -> &dyn Store {
        &*self.behind
    }

    async fn commits(&self, writes: Vec<Write>) -> Result<Vec<OutboxRow>, Error> {
        if is_pulse(&writes) {
            self.ice.still().await;
            return self.behind.commit_told(writes).await;
        }
        self.ice.moment().await;
        let done = self.behind.commit_told(writes).await;
        self.ice.moment().await;
        done
    }

    async fn asks<T: Send>(
        &self,
        question: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        self.ice.still().await;
        let answer = question.await;
        self.ice.moment().await;
        answer
    }

    async fn peeks<T: Send>(
        &self,
        question: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        self.ice.still().await;
        let answer = question.await;
        self.ice.still().await;
        answer
    }

    async fn looks<T: Send>(
        &self,
        look: impl Future<Output = Result<Vec<T>, Error>> + Send,
    ) -> Result<Vec<T>, Error> {
        let found = self.peeks(look).await;
        if found.as_ref().is_ok_and(|found| !found.is_empty()) {
            self.ice.moment().await;
        }
        found
    }
}

#[async_trait]
impl<M: Messenger> Messenger for Icy<M> {
    fn channel(&self) -> &'static str {
        self.behind.channel()
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        self.ice.moment().await;
        let sent = self.behind.send(text).await;
        self.ice.moment().await;
        sent
    }

    async fn taken(&self, text: &Outgoing, since: Timestamp) -> Result<Vec<Sent>, Refusal> {
        self.ice.moment().await;
        self.behind.taken(text, since).await
    }
}

#[async_trait]
impl<W: Web> Web for Icy<W> {
    async fn ask(&self, asking: Asking) -> Result<Answered, Unanswered> {
        self.ice.moment().await;
        let answer = self.behind.ask(asking).await;
        self.ice.moment().await;
        answer
    }
}
