//! A store and a queue that fail when they are told to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use conversation::{Receipt, Status, Tenant};
use flow::Taken;
use jiff::Timestamp;
use queue::{Dead, Job, Jobs, Queue};
use store::{
    AnswerRow, CallRow, Counts, DeedRow, Error, FlowRow, Line, LiveRow, MessageRow, OutboxRow,
    Place, RunRow, SessionRow, StandingRow, Store, ThreadRow, TimerRow, Tokens, ToldRow, TurnRow,
    WorkerRow, Write,
};
use tokio::sync::Notify;

/// What becomes of a commit.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// It is done.
    None,
    /// It is refused.
    Down,
    /// It is done, and the answer is lost, once.
    Mute,
    /// If it sends a text it is done, and the answer comes late, once: see [`Faulty::answers`].
    Slow,
}

/// What comes between a runtime and its store.
pub(crate) trait Between: Send + Sync {
    /// The store behind it.
    fn store(&self) -> &dyn Store;

    /// What the database's clock says.
    fn time(&self) -> impl Future<Output = Result<Option<Timestamp>, Error>> + Send {
        self.store().time()
    }

    /// A commit.
    fn commits(
        &self,
        writes: Vec<Write>,
    ) -> impl Future<Output = Result<Vec<OutboxRow>, Error>> + Send {
        self.store().commit_told(writes)
    }

    /// A question.
    fn asks<T: Send>(
        &self,
        question: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        question
    }

    /// A question that is asked again and again.
    fn peeks<T: Send>(
        &self,
        question: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        question
    }

    /// A look for something to do, which often finds nothing.
    fn looks<T: Send>(
        &self,
        look: impl Future<Output = Result<Vec<T>, Error>> + Send,
    ) -> impl Future<Output = Result<Vec<T>, Error>> + Send {
        self.asks(look)
    }
}

/// Whether a process only says that it is alive: that is not what a test is about.
pub(crate) fn is_pulse(writes: &[Write]) -> bool {
    writes.iter().all(|write| matches!(write, Write::Beat(_) | Write::Quit { .. }))
}

/// A store with something between.
pub(crate) struct Through<B>(pub(crate) B);

/// A store whose commits fail when they are told to.
pub(crate) type Faulty = Through<Faults>;

pub(crate) struct Faults {
    store: Arc<dyn Store>,
    fault: Mutex<Fault>,
    late: Notify,
}

impl Faulty {
    pub(crate) async fn new() -> Arc<Self> {
        let store = store::open("sqlite::memory:").await.unwrap();
        Arc::new(Self(Faults { store, fault: Mutex::new(Fault::None), late: Notify::new() }))
    }

    /// The late answer comes.
    pub(crate) fn answers(&self) {
        self.0.late.notify_one();
    }

    pub(crate) fn is(&self, fault: Fault) {
        *self.0.fault.lock().unwrap() = fault;
    }
}

impl Faults {
    /// What becomes of the next commit.
    fn take(&self, writes: &[Write]) -> Fault {
        let mut fault = self.fault.lock().unwrap();
        let sends = || writes.iter().any(|write| matches!(write, Write::Send(..)));
        match *fault {
            _ if is_pulse(writes) => Fault::None,
            Fault::Slow if !sends() => Fault::None,
            Fault::Mute | Fault::Slow => std::mem::replace(&mut *fault, Fault::None),
            fault => fault,
        }
    }
}

impl Between for Faults {
    fn store(&self) -> &dyn Store {
        &*self.store
    }

    async fn commits(&self, writes: Vec<Write>) -> Result<Vec<OutboxRow>, Error> {
        let lost = || Err(Error::Unavailable("the test took it down".into()));
        let fault = self.take(&writes);
        if fault == Fault::Down {
            return lost();
        }
        let committed = self.store.commit_told(writes).await?;
        if fault == Fault::Mute {
            return lost();
        }
        if fault == Fault::Slow {
            self.late.notified().await;
        }
        Ok(committed)
    }
}

