//! RabbitMQ, through lapin: the queue of many processes.
//!
//! Read in this order: this file (the seam) → `broker` (where it is, what is declared there) →
//! `channels` (who may publish) → `consume` (jobs come in) → `dead` (jobs that were given up).
//!
//! Invariant: a channel has one publishing task at a time. Two tasks on one channel are given each
//! other's confirms, and a job that the broker refused would count as safe.
//! Invariant: a job is acknowledged to the broker only after its work is committed.

mod broker;
mod channels;
mod consume;
mod dead;

use std::time::Duration;

use async_trait::async_trait;
use deadpool::managed::{Pool, Timeouts};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Confirmation};
use tokio::sync::mpsc;
use uuid::Uuid;

use self::broker::Broker;
use self::channels::{Channels, Lent};
use self::consume::Presence;
use crate::{Dead, Error, Job, Jobs, Queue, pause};

/// How long a job may take to be safe with the broker, with all tries.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried.
const TRIES: u32 = 3;
/// Jobs that are on their way to the broker at the same time, at most.
const CHANNELS: usize = 64;
/// Jobs that a process holds without having finished them, at most.
const PREFETCH: u16 = 256;
/// How AMQP says that a message is written to the disk.
const PERSISTENT: u8 = 2;
/// How soon it must answer to be called ready.
const READY: Duration = Duration::from_secs(2);

/// A queue on a RabbitMQ broker.
pub struct Rabbit {
    broker: Broker,
    channels: Pool<Channels>,
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
        let this = Self { broker, channels, presence: Presence::default() };
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

    /// One try: on a channel of its own until the broker has it on its disk.
    async fn hand_over(&self, body: &[u8], id: &str) -> Result<(), Error> {
        let lent = self.channel().await?;
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into())
            .with_message_id(id.into());
        // A broker confirms what it cannot route as well; it only tells when asked.
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let error = |e| self.broker.error(e);
        let confirm = lent
            .channel()
            .basic_publish("".into(), self.broker.jobs(), options, body, properties)
            .await
            .map_err(error)?
            .await
            .map_err(error)?;
        match confirm {
            Confirmation::Ack(None) => {
                lent.give_back();
                Ok(())
            }
            Confirmation::Ack(Some(_)) => {
                // Somebody has deleted it.
                self.broker.declare(lent.channel()).await.map_err(error)?;
                Err(self.broker.error("the queue was not there"))
            }
            Confirmation::Nack(_) | Confirmation::NotRequested => {
                Err(self.broker.error("the broker refused the job"))
            }
        }
    }
}

#[async_trait]
impl Queue for Rabbit {
    async fn publish(&self, job: Job) -> Result<(), Error> {
        let body = serde_json::to_vec(&job).map_err(|e| self.broker.error(e))?;
        // The same for every try, so that people can tell a doubled job from two.
        let id = Uuid::now_v7().to_string();
        let tries = async {
            let mut tried = 1;
            loop {
                match self.hand_over(&body, &id).await {
                    Err(error) if tried < TRIES => {
                        tracing::debug!(%error, "a job is handed over again");
                        tokio::time::sleep(pause(tried - 1)).await;
                        tried += 1;
                    }
                    done => return done,
                }
            }
        };
        self.in_time(tries).await?;
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
        if !self.presence.whole() {
            return Err(self.broker.error("jobs do not come in yet"));
        }
        Ok(())
    }
}
