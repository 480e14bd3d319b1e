//! Live calls hosted by this process: each owns its run and advances it in place.
//!
//! One task a call. It takes what the call reports, what models wish, what others ask for and the
//! run's own deadlines, one at a time; each step of the run is saved before its effects leave.
//!
//! Read on: `host` (the owner of a call's run) with `keep` (what it saves) and `behind` (how the
//! conversation stands, written behind it) → `taken` (a call that another process had) → `lost` (what
//! is left of those that died) → `taped` (what follows on its recordings) → `leave` (this process stops) → `outbound` (calls that we make) →
//! `greeting` (what is begun while the phone rings).
//!
//! Invariant: a store that does not answer never silences a call. Steps without a text to send go
//! on and are saved later; a text that cannot be stored within five seconds is a failed one.

mod behind;
mod greeting;
mod host;
mod keep;
mod leave;
mod lost;
pub(crate) mod outbound;
pub(crate) mod pace;
mod taken;
mod taped;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use call::{Arrival, Dialled, Leg, Means, Prepared, Switchboard};
use flow::{Activeflow, Event, Flow, Medium, Vars};
use store::{CallRow, FlowRow, Pending, RunRow, Write};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lines::host::{Begins, Going, Host};
use crate::{Called, Full, Number, Runtime};

pub(crate) use self::behind::Behind;
use self::behind::Settled;
pub(crate) use self::leave::Letting;

/// Orders on their way to a call; a run asks for a few at a time.
const ORDERS: usize = 64;

/// The live calls of this process, by run.
#[derive(Default)]
pub(crate) struct Lines {
    live: Mutex<HashMap<String, Live>>,
    /// Runs whose calls this process dials, hosted or not yet.
    dialed: Mutex<HashSet<String>>,
    /// Told when there is one after there was none.
    first: Notify,
}

/// A live call.
struct Live {
    owner: mpsc::UnboundedSender<Box<Event>>,
    /// Cancelled when it is over.
    over: CancellationToken,
}

impl Lines {
    /// Gives an event to a run that is hosted here. False when it is not.
    pub(crate) fn tell(&self, run: &str, event: Event) -> bool {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(run).is_some_and(|live| live.owner.send(event.into()).is_ok())
    }

    /// Whether a run is hosted here.
    pub(crate) fn has(&self, run: &str) -> bool {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).contains_key(run)
    }

    /// Whether this process sees to the call of a run: hosts it, or dials it.
    fn sees_to(&self, run: &str) -> bool {
        self.has(run) || self.dialed.lock().unwrap_or_else(PoisonError::into_inner).contains(run)
    }

    /// The call of a run is dialed here until this is dropped.
    fn dials(&self, run: &str) -> Dials<'_> {
        self.dialed.lock().unwrap_or_else(PoisonError::into_inner).insert(run.into());
        Dials { lines: self, run: run.into() }
    }

    /// How many calls are live.
    pub(crate) fn count(&self) -> usize {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What is cancelled when the call of a run is over; `None` = none is hosted here.
    fn over(&self, run: &str) -> Option<CancellationToken> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(run).map(|live| live.over.clone())
    }

    fn enter(&self, run: &str, owner: mpsc::UnboundedSender<Box<Event>>) -> Here<'_> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if live.is_empty() {
            self.first.notify_one();
        }
        let here = Here { lines: self, run: run.into(), owner: owner.clone() };
        live.insert(run.into(), Live { owner, over: CancellationToken::new() });
        metrics::gauge!("voxflow_calls_active").set(live.len() as f64);
        here
    }

    /// Until there is a call after there was none.
    async fn first(&self) {
        self.first.notified().await;
    }
}

/// A call that is dialed here.
struct Dials<'a> {
    lines: &'a Lines,
    run: String,
}

impl Drop for Dials<'_> {
    fn drop(&mut self) {
        self.lines.dialed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.run);
    }
}

/// A call's place among the live ones; dropping it gives it up.
struct Here<'a> {
    lines: &'a Lines,
    run: String,
    owner: mpsc::UnboundedSender<Box<Event>>,
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        let mut live = self.lines.live.lock().unwrap_or_else(PoisonError::into_inner);
        // A call that was let go may be back already.
        let ours = |live: &Live| live.owner.same_channel(&self.owner);
        if live.get(&self.run).is_some_and(ours)
            && let Some(live) = live.remove(&self.run)
        {
            live.over.cancel();
        }
        metrics::gauge!("voxflow_calls_active").set(live.len() as f64);
    }
}

#[async_trait]
impl Switchboard for Runtime {
    fn answers(&self, to: &str) -> bool {
        self.parts.numbers.get(to).is_some_and(|number| number.call_flow.is_some())
    }

    fn admits(&self) -> bool {
        let full = self.full();
        if let Some(why) = full {
            tracing::warn!(%why, "a call is refused");
            metrics::counter!("voxflow_calls_refused_total").increment(1);
        }
        full.is_none()
    }

    async fn arrive(&self, leg: Leg) {
        let Some(number) = self.parts.numbers.get(&leg.arrival.to) else { return };
        let Some((version, flow)) = &number.call_flow else { return };
        let arrival = &leg.arrival;
        let call = CallRow {
            id: Uuid::now_v7().to_string(),
            tenant: number.tenant.clone(),
            carrier: arrival.carrier.clone(),
            carrier_id: arrival.carrier_id.clone(),
            from: arrival.from.clone(),
            to: arrival.to.clone(),
            run: Uuid::now_v7().to_string(),
            status: "in_progress".into(),
            started: self.parts.clock.now(),
            ended: None,
        };
        let vars = variables(arrival, &call.id, &arrival.from);
        self.host(number, (version, flow), leg, call, vars, None).await;
    }

