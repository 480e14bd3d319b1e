//! Wake-ups on their way to the queue: whoever stored a text does not wait for the broker.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt};
use queue::{Job, Queue};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Runtime, trace};

/// Wake-ups that may wait for the broker; the sweep finds what there was no room for.
const WAITING: usize = 4096;
/// Wake-ups that are on their way to the queue at once.
const AT_ONCE: usize = 512;

/// The way from the door to the loop that publishes.
pub(crate) struct Wakes {
    wish: mpsc::Sender<Job>,
    wished: Mutex<Option<mpsc::Receiver<Job>>>,
}

impl Default for Wakes {
    fn default() -> Self {
        let (wish, wished) = mpsc::channel(WAITING);
        Self { wish, wished: Mutex::new(Some(wished)) }
    }
}

impl Wakes {
    /// A thread shall be looked at soon.
    pub(crate) fn thread(&self, id: &str) {
        // No room means that the broker is away or behind: the sweep knows.
        let _ = self.wish.try_send(job("thread", id, trace::current()));
    }

    /// Whoever sends texts shall look for some: this process, which stored them, does not.
    pub(crate) fn outbox(&self, process: &str) {
        let _ = self.wish.try_send(job("outbox", process, trace::current()));
    }
}

impl Runtime {
    /// Publishes the wake-ups of threads until `stop`.
    pub(crate) async fn publish_wakes(self: Arc<Self>, stop: CancellationToken) {
        let wished = self.wakes.wished.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut wished) = wished else { return };
        // None waits for the confirmation of those before it.
        let mut going = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(_) = going.next() => {}
                Some(job) = wished.recv(), if going.len() < AT_ONCE => going.push(self.publish(job)),
            }
        }
    }

    /// Publishes a job that goes on with this trace; whether the queue has it. If not, the sweep and
    /// the timers find the work again.
    pub(crate) async fn wake(&self, kind: &str, id: &str, trace: Option<String>) -> bool {
        self.publish(job(kind, id, trace)).await
    }

    /// Publishes a job for a process with doors; as [`Runtime::wake`].
    pub(crate) async fn wake_doors(&self, doors: &dyn Queue, kind: &str, id: &str) -> bool {
        self.publish_to(doors, job(kind, id, trace::current())).await
    }

    async fn publish(&self, job: Job) -> bool {
        self.publish_to(&*self.parts.queue, job).await
    }

    async fn publish_to(&self, queue: &dyn Queue, job: Job) -> bool {
        let Job { kind, id, trace } = job.clone();
        match trace::publish(trace.as_deref(), queue.publish(job)).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(kind, id, %error, "a job could not be published");
                false
            }
        }
    }
}

fn job(kind: &str, id: &str, trace: Option<String>) -> Job {
    Job { kind: kind.into(), id: id.into(), trace }
}
