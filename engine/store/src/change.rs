//! What a [`Write`] means in SQL.

use jiff::{SignedDuration, Timestamp};

use crate::row::{MessageRow, Peering, RunRow, SessionRow, ThreadRow};
use crate::statement::{
    Cell, Statement, json, maybe_json, maybe_text, maybe_time, text, time, word,
};
use crate::{Error, OptOut, Seen, Write, claims, live, outbox, outside, timer};

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
                outbox::queue(row, None, place, all)?;
            }
            Write::Send(row, hold) => {
                let place = place(&row.thread);
                outbox::queue(row, Some(hold), place, all)?;
            }
            other => one(other, all)?,
        }
    }
    Ok(())
}

/// The thread that a write is about, if it is about one.
pub(crate) fn about(write: &Write) -> Option<&str> {
    match write {
        Write::Receive(row, _) => Some(&row.thread),
        Write::Run(row) => Some(&row.subject),
        Write::Thread(row) => Some(&row.id),
        Write::Session(row) => Some(&row.thread),
        Write::Outbox(row) | Write::Send(row, _) | Write::Tried(row) | Write::PutBack(row) => {
            Some(&row.thread)
        }
        Write::Next { thread, .. } => Some(thread),
        Write::Timer(row) | Write::Unfired(row) => Some(&row.subject),
        Write::Forget { id } | Write::Fired { id } => Some(id),
        Write::Unmoved(Seen::Run(id, _) | Seen::Session(id, _)) => Some(id),
        Write::Live(row) => Some(&row.call),
        Write::Beat(row) => Some(&row.id),
        Write::Standing { .. } | Write::Over { .. } | Write::Quit { .. } => None,
        Write::Flow(_)
        | Write::Taken { .. }
        | Write::Call(_)
        | Write::Line(_)
        | Write::Turn(_)
        | Write::Deed(_)
        | Write::Did { .. }
        | Write::Tell(_)
        | Write::Heard { .. }
        | Write::Ask(_)
        | Write::Answer(_)
        | Write::OptOut(..) => None,
    }
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
        Write::Outbox(row) => outbox::queue(row, None, None, all)?,
        Write::Send(row, hold) => outbox::queue(row, Some(hold), None, all)?,
        Write::Tried(row) => outbox::tried(row, all)?,
        Write::Next { thread, worker, now, hold } => {
            all.push(outbox::next(thread, worker, now, hold))
        }
        Write::PutBack(row) => all.push(outbox::put_back(row)),
        Write::Timer(row) => all.push(timer::set(row)),
        Write::Forget { id } => {
            all.push(timer::forget(id));
        }
        Write::Fired { id } => all.push(timer::fired(id)),
        Write::Unfired(row) => all.push(timer::unfired(row)),
        Write::Unmoved(seen) => all.push(unmoved(seen)),
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
        Write::Live(row) => all.push(live::live(row)?),
        Write::Standing { run, epoch, standing, whole } => {
            all.push(live::standing(&run, epoch, &standing)?);
            if whole {
                all.push(live::settled(&run, epoch, &standing)?);
            }
        }
        Write::Over { run } => all.extend(live::over(&run)),
        Write::Turn(row) => all.push(live::turn(row)?),
        Write::Beat(row) => all.push(live::beat(row)),
        Write::Quit { worker, before } => all.push(live::quit(worker, before)),
        Write::OptOut(peering, how) => all.push(opt_out(peering.thread_id(), how)),
        Write::Deed(row) => all.push(outside::deed(row)?),
        Write::Did { key, until } => all.push(outside::did(key, until)),
        Write::Tell(row) => all.push(outside::tell(row)?),
        Write::Heard { id } => all.push(outside::heard(id)),
        Write::Ask(row) => outside::ask(row, all),
        Write::Answer(row) => all.push(outside::answer(row)),
    }
    Ok(())
}

fn receive(row: MessageRow, peering: Peering, all: &mut Vec<Statement>) -> Result<(), Error> {
    let thread = peering.thread_id();
    if !row.claim.is_empty() {
        all.push(claims::take(&thread, &row.claim, row.at));
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

/// The text takes the place that the thread's counter has reached, or one so many before it.
pub(crate) fn message(row: MessageRow, thread: String, before: i64) -> Result<Statement, Error> {
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

pub(crate) fn peered(thread: &str, peering: Peering, at: Timestamp) -> Vec<Cell> {
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

/// A peer left or returned. Nobody is forgotten who returned: an answer of a carrier about a text of
/// before may still be on its way.
fn opt_out(thread: String, how: OptOut) -> Statement {
    const SET: &str = "INSERT INTO opt_outs (thread, back) VALUES ($1, $2) \
                       ON CONFLICT (thread) DO UPDATE SET back = excluded.back";
    match how {
        OptOut::Left => Statement::new(SET, vec![text(thread), Cell::Null]),
        OptOut::Returned(at) => Statement::new(SET, vec![text(thread), time(at)]),
        OptOut::Refused(tried) => Statement::new(
            "INSERT INTO opt_outs (thread, back) VALUES ($1, NULL) ON CONFLICT (thread) \
             DO UPDATE SET back = NULL WHERE opt_outs.back < $2",
            vec![text(thread), time(tried)],
        ),
    }
}

/// Writes what is there: whoever changes the row at the same moment comes before or after.
fn unmoved(seen: Seen) -> Statement {
    let (what, sql, id, seq) = match seen {
        Seen::Run(id, seq) => {
            ("run", "UPDATE runs SET seq = seq WHERE id = $1 AND seq = $2", id, seq)
        }
        Seen::Session(id, seq) => {
            ("session", "UPDATE sessions SET seq = seq WHERE id = $1 AND seq = $2", id, seq)
        }
    };
    let conflict = conflict(what, &id);
    Statement::new(sql, vec![text(id), Cell::Int(seq)]).or(conflict)
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
