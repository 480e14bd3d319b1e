//! What a [`Write`] means in SQL.

use std::sync::LazyLock;

use conversation::Status;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::records::OUTBOX;
use crate::row::{HASH_CLAIM, MessageRow, OutboxRow, Peering, RunRow, SessionRow, ThreadRow};
use crate::statement::{
    Cell, Statement, json, maybe_json, maybe_text, maybe_time, text, time, word,
};
use crate::{Error, Write, outside, timer};

/// Carriers give up on a text within a day; two are safe.
pub(crate) const CLAIM_LIFE: SignedDuration = SignedDuration::from_hours(48);
/// Carriers that give no id repeat a webhook within seconds; a person who writes the same again
/// takes longer.
const HASH_CLAIM_LIFE: SignedDuration = SignedDuration::from_secs(4);

/// Claims a text for a while; touches nothing when it is claimed.
static CLAIM: LazyLock<String> = LazyLock::new(|| claim(CLAIM_LIFE));
static CLAIM_HASH: LazyLock<String> = LazyLock::new(|| claim(HASH_CLAIM_LIFE));

fn claim(life: SignedDuration) -> String {
    format!(
        "INSERT INTO claims (thread, claim, at) VALUES ($1, $2, $3) \
         ON CONFLICT (thread, claim) DO UPDATE SET at = excluded.at \
         WHERE claims.at < excluded.at - {}",
        life.as_micros()
    )
}

/// Outbound texts have an id that follows from their key, so that they are recorded once.
const OUTBOUND: Uuid = Uuid::from_u128(0x3f0c_91a6_7c1e_4f0b_8d52_0d6a_94b7_e001);

/// That `$n` is further than the stored status: queued, sent, failed, delivered. A text can fail
/// after it was sent, and a phone that has it has it, whatever was said before.
pub(crate) const FORWARD: &str = "(CASE status WHEN 'queued' THEN 0 WHEN 'sent' THEN 1 \
     WHEN 'failed' THEN 2 ELSE 3 END) < ";

/// The statements of a commit, in order.
pub(crate) fn statements(writes: Vec<Write>, all: &mut Vec<Statement>) -> Result<(), Error> {
    // A thread that moves takes its places for the texts that follow with it.
    let moved = writes.iter().position(|write| matches!(write, Write::Thread(_)));
    let mut places = 0;
    let mut own = None;
    if let Some(at) = moved
        && let Write::Thread(thread) = &writes[at]
    {
        own = Some(thread.id.clone());
        let is_own = |write: &&Write| matches!(write, Write::Outbox(row) | Write::Send(row, _) if row.thread == thread.id);
        places = i64::try_from(writes[at..].iter().filter(is_own).count()).unwrap_or(0);
    }
    let mut left = places;
    for (at, write) in writes.into_iter().enumerate() {
        let mut place = |thread: &str| {
            if moved.is_none_or(|moved| at < moved) || own.as_deref() != Some(thread) {
                return None;
            }
            left -= 1;
            Some(left)
        };
        match write {
            Write::Thread(row) if moved == Some(at) => thread(row, places, all),
            Write::Outbox(row) => {
                let place = place(&row.thread);
                outbox(row, None, place, all)?;
            }
            Write::Send(row, hold) => {
                let place = place(&row.thread);
                outbox(row, Some(hold), place, all)?;
            }
            other => one(other, all)?,
        }
    }
    Ok(())
}

