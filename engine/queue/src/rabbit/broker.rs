//! Where the broker is, how it is reached, and what must be declared there.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};

use crate::{Error, LIMIT};

/// Seconds between heartbeats unless the URL says otherwise: a peer that is gone is noticed within
/// twice that. The broker's own default of a minute would leave jobs with a frozen process.
const HEARTBEAT: u16 = 8;
/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(5);
/// Dead jobs that are kept for people to look at; the oldest go first.
const DEAD: i64 = 10_000;
/// How often people can look at a dead job.
const LOOKS: i64 = 1_000_000;
/// The longest name; the broker takes 255 bytes, and we add to it.
const NAME: usize = 200;

/// A broker and the names that we use there.
#[derive(Clone)]
pub(super) struct Broker {
    uri: AMQPUri,
    name: String,
}

impl Broker {
    pub(super) fn new(url: &str, name: &str) -> Result<Self, Error> {
        // What the parser says may quote a part of the password.
        let unreadable = || Error {
            queue: "RabbitMQ".into(),
            why: "its URL cannot be read; it is `amqp://user:password@host:5672/vhost`, where odd \
                  characters are written as `%40`"
                .into(),
        };
        let mut uri: AMQPUri = url.parse().map_err(|_| unreadable())?;
        if uri.vhost.is_empty() {
            uri.vhost = "/".into();
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        uri.query.connection_timeout.get_or_insert(CONNECTING.as_millis() as u64);
        let this = Self { uri, name: name.into() };
        if name.is_empty() || name.len() > NAME {
            return Err(this.error(format!("a queue's name has 1 to {NAME} bytes")));
        }
        Ok(this)
    }

    /// The queue of the jobs.
    pub(super) fn jobs(&self) -> ShortString {
        format!("{}.jobs", self.name).into()
    }

    /// The queue of those that were given up.
    pub(super) fn dead(&self) -> ShortString {
        format!("{}.dead", self.name).into()
    }

    /// The lock of who makes queues anew: a queue of one connection.
    pub(super) fn lock(&self) -> ShortString {
        format!("{}.mending", self.name).into()
    }

    /// An error of this broker.
    pub(super) fn error(&self, why: impl ToString) -> Error {
        let scheme = match self.uri.scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        let (host, port) = (&self.uri.authority.host, self.uri.authority.port);
        let vhost = self.uri.vhost.trim_start_matches('/');
        Error { queue: format!("{scheme}://{host}:{port}/{vhost}"), why: why.to_string() }
    }

    /// A new connection, which people can tell by what it is for. It is never revived: who uses
    /// it makes another one, with all that belongs to it.
    pub(super) async fn connect(&self, purpose: &str) -> Result<Connection, Error> {
        let named = format!("{} {purpose}", self.name);
        let properties = ConnectionProperties::default().with_connection_name(named.into());
        let connecting = Connection::connect_uri(self.uri.clone(), properties);
        match tokio::time::timeout(CONNECTING * 2, connecting).await {
            Ok(connection) => connection.map_err(|e| self.error(e)),
            Err(_) => Err(self.error("no answer")),
        }
    }

    /// Goes there once, and declares what is needed. A broker that is away, or still starting, is
    /// waited for by whoever uses it, and is no error here.
    ///
    /// # Errors
    /// The broker is there, and waiting will not help: it does not let us in, or has our queues
    /// with other properties.
    pub(super) async fn look(&self) -> Result<(), Error> {
        let properties = ConnectionProperties::default();
        let look = async {
            let connection = Connection::connect_uri(self.uri.clone(), properties).await?;
            self.declare(&connection.create_channel().await?).await?;
            // What it has declared stays; how the look ends does not matter.
            let _ = connection.close(200, "looked".into()).await;
            Ok(())
        };
        match tokio::time::timeout(CONNECTING * 2, look).await {
            Ok(Err(error)) if is_lasting(&error) => return Err(self.error(error)),
            Ok(Err(error)) => {
                let error = self.error(error);
                tracing::warn!(%error, "the broker is away; it is waited for");
            }
            Err(_) => tracing::warn!("the broker takes connections and does not answer yet"),
            Ok(Ok(())) => {}
        }
        Ok(())
    }

    /// Declares both queues. They survive the broker's restart, and a job that comes back too
    /// often goes to the dead ones.
    pub(super) async fn declare(&self, channel: &Channel) -> Result<(), lapin::Error> {
        let mut dead = quorum();
        dead.insert("x-max-length".into(), AMQPValue::LongLongInt(DEAD));
        // Looking at them must not wear them out; newer brokers have a limit by themselves.
        dead.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(LOOKS));
        channel.queue_declare(self.dead(), QueueDeclareOptions::durable(), dead).await?;
        let mut jobs = quorum();
        // Without a limit, older brokers also put what comes back behind what waits.
        jobs.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(LIMIT.into()));
        jobs.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
        jobs.insert(
            "x-dead-letter-routing-key".into(),
            AMQPValue::LongString(self.dead().as_str().into()),
        );
        channel.queue_declare(self.jobs(), QueueDeclareOptions::durable(), jobs).await?;
        Ok(())
    }
}

/// Whether a broker that is whole says no, and will say it again.
fn is_lasting(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(
        error.kind(),
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED | AMQPSoftError::PRECONDITIONFAILED)
            | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)
    )
}

/// Whether another connection has this queue for itself.
pub(super) fn is_locked(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED))
}

/// Whether the broker could not do its own part.
pub(super) fn is_broken(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(error.kind(), AMQPErrorKind::Hard(AMQPHardError::INTERNALERROR))
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}
