//! Jobs go out: one task publishes them all on one channel, many on their way at once, and tells
//! each that the broker has it.
//!
//! A channel that breaks is thrown away with whatever was on its way; those jobs are published
//! again on another one, so a job may come twice.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Confirmation};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::broker::Broker;
use super::channels::{Channels, Lent};
use super::{PATIENCE, TRIES};
use crate::{Error, pause};

/// Jobs that wait for their confirmation, at most.
const WINDOW: usize = 1024;
/// Jobs that may wait for the publisher before their makers do.
const WAITING: usize = 1024;
/// How AMQP says that a message is written to the disk.
const PERSISTENT: u8 = 2;

/// A job on its way to the broker.
struct Sheet {
    body: Vec<u8>,
    /// The same for every try, so that people can tell a doubled job from two.
    id: String,
    /// When its maker does not wait any more.
    until: Instant,
    tries: u32,
    answer: oneshot::Sender<Result<(), Error>>,
}

/// The way to the task that publishes.
pub(super) struct Press(mpsc::Sender<Sheet>);

impl Press {
    pub(super) fn new(broker: Broker, channels: deadpool::managed::Pool<Channels>) -> Self {
        let (sheets, waiting) = mpsc::channel(WAITING);
        tokio::spawn(for_ever(broker, channels, waiting));
        Self(sheets)
    }

    /// Publishes; the broker has it on its disk when this returns.
    pub(super) async fn publish(&self, broker: &Broker, body: Vec<u8>) -> Result<(), Error> {
        let gone = || broker.error("the publisher has ended");
        let (answer, answered) = oneshot::channel();
        let id = uuid::Uuid::now_v7().to_string();
        let until = Instant::now() + PATIENCE;
        let sheet = Sheet { body, id, until, tries: 0, answer };
        let handed = async {
            self.0.send(sheet).await.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        };
        timeout_at(until, handed).await.unwrap_or_else(|_| Err(broker.error("no answer")))
    }
}

/// The life of the publisher.
async fn for_ever(
    broker: Broker,
    channels: deadpool::managed::Pool<Channels>,
    mut waiting: mpsc::Receiver<Sheet>,
) {
    let mut left = VecDeque::new();
    let mut failures = 0;
    loop {
        if left.is_empty() {
            match waiting.recv().await {
                Some(sheet) => left.push_back(sheet),
                None => return,
            }
        }
        let published = match channels.get().await {
            Ok(channel) => publish(&broker, Lent::new(channel), &mut left, &mut waiting).await,
            Err(error) => Err(broker.error(error)),
        };
        let Err(error) = published else {
            failures = 0;
            continue;
        };
        tracing::debug!(%error, jobs = left.len(), "jobs are handed over again");
        let now = Instant::now();
        for sheet in std::mem::take(&mut left) {
            if sheet.tries < TRIES && sheet.until > now {
                left.push_back(sheet);
            } else {
                let _ = sheet.answer.send(Err(error.clone()));
            }
        }
        tokio::time::sleep(pause(failures)).await;
        failures = (failures + 1).min(4);
    }
}

/// Publishes on one channel for as long as there is something, and it holds. What was not confirmed
/// is in `left` afterwards.
async fn publish(
    broker: &Broker,
    lent: Lent,
    left: &mut VecDeque<Sheet>,
    waiting: &mut mpsc::Receiver<Sheet>,
) -> Result<(), Error> {
    let mut confirms = FuturesUnordered::new();
    let mut sent: HashMap<Arc<str>, Sheet> = HashMap::new();
    let mut broken = None;
    loop {
        while broken.is_none()
            && confirms.len() < WINDOW
            && let Some(mut sheet) = left.pop_front().or_else(|| waiting.try_recv().ok())
        {
            // Who no longer waits has been told that it failed.
            if sheet.answer.is_closed() {
                continue;
            }
            sheet.tries += 1;
            match begin(&lent, broker, &sheet).await {
                Ok(confirm) => {
                    let id: Arc<str> = sheet.id.as_str().into();
                    let until = sheet.until.max(Instant::now() + Duration::from_secs(1));
                    sent.insert(Arc::clone(&id), sheet);
                    confirms.push(async move { (id, timeout_at(until, confirm).await) });
                }
                Err(error) => {
                    broken = Some(broker.error(error));
                    left.push_front(sheet);
                }
            }
        }
        if broken.is_some() {
            break;
        }
        if confirms.is_empty() {
            lent.give_back();
            return Ok(());
        }
        tokio::select! {
            biased;
            Some((id, confirm)) = confirms.next() => {
                let confirmed = match confirm {
                    Ok(Ok(Confirmation::Ack(None))) => Ok(()),
                    // A broker confirms what it cannot route as well, and what it returned may come
                    // with the confirmation of another.
                    Ok(Ok(Confirmation::Ack(Some(_)))) => Err("the queue was not there".into()),
                    Ok(Ok(_)) => Err("the broker refused a job".into()),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err("no answer".into()),
                };
                match (confirmed, sent.remove(&id)) {
                    (Ok(()), Some(sheet)) => drop(sheet.answer.send(Ok(()))),
                    (Ok(()), None) => {}
                    (Err(why), sheet) => {
                        left.extend(sheet);
                        let _ = broker.declare(lent.channel()).await;
                        broken = Some(broker.error(why));
                    }
                }
            }
            Some(sheet) = waiting.recv(), if confirms.len() < WINDOW => left.push_back(sheet),
        }
    }
    // Whatever is on its way is not known any more.
    left.extend(sent.into_values());
    Err(broken.unwrap_or_else(|| broker.error("the channel is closed")))
}

/// Hands a job to the connection; what comes back is its confirmation.
async fn begin(
    lent: &Lent,
    broker: &Broker,
    sheet: &Sheet,
) -> Result<lapin::PublisherConfirm, lapin::Error> {
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(sheet.id.as_str().into());
    // It only tells what it cannot route when asked.
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    lent.channel().basic_publish("".into(), broker.jobs(), options, &sheet.body, properties).await
}
