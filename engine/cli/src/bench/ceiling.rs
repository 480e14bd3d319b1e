//! What the broker and the database can do at best, with nothing of ours in between.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls};

/// Jobs that are on their way at once.
const WINDOW: usize = 512;
/// Jobs that are acknowledged together.
const ACKED: usize = 64;
/// Texts of one transaction.
const GROUP: usize = 64;
/// Connections that write at once.
const WRITERS: usize = 3;

/// Jobs per second through one quorum queue: published, confirmed, consumed, acknowledged.
///
/// # Errors
/// The broker cannot be used.
pub(crate) async fn broker(url: &str, jobs: usize) -> Result<Option<f64>, String> {
    if url == "embedded" {
        return Ok(None);
    }
    let measured = measure_broker(url, jobs).await;
    measured.map(Some).map_err(|error| format!("`queue`: {error}"))
}

async fn measure_broker(url: &str, jobs: usize) -> Result<f64, lapin::Error> {
    let connect = || Connection::connect(url, ConnectionProperties::default());
    let (publishes, consumes) = (connect().await?, connect().await?);
    let channel = publishes.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let name = format!("voxflow.bench-{}", uuid::Uuid::now_v7().simple());
    channel.queue_declare(name.as_str().into(), QueueDeclareOptions::durable(), quorum).await?;
    let began = Instant::now();
    let (published, consumed) = tokio::join!(
        publish(&channel, &name, jobs),
        consume(consumes.create_channel().await?, &name, jobs)
    );
    let rate = jobs as f64 / began.elapsed().as_secs_f64();
    channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await?;
    published.and(consumed).map(|()| rate)
}

async fn publish(channel: &Channel, name: &str, jobs: usize) -> Result<(), lapin::Error> {
    let body = vec![b'x'; 80];
    let mut confirms = futures_util::stream::FuturesUnordered::new();
    for _ in 0..jobs {
        if confirms.len() == WINDOW
            && let Some(confirm) = confirms.next().await
        {
            let _: lapin::Confirmation = confirm?;
        }
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish("".into(), name.into(), options, &body, properties);
        confirms.push(sent.await?);
    }
    while let Some(confirm) = confirms.next().await {
        let _: lapin::Confirmation = confirm?;
    }
    Ok(())
}

