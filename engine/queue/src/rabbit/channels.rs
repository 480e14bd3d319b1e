//! Channels that publish: made on one connection, lent to one task at a time.

use deadpool::managed::{Manager, Metrics, Object, RecycleError, RecycleResult};
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Connection};
use tokio::sync::Mutex;

use super::broker::Broker;
use crate::Error;

/// Makes channels that confirm what is published on them.
pub(super) struct Channels {
    broker: Broker,
    /// Publishing has a connection of its own: a broker that is short of memory stops reading from
    /// it, and acknowledgements must still get through.
    connection: Mutex<Option<Connection>>,
}

impl Channels {
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker, connection: Mutex::new(None) }
    }
}

impl Manager for Channels {
    type Type = Channel;
    type Error = Error;

    async fn create(&self) -> Result<Channel, Error> {
        let error = |e| self.broker.error(e);
        let mut connection = self.connection.lock().await;
        let channel = match connection.as_ref().filter(|c| c.status().connected()) {
            Some(connection) => connection.create_channel().await.map_err(error)?,
            None => {
                // What is there is broken; dropped first, so that it cannot hold the place.
                *connection = None;
                let new = self.broker.connect("publishes").await?;
                let channel = new.create_channel().await.map_err(error)?;
                // The broker may be a new one with an empty disk.
                self.broker.declare(&channel).await.map_err(error)?;
                *connection = Some(new);
                channel
            }
        };
        drop(connection);
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(error)?;
        Ok(channel)
    }

    async fn recycle(&self, channel: &mut Channel, _: &Metrics) -> RecycleResult<Error> {
        if channel.status().connected() {
            Ok(())
        } else {
            Err(RecycleError::message("the channel is closed"))
        }
    }
}

/// A channel in the hands of one task. Dropped, it is closed: with an answer outstanding it is
/// nobody else's. Only a clean round gives it back.
pub(super) struct Lent(Option<Object<Channels>>);

impl Lent {
    pub(super) fn new(channel: Object<Channels>) -> Self {
        Self(Some(channel))
    }

    pub(super) fn channel(&self) -> &Channel {
        self.0.as_ref().expect("it is lent until it is given back or dropped")
    }

    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(channel) = self.0.take() {
            drop(Object::take(channel));
        }
    }
}
