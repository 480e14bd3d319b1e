//! What the broker and the database can do at best, with nothing of ours in between.

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio_postgres::NoTls;

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

/// The rows of a text that is answered: received, worked, sent, its run ended.
const ROWS: &[&str] = &[
    "INSERT INTO bench_claims VALUES ($1, $2, 1)",
    "INSERT INTO bench_threads VALUES ($1, $2, 0, 0) ON CONFLICT (id) DO UPDATE SET \
     last_n = bench_threads.last_n + 1, body = excluded.body",
    "INSERT INTO bench_messages VALUES ($2, $1, $2)",
    "UPDATE bench_threads SET handled = handled + 1, body = $2 WHERE id = $1",
    "INSERT INTO bench_runs VALUES ($2, $1, $2, 1)",
    "INSERT INTO bench_messages VALUES ($2 || 'a', $1, $2)",
    "INSERT INTO bench_outbox VALUES ($2, $1, $2, 0)",
    "UPDATE bench_outbox SET status = status + 1 WHERE key = $2 AND thread = $1",
    "UPDATE bench_outbox SET status = status + 1 WHERE key = $2 AND thread = $1",
    "UPDATE bench_runs SET seq = seq + 1, body = $1 WHERE id = $2",
    "INSERT INTO bench_taken (run, body) VALUES ($2, $1)",
];

/// Their tables, with the indexes that ours have.
const TABLES: &str = "
    DROP SCHEMA IF EXISTS voxflow_bench CASCADE; CREATE SCHEMA voxflow_bench;
    SET search_path = voxflow_bench; SET synchronous_commit = on;
    CREATE TABLE bench_claims (thread TEXT, claim TEXT, at BIGINT, PRIMARY KEY (thread, claim));
    CREATE INDEX ON bench_claims (at);
    CREATE TABLE bench_threads (id TEXT PRIMARY KEY, body TEXT, last_n BIGINT, handled BIGINT);
    CREATE INDEX ON bench_threads (last_n);
    CREATE TABLE bench_messages (id TEXT PRIMARY KEY, thread TEXT, body TEXT);
    CREATE UNIQUE INDEX ON bench_messages (thread, id);
    CREATE TABLE bench_runs (id TEXT PRIMARY KEY, thread TEXT, body TEXT, seq BIGINT);
    CREATE TABLE bench_outbox (key TEXT PRIMARY KEY, thread TEXT, body TEXT, status BIGINT);
    CREATE INDEX ON bench_outbox (thread) WHERE status = 0;
    CREATE TABLE bench_taken (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run TEXT, body TEXT);
    CREATE INDEX ON bench_taken (run, id)";

/// Texts per second whose rows are written by prepared statements in flights of 64 texts.
///
/// # Errors
/// The database cannot be used.
pub(crate) async fn database(
    url: &str,
    texts: usize,
    threads: usize,
) -> Result<Option<f64>, String> {
    if url.starts_with("sqlite:") {
        return Ok(None);
    }
    let measured = measure_database(url, texts, threads).await;
    measured.map(Some).map_err(|error| format!("`database`: {error}"))
}

async fn measure_database(
    url: &str,
    texts: usize,
    threads: usize,
) -> Result<f64, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(TABLES).await?;
    let began = Instant::now();
    let writers = (0..WRITERS).map(|writer| write(url, writer, texts / WRITERS, threads));
    try_join_all(writers).await?;
    let rate = (texts / WRITERS * WRITERS) as f64 / began.elapsed().as_secs_f64();
    client.batch_execute("DROP SCHEMA voxflow_bench CASCADE").await?;
    Ok(rate)
}

/// Threads belong to one writer each.
async fn write(
    url: &str,
    writer: usize,
    texts: usize,
    threads: usize,
) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("SET search_path = voxflow_bench; SET synchronous_commit = on").await?;
    let mut prepared = Vec::new();
    for sql in ROWS {
        prepared.push(client.prepare(sql).await?);
    }
    for group in (0..texts).collect::<Vec<_>>().chunks(GROUP) {
        let body = "x".repeat(300);
        let cells: Vec<(String, String)> = group
            .iter()
            .map(|n| {
                let thread = (n * WRITERS + writer) % threads;
                (format!("thread-{thread:040}"), format!("{writer}-{n:040}-{body}"))
            })
            .collect();
        client.batch_execute("BEGIN").await?;
        let statements = cells.iter().flat_map(|(thread, id)| {
            let client = &client;
            prepared.iter().map(move |sql| async move {
                // Sized as the rows of a text are; the second value is also its key.
                client.execute(sql, &[thread, id]).await
            })
        });
        join_all(statements).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        client.batch_execute("COMMIT").await?;
    }
    Ok(())
}
