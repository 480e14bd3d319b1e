//! Timers in SQL.

use jiff::Timestamp;

use crate::Error;
use crate::change::conflict;
use crate::row::TimerRow;
use crate::statement::{Cell, Record, Statement, maybe_text, text, time};

/// Sets one, or sets it anew.
pub(crate) fn set(row: TimerRow) -> Statement {
    Statement::new(
        "INSERT INTO timers (id, due, at, kind, subject, guard, trace) \
         VALUES ($1, $2, $2, $3, $4, $5, $6) \
         ON CONFLICT (id) DO UPDATE SET due = excluded.due, at = excluded.at, \
         kind = excluded.kind, subject = excluded.subject, guard = excluded.guard, \
         trace = excluded.trace",
        vec![
            text(row.id),
            time(row.due),
            text(row.kind),
            text(row.subject),
            text(row.guard),
            maybe_text(row.trace),
        ],
    )
}

/// It is not wanted any more.
pub(crate) fn forget(id: String) -> Statement {
    Statement::new("DELETE FROM timers WHERE id = $1", vec![text(id)])
}

/// It has done its work.
pub(crate) fn fired(id: String) -> Statement {
    let conflict = conflict("timer", &id);
    forget(id).or(conflict)
}

/// It was taken, and fired nothing.
pub(crate) fn unfired(row: TimerRow) -> Statement {
    Statement::new(
        "UPDATE timers SET at = due WHERE id = $1 AND due = $2 AND guard = $3",
        vec![text(row.id), time(row.due), text(row.guard)],
    )
}

/// Takes those that are due and keeps them from others until then; read them with [`row`].
pub(crate) fn claim(now: Timestamp, until: Timestamp, limit: u32) -> Statement {
    Statement::new(
        "UPDATE timers SET at = $2 WHERE id IN (SELECT id FROM timers WHERE at <= $1 \
         ORDER BY at LIMIT $3 FOR UPDATE SKIP LOCKED) \
         RETURNING id, due, kind, subject, guard, trace",
        vec![time(now), time(until), Cell::Int(limit.into())],
    )
}

/// A row of [`claim`].
pub(crate) fn row(mut r: Record) -> Result<TimerRow, Error> {
    Ok(TimerRow {
        id: r.text()?,
        due: r.time()?,
        kind: r.text()?,
        subject: r.text()?,
        guard: r.text()?,
        trace: r.maybe_text()?,
    })
}
