//! Rate lanes in SQL: the tokens of a sender, whichever process asks for them.
//!
//! A lane is kept as the time of its next token; what is long past was saved up, but no more than
//! fits into the lane. As in `conversation::lane`, a reply that finds none books the next one, and
//! whatever is no reply waits behind the last that is booked.

use std::sync::LazyLock;

use jiff::Timestamp;

use crate::Error;
use crate::row::Tokens;
use crate::statement::{Cell, Record, Statement, text, time};

/// Takes tokens, or tells when there will be one; read the answer with [`granted`].
pub(crate) fn take(wanted: &Tokens) -> [Statement; 2] {
    let Tokens { lane, now, each, most, wanted, reply } = wanted;
    let each = i64::try_from(each.as_micros()).unwrap_or(i64::MAX).max(1);
    let saved = each.saturating_mul(most.saturating_sub(1));
    let full = now.as_microsecond().saturating_sub(saved);
    let known = Statement::new(
        "INSERT INTO lanes (id, next, booked, granted, again) VALUES ($1, 0, 0, 0, 0) \
         ON CONFLICT (id) DO NOTHING",
        vec![text(lane)],
    );
    let cells = vec![
        text(lane),
        time(*now),
        Cell::Int(full),
        Cell::Int(each),
        Cell::Int(*wanted),
        Cell::Int((*reply).into()),
    ];
    [known, Statement::new(&**TAKE, cells)]
}

static TAKE: LazyLock<String> = LazyLock::new(|| {
    let next = "(CASE WHEN next < $3 THEN $3 ELSE next END)";
    let free = format!("(({next} <= $2) AND ($6 = 1 OR booked <= $2))");
    let there = format!("(($2 - {next}) / $4 + 1)");
    let granted = format!("(CASE WHEN {there} < $5 THEN {there} ELSE $5 END)");
    let again = format!("(CASE WHEN booked >= {next} THEN booked + $4 ELSE {next} END)");
    format!(
        "UPDATE lanes SET granted = CASE WHEN {free} THEN {granted} ELSE 0 END, \
         next = CASE WHEN {free} THEN {next} + {granted} * $4 ELSE {next} END, again = {again}, \
         booked = CASE WHEN $6 = 1 AND NOT {free} THEN {again} ELSE booked END \
         WHERE id = $1 RETURNING granted, again"
    )
});

/// The answer to [`take`].
pub(crate) fn granted(mut r: Record) -> Result<Result<i64, Timestamp>, Error> {
    let (granted, again) = (r.int()?, r.time()?);
    Ok(if granted > 0 { Ok(granted) } else { Err(again) })
}
