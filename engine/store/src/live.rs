//! Calls that live, and the processes that host them, in SQL.

use agent::{Item, Standing};
use jiff::Timestamp;

use crate::row::{LiveRow, StandingRow, TurnRow, WorkerRow};
use crate::statement::{Cell, Record, Statement, json, text, time};
use crate::{Error, TURNS_MOST};

/// Columns of a [`LiveRow`].
const LIVE: &str = "run, call, carrier, carrier_id, worker, epoch, pending, at";

/// Asks for the call of a run.
pub(crate) fn by_run() -> String {
    format!("SELECT {LIVE} FROM live WHERE run = $1")
}

/// Asks for the call that a carrier calls so; the last of several.
pub(crate) fn by_carrier() -> String {
    format!("SELECT {LIVE} FROM live WHERE carrier = $1 AND carrier_id = $2 ORDER BY at")
}

/// Asks for how the conversation of a run stood; read the answer with [`stood`].
pub(crate) fn standing_of() -> &'static str {
    "SELECT live.standing, settled.items FROM live LEFT JOIN settled ON settled.run = live.run \
     WHERE live.run = $1 AND live.standing IS NOT NULL"
}

/// Who hosts a call, and what its run waits for. How its conversation stands is written apart, by
/// [`standing`] and [`settled`]: it changes more often. A new host begins to tell anew.
pub(crate) fn live(row: LiveRow) -> Result<Statement, Error> {
    Ok(Statement::new(
        "INSERT INTO live (run, call, carrier, carrier_id, worker, epoch, pending, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (run) DO UPDATE SET carrier_id = excluded.carrier_id, \
         worker = excluded.worker, epoch = excluded.epoch, pending = excluded.pending, \
         at = excluded.at, told = CASE WHEN live.epoch = excluded.epoch THEN live.told ELSE 0 END \
         WHERE live.epoch <= excluded.epoch",
        vec![
            text(row.run),
            text(row.call),
            text(row.carrier),
            text(row.carrier_id),
            text(row.worker),
            Cell::Int(row.epoch),
            json(&row.pending)?,
            time(row.at),
        ],
    ))
}

/// How a conversation stands, without what is settled of it; nothing when somebody else hosts its
/// call by now, or something newer was told.
pub(crate) fn standing(run: &str, epoch: i64, row: &StandingRow) -> Result<Statement, Error> {
    let StandingRow { key, standing: Standing { items, floor, words }, told, settled } = row;
    let goes_on = items.get(*settled..).unwrap_or_default().to_vec();
    let standing = Standing { items: goes_on, floor: *floor, words: words.clone() };
    let row = StandingRow { key: key.clone(), standing, told: *told, settled: *settled };
    Ok(Statement::new(
        "UPDATE live SET standing = $3, told = $4 WHERE run = $1 AND epoch = $2 AND told <= $4",
        vec![text(run), Cell::Int(epoch), json(&row)?, Cell::Int(*told)],
    ))
}

/// What is settled of a conversation; after [`standing`], whose row it belongs to.
pub(crate) fn settled(run: &str, epoch: i64, row: &StandingRow) -> Result<Statement, Error> {
    let settled = row.standing.items.get(..row.settled).unwrap_or_default();
    Ok(Statement::new(
        "INSERT INTO settled (run, items) SELECT $1, $2 FROM live/*,*/ WHERE live.run = $1 \
         AND live.epoch = $3 AND live.told = $4 \
         ON CONFLICT (run) DO UPDATE SET items = excluded.items",
        vec![text(run), json(&settled)?, Cell::Int(epoch), Cell::Int(row.told)],
    ))
}

/// What a turn took.
pub(crate) fn turn(row: TurnRow) -> Result<Statement, Error> {
    Ok(Statement::new(
        "INSERT INTO turns (run, epoch, place, at, ledger) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (run, epoch, place) DO UPDATE SET at = excluded.at, ledger = excluded.ledger",
        vec![
            text(row.run),
            Cell::Int(row.epoch),
            Cell::Int(row.n.rem_euclid(TURNS_MOST)),
            time(row.at),
            json(&row.ledger)?,
        ],
    ))
}

/// Asks for what the last turns of a run took, newest first.
pub(crate) fn turns(run: &str) -> Statement {
    Statement::new(
        "SELECT run, epoch, place, at, ledger FROM turns WHERE run = $1 \
         ORDER BY at DESC, epoch DESC, place DESC LIMIT $2",
        vec![text(run), Cell::Int(TURNS_MOST)],
    )
}

/// The call is over.
pub(crate) fn over(run: &str) -> [Statement; 2] {
    ["DELETE FROM live WHERE run = $1", "DELETE FROM settled WHERE run = $1"]
        .map(|sql| Statement::new(sql, vec![text(run)]))
}

/// A process is alive.
pub(crate) fn beat(row: WorkerRow) -> Statement {
    Statement::new(
        "INSERT INTO workers (id, beat, stopping, address) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (id) DO UPDATE SET beat = excluded.beat, stopping = excluded.stopping",
        vec![text(row.id), time(row.beat), Cell::Flag(row.stopping), text(row.address)],
    )
}

/// A process has ended, or some did long ago.
pub(crate) fn quit(worker: String, before: Timestamp) -> Statement {
    Statement::new(
        "DELETE FROM workers WHERE id = $1 OR beat < $2",
        vec![text(worker), time(before)],
    )
}

/// Calls whose hosts were last alive before a time.
pub(crate) fn lost(before: Timestamp, limit: u32) -> Statement {
    Statement::new(
        format!(
            "SELECT {LIVE} FROM live WHERE at < $1 AND NOT EXISTS (SELECT 1 FROM workers \
             WHERE id = live.worker AND beat >= $1) ORDER BY at LIMIT $2"
        ),
        vec![time(before), Cell::Int(limit.into())],
    )
}

/// A row of the calls that live.
pub(crate) fn row(mut r: Record) -> Result<LiveRow, Error> {
    Ok(LiveRow {
        run: r.text()?,
        call: r.text()?,
        carrier: r.text()?,
        carrier_id: r.text()?,
        worker: r.text()?,
        epoch: r.int()?,
        pending: r.json()?,
        at: r.time()?,
    })
}

/// How a conversation stood, put together.
pub(crate) fn stood(mut r: Record) -> Result<StandingRow, Error> {
    let mut row: StandingRow = r.json()?;
    let mut items: Vec<Item> = r.maybe_json()?.unwrap_or_default();
    items.truncate(row.settled);
    items.append(&mut row.standing.items);
    row.standing.items = items;
    Ok(row)
}

/// A row of what turns took.
pub(crate) fn turn_row(mut r: Record) -> Result<TurnRow, Error> {
    Ok(TurnRow { run: r.text()?, epoch: r.int()?, n: r.int()?, at: r.time()?, ledger: r.json()? })
}

/// A row of the processes.
pub(crate) fn worker(mut r: Record) -> Result<WorkerRow, Error> {
    Ok(WorkerRow { id: r.text()?, beat: r.time()?, stopping: r.flag()?, address: r.text()? })
}
