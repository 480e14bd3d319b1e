//! What must survive: flows, runs, threads, messages, sessions, the outbox, timers, calls.
//!
//! One seam, [`Store`], and one way to write: [`Store::commit`] takes any number of [`Write`]s and
//! does all or none. Rows that are advanced carry a `seq`; a write names the one it has seen and
//! fails with [`Error::Conflict`] when somebody else was faster. That fence, not a lock, is what
//! keeps two workers from acting on one thread.
//!
//! Read in this order: [`row`] (what is kept) → this file (the seam) → `change` (what a write means
//! in SQL, with `claims`, `outbox`, `lane`, `timer`, `live` and `outside`) → `records` (the seam over any database)
//! → `sqlite` (the default) → `postgres` (many processes).
//!
//! Times are kept to the microsecond.

mod change;
mod claims;
mod lane;
mod live;
mod migration;
mod outbox;
mod outside;
mod postgres;
mod records;
pub mod row;
mod sqlite;
mod statement;
mod timer;

use std::sync::Arc;

use async_trait::async_trait;
use conversation::{Receipt, Status, Tenant};
use flow::Taken;
use jiff::Timestamp;

pub use row::{
    AnswerRow, CallRow, DeedRow, FlowRow, Line, LiveRow, MessageRow, OutboxRow, Peering, Pending,
    Place, RunRow, SessionRow, StandingRow, ThreadRow, TimerRow, Tokens, ToldRow, TurnRow,
    WorkerRow,
};

use crate::postgres::Postgres;
use crate::records::Records;
use crate::sqlite::Sqlite;

/// Opens the store that a URL names: `sqlite:voxflow.db` (made when it is not there),
/// `sqlite::memory:` (private, gone with the process), `postgres://user:password@host/database`
/// (with `?sslmode=` as the server's own tools have it: `disable`, `prefer`, `require`, `verify-ca`,
/// `verify-full`, and `&sslrootcert=FILE`).
///
/// # Errors
/// The URL is none of these, the file cannot be opened, or the server is there and does not let us
/// in. A server that is away is waited for: [`Store::ready`] tells. No error shows a password.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, Error> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        Ok(Arc::new(Records::new(Sqlite::open(path.trim_start_matches("//")).await?)))
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Arc::new(Records::new(Postgres::open(url).await?)))
    } else {
        Err(Error::Unavailable("the store's URL must begin with `sqlite:` or `postgres://`".into()))
    }
}

