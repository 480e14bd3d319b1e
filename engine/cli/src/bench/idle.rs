//! Many sessions that sleep, and some whose silence has lasted long enough.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use super::{Bench, Where};

const FLOW: &str = r#"{ "name": "quiet", "actions": [ { "id": "end", "type": "stop" } ] }"#;
/// Sessions whose time is over.
const DUE: i64 = 10_000;
/// How long those may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Rows as a text to an agent leaves them: a thread, a session, a timer a day later; those with a
/// small number are due.
const FILL: &str = "
    TRUNCATE threads, sessions, timers;
    INSERT INTO threads SELECT 'bench-' || i, 'default', 'twilio', '+15550001000', '+1555' || i,
        1, 1, NULL, t, 1, 1 FROM generate_series(1, $N) i, (SELECT $T::bigint t) now;
    INSERT INTO sessions SELECT 'bench-' || i, 'bench-' || i, 1, '{}', 1, 1, 'run', NULL,
        '[{\"role\":\"user\",\"text\":\"hello\"}]', CASE WHEN i <= $D THEN t - 90000000000 ELSE t END,
        86400, NULL FROM generate_series(1, $N) i, (SELECT $T::bigint t) now;
    INSERT INTO timers SELECT 'session:bench-' || i, t + o, t + o, 'session', 'bench-' || i, '1'
        FROM (SELECT i, t, CASE WHEN i <= $D THEN 0 ELSE 86400000000 END o
              FROM generate_series(1, $N) i, (SELECT $T::bigint t) now) all_of_them;
    ANALYZE threads, sessions, timers";

/// Measures, and tells.
///
/// # Errors
/// The database is no PostgreSQL, cannot be used, or sessions did not expire.
pub(crate) async fn run(place: &Where, sessions: u64) -> Result<String, String> {
    let bench = Bench::build(place, FLOW).await?;
    if bench.database.starts_with("sqlite:") {
        return Err(
            "sessions at rest are measured in PostgreSQL: give --database postgres://...".into()
        );
    }
    let told = |error: tokio_postgres::Error| format!("`database`: {error}");
    let (client, connection) =
        tokio_postgres::connect(&bench.database, NoTls).await.map_err(told)?;
    tokio::spawn(connection);
    let now = jiff::Timestamp::now().as_microsecond();
    let fill = FILL
        .replace("$N", &sessions.to_string())
        .replace("$D", &DUE.to_string())
        .replace("$T", &now.to_string());
    let began = Instant::now();
    client.batch_execute(&fill).await.map_err(told)?;
    let filled = began.elapsed();

    let working = tokio::spawn(Arc::clone(&bench.house.runtime).serve(bench.stop.clone()));
    let began = Instant::now();
    while ended(&client).await.map_err(told)? < DUE {
        if began.elapsed() > PATIENCE {
            return Err("not all sessions expired whose time is over".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let expired = began.elapsed();
    let memory = resident()?;
    bench.stop.cancel();
    working.await.map_err(|error| error.to_string())?;
    let mut out = String::new();
    let _ = writeln!(out, "{sessions} sessions with timers, made in {:.0} s", filled.as_secs_f64());
    let _ = writeln!(out, "{DUE} due ones expired in {:.1} s", expired.as_secs_f64());
    let _ = writeln!(out, "this process has {memory} MB in memory");
    Ok(out)
}

async fn ended(client: &Client) -> Result<i64, tokio_postgres::Error> {
    let sql = "SELECT COUNT(*) FROM sessions WHERE ended IS NOT NULL";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// Megabytes of this process that are in memory.
fn resident() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map(|kb| kb / 1024).ok_or_else(|| "the system does not tell".into())
}
