//! Deeds, events for calls of other processes, and answers of the API: writes in SQL, and rows read.

use conversation::Tenant;
use jiff::{SignedDuration, Timestamp};

use crate::Error;
use crate::change::{conflict, earlier};
use crate::claims::CLAIM_LIFE;
use crate::row::{AnswerRow, DeedRow, ToldRow};
use crate::statement::{Cell, Record, Statement, json, text, time};

/// A request whose answer is not made by then was in a process that died.
const UNANSWERED: SignedDuration = SignedDuration::from_mins(1);

pub(crate) fn deed(row: DeedRow) -> Result<Statement, Error> {
    Ok(Statement::new(
        "INSERT INTO deeds (key, tenant, run, deed, created) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (key) DO NOTHING",
        vec![
            text(row.command.key.0.clone()),
            text(row.tenant.0),
            text(row.run),
            json(&row.command)?,
            time(row.created),
        ],
    ))
}

pub(crate) fn did(key: String, until: Timestamp) -> Statement {
    let conflict = conflict("deed", &key);
    let sql = "DELETE FROM deeds WHERE key = $1 AND claimed_until = $2";
    Statement::new(sql, vec![text(key), time(until)]).or(conflict)
}

/// Claims a deed that nobody has claimed; read it with [`deed_row`]. Its timer sleeps so long.
pub(crate) fn claim_deed(
    key: &str,
    now: Timestamp,
    until: Timestamp,
    timer: &str,
) -> [Statement; 2] {
    let claim = Statement::new(
        "UPDATE deeds SET claimed_until = $3 WHERE key = $1 AND claimed_until <= $2 \
         RETURNING tenant, run, deed, created",
        vec![text(key), time(now), time(until)],
    );
    let sleep = Statement::new(
        "UPDATE timers SET due = $2, at = $2 FROM deeds/*,*/ WHERE id = $3 \
         AND deeds.key = $1 AND claimed_until = $2",
        vec![text(key), time(until), text(timer)],
    );
    [claim, sleep]
}

pub(crate) fn tell(row: ToldRow) -> Result<Statement, Error> {
    Ok(Statement::new(
        "INSERT INTO told (id, run, event, at) VALUES ($1, $2, $3, $4)",
        vec![text(row.id), text(row.run), json(&row.event)?, time(row.at)],
    ))
}

pub(crate) fn heard(id: String) -> Statement {
    let conflict = conflict("event", &id);
    Statement::new("DELETE FROM told WHERE id = $1", vec![text(id)]).or(conflict)
}

/// Claims the key of a request, and throws away those that are too old to count.
pub(crate) fn ask(row: AnswerRow, all: &mut Vec<Statement>) {
    let (old, left) = (earlier(row.at, CLAIM_LIFE), earlier(row.at, UNANSWERED));
    all.push(Statement::new("DELETE FROM answers WHERE at < $1", vec![time(old)]));
    all.push(
        Statement::new(
            "INSERT INTO answers (key, request, status, body, at) VALUES ($1, $2, 0, '', $3) \
             ON CONFLICT (key) DO UPDATE SET at = excluded.at \
             WHERE answers.status = 0 AND answers.request = excluded.request AND answers.at < $4",
            vec![text(row.key), text(row.request), time(row.at), time(left)],
        )
        .or(Error::Duplicate),
    );
}

pub(crate) fn answer(row: AnswerRow) -> Statement {
    if row.status == 0 {
        return Statement::new("DELETE FROM answers WHERE key = $1", vec![text(row.key)]);
    }
    Statement::new(
        "UPDATE answers SET status = $2, body = $3 WHERE key = $1",
        vec![text(row.key), Cell::Int(row.status), text(row.body)],
    )
}

pub(crate) fn deed_row(mut r: Record) -> Result<DeedRow, Error> {
    Ok(DeedRow {
        tenant: Tenant(r.text()?),
        run: r.text()?,
        command: r.json()?,
        created: r.time()?,
    })
}

pub(crate) fn told_row(mut r: Record) -> Result<ToldRow, Error> {
    Ok(ToldRow { id: r.text()?, run: r.text()?, event: r.json()?, at: r.time()? })
}

pub(crate) fn answer_row(mut r: Record) -> Result<AnswerRow, Error> {
    Ok(AnswerRow {
        key: r.text()?,
        request: r.text()?,
        status: r.int()?,
        body: r.text()?,
        at: r.time()?,
    })
}
