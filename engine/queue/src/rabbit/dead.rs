//! Jobs that were given up: looked at, and brought back to life.

use lapin::message::Delivery as Message;
use lapin::options::{BasicAckOptions, BasicGetOptions};
use lapin::{Channel, Connection};

use super::Rabbit;
use super::broker::Broker;
use crate::{Dead, Error, Job, Queue};

/// Looks at the first of them. They go back to their places with the connection.
pub(super) async fn list(broker: &Broker, limit: u32) -> Result<Vec<Dead>, Error> {
    let (_connection, channel) = open(broker).await?;
    let mut dead = Vec::new();
    while dead.len() < limit as usize
        && let Some(message) = get(broker, &channel).await?
    {
        let body = String::from_utf8_lossy(&message.data).into_owned();
        dead.push(Dead { body, why: why(&message) });
    }
    Ok(dead)
}

/// Publishes the first of them anew, and then lets go of each.
pub(super) async fn replay(queue: &Rabbit, limit: u32) -> Result<u32, Error> {
    let (_connection, channel) = open(&queue.broker).await?;
    let mut replayed = 0;
    while replayed < limit
        && let Some(message) = get(&queue.broker, &channel).await?
    {
        match serde_json::from_slice::<Job>(&message.data) {
            Ok(job) => {
                queue.publish(job).await?;
                replayed += 1;
            }
            Err(error) => tracing::warn!(%error, "what is no job is thrown away"),
        }
        message.ack(BasicAckOptions::default()).await.map_err(|e| queue.broker.error(e))?;
    }
    Ok(replayed)
}

async fn open(broker: &Broker) -> Result<(Connection, Channel), Error> {
    let connection = broker.connect("looks at the dead").await?;
    let channel = connection.create_channel().await.map_err(|e| broker.error(e))?;
    Ok((connection, channel))
}

async fn get(broker: &Broker, channel: &Channel) -> Result<Option<Message>, Error> {
    let options = BasicGetOptions { no_ack: false };
    let got = channel.basic_get(broker.dead(), options).await.map_err(|e| broker.error(e))?;
    Ok(got.map(|message| message.delivery))
}

/// What the broker noted when it gave the job up.
fn why(message: &Message) -> String {
    let headers = message.properties.headers().as_ref();
    let reason = headers.and_then(|h| h.inner().get("x-first-death-reason"));
    let reason = reason.and_then(|r| r.as_long_string());
    reason.map_or_else(|| "unknown".into(), |r| r.to_string())
}
