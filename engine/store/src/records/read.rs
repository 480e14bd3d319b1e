//! Columns as they are asked for, and the rows that are made of them.

use conversation::{Address, Tenant};

use crate::Error;
use crate::row::{
    CallRow, FlowRow, Line, MessageRow, OutboxRow, Peering, Place, RunRow, SessionRow, ThreadRow,
};
use crate::statement::{Cell, Record, text};

pub(super) const RUN: &str =
    "id, tenant, flow, flow_name, medium, subject, seq, state, outcome, created, updated";
pub(super) const THREAD: &str =
    "id, tenant, channel, ours, peer, seq, handled, waiting_run, assigned, updated";
pub(super) const MESSAGE: &str =
    "id, thread, n, claim, inbound, text, media, answered_by_carrier, at";
pub(super) const SESSION: &str = "id, thread, seq, agent, generation, answered, run, awaited, history, \
                       rest, active, idle_s, ended";
pub(crate) const OUTBOX: &str = "key, thread, outgoing, run, about, status, carrier_id, why, attempts, \
                      refused, not_before, claimed_by, tried, unsure, created, receipt_at, \
                      EXISTS (SELECT 1 FROM opt_outs \
                      WHERE opt_outs.thread = outbox.thread AND back IS NULL)";
pub(super) const CALL: &str =
    "id, tenant, carrier, carrier_id, from_address, to_address, run, status, started, ended";

/// Asks for the `n` of a text of a thread.
pub(super) fn place(thread: &str, of: Place<'_>) -> (&'static str, Vec<Cell>) {
    match of {
        Place::Newest => ("SELECT last_n FROM threads WHERE id = $1", vec![text(thread)]),
        Place::Of(key) => {
            ("SELECT n FROM outbox WHERE key = $1 AND thread = $2", vec![text(key), text(thread)])
        }
        Place::Delivered => (
            "SELECT messages.n FROM messages, outbox WHERE messages.thread = $1 AND NOT inbound \
             AND key = claim AND status = 'delivered' ORDER BY messages.n DESC LIMIT 1",
            vec![text(thread)],
        ),
    }
}

pub(super) fn flow(mut r: Record) -> Result<FlowRow, Error> {
    Ok(FlowRow {
        id: r.text()?,
        tenant: Tenant(r.text()?),
        name: r.text()?,
        text: r.text()?,
        created: r.time()?,
    })
}

pub(super) fn run(mut r: Record) -> Result<RunRow, Error> {
    Ok(RunRow {
        id: r.text()?,
        tenant: Tenant(r.text()?),
        flow: r.text()?,
        flow_name: r.text()?,
        medium: r.word()?,
        subject: r.text()?,
        seq: r.int()?,
        state: r.json()?,
        outcome: r.maybe_json()?,
        created: r.time()?,
        updated: r.time()?,
    })
}

pub(super) fn line(mut r: Record) -> Result<Line, Error> {
    Ok(Line { run: r.text()?, at: r.time()?, who: r.text()?, text: r.text()? })
}

pub(super) fn thread(mut r: Record) -> Result<ThreadRow, Error> {
    Ok(ThreadRow {
        id: r.text()?,
        peering: Peering {
            tenant: Tenant(r.text()?),
            channel: r.text()?,
            ours: Address::id(r.text()?),
            peer: Address::id(r.text()?),
        },
        seq: r.int()?,
        handled: r.int()?,
        waiting_run: r.maybe_text()?,
        assigned: r.maybe_text()?,
        updated: r.time()?,
    })
}

pub(super) fn message(mut r: Record) -> Result<MessageRow, Error> {
    Ok(MessageRow {
        id: r.text()?,
        thread: r.text()?,
        n: r.int()?,
        claim: r.text()?,
        inbound: r.flag()?,
        text: r.text()?,
        media: r.json()?,
        answered_by_carrier: r.flag()?,
        at: r.time()?,
    })
}

pub(super) fn session(mut r: Record) -> Result<SessionRow, Error> {
    Ok(SessionRow {
        id: r.text()?,
        thread: r.text()?,
        seq: r.int()?,
        agent: r.json()?,
        generation: r.int()?,
        answered: r.int()?,
        run: r.text()?,
        awaited: r.maybe_text()?,
        history: r.json()?,
        rest: r.text()?,
        active: r.time()?,
        idle_s: r.int()?,
        ended: r.maybe_text()?,
    })
}

pub(super) fn outbox(mut r: Record) -> Result<OutboxRow, Error> {
    Ok(OutboxRow {
        key: r.text()?,
        thread: r.text()?,
        outgoing: r.json()?,
        run: r.maybe_text()?,
        about: r.maybe_text()?,
        status: r.word()?,
        carrier_id: r.maybe_text()?,
        why: r.maybe_text()?,
        attempts: r.int()?,
        refused: r.int()?,
        not_before: r.time()?,
        claimed_by: r.maybe_text()?,
        tried: r.maybe_time()?,
        unsure: r.maybe_time()?,
        created: r.time()?,
        receipt: r.maybe_time()?,
        left: r.flag()?,
    })
}

pub(super) fn call(mut r: Record) -> Result<CallRow, Error> {
    Ok(CallRow {
        id: r.text()?,
        tenant: Tenant(r.text()?),
        carrier: r.text()?,
        carrier_id: r.text()?,
        from: r.text()?,
        to: r.text()?,
        run: r.text()?,
        status: r.text()?,
        started: r.time()?,
        ended: r.maybe_time()?,
    })
}
