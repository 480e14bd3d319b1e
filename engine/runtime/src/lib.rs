//! The loops that wait, own, retry and dispatch: everything between a carrier's door and a run.
//!
//! Read in this order: [`numbers`] (which flow a number has) → [`texting`] (a text comes in) →
//! `worker` (a job is worked) → `step` (a run takes an event) → `reply` (an agent answers a text)
//! → `threads` (a human answers) → `texts`, `senders`, `hold`, `outbox` and `unsure` (a text leaves)
//! → `unread` (a peer comes for it) → `deeds` (a server is asked), [`flows`] (a flow is found),
//! [`begin`] (a run without a text) and [`outside`] (an event from elsewhere) → `timers` (time
//! passes) → [`lines`] (a call is hosted) → [`watch`] (who looks on) and `told` (what they hear of a
//! run); [`trace`] (one text's way through processes).
//!
//! Invariant: what a run or a session became is committed together with the effects that it asked
//! for, under the fence of its row; only then does an effect leave.

mod agents;
pub mod agreed;
pub mod begin;
pub mod clock;
mod deeds;
pub mod flows;
mod gauges;
mod hold;
mod lanes;
pub mod lines;
pub mod numbers;
mod outbox;
pub mod outside;
mod recent;
mod reply;
mod senders;
pub mod services;
mod step;
pub mod texting;
mod texts;
mod threads;
mod timers;
mod told;
mod tools;
pub mod trace;
mod unread;
mod unsure;
mod wakes;
pub mod watch;
pub mod web;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use call::{Dialer, Library, Vendors};
use conversation::quiet::Quiet;
use conversation::{Address, Delivery, Messenger};
use flow::{Catalog, Destination, Event, Flow};
use queue::Queue;
use serde_json::Value;
use store::{FlowRow, Store, Write};
use tokio::sync::{Notify, watch as watch_channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use agents::Agents;
pub use begin::{Begin, NotBegun, Wanted};
pub use clock::Clock;
pub use lines::outbound::CallOut;
pub use lines::pace::{Full, Limits};
pub use numbers::{Number, Numbers};
pub use outside::Told;
pub use services::Aide;
pub use tools::offered;
pub use watch::{Happening, Watch};
pub use web::Web;

/// What a runtime is made of.
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Wake-ups.
    pub queue: Arc<dyn Queue>,
    /// Those for processes with doors; `None` = this is the only process.
    pub doors: Option<Arc<dyn Queue>>,
    /// What this process does.
    pub role: Role,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Speech and language.
    pub vendors: Arc<dyn Vendors>,
    /// Sound files.
    pub library: Arc<dyn Library>,
    /// Carriers that can dial; a call prefers its own, then the first that reaches.
    pub dialers: Arc<[Arc<dyn Dialer>]>,
    /// Where recordings of calls are kept; `None` = nothing is recorded.
    pub recordings: Option<Arc<Path>>,
    /// How late and how busy this process may be before it takes no more calls.
    pub full_above: Limits,
    /// Where callers wait for somebody.
    pub waiting: call::waiting::Waiting,
    /// Servers that flows ask.
    pub web: Arc<dyn Web>,
    /// Services that flows call by the names of their actions.
    pub services: Vec<Arc<dyn Aide>>,
    /// One for each channel that can send; texts to phones leave by the first that reaches them.
    pub messengers: Vec<Arc<dyn Messenger>>,
    /// What each channel does with a text when nobody can know whether it left;
    /// [`Delivery::AtMostOnce`] where it is not named.
    pub delivery: HashMap<String, Delivery>,
    /// Every action type: versions of flows that come from the store are linked against it.
    pub catalog: Catalog,
    /// Which number has which flows.
    pub numbers: Numbers,
    /// Flows that others name, besides those of the numbers.
    pub flows: Vec<(FlowRow, Arc<Flow>)>,
    /// How texts leave.
    pub texting: Texting,
    /// Agents that flows name by their id.
    pub agents: Agents,
    /// Seconds of silence after which an AI session of a thread is over, where the number does not
    /// say otherwise.
    pub idle_s: i64,
    /// This process, among others.
    pub worker: String,
    /// Where the others reach it, such as `http://10.0.0.7:8080`; `None` = nowhere.
    pub address: Option<String>,
}

