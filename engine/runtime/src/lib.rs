//! The loops that wait, own, retry and dispatch: everything between a carrier's door and a run.
//!
//! Read in this order: [`numbers`] (which flow a number has) → [`texting`] (a text comes in) →
//! [`worker`] (a job is worked) → [`outbox`] (a text leaves) → [`timers`] (time passes) →
//! [`lines`] (a call is hosted) → [`watch`] (who looks on).

pub mod clock;
pub mod lines;
pub mod numbers;
pub mod outbox;
pub mod texting;
pub mod timers;
pub mod tools;
pub mod watch;
pub mod worker;

use std::sync::Arc;

use call::{Library, Vendors};
use conversation::Messenger;
use queue::Queue;
use store::Store;

use tokio_util::sync::CancellationToken;

pub use clock::Clock;
pub use numbers::Numbers;
pub use watch::{Happening, Watch};

/// What a runtime is made of.
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Wake-ups.
    pub queue: Arc<dyn Queue>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Speech and language.
    pub vendors: Arc<dyn Vendors>,
    /// Sound files.
    pub library: Arc<dyn Library>,
    /// One for each channel that can send.
    pub messengers: Vec<Arc<dyn Messenger>>,
    /// Which number has which flows.
    pub numbers: Numbers,
    /// Seconds of silence after which an AI session of a thread is over, where neither the number
    /// nor the action says otherwise.
    pub idle_s: i64,
    /// This process, among others.
    pub worker: String,
}

/// A runtime: takes texts ([`conversation::Inbox`]) and calls ([`call::Switchboard`]).
pub struct Runtime {
    /// Its parts.
    pub parts: Parts,
    /// Who looks on.
    pub watch: Watch,
}

impl Runtime {
    /// Puts the parts together. Nothing runs until [`Runtime::serve`].
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, watch: Watch::default() })
    }

    /// Ends a run from outside. False when there is no such run, or it is over.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn stop_run(&self, run: &str, why: &str) -> Result<bool, store::Error> {
        let _ = (run, why);
        unimplemented!("seam")
    }

    /// Works until `stop`: jobs, outbox, timers, sweep. Returns when all of it has ended; calls
    /// that are live then are hung up.
    pub async fn serve(self: Arc<Self>, stop: CancellationToken) {
        stop.cancelled().await;
    }
}
