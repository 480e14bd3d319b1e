//! The seam itself, over any database: rows to SQL, answers to rows (`read`).

mod read;

use std::borrow::Cow;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use conversation::{Receipt, Status, Tenant};
use flow::Taken;
use jiff::{SignedDuration, Timestamp};

pub(crate) use self::read::OUTBOX;
use self::read::{
    CALL, MESSAGE, RUN, SESSION, THREAD, call, flow, line, message, outbox, place, run, session,
    thread,
};
use crate::change::{self, later};
use crate::outbox::{self as outgoing, CLAIMS, FORWARD};
use crate::row::{
    AnswerRow, CallRow, DeedRow, FlowRow, Line, LiveRow, MessageRow, OutboxRow, Place, RunRow,
    SessionRow, StandingRow, ThreadRow, TimerRow, Tokens, ToldRow, TurnRow, WorkerRow,
};
use crate::statement::{Cell, Database, Record, Statement, maybe_text, text, time, word};
use crate::{Counts, Error, INBOX_MOST, Store, Write, claims, lane, live, outside, timer};

/// One received text in this many also throws away old claims.
const PURGE_EVERY: u64 = 1024;

/// How long after a run moved last a text may be made that it has asked for: replies, mostly.
const AFTERWARDS: SignedDuration = SignedDuration::from_hours(24);

static RUN_BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {RUN} FROM runs WHERE id = $1"));
static THREAD_BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {THREAD} FROM threads WHERE id = $1"));
static SESSION_BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {SESSION} FROM sessions WHERE id = $1"));
static SESSION_OF_THREAD: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {SESSION} FROM sessions WHERE thread = $1 AND ended IS NULL"));
/// Places are given one after the other, so a number of places is a number of texts.
static INBOX: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<String> = MESSAGE.split(", ").map(|name| format!("messages.{name}")).collect();
    format!(
        "SELECT {} FROM threads, messages WHERE threads.id = $1 AND thread = threads.id \
         AND n > handled AND n <= handled + {INBOX_MOST} AND inbound ORDER BY n",
        columns.join(", ")
    )
});

/// The store over a database.
pub(crate) struct Records<D> {
    database: D,
    received: AtomicU64,
}

impl<D: Database> Records<D> {
    pub(crate) fn new(database: D) -> Self {
        Self { database, received: AtomicU64::new(0) }
    }

    async fn rows<T>(
        &self,
        sql: String,
        cells: Vec<Cell>,
        row: fn(Record) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let records = self.database.read(Statement::new(sql, cells)).await?;
        records.into_iter().map(row).collect()
    }

    async fn row<T>(
        &self,
        sql: String,
        cells: Vec<Cell>,
        row: fn(Record) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        Ok(self.rows(sql, cells, row).await?.pop())
    }

    /// Rows of one key: whoever asks the same at the same moment asks together.
    async fn keyed<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        cells: Vec<Cell>,
        row: fn(Record) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let query = Statement { keyed: true, ..Statement::new(sql, cells) };
        let records = self.database.read(query).await?;
        records.into_iter().map(row).collect()
    }
}

#[async_trait]
impl<D: Database> Store for Records<D> {
    async fn commit_told(&self, writes: Vec<Write>) -> Result<Vec<OutboxRow>, Error> {
        let started = Instant::now();
        let lane = writes.iter().find_map(change::about).unwrap_or_default().to_owned();
        let mut all = Vec::with_capacity(writes.len());
        for write in &writes {
            if let Write::Receive(row, _) = write
                && self.received.fetch_add(1, Ordering::Relaxed) % PURGE_EVERY == PURGE_EVERY - 1
            {
                claims::purge(row.at, &mut all);
            }
        }
        change::statements(writes, &mut all)?;
        let done = self.database.write(&lane, all).await;
        let outcome = match &done {
            Ok(_) => "done",
            Err(Error::Conflict { .. }) => "conflict",
            Err(Error::Duplicate) => "duplicate",
            Err(Error::Unavailable(_)) => "unavailable",
        };
        metrics::counter!("voxflow_store_commits_total", "outcome" => outcome).increment(1);
        metrics::histogram!("voxflow_store_commit_seconds").record(started.elapsed().as_secs_f64());
        // Nothing else in a commit tells rows.
        done?.into_iter().map(outbox).collect()
    }

