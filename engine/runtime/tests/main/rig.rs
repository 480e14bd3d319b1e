//! A runtime to send texts to.

use std::collections::HashMap;
use std::sync::Arc;

use conversation::{Accepted, Address, Busy, Delivery, Inbox, Message, Tenant};
use flow::{Flow, Linking, Needs, link};
use jiff::{SignedDuration, Timestamp};
use queue::Queue;
use runtime::clock::Manual;
use runtime::numbers::Number;
use runtime::{Agents, Clock, Numbers, Parts, Role, Runtime, Texting};
use serde_json::{Value, json};
use store::{FlowRow, MessageRow, Peering, RunRow, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::wish;
use crate::world::{Carrier, Model, Net, World, soon};

/// Our number.
pub(crate) const OURS: &str = "+15550001000";
/// Who texts.
pub(crate) const PEER: &str = "+15557654321";
/// A day of silence ends a session.
const IDLE_S: i64 = 86_400;

/// What outlives a runtime, and at most one runtime.
pub(crate) struct Rig {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) clock: Arc<Manual>,
    pub(crate) carrier: Arc<Carrier>,
    pub(crate) model: Arc<Model>,
    pub(crate) delivery: Delivery,
    pub(crate) web: Arc<Net>,
    /// Flows that others name.
    pub(crate) flows: Vec<(FlowRow, Arc<Flow>)>,
    pub(crate) texting: Texting,
    pub(crate) numbers: Numbers,
    pub(crate) agents: Agents,
    pub(crate) dialers: Vec<Arc<dyn call::Dialer>>,
    /// What is other than usual with its runtimes.
    pub(crate) alter: Option<Alter>,
    running: Vec<Running>,
    /// How many there were.
    started: usize,
}

pub(crate) type Alter = Box<dyn Fn(&mut Parts) + Send + Sync>;

struct Running {
    runtime: Arc<Runtime>,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

/// The actions of a flow that talks, with these additions to its agent.
pub(crate) fn talks(agent: Value) -> Value {
    let mut ai = json!({ "name": "Sam", "init_prompt": "Be brief.", "debounce_ms": 0 });
    for (name, value) in agent.as_object().unwrap() {
        ai[name] = value.clone();
    }
    json!([{ "id": "agent", "type": "ai_talk", "option": { "ai": ai } }])
}

impl Rig {
    /// A runtime that works, whose number runs these actions for texts.
    pub(crate) async fn texts(actions: Value) -> Self {
        let mut rig = Self::idle(actions).await;
        rig.start();
        rig
    }

    /// The same, with no runtime yet.
    pub(crate) async fn idle(actions: Value) -> Self {
        let store = store::open("sqlite::memory:").await.unwrap();
        Self::on(store, queue::open("embedded").await.unwrap(), None, Some(actions))
    }

    /// A runtime that works, whose number runs these actions for calls.
    pub(crate) async fn calls(actions: Value) -> Self {
        let store = store::open("sqlite::memory:").await.unwrap();
        let queue = queue::open("embedded").await.unwrap();
        let mut rig = Self::on(store, queue, Some(actions), None);
        rig.start();
        rig
    }

    /// The same, for calls.
    pub(crate) async fn idle_calls(actions: Value) -> Self {
        let store = store::open("sqlite::memory:").await.unwrap();
        Self::on(store, queue::open("embedded").await.unwrap(), Some(actions), None)
    }

    /// From the next start on, runtimes know this flow of a tenant.
    pub(crate) fn knows(&mut self, tenant: &str, document: &Value) {
        let (mut row, flow) = linked(document, Needs::Nothing);
        row.tenant = Tenant(tenant.into());
        row.id = runtime::flows::version(&row.tenant, &row.text);
        self.flows.push((row, flow));
    }

    /// No runtime yet, on this store and this queue.
    pub(crate) fn on(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        call: Option<Value>,
        text: Option<Value>,
    ) -> Self {
        let number = Number {
            tenant: Tenant::default(),
            number: Address::phone(OURS).unwrap(),
            call_flow: call.map(|actions| linked(&actions, Needs::Call)),
            message_flow: text.map(|actions| linked(&actions, Needs::Text)),
            idle_s: None,
            carrier: None,
        };
        Self {
            store,
            queue,
            clock: Manual::at(Timestamp::from_second(1_800_000_000).unwrap()),
            carrier: Arc::default(),
            model: Model::new(),
            delivery: Delivery::default(),
            web: Net::new(),
            flows: Vec::new(),
            numbers: Numbers(HashMap::from([(OURS.into(), number)])),
            texting: Texting::default(),
            agents: Agents::default(),
            dialers: Vec::new(),
            alter: None,
            running: Vec::new(),
            started: 0,
        }
    }

