//! Texts that shall leave, in SQL: they wait, are claimed, were tried, and receipts move them on.

use std::sync::LazyLock;

use conversation::Status;
use jiff::Timestamp;
use uuid::Uuid;

use crate::Error;
use crate::change::{conflict, later, message, peered};
use crate::claims::{self, HASH_CLAIM};
use crate::records::OUTBOX;
use crate::row::{MessageRow, OutboxRow, Peering};
use crate::statement::{Cell, Statement, json, maybe_text, maybe_time, text, time, word};

/// Outbound texts have an id that follows from their key, so that they are recorded once.
const OUTBOUND: Uuid = Uuid::from_u128(0x3f0c_91a6_7c1e_4f0b_8d52_0d6a_94b7_e001);

/// That `$n` is further than the stored status: queued, sent, failed, delivered. A text can fail
/// after it was sent, and a phone that has it has it, whatever was said before.
pub(crate) const FORWARD: &str = "(CASE status WHEN 'queued' THEN 0 WHEN 'sent' THEN 1 \
     WHEN 'failed' THEN 2 ELSE 3 END) < ";

/// A text of ours, so many places `before` the counter of its thread; without it, the counter is
/// moved for it.
pub(crate) fn queue(
    row: OutboxRow,
    hold: Option<u32>,
    before: Option<i64>,
    all: &mut Vec<Statement>,
) -> Result<(), Error> {
    let out = &row.outgoing;
    let id = Uuid::new_v5(&OUTBOUND, row.key.as_bytes()).to_string();
    if before.is_none() {
        let mut cells = peered(&row.thread, Peering::from(out), row.created);
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
        claim: row.key.clone(),
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
        vec![text(claims::whose(&row.thread, HASH_CLAIM))],
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

/// A text waits, or is claimed when no other of its thread does. (Its place is the last one; but an
/// `EXISTS` by equality alone is answered by reading all texts that wait.)
static QUEUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO outbox (key, thread, n, channel, outgoing, run, status, carrier_id, why, \
         attempts, not_before, claimed_by, claimed_until, tried, created, about) \
         WITH m AS MATERIALIZED (SELECT $1 AS key, thread, n, $3 AS channel, $4 AS outgoing, \
         $5 AS run, $6 AS status, $7 AS carrier_id, $8 AS why, CAST($9 AS BIGINT) AS attempts, \
         CAST($10 AS BIGINT) AS not_before, CAST($11 AS BIGINT) AS created, $12 AS about, \
         $13 AS claimed_by, CAST($14 AS BIGINT) AS claimed_until, CAST($15 AS BIGINT) AS tried, \
         NOT EXISTS (SELECT 1 FROM outbox o \
         WHERE o.thread = messages.thread AND o.n < messages.n AND o.status = 'queued') AS free \
         FROM messages/*,*/ WHERE id = $2) \
         SELECT key, thread, n, channel, outgoing, run, status, carrier_id, why, \
         CASE WHEN free THEN attempts ELSE 0 END, not_before, \
         CASE WHEN free THEN claimed_by END, CASE WHEN free THEN claimed_until ELSE 0 END, \
         CASE WHEN free THEN tried END, created, about FROM m WHERE 1 = 1 \
         ON CONFLICT (key) DO NOTHING RETURNING {OUTBOX}"
    )
});

pub(crate) fn put_back(row: OutboxRow) -> Statement {
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

pub(crate) fn tried(row: OutboxRow, all: &mut Vec<Statement>) -> Result<(), Error> {
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
             unsure = $8, refused = $9 \
             WHERE key = $1 AND claimed_by = $2 AND attempts = $6",
            vec![
                text(row.key.clone()),
                maybe_text(row.claimed_by),
                word(&row.status)?,
                maybe_text(carrier_id.clone()),
                maybe_text(row.why),
                Cell::Int(row.attempts),
                time(row.not_before),
                maybe_time(row.unsure),
                Cell::Int(row.refused),
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
pub(crate) fn next(thread: String, worker: String, now: Timestamp, hold: u32) -> Statement {
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