/// How texts leave.
#[derive(Clone, Debug, Default)]
pub struct Texting {
    /// Texts per second that each of our numbers may send, in all processes of a database together;
    /// `None` = any number.
    pub per_second: Option<f64>,
    /// Whether typographic signs are made plain when that makes a text to a phone cheaper.
    pub smart: bool,
    /// When texts that nobody has asked for wait.
    pub quiet: Option<Quiet>,
}

/// What a process does of the work of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// All of it.
    #[default]
    All,
    /// It has doors, and hosts the calls that come in by them; what texts lead to is done by others.
    Edge,
    /// It works jobs and timers and sends texts; it hosts no calls.
    Worker,
}

/// A runtime: takes texts ([`conversation::Inbox`]) and calls ([`call::Switchboard`]).
pub struct Runtime {
    /// Its parts.
    pub parts: Parts,
    /// Who looks on.
    pub watch: Watch,
    lines: lines::Lines,
    /// How conversations stand, on its way to the store.
    behind: Arc<lines::Behind>,
    /// Whether calls are let go.
    letting: watch_channel::Sender<lines::Letting>,
    /// Versions of flows that were linked here.
    flows: Mutex<HashMap<String, Arc<Flow>>>,
    wakes: wakes::Wakes,
    gauged: gauges::Gauged,
    texts_to_send: Notify,
    senders: senders::Senders,
    readers: unread::Readers,
    recent: recent::Recent,
    timers_set: Notify,
    /// When the watch over the timers looks next, microseconds since 1970.
    next_timer: AtomicI64,
    /// Whether it can take another call.
    pace: lines::pace::Pace,
    /// Where calls of this process hear each other.
    rooms: call::room::Rooms,
    pacing: lanes::Pacing,
    /// For work beside a call.
    me: Weak<Self>,
}

/// Flows that a run has called, by their versions.
pub(crate) type Called = BTreeMap<String, Arc<Flow>>;

/// Why work could not be done now; it is done again later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Something that is stored makes no sense here.
    #[error("{0}")]
    Broken(String),
}

impl Trouble {
    /// Whether somebody else was faster, so that reading again may help at once.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(store::Error::Conflict { .. }))
    }
}

impl Runtime {
    /// Puts the parts together. Nothing runs until [`Runtime::serve`].
    pub fn new(parts: Parts) -> Arc<Self> {
        let pacing = lanes::Pacing::new(parts.texting.per_second, parts.store.is_shared());
        let versions = parts.numbers.versions().chain(&parts.flows);
        let flows = versions.map(|(row, flow)| (row.id.clone(), Arc::clone(flow))).collect();
        let senders = senders::Senders::new(&parts.messengers);
        let pace = lines::pace::Pace::new(parts.full_above);
        Arc::new_cyclic(|me| Self {
            parts,
            senders,
            readers: unread::Readers::default(),
            recent: recent::Recent::default(),
            pace,
            rooms: call::room::Rooms::default(),
            watch: Watch::default(),
            lines: lines::Lines::default(),
            behind: Arc::default(),
            letting: watch_channel::Sender::default(),
            flows: Mutex::new(flows),
            wakes: wakes::Wakes::default(),
            gauged: gauges::Gauged::default(),
            pacing,
            texts_to_send: Notify::new(),
            timers_set: Notify::new(),
            next_timer: AtomicI64::new(i64::MAX),
            me: Weak::clone(me),
        })
    }