/// The statements of one write that is about no text of ours.
fn one(write: Write, all: &mut Vec<Statement>) -> Result<(), Error> {
    match write {
        Write::Flow(row) => all.push(Statement::new(
            "INSERT INTO flows (id, tenant, name, text, created) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (id) DO NOTHING",
            vec![
                text(row.id),
                text(row.tenant.0),
                text(row.name),
                text(row.text),
                time(row.created),
            ],
        )),
        Write::Receive(row, peering) => receive(row, peering, all)?,
        Write::Run(row) => all.push(run(row)?),
        Write::Taken { run, taken } => {
            if !taken.is_empty() {
                all.push(Statement::new(
                    "INSERT INTO taken (run, items) VALUES ($1, $2)",
                    vec![text(run), json(&taken)?],
                ));
            }
        }
        Write::Thread(row) => thread(row, 0, all),
        Write::Session(row) => all.push(session(row)?),
        Write::Outbox(row) => outbox(row, None, None, all)?,
        Write::Send(row, hold) => outbox(row, Some(hold), None, all)?,
        Write::Tried(row) => tried(row, all)?,
        Write::Next { thread, worker, now, hold } => all.push(next(thread, worker, now, hold)),
        Write::PutBack(row) => all.push(put_back(row)),
        Write::Timer(row) => all.push(timer::set(row)),
        Write::Forget { id } => {
            all.push(timer::forget(id));
        }
        Write::Call(row) => all.push(Statement::new(
            "INSERT INTO calls (id, tenant, carrier, carrier_id, from_address, to_address, run, \
             status, started, ended) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (id) DO UPDATE SET carrier_id = excluded.carrier_id, run = excluded.run, \
             status = excluded.status, ended = excluded.ended",
            vec![
                text(row.id),
                text(row.tenant.0),
                text(row.carrier),
                text(row.carrier_id),
                text(row.from),
                text(row.to),
                text(row.run),
                text(row.status),
                time(row.started),
                maybe_time(row.ended),
            ],
        )),
        Write::Line(line) => all.push(Statement::new(
            "INSERT INTO lines (run, at, who, text) VALUES ($1, $2, $3, $4)",
            vec![text(line.run), time(line.at), text(line.who), text(line.text)],
        )),
        Write::OptOut(peering, left) => all.push(Statement::new(
            if left {
                "INSERT INTO opt_outs (thread) VALUES ($1) ON CONFLICT (thread) DO NOTHING"
            } else {
                "DELETE FROM opt_outs WHERE thread = $1"
            },
            vec![text(peering.thread_id())],
        )),
        Write::Deed(row) => all.push(outside::deed(row)?),
        Write::Did { key } => all.push(outside::did(key)),
        Write::Tell(row) => all.push(outside::tell(row)?),
        Write::Heard { id } => all.push(outside::heard(id)),
        Write::Ask(row) => outside::ask(row, all),
        Write::Answer(row) => all.push(outside::answer(row)),
    }
    Ok(())
}

/// Throws away what refuses no text any more, as of `now`.
pub(crate) fn purge(now: Timestamp, all: &mut Vec<Statement>) {
    let old = time(earlier(now, CLAIM_LIFE));
    all.push(Statement::new("DELETE FROM claims WHERE at < $1", vec![old.clone()]));
    all.push(Statement::new("DELETE FROM receipts WHERE at < $1", vec![old]));
}

fn receive(row: MessageRow, peering: Peering, all: &mut Vec<Statement>) -> Result<(), Error> {
    let thread = peering.thread_id();
    if !row.claim.is_empty() {
        let sql = if row.claim.starts_with(HASH_CLAIM) { &CLAIM_HASH } else { &CLAIM };
        let cells = vec![text(claimed(&thread, &row.claim)), text(row.claim.clone()), time(row.at)];
        all.push(Statement::new(&**sql, cells).or(Error::Duplicate));
    }
    // The counter is taken here, and the row stays locked until the commit: no two texts of a
    // thread get the same place, and the fence of the worker is not touched. The time of its last
    // text is kept roughly: it has indexes, and they are dear.
    all.push(Statement::new(
        "INSERT INTO threads (id, tenant, channel, ours, peer, seq, handled, waiting_run, \
         updated, last_n, last_in) \
         VALUES ($1, $2, $3, $4, $5, 0, 0, NULL, $6, 1, 1) \
         ON CONFLICT (id) DO UPDATE SET last_n = threads.last_n + 1, \
         last_in = threads.last_n + 1, \
         updated = CASE WHEN threads.updated > excluded.updated - 10000000 \
         THEN threads.updated ELSE excluded.updated END",
        peered(&thread, peering, row.at),
    ));
    all.push(Statement::new(
        "INSERT INTO unhandled (thread, since) VALUES ($1, $2) ON CONFLICT (thread) DO NOTHING",
        vec![text(thread.clone()), time(row.at)],
    ));
    all.push(message(row, thread, 0)?);
    Ok(())
}

/// In whose name a text is claimed: those that bring no id are apart from the others of a thread.
fn claimed(thread: &str, claim: &str) -> String {
    if claim.starts_with(HASH_CLAIM) { format!("{HASH_CLAIM}{thread}") } else { thread.to_owned() }
}

