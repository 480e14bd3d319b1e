//! RabbitMQ, through lapin: the queue of many processes.
//!
//! Read in this order: this file (the seam) → `broker` (where it is, what is declared there) →
//! `channels` (who may publish) → `publish` (jobs go out) → `consume` (jobs come in) → `mend` (queues
//! that answer nothing) → `dead` (jobs that were given up).
//!
//! Invariant: a channel has one publishing task at a time. Two tasks on one channel are given each
//! other's confirms, and a job that the broker refused would count as safe.
//! Invariant: a job is acknowledged to the broker only after its work is committed.

mod broker;
mod channels;
mod consume;
mod dead;
mod mend;
mod publish;

use std::time::Duration;

use async_trait::async_trait;
use deadpool::managed::{Pool, Timeouts};
use tokio::sync::mpsc;

use self::broker::Broker;
use self::channels::{Channels, Lent};
use self::consume::Presence;
use self::publish::Press;
use crate::{Dead, Error, Job, Jobs, Queue};

/// How long a job may take to be safe with the broker, with all tries.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried.
const TRIES: u32 = 3;
/// Channels at the same time: one publishes, others look whether the broker is there.
const CHANNELS: usize = 8;
/// Jobs that a process holds without having finished them, at most.
const PREFETCH: u16 = 256;
/// How soon it must answer to be called ready.
const READY: Duration = Duration::from_secs(2);

/// A queue on a RabbitMQ broker.
pub struct Rabbit {
    broker: Broker,
    channels: Pool<Channels>,
    press: Press,
    presence: Presence,
}

impl Rabbit {
    /// Connects, and declares the queues `<name>.jobs` and `<name>.dead`. Processes with the same
    /// name share the work. A broker that is away is waited for: [`Queue::ready`] tells.
    ///
    /// # Errors
    /// The URL is no AMQP URL, the broker does not let us in, or it has such queues with other
    /// properties. No error shows a password.
    pub async fn open(url: &str, name: &str) -> Result<Self, Error> {
        let broker = Broker::new(url, name)?;
        let channels = Pool::builder(Channels::new(broker.clone()))
            .max_size(CHANNELS)
            .runtime(deadpool::Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(PATIENCE), create: None, recycle: None })
            .build()
            .map_err(|e| broker.error(e))?;
        let press = Press::new(broker.clone(), channels.clone());
        let this = Self { broker, channels, press, presence: Presence::default() };
        this.broker.look().await?;
        Ok(this)
    }

    async fn channel(&self) -> Result<Lent, Error> {
        self.channels.get().await.map(Lent::new).map_err(|e| self.broker.error(e))
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let done = tokio::time::timeout(PATIENCE, work).await;
        done.unwrap_or_else(|_| Err(self.broker.error("no answer")))
    }
}

#[async_trait]
impl Queue for Rabbit {
    async fn publish(&self, job: Job) -> Result<(), Error> {
        let body = serde_json::to_vec(&job).map_err(|e| self.broker.error(e))?;
        self.press.publish(&self.broker, body).await?;
        metrics::counter!("voxflow_jobs_published_total").increment(1);
        Ok(())
    }

    async fn subscribe(&self) -> Result<Jobs, Error> {
        let (jobs, taken) = mpsc::channel(PREFETCH.into());
        tokio::spawn(consume::for_ever(self.broker.clone(), jobs, self.presence.clone()));
        Ok(Jobs(taken))
    }

    async fn dead(&self, limit: u32) -> Result<Vec<Dead>, Error> {
        self.in_time(dead::list(&self.broker, limit)).await
    }

    async fn replay(&self, limit: u32) -> Result<u32, Error> {
        // Each is safe among the jobs before it leaves the dead ones.
        dead::replay(self, limit).await
    }

    async fn ready(&self) -> Result<(), Error> {
        match tokio::time::timeout(READY, self.channel()).await {
            Ok(channel) => channel?.give_back(),
            Err(_) => return Err(self.broker.error("no answer")),
        }
        match self.presence.trouble() {
            Some(why) => Err(self.broker.error(format!("jobs do not come in yet: {why}"))),
            None => Ok(()),
        }
    }
}
