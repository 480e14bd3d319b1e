//! The one task that owns a call: commands in, events out.
//!
//! Commands are carried out one after the other. Whatever runs, the leg is listened to: keys that
//! are typed ahead are kept, and when the caller is gone nothing else matters.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent::{Item, Standing, Tools};
use async_trait::async_trait;
use audio::Frame;
use audio::playout::fresh_mark;
use flow::{Command, Deed, Event, HangupCause, Key, Vars};
use serde_json::Value;
use talk::{Inbound, Note, Outbound, Prepared, Vendors};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::deeds;
use crate::dialer::Dialer;
use crate::leg::{Arrival, Control, Leg};
use crate::recorder::Recording;
use crate::room::Rooms;
use crate::waiting::Waiting;

/// A command of the run, and what a conversation needs beside it.
pub struct Order {
    /// The command. Texts do not come here: they are the outbox's.
    pub command: Command,
    /// For `Deed::Talk`: what the model may do.
    pub tools: Option<Arc<dyn Tools>>,
    /// For `Deed::Talk`: what was said before.
    pub history: Vec<Item>,
    /// For `Deed::Talk`: its greeting, if that was begun while the phone rang.
    pub prepared: Option<Prepared>,
    /// How many processes had the call before this one; keys of tools are counted anew by each.
    pub epoch: i64,
}

/// What a call reports.
#[derive(Debug)]
pub enum Report {
    /// An event for the run.
    Event(Box<Event>),
    /// Something worth remembering of a conversation.
    Note(Note),
    /// A conversation stands otherwise than before.
    Stands(Latest),
    /// A recording has begun, asked for under this key.
    Recording(Key),
    /// It has ended: its file is complete and closed.
    Recorded(Key),
    /// The call was told to leave, and has stopped what it did. Nothing more comes; the leg is let go
    /// of once this is answered, or dropped.
    Left(oneshot::Sender<()>),
}

/// How a conversation stands: only the latest is kept, however long nobody takes it. It holds all that
/// was said, and whoever takes it may wait for a store.
#[derive(Clone, Debug, Default)]
pub struct Latest(Arc<Mutex<Option<Standing>>>);

impl Latest {
    /// Puts a newer one in its place; whether somebody must be told, since the one before was taken.
    pub(crate) fn put(&self, standing: Standing) -> bool {
        self.slot().replace(standing).is_none()
    }