/// One change.
#[derive(Clone, Debug)]
pub enum Write {
    /// A version of a flow; one that is there already stays.
    Flow(FlowRow),
    /// A text from a peer, claimed by its `claim`: [`Error::Duplicate`] when we have it. The store
    /// sets its `n`, and makes the thread when there is none. It does not touch the thread's `seq`,
    /// so texts that come in never disturb the worker. See [`row::claim`].
    Receive(MessageRow, Peering),
    /// A run, new when `seq` is 0. Conflict unless the stored one has this `seq`; stored with one more.
    Run(RunRow),
    /// Actions that a run left, added to its history.
    Taken {
        /// The run.
        run: String,
        /// In order.
        taken: Vec<Taken>,
    },
    /// A thread, with the same rule as runs.
    Thread(ThreadRow),
    /// An AI session, with the same rule; new when `seq` is 0. A thread has one that is not over:
    /// end the old one before the new one in the same commit.
    Session(SessionRow),
    /// A text to send; one with the same key stays as it is. It takes the next place in its thread
    /// and is a message of it from now on; texts of a thread leave in the order of their places.
    Outbox(OutboxRow),
    /// The same, and claimed by `claimed_by` since `tried` for so many seconds, as by
    /// [`Store::claim_outbox`], when no other text of its thread waits: whoever commits it may send
    /// it at once, if [`Store::commit_told`] says that it is.
    Send(OutboxRow, u32),
    /// The oldest text of a thread that waits is claimed, as by [`Store::claim_outbox`], if it may
    /// leave now.
    Next {
        /// The thread.
        thread: String,
        /// Who claims.
        worker: String,
        /// The time.
        now: Timestamp,
        /// For how long, seconds.
        hold: u32,
    },
    /// A text was tried: its new state, and the end of our claim. Conflict unless it is claimed by
    /// the row's `claimed_by` for the try that the row's `attempts` counts: a process that slept
    /// through its claim and has claimed the text again is two. A receipt that was faster is kept.
    Tried(OutboxRow),
    /// A text was not even tried, since others go before it: the end of our claim, which does not
    /// count as a try. The next of its thread still waits for it. Conflict as with
    /// [`Write::Tried`].
    PutBack(OutboxRow),
    /// A timer, set anew when its `id` exists.
    Timer(TimerRow),
    /// A timer is not wanted any more.
    Forget {
        /// The timer's id.
        id: String,
    },
    /// A timer has done its work. Conflict when it had before.
    Fired {
        /// The timer's id.
        id: String,
    },
    /// A timer that was taken by [`Store::due`] and fired nothing can be taken again at once, unless
    /// it was set anew or forgotten since.
    Unfired(TimerRow),
    /// Changes nothing. Conflict unless the row is as it was read: what else is committed was
    /// decided by what it says.
    Unmoved(Seen),
    /// A call, new or changed.
    Call(CallRow),
    /// Who hosts a call, and what its run waits for; passed over when a later host has written it.
    /// It does not touch how the conversation stands.
    Live(LiveRow),
    /// How the conversation of a call stands; passed over when the call has another host by now, or
    /// its host has told something newer.
    Standing {
        /// The call's run.
        run: String,
        /// The host that knows.
        epoch: i64,
        /// How it stands.
        standing: Arc<StandingRow>,
        /// Whether what is settled of it is written too; without it, the store has that already.
        whole: bool,
    },
    /// The call of a run lives no more.
    Over {
        /// The run.
        run: String,
    },
    /// What a turn of a call took; takes the place of the one that was told [`TURNS_MOST`] before it.
    Turn(TurnRow),
    /// A process is alive.
    Beat(WorkerRow),
    /// A process has ended, and those of which nothing was heard since a time.
    Quit {
        /// The one that has ended.
        worker: String,
        /// The time.
        before: Timestamp,
    },
    /// A line of a run's transcript, added.
    Line(Line),
    /// A peer left or returned.
    OptOut(Peering, OptOut),
    /// A deed to carry out; one with the same key stays as it is.
    Deed(DeedRow),
    /// A deed has come to its end. Conflict when it had before, or when somebody else has claimed
    /// it since: `until` is what [`Store::claim_deed`] was given.
    Did {
        /// The deed's key.
        key: String,
        /// The end of our claim.
        until: Timestamp,
    },
    /// An event for a call that another process hosts.
    Tell(ToldRow),
    /// Such an event was taken, or is not wanted any more. Conflict when it was gone before.
    Heard {
        /// The event's id.
        id: String,
    },
    /// A request to the API is being answered: [`Error::Duplicate`] when its key is known, unless
    /// it is older than 48 h, or was left without an answer for a minute.
    Ask(AnswerRow),
    /// The answer to such a request; with the status 0 there is none that is worth keeping, and the
    /// key is free again.
    Answer(AnswerRow),
}

/// How a peer left or returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptOut {
    /// The peer said so.
    Left,
    /// The carrier said so of a text that was tried at this time. It does not count when the peer has
    /// returned since.
    Refused(Timestamp),
    /// The peer said so at this time, whether we knew of a leaving or not.
    Returned(Timestamp),
}

/// A row as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A run and its `seq`.
    Run(String, i64),
    /// An AI session and its `seq`.
    Session(String, i64),
}

impl From<&RunRow> for Seen {
    fn from(row: &RunRow) -> Self {
        Self::Run(row.id.clone(), row.seq)
    }
}

impl From<&SessionRow> for Seen {
    fn from(row: &SessionRow) -> Self {
        Self::Session(row.id.clone(), row.seq)
    }
}