/// The text takes the place that the thread's counter has reached, or one so many before it.
fn message(row: MessageRow, thread: String, before: i64) -> Result<Statement, Error> {
    Ok(Statement::new(
        "INSERT INTO messages (id, thread, n, claim, inbound, text, media, answered_by_carrier, \
         at) SELECT $1, id, last_n - $9, $3, $4, $5, $6, $7, $8 FROM threads/*,*/ WHERE id = $2 \
         ON CONFLICT (id) DO NOTHING",
        vec![
            text(row.id),
            text(thread),
            text(row.claim),
            Cell::Flag(row.inbound),
            text(row.text),
            json(&row.media)?,
            Cell::Flag(row.answered_by_carrier),
            time(row.at),
            Cell::Int(before),
        ],
    ))
}

fn peered(thread: &str, peering: Peering, at: Timestamp) -> Vec<Cell> {
    vec![
        text(thread),
        text(peering.tenant.0),
        text(peering.channel),
        text(peering.ours.as_str()),
        text(peering.peer.as_str()),
        time(at),
    ]
}

fn run(row: RunRow) -> Result<Statement, Error> {
    let conflict = conflict("run", &row.id);
    let mut cells = vec![
        text(row.id),
        Cell::Int(row.seq),
        json(&row.state)?,
        maybe_json(row.outcome.as_ref())?,
        time(row.updated),
        text(row.subject),
    ];
    let statement = if row.seq == 0 {
        cells.extend([
            text(row.tenant.0),
            text(row.flow),
            text(row.flow_name),
            word(&row.medium)?,
            time(row.created),
        ]);
        Statement::new(
            "INSERT INTO runs (id, seq, state, outcome, updated, subject, tenant, flow, \
             flow_name, medium, created) \
             VALUES ($1, $2 + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING",
            cells,
        )
    } else {
        Statement::new(
            "UPDATE runs SET seq = seq + 1, state = $3, outcome = $4, updated = $5, subject = $6 \
             WHERE id = $1 AND seq = $2",
            cells,
        )
    };
    Ok(statement.or(conflict))
}

/// A thread moves, and its counter by so many `places`.
fn thread(row: ThreadRow, places: i64, all: &mut Vec<Statement>) {
    let conflict = conflict("thread", &row.id);
    let id = text(row.id.clone());
    let moved = [Cell::Int(row.handled), maybe_text(row.waiting_run), maybe_text(row.assigned)];
    // A thread that a text has made has had no commit of a worker: it exists, with `seq` 0.
    let statement = if row.seq == 0 {
        let mut cells = peered(&row.id, row.peering, row.updated);
        cells.extend(moved);
        cells.push(Cell::Int(places));
        Statement::new(
            "INSERT INTO threads (id, tenant, channel, ours, peer, seq, handled, waiting_run, \
             assigned, updated, last_n, last_in) \
             VALUES ($1, $2, $3, $4, $5, 1, $7, $8, $9, $6, $10, 0) \
             ON CONFLICT (id) DO UPDATE SET seq = 1, handled = excluded.handled, \
             waiting_run = excluded.waiting_run, assigned = excluded.assigned, \
             last_n = threads.last_n + excluded.last_n \
             WHERE threads.seq = 0",
            cells,
        )
    } else {
        let mut cells = vec![text(row.id), Cell::Int(row.seq)];
        cells.extend(moved);
        cells.push(Cell::Int(places));
        Statement::new(
            "UPDATE threads SET seq = seq + 1, handled = $3, waiting_run = $4, assigned = $5, \
             last_n = last_n + $6 WHERE id = $1 AND seq = $2",
            cells,
        )
    };
    all.push(statement.or(conflict));
    all.push(Statement::new(
        "DELETE FROM unhandled/*,*/ WHERE thread = $1 AND EXISTS (SELECT 1 FROM threads \
         WHERE id = $1 AND last_in <= handled)",
        vec![id],
    ));
}

fn session(row: SessionRow) -> Result<Statement, Error> {
    let conflict = conflict("session", &row.id);
    let mut cells = vec![
        text(row.id),
        Cell::Int(row.seq),
        json(&row.agent)?,
        Cell::Int(row.generation),
        Cell::Int(row.answered),
        text(row.run),
        maybe_text(row.awaited),
        json(&row.history)?,
        time(row.active),
        Cell::Int(row.idle_s),
        maybe_text(row.ended),
        text(row.rest),
    ];
    let statement = if row.seq == 0 {
        cells.push(text(row.thread));
        // Without a target, so that a second living session of a thread is a conflict as well.
        Statement::new(
            "INSERT INTO sessions (id, seq, agent, generation, answered, run, awaited, history, \
             active, idle_s, ended, rest, thread) \
             VALUES ($1, $2 + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT DO NOTHING",
            cells,
        )
    } else {
        Statement::new(
            "UPDATE sessions SET seq = seq + 1, agent = $3, generation = $4, answered = $5, \
             run = $6, awaited = $7, history = $8, active = $9, idle_s = $10, ended = $11, \
             rest = $12 WHERE id = $1 AND seq = $2",
            cells,
        )
    };
    Ok(statement.or(conflict))
}