    /// Takes it.
    pub fn take(&self) -> Option<Standing> {
        self.slot().take()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Standing>> {
        // Nothing in here panics half way, so what a poisoned lock guards is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds sound files.
#[async_trait]
pub trait Library: Send + Sync {
    /// The bytes of a wav file: an `https://` address, or a file below the media folder.
    ///
    /// # Errors
    /// Names the source and what is wrong with it.
    async fn fetch(&self, source: &str) -> Result<Vec<u8>, String>;
}

/// What calls work with. Cheap to clone.
#[derive(Clone)]
pub struct Means {
    /// Speech and language.
    pub vendors: Arc<dyn Vendors>,
    /// Sound files.
    pub library: Arc<dyn Library>,
    /// Carriers that can dial.
    pub dialers: Arc<[Arc<dyn Dialer>]>,
    /// Where recordings are kept; `None` = nothing is recorded.
    pub recordings: Option<Arc<Path>>,
    /// Where several calls hear each other: those of the call's tenant.
    pub rooms: Rooms,
    /// Where callers wait for somebody: those of the call's tenant.
    pub waiting: Waiting,
}

/// Keys that a caller may type ahead.
const AHEAD: usize = 32;

/// How long a leg may take to be gone after it was hung up.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long a deed may take to end after it was stopped.
const STOPPING: Duration = Duration::from_secs(2);

/// How long the last of a recording may take to be written: a disk that hangs holds up nobody.
const WRITING: Duration = Duration::from_secs(3);

/// The caller's side is gone.
pub(crate) struct Gone;

/// How a deed ended, in the terms of [`Event::Done`].
#[derive(Debug, Default)]
pub(crate) struct Finish {
    pub(crate) exit: &'static str,
    pub(crate) values: Vars,
    pub(crate) why: String,
    pub(crate) then: Option<Value>,
    /// Whether the whole run ends.
    pub(crate) stop: bool,
}

impl Finish {
    /// An end without values.
    pub(crate) fn exit(exit: &'static str, why: impl Into<String>) -> Self {
        Self { exit, why: why.into(), ..Self::default() }
    }

    /// All went well.
    pub(crate) fn done() -> Self {
        Self::exit("done", "")
    }

    /// Something broke.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::exit("failed", why)
    }

    /// With the keys that were pressed.
    pub(crate) fn digits(mut self, digits: impl Into<String>) -> Self {
        self.values.insert("digits".into(), Value::String(digits.into()));
        self
    }
}

/// A leg, and what the task remembers of it.
pub(crate) struct Line {
    pub(crate) arrival: Arrival,
    pub(crate) rate: audio::Rate,
    pub(crate) inbound: mpsc::Receiver<Inbound>,
    pub(crate) outbound: mpsc::Sender<Outbound>,
    pub(crate) control: Arc<dyn Control>,
    pub(crate) means: Means,
    pub(crate) reports: mpsc::UnboundedSender<Report>,
    /// Keys that nobody has asked for yet.
    pub(crate) keys: VecDeque<char>,
    /// The key that interrupted a text: the first of the digits, if they are asked for next.
    pub(crate) interrupting: Option<char>,
    /// The recording that goes on, or that ended by itself.
    pub(crate) recording: Option<Recording>,
    /// What writes recordings and reports their ends.
    pub(crate) tapes: JoinSet<()>,
}

impl Line {
    /// A leg of which nothing is known yet.
    pub(crate) fn new(leg: Leg, means: Means, reports: mpsc::UnboundedSender<Report>) -> Self {
        let Leg { arrival, rate, inbound, outbound, control } = leg;
        let (keys, interrupting) = (VecDeque::new(), None);
        Self {
            arrival,
            rate,
            inbound,
            outbound,
            control,
            means,
            reports,
            keys,
            interrupting,
            recording: None,
            tapes: JoinSet::new(),
        }
    }

    /// The next thing from the leg that a deed may care for; keys go to `keys` first.
    pub(crate) async fn hear(&mut self) -> Result<Inbound, Gone> {
        match self.inbound.recv().await {
            None | Some(Inbound::Gone) => Err(Gone),
            Some(Inbound::Digit(key)) => {
                if self.keys.len() < AHEAD {
                    self.keys.push_back(key);
                }
                Ok(Inbound::Digit(key))
            }
            Some(heard) => Ok(heard),
        }
    }

    /// Gives sound or a mark to the leg.
    pub(crate) async fn give(&self, sound: Outbound) -> Result<(), Gone> {
        self.outbound.send(sound).await.map_err(|_| Gone)
    }

    /// Gives a frame of somebody who speaks at this moment. What the leg does not take is lost:
    /// sound that waits would be late for the rest of the call.
    pub(crate) fn pass(&self, frame: Frame) {
        let frame = Outbound::Frame(frame);
        if let Err(mpsc::error::TrySendError::Full(_)) = self.outbound.try_send(frame) {
            metrics::counter!("voxflow_frames_dropped_total", "at" => "bridge").increment(1);
        }
    }

    /// Does something with the leg while listening to it.
    pub(crate) async fn control<T>(&mut self, deed: impl Future<Output = T>) -> Result<T, Gone> {
        tokio::pin!(deed);
        loop {
            tokio::select! {
                biased;
                // A caller who is gone matters more than what came of it.
                heard = self.hear() => { heard?; }
                end = &mut deed => return Ok(end),
            }
        }
    }

    /// Ends what is recorded, and waits until all of it is written.
    async fn close_tapes(&mut self) {
        if let Some(recording) = &self.recording {
            recording.stop.cancel();
        }
        let written = async { while self.tapes.join_next().await.is_some() {} };
        if timeout(WRITING, written).await.is_err() {
            tracing::error!(call = self.arrival.carrier_id, "a recording is not written");
        }
    }

    pub(crate) fn report(&self, report: Report) {
        // Nobody listens only when the run's owner is gone, and then the orders end too.
        let _ = self.reports.send(report);
    }
}

/// Lives the call until the leg is gone, or `orders` is closed (then the leg is hung up). Either
/// way the last event is [`Event::HungUp`]; recordings that it ended report their ends after it.
///
/// Orders and events are boxed: a channel keeps room for 32 of them from the beginning, and few ever
/// come at once.
///
/// [`Deed::StopService`] is not queued: it ends the deed that runs, which reports `done`, and a
/// conversation keeps its history.
///
/// When `leave` is cancelled, the deed that runs is stopped and its end is not reported: the last
/// report is [`Report::Left`], and the call goes on without us.
pub async fn live(
    leg: Leg,
    means: Means,
    mut orders: mpsc::Receiver<Box<Order>>,
    reports: mpsc::UnboundedSender<Report>,
    leave: CancellationToken,
) {
    let mut line = Line::new(leg, means, reports);
    match lived(&mut line, &mut orders, &leave).await {
        Over::Ended(cause) => {
            line.report(Report::Event(Event::HungUp { cause }.into()));
            line.close_tapes().await;
        }
        Over::Left => {
            // Whoever takes the call finds its recordings complete.
            line.close_tapes().await;
            let (answer, answered) = oneshot::channel();
            line.report(Report::Left(answer));
            let _ = answered.await;
            line.control.release().await;
        }
    }
}

/// Why a call does not live here any more.
enum Over {
    /// It has ended.
    Ended(HangupCause),
    /// It goes on elsewhere.
    Left,
}

/// Until the call is over, or goes on elsewhere.
async fn lived(
    line: &mut Line,
    orders: &mut mpsc::Receiver<Box<Order>>,
    leave: &CancellationToken,
) -> Over {
    let gone = Over::Ended(HangupCause::Normal);
    let mut waiting = VecDeque::new();
    loop {
        let next = match waiting.pop_front() {
            _ if leave.is_cancelled() => return Over::Left,
            Some(order) => Some(order),
            None => match idle(line, orders, leave).await {
                Ok(None) if leave.is_cancelled() => return Over::Left,
                Ok(next) => next,
                Err(Gone) => return gone,
            },
        };
        let Some(order) = next else {
            return Over::Ended(hang_up(line, HangupCause::Normal).await);
        };
        let key = order.command.key.clone();
        match order.command.deed {
            // With nothing running there is nothing to stop.
            Deed::StopService => done(line, key, Finish::done()),
            Deed::Hangup { cause } => {
                let cause = hang_up(line, cause).await;
                done(line, key, Finish::done());
                return Over::Ended(cause);
            }
            _ => match attend(line, order, orders, &mut waiting, leave).await {
                Ok(_) if leave.is_cancelled() => return Over::Left,
                Ok(finish) => done(line, key, finish),
                Err(Gone) => return gone,
            },
        }
    }
}

/// Between deeds: listens, so that nothing backs up, until an order comes. `None` = no more come, or
/// the call shall leave.
async fn idle(
    line: &mut Line,
    orders: &mut mpsc::Receiver<Box<Order>>,
    leave: &CancellationToken,
) -> Result<Option<Box<Order>>, Gone> {
    loop {
        tokio::select! {
            biased;
            heard = line.hear() => { heard?; }
            () = leave.cancelled() => return Ok(None),
            order = orders.recv() => return Ok(order),
        }
    }
}

/// Carries out one order while taking in the next ones.
async fn attend(
    line: &mut Line,
    order: Box<Order>,
    orders: &mut mpsc::Receiver<Box<Order>>,
    waiting: &mut VecDeque<Box<Order>>,
    leave: &CancellationToken,
) -> Result<Finish, Gone> {
    let stop = CancellationToken::new();
    let outbound = line.outbound.clone();
    let reports = line.reports.clone();
    let (mut open, mut until) = (true, None);
    let stopped = {
        let deed = deeds::carry_out(line, *order, &stop);
        tokio::pin!(deed);
        loop {
            tokio::select! {
                biased;
                end = &mut deed => {
                    if !stop.is_cancelled() {
                        return end;
                    }
                    break end;
                }
                () = leave.cancelled(), if !stop.is_cancelled() => {
                    stop.cancel();
                    until.get_or_insert(Instant::now() + STOPPING);
                }
                next = orders.recv(), if open => match next {
                    Some(order) if matches!(order.command.deed, Deed::StopService) => {
                        let _ = reports.send(Report::Event(event(order.command.key, Finish::done()).into()));
                        stop.cancel();
                        until.get_or_insert(Instant::now() + STOPPING);
                    }
                    Some(order) => waiting.push_back(order),
                    None => {
                        open = false;
                        stop.cancel();
                        until.get_or_insert(Instant::now() + STOPPING);
                    }
                },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    tracing::warn!("a deed did not stop in time and was dropped");
                    break Ok(Finish::done());
                }
            }
        }
    };
    // What is not heard yet belongs to the deed that was stopped.
    let _ = outbound.send(Outbound::Clear).await;
    stopped.map(|finish| Finish { why: "stopped from outside".into(), ..finish })
}

/// Hangs up once what was said is heard, and waits until the leg is gone, both for a while only.
async fn hang_up(line: &mut Line, cause: HangupCause) -> HangupCause {
    let mark = fresh_mark();
    let _ = timeout(FAREWELL, async {
        line.give(Outbound::Mark(mark)).await?;
        while line.hear().await? != Inbound::Mark(mark) {}
        Ok::<(), Gone>(())
    })
    .await;
    let control = Arc::clone(&line.control);
    match line.control(control.hangup(cause)).await {
        Ok(Ok(())) => {
            let _ = timeout(FAREWELL, async { while line.hear().await.is_ok() {} }).await;
        }
        Ok(Err(why)) => tracing::warn!(call = line.arrival.carrier_id, why, "hanging up failed"),
        Err(Gone) => {}
    }
    cause
}

fn event(key: Key, finish: Finish) -> Event {
    let Finish { exit, values, why, then, .. } = finish;
    Event::Done { key, exit: exit.into(), values, why, then }
}

fn done(line: &Line, key: Key, finish: Finish) {
    let stop = finish.stop;
    line.report(Report::Event(event(key, finish).into()));
    if stop {
        let why = "the agent ended the flow".to_owned();
        line.report(Report::Event(Event::Stopped { why }.into()));
    }
}
