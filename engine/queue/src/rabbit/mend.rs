//! A queue that is there and answers nothing is made anew.
//!
//! A broker keeps the name of a new quorum queue before it keeps the queue's log. Killed in between,
//! it takes the queue for a member of a cluster that has yet to elect its first leader, and waits for
//! that for ever: the queue can be declared, and nothing else on it is ever answered, or answered by an
//! error that ends the connection. Only deleting it helps, which brokers do by force after some seconds. What was in it goes with it; jobs are
//! wake-ups, and the runtime's sweep and timers find their work again.
//!
//! Invariant: one process at a time deletes, and asks once more before: two that delete while a third
//! declares would leave a queue that nobody can declare.

use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicNackOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Connection, ErrorKind};
use tokio::time::timeout;

use super::broker::{Broker, is_broken, is_locked};
use crate::Error;

/// How long a queue may take to answer. One whose leader was lost elects another one within that.
pub(super) const ANSWER: Duration = Duration::from_secs(8);
/// How long the broker may take to delete a queue that does not answer: it asks it first.
const DELETING: Duration = Duration::from_secs(30);

/// Makes those of our queues anew that do not answer, unless somebody else is at it.
pub(super) async fn mend(broker: &Broker) -> Result<(), Error> {
    let error = |e| broker.error(e);
    // The lock has a connection to itself: a question may cost the connection that it is asked on.
    let lock = broker.connect("mends").await?;
    let channel = lock.create_channel().await.map_err(error)?;
    // Gone with the connection, however that ends.
    let ours = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    match channel.queue_declare(broker.lock(), ours, FieldTable::default()).await {
        Ok(_) => {}
        Err(error) if is_locked(&error) => return Ok(()),
        Err(e) => return Err(error(e)),
    }
    for queue in [broker.jobs(), broker.dead()] {
        if !answers(broker, &broker.connect("asks").await?, &queue).await? {
            tracing::warn!(%queue, "this queue answers nothing; it is made anew");
            let channel = lock.create_channel().await.map_err(error)?;
            let deleting = channel.queue_delete(queue, QueueDeleteOptions::default());
            let deleted = timeout(DELETING, deleting).await;
            deleted.map_err(|_| broker.error("a queue cannot be deleted"))?.map_err(error)?;
        }
    }
    let channel = lock.create_channel().await.map_err(error)?;
    broker.declare(&channel).await.map_err(error)?;
    // What was done stays done, however the farewell ends.
    let _ = lock.close(200, "mended".into()).await;
    Ok(())
}

/// Whether a queue answers, be it that it is not there. A message that it gives goes back to its
/// place.
pub(super) async fn answers(
    broker: &Broker,
    connection: &Connection,
    queue: &ShortString,
) -> Result<bool, Error> {
    let error = |e| broker.error(e);
    // A channel of its own: without an answer it can do nothing else any more.
    let channel = connection.create_channel().await.map_err(error)?;
    let getting = channel.basic_get(queue.clone(), BasicGetOptions { no_ack: false });
    match timeout(ANSWER, getting).await {
        Ok(Ok(got)) => {
            if let Some(message) = got {
                let again = BasicNackOptions { multiple: false, requeue: true };
                message.delivery.nack(again).await.map_err(error)?;
            }
            channel.close(200, "asked".into()).await.map_err(error)?;
            Ok(true)
        }
        Err(_) => Ok(false),
        // The broker has waited for it itself, or has looked for it in vain.
        Ok(Err(e)) if is_broken(&e) => Ok(false),
        Ok(Err(e)) if matches!(e.kind(), ErrorKind::ProtocolError(_)) => Ok(true),
        Ok(Err(e)) => Err(error(e)),
    }
}