/// A text of ours, so many places `before` the counter of its thread; without it, the counter is
/// moved for it.
fn outbox(
    row: OutboxRow,
    hold: Option<u32>,
    before: Option<i64>,
    all: &mut Vec<Statement>,
) -> Result<(), Error> {
    let out = &row.outgoing;
    let id = Uuid::new_v5(&OUTBOUND, row.key.as_bytes()).to_string();
    if before.is_none() {
        let peering = Peering {
            tenant: out.tenant.clone(),
            channel: out.channel.clone(),
            ours: out.ours.clone(),
            peer: out.peer.clone(),
        };
        let mut cells = peered(&row.thread, peering, row.created);
        cells.push(text(id.clone()));
        // A key that is known takes no second place in the thread.
        all.push(Statement::new(
            "INSERT INTO threads (id, tenant, channel, ours, peer, seq, handled, waiting_run, \
             updated, last_n, last_in) \
             SELECT $1, $2, $3, $4, $5, 0, 0, NULL, CAST($6 AS BIGINT), 1, 0 \
             FROM (SELECT 1) one/*,*/ \
             WHERE NOT EXISTS (SELECT 1 FROM messages WHERE messages.id = $7) \
             ON CONFLICT (id) DO UPDATE SET last_n = threads.last_n + 1",
            cells,
        ));
    }
    let written = MessageRow {
        id: id.clone(),
        thread: row.thread.clone(),
        n: 0,
        claim: String::new(),
        inbound: false,
        text: out.text.clone(),
        media: out
            .media
            .iter()
            .map(|url| conversation::Media { url: url.clone(), content_type: String::new() })
            .collect(),
        answered_by_carrier: false,
        at: row.created,
    };
    all.push(message(written, row.thread.clone(), before.unwrap_or(0))?);
    // After an answer of ours, the same words again are a new text.
    all.push(Statement::new(
        "DELETE FROM claims WHERE thread = $1",
        vec![text(claimed(&row.thread, HASH_CLAIM))],
    ));
    all.push(Statement::new(
        &**QUEUE,
        vec![
            text(row.key),
            text(id),
            text(out.channel.clone()),
            json(&row.outgoing)?,
            maybe_text(row.run),
            word(&row.status)?,
            maybe_text(row.carrier_id),
            maybe_text(row.why),
            Cell::Int(if hold.is_some() { 1 } else { 0 }),
            time(row.not_before),
            time(row.created),
            maybe_text(row.about),
            maybe_text(row.claimed_by.filter(|_| hold.is_some())),
            hold.zip(row.tried).map_or(Cell::Int(0), |(hold, tried)| time(later(tried, hold))),
            maybe_time(row.tried.filter(|_| hold.is_some())),
        ],
    ));
    Ok(())
}

/// A text waits, or is claimed when no other of its thread does.
static QUEUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO outbox (key, thread, n, channel, outgoing, run, status, carrier_id, why, \
         attempts, not_before, claimed_by, claimed_until, tried, created, about) \
         WITH m AS MATERIALIZED (SELECT $1 AS key, thread, n, $3 AS channel, $4 AS outgoing, \
         $5 AS run, $6 AS status, $7 AS carrier_id, $8 AS why, CAST($9 AS BIGINT) AS attempts, \
         CAST($10 AS BIGINT) AS not_before, CAST($11 AS BIGINT) AS created, $12 AS about, \
         $13 AS claimed_by, CAST($14 AS BIGINT) AS claimed_until, CAST($15 AS BIGINT) AS tried, \
         NOT EXISTS (SELECT 1 FROM outbox o \
         WHERE o.thread = messages.thread AND o.status = 'queued') AS free \
         FROM messages/*,*/ WHERE id = $2) \
         SELECT key, thread, n, channel, outgoing, run, status, carrier_id, why, \
         CASE WHEN free THEN attempts ELSE 0 END, not_before, \
         CASE WHEN free THEN claimed_by END, CASE WHEN free THEN claimed_until ELSE 0 END, \
         CASE WHEN free THEN tried END, created, about FROM m WHERE 1 = 1 \
         ON CONFLICT (key) DO NOTHING RETURNING {OUTBOX}"
    )
});

