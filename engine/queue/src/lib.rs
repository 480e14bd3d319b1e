//! Jobs between processes: wake-ups that say which thread or session has work. The store holds
//! the truth; a job that is lost is found again by the runtime's sweep, one that comes twice finds
//! nothing to do.
//!
//! Read in this order: this file (the seam) → [`embedded`] (one process) → [`rabbit`] (many).

pub mod embedded;
pub mod rabbit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// A wake-up. It carries no state, so a stale or doubled one is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What kind of work: `thread`, `reply`, `run`, `deed`, `outbox`.
    pub kind: String,
    /// The row that has work. Jobs of one id may be delivered at once to two workers; the store's
    /// fence lets one of them write.
    pub id: String,
    /// W3C `traceparent` of what caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// How often a job is delivered again before it is given up.
pub(crate) const LIMIT: u32 = 20;

/// How long a job that was dropped this often before is kept back: 100 ms, doubled up to 5 s.
pub(crate) fn pause(dropped: u32) -> Duration {
    Duration::from_millis(100 << dropped.min(6)).min(Duration::from_secs(5))
}

/// Opens the queue that a URL names: `embedded`, or `amqp://user:password@host/vhost` (and
/// `amqps://`). Processes with the same URL share the work.
///
/// # Errors
/// The URL is none of these, or the broker is there and does not let us in. One that is away is
/// waited for. No error shows a password.
pub async fn open(url: &str) -> Result<Arc<dyn Queue>, Error> {
    if url == "embedded" {
        Ok(Arc::new(embedded::Embedded::new()))
    } else if url.starts_with("amqp://") || url.starts_with("amqps://") {
        Ok(Arc::new(rabbit::Rabbit::open(url, NAME).await?))
    } else {
        Err(Error {
            queue: "queue".into(),
            why: "its URL must be `embedded` or begin with `amqp://` or `amqps://`".into(),
        })
    }
}

/// Opens the queue of the work that only a process with doors can do, such as a call that is to be
/// made; by the URL that [`open`] takes. `None` = there is but one process, and it has doors.
///
/// # Errors
/// As those of [`open`].
pub async fn open_doors(url: &str) -> Result<Option<Arc<dyn Queue>>, Error> {
    if url == "embedded" {
        return Ok(None);
    }
    Ok(Some(Arc::new(rabbit::Rabbit::open(url, DOORS).await?)))
}

/// How the names of our queues begin at a broker.
const NAME: &str = "voxflow";
/// The same, of those for processes with doors.
const DOORS: &str = "voxflow.doors";

/// Carries jobs from process to process.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Hands a job over; it is safe with the queue when this returns.
    async fn publish(&self, job: Job) -> Result<(), Error>;

    /// Takes part in the work. Dropping the jobs ends it; those not acknowledged are given to
    /// somebody else.
    async fn subscribe(&self) -> Result<Jobs, Error>;

    /// The jobs that were given up and are kept for people to look at, oldest first, at most
    /// `limit`.
    async fn dead(&self, limit: u32) -> Result<Vec<Dead>, Error>;

    /// Puts dead jobs among the others again, oldest first, at most `limit`; those that are no jobs
    /// are thrown away. How many came back to life.
    async fn replay(&self, limit: u32) -> Result<u32, Error>;

    /// Whether jobs can be published and taken at this moment, for `/readyz`.
    async fn ready(&self) -> Result<(), Error>;
}

/// A job that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dead {
    /// What it was, as JSON; or what somebody put there.
    pub body: String,
    /// Why: `delivery_limit` (it was dropped too often), `rejected` (it is no job).
    pub why: String,
}

/// Jobs as they come. Ends when the queue is closed for good.
pub struct Jobs(pub mpsc::Receiver<Delivery>);

/// A job in our hands. Dropped without [`Delivery::done`], it is delivered again after a pause that
/// grows with each time, and given up after twenty: the sweep finds what still needs it.
pub struct Delivery {
    /// The job.
    pub job: Job,
    /// When the queue gave it out.
    pub came: Instant,
    done: oneshot::Sender<()>,
}

impl Delivery {
    /// A delivery, and what resolves when it is done (or fails when it was dropped).
    pub fn new(job: Job) -> (Self, oneshot::Receiver<()>) {
        let (done, acknowledged) = oneshot::channel();
        (Self { job, came: Instant::now(), done }, acknowledged)
    }

    /// The work is committed: acknowledge.
    pub fn done(self) {
        // A queue that is gone delivers again, and the work finds itself done.
        let _ = self.done.send(());
    }
}

/// Why a job could not be handed over.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the queue {queue} cannot take part: {why}")]
pub struct Error {
    /// Which queue, without its password.
    pub queue: String,
    /// In words.
    pub why: String,
}