    /// Ends a run from outside. False when there is no such run, it is over, or the process that
    /// hosts its call does not answer.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn stop_run(&self, run: &str, why: &str) -> Result<bool, store::Error> {
        let event = Event::Stopped { why: why.into() };
        Ok(self.tell_run(run, event).await? == Told::Taken)
    }

    /// How many calls this process hosts at this moment: what a clean stop waits for.
    pub fn live_calls(&self) -> usize {
        self.lines.count()
    }

    /// Does its part of the work until `stop`: jobs, outbox, timers, sweep. Returns when all of it has ended; calls
    /// that are live then go on until their legs are gone, or [`Runtime::drain`] lets them go.
    pub async fn serve(self: Arc<Self>, stop: CancellationToken) {
        let role = self.parts.role;
        self.agree_on_time(&stop).await;
        self.keep_flows(&stop).await;
        let mut loops = JoinSet::new();
        if role != Role::Edge {
            loops.spawn(Arc::clone(&self).work(Arc::clone(&self.parts.queue), stop.clone()));
            loops.spawn(Arc::clone(&self).send_texts(stop.clone()));
            loops.spawn(Arc::clone(&self).watch_timers(stop.clone()));
            loops.spawn(Arc::clone(&self).sweep(stop.clone()));
        }
        if role != Role::Worker {
            if let Some(doors) = self.parts.doors.clone() {
                loops.spawn(Arc::clone(&self).work(doors, stop.clone()));
            }
            loops.spawn(Arc::clone(&self).listen(stop.clone()));
            loops.spawn(Arc::clone(&self).keep_pace(stop.clone()));
            // Whoever hands over calls looks for those who say so.
            loops.spawn(Arc::clone(&self).keep_alive(stop.clone()));
        }
        loops.spawn(Arc::clone(&self).publish_wakes(stop.clone()));
        loops.spawn(Arc::clone(&self).sweep_lost(stop.clone()));
        loops.spawn(Arc::clone(&self).keep_time(stop));
        while let Some(ended) = loops.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a loop broke");
            }
        }
    }

    /// Stores the versions of our numbers' flows, so that other processes can go on with runs of
    /// them.
    async fn keep_flows(&self, stop: &CancellationToken) {
        let versions = self.parts.numbers.versions().chain(&self.parts.flows);
        let rows: Vec<Write> = versions.map(|(row, _)| Write::Flow(row.clone())).collect();
        while let Err(error) = self.parts.store.commit(rows.clone()).await {
            tracing::warn!(%error, "the flows could not be stored yet");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Which of our numbers a text leaves from: the one that the flow names, which must be of the
    /// same tenant, or the one that the run is about.
    pub(crate) fn source(
        &self,
        wished: Option<&Destination>,
        number: &Number,
    ) -> Result<Address, String> {
        let Some(wished) = wished else { return Ok(number.number.clone()) };
        match self.parts.numbers.get(&wished.target) {
            Some(ours) if ours.tenant == number.tenant => Ok(ours.number.clone()),
            Some(_) | None => Err(format!("`{}` is no number of ours", wished.target)),
        }
    }

    /// The channel by which a text from a number of ours reaches a phone: the number's carrier, or
    /// that of the call or text that it is about, or the first that takes phone numbers.
    pub(crate) fn phone_channel(&self, ours: &Address, carrier: &str) -> Result<String, String> {
        let number = self.parts.numbers.get(ours.as_str());
        let carrier = number.and_then(|number| number.carrier.as_deref()).unwrap_or(carrier);
        let phones =
            || self.parts.messengers.iter().filter(|m| m.reaches_phones()).map(|m| m.channel());
        let channel = phones().find(|channel| *channel == carrier).or_else(|| phones().next());
        channel
            .map(Into::into)
            .ok_or_else(|| "no carrier is configured that sends texts to phones".into())
    }

    /// Whether a channel reaches phones, so that a text by it has segments.
    pub(crate) fn has_segments(&self, channel: &str) -> bool {
        let mut all = self.parts.messengers.iter();
        all.any(|messenger| messenger.channel() == channel && messenger.reaches_phones())
    }

    /// A text waits to be claimed.
    pub(crate) fn outbox_changed(&self) {
        self.texts_to_send.notify_one();
    }

    /// A timer was committed, perhaps nearer than the nearest.
    pub(crate) fn timers_changed(&self) {
        self.timers_set.notify_one();
    }

    /// Tells onlookers of a run or a thread.
    pub(crate) fn tell(&self, run: &str, subject: &str, kind: &'static str, data: Value) {
        self.watch.tell(self.parts.clock.now(), run, subject, kind, data);
    }
}
