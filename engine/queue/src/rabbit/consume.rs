//! Jobs come in: a consumer that is made anew for as long as somebody wants its jobs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::message::Delivery as Message;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::PREFETCH;
use super::broker::Broker;
use super::mend::{self, ANSWER, answers};
use crate::{Delivery, Error, Job, pause};

/// The first pause before a new connection; it doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// How long a broker may take until our queues are declared.
const BEGINNING: Duration = Duration::from_secs(10);
/// How often in a row queues may be declared and then answer nothing.
const SILENCES: u32 = 2;
/// Jobs that are acknowledged together.
const TOGETHER: usize = 32;
/// How long a job that is done waits for others.
const LATELY: Duration = Duration::from_millis(5);
/// How long work in hand may take to end after nobody wants new jobs.
const FAREWELL: Duration = Duration::from_secs(30);

/// Who consumes, for `/readyz`.
#[derive(Clone, Default)]
pub(super) struct Presence(Arc<Counts>);

#[derive(Default)]
struct Counts {
    wanted: AtomicUsize,
    there: AtomicUsize,
    /// Why one was not there the last time.
    trouble: Mutex<String>,
}

impl Presence {
    /// Why not every subscriber is connected, unless all are.
    pub(super) fn trouble(&self) -> Option<String> {
        let (there, wanted) = (&self.0.there, &self.0.wanted);
        let whole = there.load(Ordering::Relaxed) >= wanted.load(Ordering::Relaxed);
        let trouble = || self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!whole).then(trouble)
    }

    fn lost(&self, why: &str) {
        why.clone_into(&mut self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How far a connection came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Nothing,
    /// Our queues were declared.
    Queues,
    /// Jobs could come in.
    Jobs,
}

/// Counts one up for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Consumes until the other end of `jobs` is dropped, through every loss of the broker.
pub(super) async fn for_ever(broker: Broker, jobs: mpsc::Sender<Delivery>, presence: Presence) {
    let _wanted = Counted::new(&presence.0.wanted);
    let (mut wait, mut silences) = (SHORTEST, 0);
    loop {
        let mut reached = Reached::Nothing;
        let Err(error) = once(&broker, &jobs, &presence, &mut reached).await else {
            return;
        };
        presence.lost(&error.why);
        silences = if reached == Reached::Queues { silences + 1 } else { 0 };
        if reached == Reached::Jobs {
            wait = SHORTEST;
        }
        tracing::warn!(%error, ?wait, "jobs do not come in; connecting again");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = jobs.closed() => return,
        }
        wait = (wait * 2).min(LONGEST);
        if silences >= SILENCES
            && let Err(error) = mend::mend(&broker).await
        {
            tracing::warn!(%error, "queues that answer nothing could not be made anew");
        }
    }
}

/// One connection's life. Ok when nobody listens any more.
async fn once(
    broker: &Broker,
    jobs: &mpsc::Sender<Delivery>,
    presence: &Presence,
    reached: &mut Reached,
) -> Result<(), Error> {
    let error = |e| broker.error(e);
    // A broker that is still starting takes connections, and may never answer on them.
    let begin = tokio::time::timeout(BEGINNING, begin(broker));
    let (connection, channel) = begin.await.unwrap_or_else(|_| Err(broker.error("no answer")))?;
    *reached = Reached::Queues;
    if !answers(broker, &connection, &broker.dead()).await? {
        return Err(silent(broker, &broker.dead()));
    }
    let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
    let consuming = channel.basic_consume(broker.jobs(), "".into(), options, table);
    let consuming = tokio::time::timeout(ANSWER, consuming).await;
    let mut messages = consuming.map_err(|_| silent(broker, &broker.jobs()))?.map_err(error)?;
    *reached = Reached::Jobs;
    let there = Counted::new(&presence.0.there);
    let mut in_hand = FuturesUnordered::new();
    let mut acks = Acks::default();
    loop {
        tokio::select! {
            biased;
            Some(settled) = in_hand.next() => {
                let settled: Result<Settled, lapin::Error> = settled;
                acks.settled(settled.map_err(error)?);
            }
            message = messages.next() => {
                let message = match message {
                    Some(message) => message.map_err(error)?,
                    None => return Err(broker.error("the broker ended it")),
                };
                in_hand.push(hand_over(message, jobs));
            }
            // Nothing else has happened for a moment, or so much that the broker should know.
            () = acks.due() => acks.send(&channel).await.map_err(error)?,
            () = jobs.closed() => break,
        }
    }
    drop(there);
    let cancel = BasicCancelOptions::default();
    channel.basic_cancel(messages.tag(), cancel).await.map_err(error)?;
    // What is being worked on may end; what nobody took goes back by itself.
    let farewell = async {
        while let Some(Ok(settled)) = in_hand.next().await {
            acks.settled(settled);
        }
    };
    let left = tokio::time::timeout(FAREWELL, farewell).await.is_err();
    acks.send(&channel).await.map_err(error)?;
    if left {
        tracing::warn!(queue = %broker.jobs(), "jobs in hand are left to somebody else");
    }
    // The broker gives back at once what was not acknowledged.
    let _ = connection.close(200, "done".into()).await;
    Ok(())
}