    /// One more runtime begins to work.
    pub(crate) fn start(&mut self) {
        self.started += 1;
        let world = Arc::new(World(Arc::clone(&self.model)));
        let mut parts = Parts {
            store: Arc::clone(&self.store),
            queue: Arc::clone(&self.queue),
            doors: None,
            role: Role::All,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            vendors: world.clone(),
            library: world,
            web: self.web.clone(),
            services: Vec::new(),
            dialers: self.dialers.clone().into(),
            full_above: runtime::Limits { late: std::time::Duration::from_secs(1), busy: 100 },
            waiting: call::waiting::Waiting::default(),
            recordings: None,
            messengers: vec![self.carrier.clone()],
            delivery: HashMap::from([("twilio".into(), self.delivery)]),
            catalog: wish::catalog(),
            numbers: self.numbers.clone(),
            flows: self.flows.clone(),
            texting: self.texting.clone(),
            agents: self.agents.clone(),
            idle_s: IDLE_S,
            worker: format!("w{}", self.started),
            address: None,
        };
        if let Some(alter) = &self.alter {
            alter(&mut parts);
        }
        let runtime = Runtime::new(parts);
        let stop = CancellationToken::new();
        let served = tokio::spawn(Arc::clone(&runtime).serve(stop.clone()));
        self.running.push(Running { runtime, stop, served });
    }

    /// Every runtime stops, as a process does at the end of its life.
    pub(crate) async fn stop(&mut self) {
        for running in self.running.drain(..) {
            running.stop.cancel();
            soon("the runtime to stop", running.served).await.unwrap();
        }
    }

    /// Every runtime is gone at once, as if killed.
    pub(crate) async fn kill(&mut self) {
        for running in self.running.drain(..) {
            running.served.abort();
            let _ = running.served.await;
            // An aborted task may be running on another thread, and must not see a later time.
            soon("a dead process", async {
                while Arc::strong_count(&running.runtime) > 1 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.running[0].runtime
    }

    /// The second runtime.
    pub(crate) fn other(&self) -> &Arc<Runtime> {
        &self.running[1].runtime
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// Time passes for as long as this is awaited, faster than the machine's.
    pub(crate) async fn goes_on(&self) {
        // Not so fast that a busy machine sleeps through the claims of its own texts.
        let mut again = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            again.tick().await;
            self.pass(1);
        }
    }

    /// A text from the peer, with an id of its own.
    pub(crate) async fn text(&self, text: &str) {
        let id = uuid::Uuid::now_v7().to_string();
        assert_eq!(self.receive(self.message(PEER, text, Some(&id))).await.unwrap(), Accepted::New);
    }

    pub(crate) fn message(&self, peer: &str, text: &str, id: Option<&str>) -> Message {
        Message {
            tenant: Tenant::default(),
            channel: "twilio".into(),
            ours: Address::phone(OURS).unwrap(),
            peer: Address::phone(peer).unwrap(),
            id: id.map(Into::into),
            text: text.into(),
            media: Vec::new(),
            answered_by_carrier: false,
            at: self.now(),
        }
    }

    pub(crate) async fn receive(&self, message: Message) -> Result<Accepted, Busy> {
        self.runtime().receive(message).await
    }

    pub(crate) fn thread_id(&self) -> String {
        Peering {
            tenant: Tenant::default(),
            channel: "twilio".into(),
            ours: Address::phone(OURS).unwrap(),
            peer: Address::phone(PEER).unwrap(),
        }
        .thread_id()
    }

    /// Resolves when that many texts of the peer are handled.
    pub(crate) async fn handled(&self, texts: usize) {
        self.until(&format!("{texts} texts to be handled"), async || {
            let thread = self.thread_id();
            let Some(row) = self.store.thread(&thread).await.unwrap() else { return false };
            let messages = self.store.messages(&thread, 0, 1_000).await.unwrap();
            let handled = |m: &&MessageRow| m.inbound && m.n <= row.handled;
            messages.iter().filter(handled).count() >= texts
        })
        .await;
    }

    /// Runs, oldest first.
    pub(crate) async fn runs(&self) -> Vec<RunRow> {
        let mut runs = self.store.runs(None, None, 1_000).await.unwrap();
        runs.reverse();
        runs
    }

    /// The runs, once there are this many and all have ended.
    pub(crate) async fn ended(&self, count: usize) -> Vec<RunRow> {
        self.until(&format!("{count} runs to end"), async || {
            let runs = self.runs().await;
            runs.len() >= count && runs.iter().all(|run| run.outcome.is_some())
        })
        .await;
        self.runs().await
    }

    /// What the newest run did: `action exit`, line by line.
    pub(crate) async fn steps(&self, run: &str) -> Vec<String> {
        let taken = self.store.taken(run).await.unwrap();
        taken.iter().map(|taken| format!("{} {}", taken.action, taken.exit)).collect()
    }

    /// Asks again and again until it is so, or fails and says what it never was. The database
    /// tells nobody that it changed, so this is asked every few milliseconds.
    pub(crate) async fn until(&self, what: &str, so: impl AsyncFn() -> bool) {
        soon(what, async {
            let mut again = tokio::time::interval(std::time::Duration::from_millis(5));
            while !so().await {
                again.tick().await;
            }
        })
        .await;
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for running in &self.running {
            running.stop.cancel();
        }
    }
}

fn linked(actions: &Value, medium: Needs) -> (FlowRow, Arc<Flow>) {
    let text = actions.to_string();
    let linking = Linking { catalog: wish::catalog(), medium };
    let (flow, _) = link(&text, linking).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let row = FlowRow {
        id: "v1".into(),
        tenant: Tenant::default(),
        name: flow.name.clone(),
        text,
        created: Timestamp::from_second(1_800_000_000).unwrap(),
    };
    (row, flow)
}
