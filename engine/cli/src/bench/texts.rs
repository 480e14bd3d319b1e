//! Texts through everything: received, claimed, queued, worked, answered, committed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conversation::{Address, Inbox, Message, Tenant};
use jiff::Timestamp;
use runtime::{Runtime, trace};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::way::{self, Ways};
use super::{Bench, OURS, Where, ceiling};

/// Each text is answered by one text.
const FLOW: &str = r#"{ "name": "echo", "actions": [
    { "id": "echo", "type": "send_message", "option": { "text": "${message.text}" } } ] }"#;
/// Webhooks that a carrier brings at once.
const AT_ONCE: usize = 256;
/// How often ceiling and whole path are measured in turn: a disk that is slow for a moment is slow for
/// both.
const ROUNDS: usize = 5;
/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures, and tells.
///
/// # Errors
/// The broker or the database cannot be used, or texts were lost.
pub(crate) async fn run(place: &Where, texts: usize, threads: usize) -> Result<String, String> {
    let ways = Ways::open()?;
    let mut bench = Bench::build(place, FLOW).await?;
    let mut out = String::new();
    let broker = ceiling::broker(&bench.queue, texts).await?;
    let mut database = ceiling::Database::open(&bench.database).await?;
    let working = tokio::spawn(Arc::clone(&bench.house.runtime).serve(bench.stop.clone()));

    let part = (texts / ROUNDS).max(1);
    let (mut written, mut answered) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        if let Some(database) = &mut database {
            written += database.write(part, threads).await?;
        }
        answered += pass(&mut bench, part, threads, None).await?.took;
    }
    let rate = |took: Duration| (part * ROUNDS) as f64 / took.as_secs_f64();
    let whole = rate(answered);
    let database = match database {
        Some(database) => database.close().await.map(|()| Some(rate(written)))?,
        None => None,
    };
    let half = whole / 2.0;
    ways.want(true);
    let relaxed = pass(&mut bench, texts, threads, Some(half)).await?;
    bench.stop.cancel();
    working.await.map_err(|error| error.to_string())?;

    let mut tell = |what: &str, rate: Option<f64>| {
        let rate = rate.map_or("not measured".into(), |rate| format!("{rate:.0}/s"));
        let _ = writeln!(out, "{what:<58} {rate}");
    };
    tell("broker: publish, confirm, consume, acknowledge", broker);
    tell("database: the same rows, in transactions of 64 texts", database);
    tell("the whole path: texts received, worked and answered", Some(whole));
    let smaller = [broker, database].into_iter().flatten().reduce(f64::min);
    if let Some(smaller) = smaller {
        let percent = 100.0 * whole / smaller;
        let _ = writeln!(out, "{:<58} {percent:.0} %", "the whole path, of the smaller ceiling");
    }
    let _ = writeln!(out, "at half load ({half:.0}/s):");
    let [own, before, after] = ways.own();
    for (what, times) in [
        ("until 2xx", &relaxed.taken),
        ("until the answer leaves", &relaxed.left),
        ("of that, the engine's own: not database, not queue", &own),
        ("  before the queue", &before),
        ("  after it", &after),
    ] {
        let (p50, p99) = (percentile(times, 50), percentile(times, 99));
        let _ = writeln!(out, "  {what:<56} p50 {p50:.1} ms, p99 {p99:.1} ms");
    }
    Ok(out)
}

/// What one pass has shown.
struct Passed {
    took: Duration,
    /// From a text's arrival until the carrier may be told that we have it.
    taken: Vec<Duration>,
    /// From a text's arrival until its answer is given to the carrier.
    left: Vec<Duration>,
}

/// Brings texts, as fast as they are taken or at a rate, until all are answered.
async fn pass(
    bench: &mut Bench,
    texts: usize,
    threads: usize,
    rate: Option<f64>,
) -> Result<Passed, String> {
    let mut bringing = JoinSet::new();
    let mut taken = Vec::with_capacity(texts);
    let mut begun: HashMap<String, Instant> = HashMap::with_capacity(texts);
    let mut left = Vec::with_capacity(texts);
    let name = uuid::Uuid::now_v7().simple().to_string();
    let began = Instant::now();
    let mut next = 0;
    while left.len() < texts {
        let due = rate.map(|rate| began + Duration::from_secs_f64(next as f64 / rate));
        let may = next < texts && bringing.len() < AT_ONCE;
        tokio::select! {
            () = until(due), if may => {
                let words = format!("{name}-{next}");
                begun.insert(words.clone(), due.unwrap_or_else(Instant::now));
                let span = tracing::info_span!(target: trace::TARGET, parent: None, way::TEXT);
                let text = bring(Arc::clone(&bench.house.runtime), next % threads, words);
                bringing.spawn(text.instrument(span));
                next += 1;
            }
            Some(brought) = bringing.join_next() => {
                taken.push(brought.map_err(|error| error.to_string())??);
            }
            answer = bench.left.recv() => {
                let at = answer.and_then(|answer| begun.remove(&answer.text));
                left.extend(at.map(|at| at.elapsed()));
            }
            () = tokio::time::sleep(PATIENCE) => {
                return Err(format!("{} of {texts} texts were answered, then no more", left.len()));
            }
        }
    }
    let took = began.elapsed();
    taken.sort();
    left.sort();
    Ok(Passed { took, taken, left })
}

async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}

async fn bring(runtime: Arc<Runtime>, thread: usize, words: String) -> Result<Duration, String> {
    let began = Instant::now();
    let message = Message {
        tenant: Tenant::default(),
        channel: channels::twilio::CHANNEL.into(),
        ours: Address::phone(OURS)?,
        peer: Address::phone(&format!("+1555{thread:07}"))?,
        id: Some(words.clone()),
        text: words,
        media: Vec::new(),
        answered_by_carrier: false,
        at: Timestamp::now(),
    };
    runtime.receive(message).await.map_err(|busy| busy.to_string())?;
    Ok(began.elapsed())
}

/// Milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