#[async_trait]
impl<B: Between> Store for Through<B> {
    async fn commit_told(&self, writes: Vec<Write>) -> Result<Vec<OutboxRow>, Error> {
        self.0.commits(writes).await
    }

    async fn flow_named(&self, tenant: &Tenant, name: &str) -> Result<Option<FlowRow>, Error> {
        self.0.asks(self.0.store().flow_named(tenant, name)).await
    }

    async fn flow(&self, id: &str) -> Result<Option<FlowRow>, Error> {
        self.0.asks(self.0.store().flow(id)).await
    }

    async fn run(&self, id: &str) -> Result<Option<RunRow>, Error> {
        self.0.asks(self.0.store().run(id)).await
    }

    async fn runs(
        &self,
        tenant: Option<&str>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<RunRow>, Error> {
        self.0.asks(self.0.store().runs(tenant, before, limit)).await
    }

    async fn taken(&self, run: &str) -> Result<Vec<Taken>, Error> {
        self.0.asks(self.0.store().taken(run)).await
    }

    async fn transcript(&self, run: &str) -> Result<Vec<Line>, Error> {
        self.0.asks(self.0.store().transcript(run)).await
    }
    async fn turns(&self, run: &str) -> Result<Vec<TurnRow>, Error> {
        self.0.asks(self.0.store().turns(run)).await
    }

    async fn thread(&self, id: &str) -> Result<Option<ThreadRow>, Error> {
        self.0.asks(self.0.store().thread(id)).await
    }

    async fn threads(
        &self,
        tenant: Option<&str>,
        peer: Option<&str>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<ThreadRow>, Error> {
        self.0.asks(self.0.store().threads(tenant, peer, before, limit)).await
    }

    async fn place(&self, thread: &str, of: Place<'_>) -> Result<Option<i64>, Error> {
        self.0.asks(self.0.store().place(thread, of)).await
    }

    async fn inbox(&self, thread: &str) -> Result<Vec<MessageRow>, Error> {
        self.0.asks(self.0.store().inbox(thread)).await
    }

    async fn messages(
        &self,
        thread: &str,
        above: i64,
        limit: u32,
    ) -> Result<Vec<MessageRow>, Error> {
        self.0.asks(self.0.store().messages(thread, above, limit)).await
    }

    async fn unhandled(&self, before: Timestamp, limit: u32) -> Result<Vec<String>, Error> {
        self.0.looks(self.0.store().unhandled(before, limit)).await
    }

    async fn session(&self, thread: &str) -> Result<Option<SessionRow>, Error> {
        self.0.asks(self.0.store().session(thread)).await
    }

    async fn dropped(&self, before: Timestamp, limit: u32) -> Result<Vec<CallRow>, Error> {
        self.0.peeks(self.0.store().dropped(before, limit)).await
    }

    async fn live(&self, run: &str) -> Result<Option<LiveRow>, Error> {
        self.0.peeks(self.0.store().live(run)).await
    }

    async fn live_of(&self, carrier: &str, carrier_id: &str) -> Result<Option<LiveRow>, Error> {
        self.0.peeks(self.0.store().live_of(carrier, carrier_id)).await
    }

    async fn standing(&self, run: &str) -> Result<Option<StandingRow>, Error> {
        self.0.peeks(self.0.store().standing(run)).await
    }

    async fn lost(&self, before: Timestamp, limit: u32) -> Result<Vec<LiveRow>, Error> {
        self.0.peeks(self.0.store().lost(before, limit)).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, Error> {
        self.0.peeks(self.0.store().workers()).await
    }

    async fn counts(&self) -> Result<Counts, Error> {
        self.0.peeks(self.0.store().counts()).await
    }

    async fn asked_by(&self, run: &RunRow) -> Result<Vec<OutboxRow>, Error> {
        self.0.asks(self.0.store().asked_by(run)).await
    }

    async fn sent_as(&self, channel: &str, carrier_id: &str) -> Result<Option<String>, Error> {
        self.0.asks(self.0.store().sent_as(channel, carrier_id)).await
    }

    async fn session_by_id(&self, id: &str) -> Result<Option<SessionRow>, Error> {
        self.0.asks(self.0.store().session_by_id(id)).await
    }

    async fn opted_out(&self, thread: &str) -> Result<bool, Error> {
        self.0.asks(self.0.store().opted_out(thread)).await
    }

    async fn due(&self, now: Timestamp, hold: u32, limit: u32) -> Result<Vec<TimerRow>, Error> {
        self.0.looks(self.0.store().due(now, hold, limit)).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        self.0.peeks(self.0.store().next_due()).await
    }

    async fn claim_outbox(
        &self,
        worker: &str,
        now: Timestamp,
        hold: u32,
        limit: u32,
    ) -> Result<Vec<OutboxRow>, Error> {
        self.0.looks(self.0.store().claim_outbox(worker, now, hold, limit)).await
    }

    async fn next_outbox(&self) -> Result<Option<Timestamp>, Error> {
        self.0.peeks(self.0.store().next_outbox()).await
    }

    async fn outbox(&self, key: &str) -> Result<Option<OutboxRow>, Error> {
        self.0.asks(self.0.store().outbox(key)).await
    }

    async fn receipt(&self, receipt: &Receipt) -> Result<Option<(String, Status)>, Error> {
        self.0.asks(self.0.store().receipt(receipt)).await
    }

    async fn tokens(&self, wanted: &Tokens) -> Result<Result<i64, Timestamp>, Error> {
        self.0.asks(self.0.store().tokens(wanted)).await
    }

    async fn time(&self) -> Result<Option<Timestamp>, Error> {
        self.0.peeks(self.0.time()).await
    }

    fn is_shared(&self) -> bool {
        self.0.store().is_shared()
    }

    async fn deed(&self, key: &str) -> Result<Option<DeedRow>, Error> {
        self.0.asks(self.0.store().deed(key)).await
    }

    async fn claim_deed(
        &self,
        key: &str,
        now: Timestamp,
        until: Timestamp,
        timer: &str,
    ) -> Result<Option<DeedRow>, Error> {
        self.0.asks(self.0.store().claim_deed(key, now, until, timer)).await
    }

    async fn told(&self, limit: u32) -> Result<Vec<ToldRow>, Error> {
        self.0.looks(self.0.store().told(limit)).await
    }

    async fn answer(&self, key: &str) -> Result<Option<AnswerRow>, Error> {
        self.0.asks(self.0.store().answer(key)).await
    }

    async fn call(&self, id: &str) -> Result<Option<CallRow>, Error> {
        self.0.asks(self.0.store().call(id)).await
    }

    async fn calls(
        &self,
        tenant: Option<&str>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<CallRow>, Error> {
        self.0.asks(self.0.store().calls(tenant, before, limit)).await
    }

    async fn ready(&self) -> Result<(), Error> {
        self.0.peeks(self.0.store().ready()).await
    }
}

/// A queue that takes no jobs, as during a restart of the broker; what it has, it still gives.
pub(crate) struct Deaf {
    pub(crate) queue: Arc<dyn Queue>,
    deaf: AtomicBool,
}

impl Deaf {
    pub(crate) async fn new() -> Arc<Self> {
        let queue = queue::open("embedded").await.unwrap();
        Arc::new(Self { queue, deaf: AtomicBool::new(false) })
    }

    pub(crate) fn deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::SeqCst);
    }
}

#[async_trait]
impl Queue for Deaf {
    async fn publish(&self, job: Job) -> Result<(), queue::Error> {
        if self.deaf.load(Ordering::SeqCst) {
            let why = "the test stopped its ears".into();
            return Err(queue::Error { queue: "embedded".into(), why });
        }
        self.queue.publish(job).await
    }

    async fn subscribe(&self) -> Result<Jobs, queue::Error> {
        self.queue.subscribe().await
    }

    async fn ready(&self) -> Result<(), queue::Error> {
        self.queue.ready().await
    }

    async fn dead(&self, limit: u32) -> Result<Vec<Dead>, queue::Error> {
        self.queue.dead(limit).await
    }

    async fn replay(&self, limit: u32) -> Result<u32, queue::Error> {
        self.queue.replay(limit).await
    }
}