fn put_back(row: OutboxRow) -> Statement {
    let conflict = conflict("outbox", &row.key);
    Statement::new(
        "UPDATE outbox SET attempts = attempts - 1, why = $4, not_before = $5, \
         claimed_by = NULL, claimed_until = 0 \
         WHERE key = $1 AND claimed_by = $2 AND attempts = $3",
        vec![
            text(row.key),
            maybe_text(row.claimed_by),
            Cell::Int(row.attempts),
            maybe_text(row.why),
            time(row.not_before),
        ],
    )
    .or(conflict)
}

fn tried(row: OutboxRow, all: &mut Vec<Statement>) -> Result<(), Error> {
    let conflict = conflict("outbox", &row.key);
    let (channel, carrier_id) = (row.outgoing.channel, row.carrier_id);
    if let Some(carrier_id) = &carrier_id {
        all.push(lock_receipts(&channel, carrier_id));
    }
    all.push(
        Statement::new(
            "UPDATE outbox SET \
             status = CASE WHEN status = 'delivered' THEN status ELSE $3 END, \
             carrier_id = $4, why = $5, not_before = $7, claimed_by = NULL, claimed_until = 0, \
             unsure = $8 WHERE key = $1 AND claimed_by = $2 AND attempts = $6",
            vec![
                text(row.key.clone()),
                maybe_text(row.claimed_by),
                word(&row.status)?,
                maybe_text(carrier_id.clone()),
                maybe_text(row.why),
                Cell::Int(row.attempts),
                time(row.not_before),
                maybe_time(row.unsure),
            ],
        )
        .or(conflict),
    );
    if let Some(carrier_id) = carrier_id {
        all.push(Statement::new(&**FASTER, vec![text(row.key), text(channel), text(carrier_id)]));
    }
    Ok(())
}

/// Claims the oldest text of a thread that waits, as [`crate::Store::claim_outbox`] does for all
/// threads.
fn next(thread: String, worker: String, now: Timestamp, hold: u32) -> Statement {
    let cells = vec![text(thread), text(worker), time(now), time(later(now, hold))];
    Statement::new(&**NEXT, cells)
}

static NEXT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE outbox SET {CLAIMS} FROM threads/*,*/ WHERE threads.id = $1 \
         AND outbox.thread = threads.id AND outbox.status = 'queued' \
         AND outbox.not_before <= $3 AND outbox.claimed_until <= $3 \
         AND n = (SELECT MIN(p.n) FROM outbox p \
         WHERE p.thread = threads.id AND p.status = 'queued') RETURNING {OUTBOX}"
    )
});

/// What a claim by `$2` at `$3` until `$4` changes.
pub(crate) const CLAIMS: &str = "claimed_by = $2, claimed_until = $4, attempts = attempts + 1, \
     tried = $3, \
     unsure = CASE WHEN claimed_by IS NULL THEN unsure ELSE COALESCE(unsure, tried) END";

/// A receipt that came before we knew the carrier's id counts from now on.
static FASTER: LazyLock<String> = LazyLock::new(|| {
    let rank = |of: &str| FORWARD.replace("CASE status", &format!("CASE {of}.status"));
    format!(
        "UPDATE outbox SET status = r.status, why = COALESCE(r.why, outbox.why), \
         receipt_at = r.at \
         FROM receipts r/*,*/ WHERE key = $1 AND r.channel = $2 AND r.carrier_id = $3 \
         AND {} {}",
        rank("outbox"),
        rank("r").trim_end_matches(" < "),
    )
});

/// A receipt and the answer that it is about may be stored at the same moment by two processes;
/// one waits for the other, so that neither overlooks the other.
pub(crate) fn lock_receipts(channel: &str, carrier_id: &str) -> Statement {
    Statement::lock(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
        vec![text(format!("{channel} {carrier_id}"))],
    )
}

/// How far a status is, in the order of [`FORWARD`].
pub(crate) fn rank(status: Status) -> Cell {
    Cell::Int(match status {
        Status::Queued => 0,
        Status::Sent => 1,
        Status::Failed => 2,
        Status::Delivered => 3,
    })
}

pub(crate) fn conflict(what: &str, id: &str) -> Error {
    Error::Conflict { what: format!("{what} {id}") }
}

pub(crate) fn later(now: Timestamp, seconds: u32) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX)
}

pub(crate) fn earlier(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}