    async fn flow(&self, id: &str) -> Result<Option<FlowRow>, Error> {
        let sql = "SELECT id, tenant, name, text, created FROM flows WHERE id = $1";
        self.row(sql.into(), vec![text(id)], flow).await
    }

    async fn flow_named(&self, tenant: &Tenant, name: &str) -> Result<Option<FlowRow>, Error> {
        let sql = "SELECT id, tenant, name, text, created FROM flows \
                   WHERE tenant = $1 AND (name = $2 OR id = $2) ORDER BY created DESC LIMIT 1";
        self.row(sql.into(), vec![text(tenant.0.clone()), text(name)], flow).await
    }

    async fn run(&self, id: &str) -> Result<Option<RunRow>, Error> {
        Ok(self.keyed(&**RUN_BY_ID, vec![text(id)], run).await?.pop())
    }

    async fn runs(
        &self,
        tenant: Option<&str>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<RunRow>, Error> {
        let list = List { before, limit, whose: &[("tenant", tenant)] };
        let (sql, cells) = list.newest(RUN, "runs", "created");
        self.rows(sql, cells, run).await
    }

    async fn taken(&self, run: &str) -> Result<Vec<Taken>, Error> {
        let sql = "SELECT items FROM taken WHERE run = $1 ORDER BY id";
        let commits: Vec<Vec<Taken>> =
            self.rows(sql.into(), vec![text(run)], |mut r| r.json()).await?;
        Ok(commits.into_iter().flatten().collect())
    }

    async fn transcript(&self, run: &str) -> Result<Vec<Line>, Error> {
        let sql = "SELECT run, at, who, text FROM lines WHERE run = $1 ORDER BY id";
        self.rows(sql.into(), vec![text(run)], line).await
    }

    async fn turns(&self, run: &str) -> Result<Vec<TurnRow>, Error> {
        let Statement { sql, cells, .. } = live::turns(run);
        let mut turns = self.rows(sql.into_owned(), cells, live::turn_row).await?;
        turns.reverse();
        Ok(turns)
    }

    async fn thread(&self, id: &str) -> Result<Option<ThreadRow>, Error> {
        Ok(self.keyed(&**THREAD_BY_ID, vec![text(id)], thread).await?.pop())
    }

    async fn threads(
        &self,
        tenant: Option<&str>,
        peer: Option<&str>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<ThreadRow>, Error> {
        let list = List { before, limit, whose: &[("tenant", tenant), ("peer", peer)] };
        let (sql, cells) = list.newest(THREAD, "threads", "updated");
        self.rows(sql, cells, thread).await
    }

    async fn messages(
        &self,
        thread: &str,
        above: i64,
        limit: u32,
    ) -> Result<Vec<MessageRow>, Error> {
        let sql = format!(
            "SELECT {MESSAGE} FROM messages WHERE thread = $1 AND n > $2 ORDER BY n LIMIT $3"
        );
        self.rows(sql, vec![text(thread), Cell::Int(above), count(limit)], message).await
    }

    async fn place(&self, thread: &str, of: Place<'_>) -> Result<Option<i64>, Error> {
        let (sql, cells) = place(thread, of);
        let n = |mut r: Record| r.int();
        match of {
            // Asked again and again, for every reader of a web chat.
            Place::Newest => Ok(self.keyed(sql, cells, n).await?.pop()),
            Place::Of(_) | Place::Delivered => self.row(sql.into(), cells, n).await,
        }
    }

    async fn inbox(&self, thread: &str) -> Result<Vec<MessageRow>, Error> {
        self.keyed(&**INBOX, vec![text(thread)], message).await
    }

    async fn unhandled(&self, before: Timestamp, limit: u32) -> Result<Vec<String>, Error> {
        let sql = "SELECT thread FROM unhandled WHERE since < $1 ORDER BY since LIMIT $2";
        self.rows(sql.into(), vec![time(before), count(limit)], |mut r| r.text()).await
    }

    async fn session(&self, thread: &str) -> Result<Option<SessionRow>, Error> {
        Ok(self.keyed(&**SESSION_OF_THREAD, vec![text(thread)], session).await?.pop())
    }

    async fn session_by_id(&self, id: &str) -> Result<Option<SessionRow>, Error> {
        Ok(self.keyed(&**SESSION_BY_ID, vec![text(id)], session).await?.pop())
    }

    async fn opted_out(&self, thread: &str) -> Result<bool, Error> {
        let sql = "SELECT thread FROM opt_outs WHERE thread = $1 AND back IS NULL";
        let found = self.keyed(sql, vec![text(thread)], |mut r| r.text()).await?;
        Ok(!found.is_empty())
    }

    async fn due(&self, now: Timestamp, hold: u32, limit: u32) -> Result<Vec<TimerRow>, Error> {
        let claim = timer::claim(now, later(now, hold), limit);
        let records = self.database.write("due", vec![claim]).await?;
        let mut due: Vec<TimerRow> =
            records.into_iter().map(timer::row).collect::<Result<_, _>>()?;
        due.sort_by(|a, b| (a.due, &a.id).cmp(&(b.due, &b.id)));
        Ok(due)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let sql = "SELECT MIN(at) FROM timers";
        let next = self.row(sql.into(), Vec::new(), |mut r| r.maybe_time()).await?;
        Ok(next.flatten())
    }

    async fn claim_outbox(
        &self,
        worker: &str,
        now: Timestamp,
        hold: u32,
        limit: u32,
    ) -> Result<Vec<OutboxRow>, Error> {
        // The oldest of a thread goes first, and the next waits until its end is known. One that
        // is kept for later and was never looked at holds nobody up.
        let claim = Statement::new(
            format!(
                "UPDATE outbox SET {CLAIMS} \
                 WHERE key IN (SELECT o.key FROM outbox o WHERE o.status = 'queued' \
                 AND o.not_before <= $3 AND o.claimed_until <= $3 \
                 AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.status = 'queued' \
                 AND p.thread = o.thread AND p.n <> o.n AND (p.claimed_until > $3 \
                 OR p.n < o.n AND (p.not_before <= $3 OR p.attempts > 0 OR p.why IS NOT NULL))) \
                 ORDER BY o.created LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING {OUTBOX}"
            ),
            vec![count(limit), text(worker), time(now), time(later(now, hold))],
        );
        let records = self.database.write("outbox", vec![claim]).await?;
        let mut rows: Vec<OutboxRow> = records.into_iter().map(outbox).collect::<Result<_, _>>()?;
        rows.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
        Ok(rows)
    }

    async fn outbox(&self, key: &str) -> Result<Option<OutboxRow>, Error> {
        self.row(format!("SELECT {OUTBOX} FROM outbox WHERE key = $1"), vec![text(key)], outbox)
            .await
    }

    async fn asked_by(&self, run: &RunRow) -> Result<Vec<OutboxRow>, Error> {
        let sql = format!(
            "SELECT {OUTBOX} FROM outbox WHERE about = $1 AND created >= $2 AND created <= $3 \
             ORDER BY created, key"
        );
        let until = run.updated.checked_add(AFTERWARDS).unwrap_or(Timestamp::MAX);
        self.rows(sql, vec![text(&run.id), time(run.created), time(until)], outbox).await
    }

    async fn sent_as(&self, channel: &str, carrier_id: &str) -> Result<Option<String>, Error> {
        let sql = "SELECT key FROM outbox WHERE channel = $1 AND carrier_id = $2";
        self.row(sql.into(), vec![text(channel), text(carrier_id)], |mut r| r.text()).await
    }

    async fn next_outbox(&self) -> Result<Option<Timestamp>, Error> {
        let sql = "SELECT MIN(CASE WHEN not_before > claimed_until THEN not_before \
                   ELSE claimed_until END) FROM outbox WHERE status = 'queued'";
        let next = self.row(sql.into(), Vec::new(), |mut r| r.maybe_time()).await?;
        Ok(next.flatten())
    }

    async fn receipt(&self, receipt: &Receipt) -> Result<Option<(String, Status)>, Error> {
        let named = || vec![text(&receipt.channel), text(&receipt.carrier_id)];
        let mut cells = named();
        cells.extend([
            word(&receipt.status)?,
            maybe_text(receipt.code.clone()),
            outgoing::rank(receipt.status),
            time(receipt_time()),
        ]);
        let forward = Statement::new(
            format!(
                "UPDATE outbox SET status = $3, why = COALESCE($4, why), receipt_at = $6 \
                 WHERE channel = $1 AND carrier_id = $2 AND {FORWARD} $5"
            ),
            cells.clone(),
        );
        // It may be faster than the carrier's answer to our request: kept until that is stored.
        let early = Statement::new(
            format!(
                "INSERT INTO receipts (channel, carrier_id, status, why, at) \
                 SELECT $1, $2, $3, $4, CAST($6 AS BIGINT) WHERE NOT EXISTS (SELECT 1 FROM outbox \
                 WHERE channel = $1 AND carrier_id = $2) ON CONFLICT (channel, carrier_id) \
                 DO UPDATE SET status = excluded.status, why = excluded.why, at = excluded.at \
                 WHERE {} $5",
                FORWARD.replace("CASE status", "CASE receipts.status")
            ),
            cells,
        );
        let found = Statement::new(
            "SELECT key, status FROM outbox WHERE channel = $1 AND carrier_id = $2",
            named(),
        );
        let lock = outgoing::lock_receipts(&receipt.channel, &receipt.carrier_id);
        let records =
            self.database.write(&receipt.carrier_id, vec![lock, forward, early, found]).await?;
        records.into_iter().next().map(|mut r| Ok((r.text()?, r.word()?))).transpose()
    }

    async fn tokens(&self, wanted: &Tokens) -> Result<Result<i64, Timestamp>, Error> {
        let records = self.database.write(&wanted.lane, lane::take(wanted).into()).await?;
        let granted = records.into_iter().next().map(lane::granted);
        granted.ok_or_else(|| Error::Unavailable("a lane does not answer".into()))?
    }

    async fn deed(&self, key: &str) -> Result<Option<DeedRow>, Error> {
        let sql = "SELECT tenant, run, deed, created FROM deeds WHERE key = $1";
        self.row(sql.into(), vec![text(key)], outside::deed_row).await
    }

    async fn claim_deed(
        &self,
        key: &str,
        now: Timestamp,
        until: Timestamp,
        timer: &str,
    ) -> Result<Option<DeedRow>, Error> {
        let claim = outside::claim_deed(key, now, until, timer);
        let records = self.database.write(key, claim.into()).await?;
        records.into_iter().next().map(outside::deed_row).transpose()
    }

    async fn told(&self, limit: u32) -> Result<Vec<ToldRow>, Error> {
        let sql = "SELECT id, run, event, at FROM told ORDER BY at, id LIMIT $1";
        self.rows(sql.into(), vec![count(limit)], outside::told_row).await
    }

    async fn answer(&self, key: &str) -> Result<Option<AnswerRow>, Error> {
        let sql = "SELECT key, request, status, body, at FROM answers WHERE key = $1";
        self.row(sql.into(), vec![text(key)], outside::answer_row).await
    }

    async fn call(&self, id: &str) -> Result<Option<CallRow>, Error> {
        self.row(format!("SELECT {CALL} FROM calls WHERE id = $1"), vec![text(id)], call).await
    }

    async fn calls(
        &self,
        tenant: Option<&str>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<CallRow>, Error> {
        let list = List { before, limit, whose: &[("tenant", tenant)] };
        let (sql, cells) = list.newest(CALL, "calls", "started");
        self.rows(sql, cells, call).await
    }

    async fn dropped(&self, before: Timestamp, limit: u32) -> Result<Vec<CallRow>, Error> {
        let sql = format!(
            "SELECT {CALL} FROM calls WHERE ended IS NULL AND started < $1 AND NOT EXISTS \
             (SELECT 1 FROM live WHERE live.call = calls.id) ORDER BY started DESC LIMIT $2"
        );
        self.rows(sql, vec![time(before), count(limit)], call).await
    }

    async fn live(&self, run: &str) -> Result<Option<LiveRow>, Error> {
        self.row(live::by_run(), vec![text(run)], live::row).await
    }

    async fn live_of(&self, carrier: &str, carrier_id: &str) -> Result<Option<LiveRow>, Error> {
        self.row(live::by_carrier(), vec![text(carrier), text(carrier_id)], live::row).await
    }

    async fn standing(&self, run: &str) -> Result<Option<StandingRow>, Error> {
        self.row(live::standing_of().into(), vec![text(run)], live::stood).await
    }

    async fn lost(&self, before: Timestamp, limit: u32) -> Result<Vec<LiveRow>, Error> {
        let Statement { sql, cells, .. } = live::lost(before, limit);
        self.rows(sql.into_owned(), cells, live::row).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, Error> {
        let sql = "SELECT id, beat, stopping, address FROM workers ORDER BY id";
        self.rows(sql.into(), Vec::new(), live::worker).await
    }

    async fn counts(&self) -> Result<Counts, Error> {
        let sql = "SELECT (SELECT COUNT(*) FROM sessions WHERE ended IS NULL), \
                   (SELECT COUNT(*) FROM outbox WHERE status = 'queued'), \
                   (SELECT COUNT(*) FROM outbox WHERE status = 'queued' AND unsure IS NOT NULL), \
                   (SELECT COUNT(*) FROM unhandled)";
        let counts = |mut r: Record| {
            let (sessions, outbox, unsure) = (r.int()?, r.int()?, r.int()?);
            Ok(Counts { sessions, outbox, unsure, unhandled: r.int()? })
        };
        Ok(self.row(sql.into(), Vec::new(), counts).await?.unwrap_or_default())
    }

    async fn time(&self) -> Result<Option<Timestamp>, Error> {
        let Some(sql) = D::TIME else { return Ok(None) };
        self.row(sql.into(), Vec::new(), |mut r| r.time()).await
    }

    fn is_shared(&self) -> bool {
        D::TIME.is_some()
    }

    async fn ready(&self) -> Result<(), Error> {
        self.rows("SELECT 1".into(), Vec::new(), |_| Ok(())).await.map(|_| ())
    }
}

/// What is listed, newest first.
struct List<'a> {
    before: Option<Timestamp>,
    limit: u32,
    /// Columns that must be so, where something is asked for.
    whose: &'a [(&'a str, Option<&'a str>)],
}

impl List<'_> {
    fn newest(&self, columns: &str, table: &str, age: &str) -> (String, Vec<Cell>) {
        let mut cells = vec![time(self.before.unwrap_or(Timestamp::MAX)), count(self.limit)];
        let mut sql = format!("SELECT {columns} FROM {table} WHERE {age} < $1");
        for (column, wanted) in self.whose {
            if let Some(wanted) = wanted {
                cells.push(text(*wanted));
                sql.push_str(&format!(" AND {column} = ${}", cells.len()));
            }
        }
        sql.push_str(&format!(" ORDER BY {age} DESC, id DESC LIMIT $2"));
        (sql, cells)
    }
}

fn count(limit: u32) -> Cell {
    Cell::Int(limit.into())
}

/// Only the age of an unclaimed receipt depends on it, so the machine's clock is good enough.
fn receipt_time() -> Timestamp {
    Timestamp::now()
}