/// A channel for a consumer, and what it lives on.
async fn begin(broker: &Broker) -> Result<(Connection, Channel), Error> {
    let error = |e| broker.error(e);
    let connection = broker.connect("consumes").await?;
    let channel = connection.create_channel().await.map_err(error)?;
    broker.declare(&channel).await.map_err(error)?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(error)?;
    Ok((connection, channel))
}

fn silent(broker: &Broker, queue: &ShortString) -> Error {
    broker.error(format!("the broker has the queue {queue}, which answers nothing"))
}

/// Gives a job to the subscriber and waits for its end, however long that takes.
async fn hand_over(
    message: Message,
    jobs: &mpsc::Sender<Delivery>,
) -> Result<Settled, lapin::Error> {
    let tag = message.delivery_tag;
    let job = match serde_json::from_slice::<Job>(&message.data) {
        Ok(job) => job,
        Err(error) => {
            tracing::error!(%error, "a job cannot be read; it goes to the dead ones");
            message.reject(BasicRejectOptions { requeue: false }).await?;
            return Ok(Settled { tag, done: false });
        }
    };
    let before = times_before(&message);
    metrics::counter!("voxflow_jobs_delivered_total").increment(1);
    if message.redelivered {
        metrics::counter!("voxflow_jobs_redelivered_total").increment(1);
    }
    let (delivery, done) = Delivery::new(job);
    // There is room: it holds as many as the broker gives us.
    if jobs.send(delivery).await.is_ok() {
        if done.await.is_ok() {
            metrics::counter!("voxflow_jobs_acknowledged_total").increment(1);
            return Ok(Settled { tag, done: true });
        }
        tokio::select! {
            () = tokio::time::sleep(pause(before)) => {}
            () = jobs.closed() => {}
        }
    }
    let again = BasicNackOptions { multiple: false, requeue: true };
    message.nack(again).await?;
    Ok(Settled { tag, done: false })
}

/// A delivery that came to its end.
struct Settled {
    /// How the channel calls it: they count up.
    tag: u64,
    /// Whether it is to be acknowledged; the broker knows of the others.
    done: bool,
}

/// Acknowledgements on their way, several in one message.
#[derive(Default)]
struct Acks {
    /// All up to here have come to their end.
    below: u64,
    /// Those above that have, and whether they are to be acknowledged.
    above: BTreeMap<u64, bool>,
    waiting: usize,
    due: Option<Instant>,
}

impl Acks {
    fn settled(&mut self, settled: Settled) {
        self.above.insert(settled.tag, settled.done);
        self.waiting += 1;
        let due = if self.waiting >= TOGETHER { Instant::now() } else { Instant::now() + LATELY };
        self.due = Some(self.due.map_or(due, |known| known.min(due)));
    }

    async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// What is below the first that is still at work is acknowledged as one, the others one by one.
    async fn send(&mut self, channel: &Channel) -> Result<(), lapin::Error> {
        let mut last = None;
        while let Some(entry) = self.above.first_entry()
            && *entry.key() == self.below + 1
        {
            self.below = *entry.key();
            if entry.remove() {
                last = Some(self.below);
            }
        }
        if let Some(last) = last {
            channel.basic_ack(last, BasicAckOptions { multiple: true }).await?;
        }
        for (tag, done) in &mut self.above {
            if std::mem::take(done) {
                channel.basic_ack(*tag, BasicAckOptions::default()).await?;
            }
        }
        (self.waiting, self.due) = (0, None);
        Ok(())
    }
}

/// How often the broker has given this job out before.
fn times_before(message: &Message) -> u32 {
    let headers = message.properties.headers().as_ref();
    let count = headers.and_then(|h| h.inner().get("x-delivery-count"));
    count.and_then(AMQPValue::as_long_long_int).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}