/// Remembers.
#[async_trait]
pub trait Store: Send + Sync {
    /// All of it, or nothing.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), Error> {
        self.commit_told(writes).await.map(|_| ())
    }

    /// The same; the texts of [`Write::Outbox`], [`Write::Send`] and [`Write::Next`] as they stand
    /// now, without those of keys that were known.
    async fn commit_told(&self, writes: Vec<Write>) -> Result<Vec<OutboxRow>, Error>;

    /// A version of a flow.
    async fn flow(&self, id: &str) -> Result<Option<FlowRow>, Error>;
    /// The newest version of a tenant's flow of this name, or the version with this id.
    async fn flow_named(&self, tenant: &Tenant, name: &str) -> Result<Option<FlowRow>, Error>;
    /// A run.
    async fn run(&self, id: &str) -> Result<Option<RunRow>, Error>;
    /// The newest runs, of a tenant or of all, at most `limit`, older than `before`.
    async fn runs(
        &self,
        tenant: Option<&str>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<RunRow>, Error>;
    /// What a run has done.
    async fn taken(&self, run: &str) -> Result<Vec<Taken>, Error>;
    /// What was said in a run.
    async fn transcript(&self, run: &str) -> Result<Vec<Line>, Error>;
    /// What the last turns of a run took, oldest first, at most [`TURNS_MOST`].
    async fn turns(&self, run: &str) -> Result<Vec<TurnRow>, Error>;

    /// A thread by id.
    async fn thread(&self, id: &str) -> Result<Option<ThreadRow>, Error>;
    /// The threads that moved last, of a tenant or of all, at most `limit`, older than `before`;
    /// those with one peer, or all.
    async fn threads(
        &self,
        tenant: Option<&str>,
        peer: Option<&str>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<ThreadRow>, Error>;
    /// Texts of a thread with `n` above this, oldest first, both directions.
    async fn messages(
        &self,
        thread: &str,
        above: i64,
        limit: u32,
    ) -> Result<Vec<MessageRow>, Error>;
    /// The `n` of a text of a thread, if it has such a one.
    async fn place(&self, thread: &str, of: Place<'_>) -> Result<Option<i64>, Error>;
    /// The next texts of a thread that nobody has handled, oldest first, at most [`INBOX_MOST`].
    async fn inbox(&self, thread: &str) -> Result<Vec<MessageRow>, Error>;
    /// Threads with texts that nobody has handled, received before this: what the sweep wakes.
    async fn unhandled(&self, before: Timestamp, limit: u32) -> Result<Vec<String>, Error>;
    /// The AI session of a thread that is not over.
    async fn session(&self, thread: &str) -> Result<Option<SessionRow>, Error>;
    /// An AI session, over or not.
    async fn session_by_id(&self, id: &str) -> Result<Option<SessionRow>, Error>;
    /// Whether the peer of a thread has left.
    async fn opted_out(&self, thread: &str) -> Result<bool, Error>;

    /// Timers that are due, claimed for `hold` seconds so that another process does not fire them
    /// too; firing deletes them with [`Write::Forget`].
    async fn due(&self, now: Timestamp, hold: u32, limit: u32) -> Result<Vec<TimerRow>, Error>;
    /// When the next timer can be taken.
    async fn next_due(&self) -> Result<Option<Timestamp>, Error>;
    /// Texts that may be sent now, claimed by `worker` for `hold` seconds, oldest first and at most
    /// one per thread: the next of a thread waits until the end of the one before is known. One
    /// that was never tried and is kept for later (`not_before`) holds nobody up. The claim is the
    /// intent: it counts a try before the text can leave, and a claim that ran out makes the text
    /// `unsure`.
    async fn claim_outbox(
        &self,
        worker: &str,
        now: Timestamp,
        hold: u32,
        limit: u32,
    ) -> Result<Vec<OutboxRow>, Error>;
    /// When the next text may be sent, if one waits: its `not_before`, or the end of a claim.
    async fn next_outbox(&self) -> Result<Option<Timestamp>, Error>;
    /// A text to send, by key.
    async fn outbox(&self, key: &str) -> Result<Option<OutboxRow>, Error>;
    /// The texts that a run has asked for until a day after it moved last, oldest first: for people
    /// who look at one run. PostgreSQL looks through what was made in that time.
    async fn asked_by(&self, run: &RunRow) -> Result<Vec<OutboxRow>, Error>;
    /// The key of the text that a carrier took under this id.
    async fn sent_as(&self, channel: &str, carrier_id: &str) -> Result<Option<String>, Error>;
    /// A carrier's receipt: moves the text's status forward (`queued sent failed delivered`), never
    /// back. The text's key and its status now, or `None` when nobody knows the carrier's id: then
    /// it is kept, and counts as soon as [`Write::Tried`] brings that id.
    async fn receipt(&self, receipt: &Receipt) -> Result<Option<(String, Status)>, Error>;

    /// Takes tokens of a sender's lane, at least one and at most as many as are wanted; else when
    /// there will be one for such a text.
    async fn tokens(&self, wanted: &Tokens) -> Result<Result<i64, Timestamp>, Error>;

    /// A deed that has not come to its end.
    async fn deed(&self, key: &str) -> Result<Option<DeedRow>, Error>;
    /// The same, which is ours alone until then, and this timer of it sleeps so long; `None` when it
    /// has come to its end, or is somebody else's now.
    async fn claim_deed(
        &self,
        key: &str,
        now: Timestamp,
        until: Timestamp,
        timer: &str,
    ) -> Result<Option<DeedRow>, Error>;
    /// Events for calls that nobody has taken, oldest first, at most `limit`.
    async fn told(&self, limit: u32) -> Result<Vec<ToldRow>, Error>;
    /// A request to the API that brought a key.
    async fn answer(&self, key: &str) -> Result<Option<AnswerRow>, Error>;

    /// A call by id.
    async fn call(&self, id: &str) -> Result<Option<CallRow>, Error>;
    /// The newest calls, of a tenant or of all, at most `limit`, older than `before`.
    async fn calls(
        &self,
        tenant: Option<&str>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<CallRow>, Error>;

    /// The newest calls that are not over and were begun before this, though nobody hosts them.
    async fn dropped(&self, before: Timestamp, limit: u32) -> Result<Vec<CallRow>, Error>;
    /// A call that lives, by its run.
    async fn live(&self, run: &str) -> Result<Option<LiveRow>, Error>;
    /// A call that lives, by its carrier's id.
    async fn live_of(&self, carrier: &str, carrier_id: &str) -> Result<Option<LiveRow>, Error>;
    /// How the conversation of a call stood that lives; all of it.
    async fn standing(&self, run: &str) -> Result<Option<StandingRow>, Error>;
    /// Calls that live by what is stored, and whose hosts were last alive before this.
    async fn lost(&self, before: Timestamp, limit: u32) -> Result<Vec<LiveRow>, Error>;
    /// The processes of this database, those that have died lately too.
    async fn workers(&self) -> Result<Vec<WorkerRow>, Error>;

    /// How much there is to do, for `/metrics`. Not for free: ask a few times a minute.
    async fn counts(&self) -> Result<Counts, Error>;
    /// What time it is by the database's clock, which all its processes go by; `None` when it is this
    /// machine's.
    async fn time(&self) -> Result<Option<Timestamp>, Error>;
    /// Whether other processes may work on the same database.
    fn is_shared(&self) -> bool;
    /// Whether the database answers, for `/readyz`.
    async fn ready(&self) -> Result<(), Error>;
}

/// Turns of a call that are kept.
pub const TURNS_MOST: i64 = 200;

/// Texts that [`Store::inbox`] gives at once.
pub const INBOX_MOST: usize = 64;

/// What waits and what lives, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// AI sessions of threads that are not over.
    pub sessions: i64,
    /// Texts that shall leave.
    pub outbox: i64,
    /// Those of them of which nobody knows whether they left.
    pub unsure: i64,
    /// Threads with texts that nobody has handled.
    pub unhandled: i64,
}

/// Why the store could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Somebody else was faster: read again.
    #[error("{what} was changed by somebody else")]
    Conflict {
        /// Which row.
        what: String,
    },
    /// We have this message already.
    #[error("the message was received before")]
    Duplicate,
    /// The database does not answer, or not as it should.
    #[error("the database is not available: {0}")]
    Unavailable(String),
}
