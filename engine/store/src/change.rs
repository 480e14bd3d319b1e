//! What a [`Write`] means in SQL.

use conversation::Status;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

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

/// Outbound texts have an id that follows from their key, so that they are recorded once.
const OUTBOUND: Uuid = Uuid::from_u128(0x3f0c_91a6_7c1e_4f0b_8d52_0d6a_94b7_e001);

/// That `$n` is further than the stored status: queued, sent, failed, delivered. A text can fail
/// after it was sent, and a phone that has it has it, whatever was said before.
pub(crate) const FORWARD: &str = "(CASE status WHEN 'queued' THEN 0 WHEN 'sent' THEN 1 \
     WHEN 'failed' THEN 2 ELSE 3 END) < ";

/// The statements of one write, in order.
pub(crate) fn statements(write: Write, all: &mut Vec<Statement>) -> Result<(), Error> {
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
        Write::Thread(row) => all.push(thread(row)),
        Write::Session(row) => all.push(session(row)?),
        Write::Outbox(row) => outbox(row, all)?,
        Write::Tried(row) => tried(row, all)?,
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
        let life = if row.claim.starts_with(HASH_CLAIM) { HASH_CLAIM_LIFE } else { CLAIM_LIFE };
        all.push(
            Statement::new(
                "INSERT INTO claims (thread, claim, at) VALUES ($1, $2, $3) \
                 ON CONFLICT (thread, claim) DO UPDATE SET at = excluded.at \
                 WHERE claims.at < $4",
                vec![
                    text(thread.clone()),
                    text(row.claim.clone()),
                    time(row.at),
                    time(earlier(row.at, life)),
                ],
            )
            .or(Error::Duplicate),
        );
    }
    // The counter is taken here, and the row stays locked until the commit: no two texts of a
    // thread get the same place, and the fence of the worker is not touched.
    all.push(Statement::new(
        "INSERT INTO threads (id, tenant, channel, ours, peer, seq, handled, waiting_run, \
         updated, last_n, last_in, waiting_since) \
         VALUES ($1, $2, $3, $4, $5, 0, 0, NULL, $6, 1, 1, $6) \
         ON CONFLICT (id) DO UPDATE SET last_n = threads.last_n + 1, \
         last_in = threads.last_n + 1, \
         waiting_since = CASE WHEN threads.last_in > threads.handled \
         THEN threads.waiting_since ELSE excluded.waiting_since END, \
         updated = CASE WHEN threads.updated > excluded.updated \
         THEN threads.updated ELSE excluded.updated END",
        peered(&thread, peering, row.at),
    ));
    all.push(message(row, thread)?);
    Ok(())
}

/// The text takes the place that the thread's counter has reached.
fn message(row: MessageRow, thread: String) -> Result<Statement, Error> {
    Ok(Statement::new(
        "INSERT INTO messages (id, thread, n, claim, inbound, text, media, answered_by_carrier, \
         at) SELECT $1, id, last_n, $3, $4, $5, $6, $7, $8 FROM threads WHERE id = $2 \
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

fn thread(row: ThreadRow) -> Statement {
    let conflict = conflict("thread", &row.id);
    let moved = [Cell::Int(row.handled), maybe_text(row.waiting_run), maybe_text(row.assigned)];
    // A thread that a text has made has had no commit of a worker: it exists, with `seq` 0.
    let statement = if row.seq == 0 {
        let mut cells = peered(&row.id, row.peering, row.updated);
        cells.extend(moved);
        Statement::new(
            "INSERT INTO threads (id, tenant, channel, ours, peer, seq, handled, waiting_run, \
             assigned, updated, last_n, last_in, waiting_since) \
             VALUES ($1, $2, $3, $4, $5, 1, $7, $8, $9, $6, 0, 0, 0) \
             ON CONFLICT (id) DO UPDATE SET seq = 1, handled = excluded.handled, \
             waiting_run = excluded.waiting_run, assigned = excluded.assigned, \
             updated = excluded.updated \
             WHERE threads.seq = 0",
            cells,
        )
    } else {
        let mut cells = vec![text(row.id), Cell::Int(row.seq), time(row.updated)];
        cells.extend(moved);
        Statement::new(
            "UPDATE threads SET seq = seq + 1, updated = $3, handled = $4, waiting_run = $5, \
             assigned = $6 WHERE id = $1 AND seq = $2",
            cells,
        )
    };
    statement.or(conflict)
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

fn outbox(row: OutboxRow, all: &mut Vec<Statement>) -> Result<(), Error> {
    let out = &row.outgoing;
    let id = Uuid::new_v5(&OUTBOUND, row.key.as_bytes()).to_string();
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
         updated, last_n, last_in, waiting_since) \
         VALUES ($1, $2, $3, $4, $5, 0, 0, NULL, $6, 1, 0, 0) \
         ON CONFLICT (id) DO UPDATE SET last_n = threads.last_n + 1 \
         WHERE NOT EXISTS (SELECT 1 FROM messages WHERE messages.id = $7)",
        cells,
    ));
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
    all.push(message(written, row.thread.clone())?);
    // After an answer of ours, the same words again are a new text.
    all.push(Statement::new(
        "DELETE FROM claims WHERE thread = $1 AND claim LIKE 'hash:%'",
        vec![text(row.thread.clone())],
    ));
    all.push(Statement::new(
        "INSERT INTO outbox (key, thread, n, channel, outgoing, run, status, carrier_id, why, \
         attempts, not_before, claimed_by, claimed_until, created, about) \
         SELECT $1, thread, n, $3, $4, $5, $6, $7, $8, $9, $10, NULL, 0, $11, $12 \
         FROM messages WHERE id = $2 ON CONFLICT (key) DO NOTHING",
        vec![
            text(row.key),
            text(id),
            text(out.channel.clone()),
            json(&row.outgoing)?,
            maybe_text(row.run),
            word(&row.status)?,
            maybe_text(row.carrier_id),
            maybe_text(row.why),
            Cell::Int(row.attempts),
            time(row.not_before),
            time(row.created),
            maybe_text(row.about),
        ],
    ));
    Ok(())
}

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
        for status in [Status::Sent, Status::Failed, Status::Delivered] {
            all.push(Statement::new(
                format!(
                    "UPDATE outbox SET status = $4, why = COALESCE((SELECT why FROM receipts \
                     WHERE channel = $2 AND carrier_id = $3), why), \
                     receipt_at = (SELECT at FROM receipts \
                     WHERE channel = $2 AND carrier_id = $3) \
                     WHERE key = $1 AND {FORWARD} $5 AND EXISTS (SELECT 1 FROM receipts r \
                     WHERE r.channel = $2 AND r.carrier_id = $3 AND r.status = $4)"
                ),
                vec![
                    text(row.key.clone()),
                    text(channel.clone()),
                    text(carrier_id.clone()),
                    word(&status)?,
                    rank(status),
                ],
            ));
        }
    }
    Ok(())
}

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

pub(crate) fn earlier(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}