    async fn brought_back(&self, carrier: &str, carrier_id: &str) -> Option<Arrival> {
        self.is_brought_back(carrier, carrier_id).await
    }

    async fn orphaned(&self, carrier: &str, carrier_id: &str) -> Option<Arrival> {
        self.is_orphaned(carrier, carrier_id).await
    }

    async fn take_over(&self, leg: Leg, end: Option<Dialled>) {
        self.take_lost(leg, end).await;
    }

    async fn ended(&self, carrier: &str, carrier_id: &str) {
        self.is_ended(carrier, carrier_id).await;
    }

    async fn address_of(&self, process: &str) -> Option<String> {
        self.reached_at(process).await
    }

    async fn elsewhere(&self, carrier: &str, carrier_id: &str) -> Option<String> {
        self.hosted_at(carrier, carrier_id).await
    }

    async fn is_taken(&self, carrier: &str, carrier_id: &str) -> bool {
        let live = self.parts.store.live_of(carrier, carrier_id).await;
        live.is_ok_and(|live| live.is_some_and(|live| live.worker != self.parts.worker))
    }
}

/// A run and its call, to be hosted.
struct Hosted<'a> {
    number: &'a Number,
    flow: Arc<Flow>,
    run: RunRow,
    call: CallRow,
    /// How many processes had it before.
    epoch: i64,
    pending: Vec<Pending>,
    /// Its first words, if they were begun already.
    prepared: Option<Prepared>,
    unsaved: Vec<Write>,
}

impl Runtime {
    /// Why this process takes no more calls, while it does not.
    pub fn full(&self) -> Option<Full> {
        self.pace.full()
    }

    /// Hosts a call until it is over: its run begins.
    async fn host(
        &self,
        number: &Number,
        (version, flow): (&FlowRow, &Arc<Flow>),
        leg: Leg,
        call: CallRow,
        vars: Vars,
        prepared: Option<Prepared>,
    ) {
        let now = self.parts.clock.now();
        let id = call.run.clone();
        let state = Activeflow::new(&id, flow, Medium::Call, vars);
        let run = RunRow {
            id,
            tenant: number.tenant.clone(),
            flow: version.id.clone(),
            flow_name: version.name.clone(),
            medium: Medium::Call,
            subject: call.id.clone(),
            seq: 0,
            state,
            outcome: None,
            created: now,
            updated: now,
        };
        let (flow, unsaved) = (Arc::clone(flow), vec![Write::Flow(version.clone())]);
        let pending = Vec::new();
        let prepared = prepared.or_else(|| self.greeting(&flow, &run.state, leg.rate));
        let hosted = Hosted { number, flow, run, call, epoch: 0, pending, prepared, unsaved };
        self.hosts(hosted, leg, Begins::Anew).await;
    }

    /// Hosts a call until it is over, or goes on elsewhere.
    async fn hosts(&self, hosted: Hosted<'_>, leg: Leg, begins: Begins) {
        let Hosted { number, flow, run, call, epoch, pending, prepared, unsaved } = hosted;
        let (orders, taken) = mpsc::channel(ORDERS);
        let (reports, reported) = mpsc::unbounded_channel();
        let (events, told) = mpsc::unbounded_channel();
        let (wishes, wished) = mpsc::unbounded_channel();
        let _here = self.lines.enter(&run.id, events);
        self.pace.begin();
        let leave = CancellationToken::new();
        let host = Host {
            runtime: self,
            number,
            flow,
            called: Called::new(),
            run,
            call,
            arrival: leg.arrival.clone(),
            unsaved,
            doubtful: 0,
            orders: Some(orders),
            wishes,
            seen: HashSet::new(),
            sending: Vec::new(),
            control: Arc::clone(&leg.control),
            epoch,
            pending,
            recording: Vec::new(),
            prepared,
            standing: None,
            settled: Settled::default(),
            turns: 0,
            going: Going::Stays,
            leave: leave.clone(),
            over: false,
        };
        let means = Means {
            vendors: Arc::clone(&self.parts.vendors),
            library: Arc::clone(&self.parts.library),
            dialers: Arc::clone(&self.parts.dialers),
            recordings: self.parts.recordings.clone(),
            rooms: self.rooms.of(&number.tenant.0),
            waiting: self.parts.waiting.of(&number.tenant.0),
        };
        tokio::join!(
            call::session::live(leg, means, taken, reports, leave),
            host.host(begins, reported, told, wished)
        );
    }
}

/// What a run about a call begins with. The names of the older dialect are readable too.
fn variables(arrival: &Arrival, call: &str, peer: &str) -> Vars {
    let mut vars = Vars::new();
    for (name, value) in [
        ("call.id", call),
        ("call.carrier_id", arrival.carrier_id.as_str()),
        ("call.from", arrival.from.as_str()),
        ("call.to", arrival.to.as_str()),
        ("call.status", "ringing"),
        ("caller.number", peer),
        ("from", arrival.from.as_str()),
        ("to", arrival.to.as_str()),
        ("voipbin.call.id", call),
        ("voipbin.call.source.target", arrival.from.as_str()),
        ("voipbin.call.destination.target", arrival.to.as_str()),
    ] {
        vars.insert(name.into(), value.into());
    }
    vars
}