async fn consume(channel: Channel, name: &str, jobs: usize) -> Result<(), lapin::Error> {
    let window = u16::try_from(WINDOW).unwrap_or(u16::MAX);
    channel.basic_qos(window, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let table = FieldTable::default();
    let mut messages = channel.basic_consume(name.into(), "".into(), options, table).await?;
    for n in 1..=jobs {
        let Some(message) = messages.next().await else { break };
        let message = message?;
        if n % ACKED == 0 || n == jobs {
            message.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}

/// Where the ceiling is measured, beside the tables of the real path.
const SCHEMA: &str = "voxflow_bench";
/// How long the state of a run is, and what it has done: bytes, as the real path has them.
const BODY: usize = 700;

/// The rows of a text that is answered, in the order of the real path: received, worked, sent, its
/// run ended. The values are the thread (`t`), the text (`i`), a body (`b`).
const ROWS: &[(&str, &str)] = &[
    ("INSERT INTO claims (thread, claim, at) VALUES ($1, $2, 1)", "ti"),
    (
        "INSERT INTO threads (id, tenant, channel, ours, peer, seq, handled, updated, last_n, \
         last_in) VALUES ($1, 'default', 'twilio', '+15550001000', $1, 0, 0, 1, 1, 1) \
         ON CONFLICT (id) DO UPDATE SET last_n = threads.last_n + 1, last_in = threads.last_n + 1",
        "t",
    ),
    ("INSERT INTO unhandled (thread, since) VALUES ($1, 1) ON CONFLICT (thread) DO NOTHING", "t"),
    (
        "INSERT INTO messages (id, thread, n, claim, inbound, text, media, answered_by_carrier, \
         at) SELECT $2, id, last_n, $2, TRUE, 'hello', '[]', FALSE, 1 FROM threads WHERE id = $1",
        "ti",
    ),
    ("UPDATE threads SET seq = seq + 1, handled = last_in, last_n = last_n + 1 WHERE id = $1", "t"),
    ("DELETE FROM unhandled WHERE thread = $1", "t"),
    (
        "INSERT INTO runs (id, tenant, flow, flow_name, medium, subject, seq, state, created, \
         updated) VALUES ($2, 'default', 'flow', 'echo', 'text', $1, 1, $3, 1, 1)",
        "tib",
    ),
    ("INSERT INTO taken (run, items) VALUES ($1, $2)", "ib"),
    (
        "INSERT INTO timers (id, due, at, kind, subject, guard) VALUES ($1, 1, 1, 'run', $1, $1)",
        "i",
    ),
    (
        "INSERT INTO messages (id, thread, n, claim, inbound, text, media, answered_by_carrier, \
         at) SELECT $2 || 'a', id, last_n, $2, FALSE, 'hello', '[]', FALSE, 1 FROM threads \
         WHERE id = $1",
        "ti",
    ),
    (
        "INSERT INTO outbox (key, thread, n, channel, outgoing, status, attempts, not_before, \
         claimed_by, claimed_until, tried, created) SELECT $2, id, last_n, 'twilio', \
         left($3, 210), 'queued', 1, 1, 'bench', 2, 1, 1 FROM threads WHERE id = $1",
        "tib",
    ),
    (
        "UPDATE outbox SET status = 'sent', carrier_id = $1, claimed_by = NULL, claimed_until = 0 \
         WHERE key = $1",
        "i",
    ),
    ("INSERT INTO taken (run, items) VALUES ($1, $2)", "ib"),
    ("UPDATE runs SET seq = seq + 1, state = $2, outcome = 'completed' WHERE id = $1", "ib"),
    ("DELETE FROM timers WHERE id = $1", "i"),
];

/// The database beside the real path: the same server, tables of its own.
pub(crate) struct Database {
    url: String,
    inside: String,
    /// Texts that were written.
    written: usize,
}

impl Database {
    /// `None` = the real path has no server whose limit could be measured.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn open(url: &str) -> Result<Option<Self>, String> {
        if url.starts_with("sqlite:") {
            return Ok(None);
        }
        empty(url).await.map_err(told)?;
        let joint = if url.contains('?') { '&' } else { '?' };
        let inside = format!("{url}{joint}options=-csearch_path%3D{SCHEMA}");
        // Our own tables, with their indexes.
        store::open(&inside).await.map_err(|error| error.to_string())?;
        Ok(Some(Self { url: url.to_owned(), inside, written: 0 }))
    }

    /// How long it takes to write the rows of so many more texts, by prepared statements in flights of
    /// 64 texts.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn write(&mut self, texts: usize, threads: usize) -> Result<Duration, String> {
        let (began, from) = (Instant::now(), self.written);
        self.written += texts;
        // Threads belong to one writer each.
        let writers = (0..WRITERS).map(|writer| {
            let own = (from..from + texts).filter(move |n| n % threads % WRITERS == writer);
            write(&self.inside, own.collect(), threads)
        });
        try_join_all(writers).await.map_err(told)?;
        Ok(began.elapsed())
    }

    /// Leaves nothing behind.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn close(self) -> Result<(), String> {
        let client = connect(&self.url).await.map_err(told)?;
        client.batch_execute(&format!("DROP SCHEMA {SCHEMA} CASCADE")).await.map_err(told)
    }
}

fn told(error: tokio_postgres::Error) -> String {
    format!("`database`: {error}")
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// An empty schema, instead of what an earlier measurement has left.
async fn empty(url: &str) -> Result<(), tokio_postgres::Error> {
    let anew = format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}");
    connect(url).await?.batch_execute(&anew).await
}

/// One writer's part.
async fn write(url: &str, texts: Vec<usize>, threads: usize) -> Result<(), tokio_postgres::Error> {
    let client = connect(url).await?;
    client.batch_execute("SET synchronous_commit = on").await?;
    let mut prepared = Vec::new();
    for (sql, values) in ROWS {
        prepared.push((client.prepare(sql).await?, *values));
    }
    let body = "x".repeat(BODY);
    for group in texts.chunks(GROUP) {
        // As long as the ids of the real path.
        let cells: Vec<(String, String)> =
            group.iter().map(|n| (format!("{:036}", n % threads), format!("{n:036}"))).collect();
        client.batch_execute("BEGIN").await?;
        let statements = cells.iter().flat_map(|(thread, text)| {
            let (client, body) = (&client, &body);
            prepared.iter().map(move |(sql, values)| async move {
                let named = values.chars().map(|name| match name {
                    't' => thread as &(dyn ToSql + Sync),
                    'i' => text,
                    _ => body,
                });
                client.execute(sql, &named.collect::<Vec<_>>()).await
            })
        });
        join_all(statements).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        client.batch_execute("COMMIT").await?;
    }
    Ok(())
}
