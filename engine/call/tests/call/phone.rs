//! The far side of a leg: plays sound at its pace, answers marks, presses keys, keeps a record.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use audio::Frame;
use call::leg::Unable;
use call::room::Rooms;
use call::waiting::Waiting;
use call::{
    Arrival, Control, Destination, Dial, Dialer, Dialled, HangupCause, Inbound, Leg, Library,
    Means, Order, Outbound, Picked, Report, Vendors,
};
use flow::{Command, Deed, Event, Key};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// What happened at the far side, and when, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Frame(i16),
    Clear,
    Answer,
    Hangup(HangupCause),
    Dial(String),
    DialDropped,
    Transfer(String),
    Join(String),
    Release,
}

/// The record of a far side.
pub(crate) type Record = Arc<Mutex<Vec<(u64, Seen)>>>;

/// A call that is lived, seen from outside.
pub(crate) struct Phone {
    pub(crate) orders: Option<mpsc::Sender<Box<Order>>>,
    /// Tells the call to leave.
    pub(crate) leave: CancellationToken,
    reports: mpsc::UnboundedReceiver<Report>,
    pub(crate) caller: mpsc::Sender<Inbound>,
    pub(crate) record: Record,
    /// How dials end, once told.
    pub(crate) dialled: mpsc::Sender<Result<Dialled, String>>,
    /// Who picked up; `None` = the carrier cannot tell, `Some(None)` = not yet.
    pub(crate) picked: watch::Sender<Option<Option<Picked>>>,
    live: tokio::task::JoinHandle<()>,
    start: Instant,
}

/// How the far side behaves.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Marks {
    Answered,
    Lost,
}

impl Phone {
    pub(crate) fn call(vendors: Arc<dyn Vendors>, library: Arc<dyn Library>, marks: Marks) -> Self {
        Self::with(vendors, library, marks, Arc::new([]))
    }

    pub(crate) fn with(
        vendors: Arc<dyn Vendors>,
        library: Arc<dyn Library>,
        marks: Marks,
        dialers: Arc<[Arc<dyn Dialer>]>,
    ) -> Self {
        Self::keeping(vendors, library, marks, dialers, None)
    }

    /// The same, with a folder for recordings.
    pub(crate) fn keeping(
        vendors: Arc<dyn Vendors>,
        library: Arc<dyn Library>,
        marks: Marks,
        dialers: Arc<[Arc<dyn Dialer>]>,
        recordings: Option<Arc<std::path::Path>>,
    ) -> Self {
        let (rooms, waiting) = (Rooms::default(), Waiting::default());
        Self::by(Means { vendors, library, dialers, recordings, rooms, waiting }, marks)
    }

    /// A call with these means.
    pub(crate) fn by(means: Means, marks: Marks) -> Self {
        Self::of("test", None, means, marks)
    }

    /// A call of this carrier, which joins legs of its own, or tries to.
    pub(crate) fn of(carrier: &str, joins: Option<bool>, means: Means, marks: Marks) -> Self {
        let (caller, inbound) = mpsc::channel(64);
        let (outbound, given) = mpsc::channel(64);
        let (dialled, dials) = mpsc::channel(1);
        let (picked, picks) = watch::channel(None);
        let record = Record::default();
        let start = Instant::now();
        let control = Arc::new(Far {
            record: Arc::clone(&record),
            start,
            caller: caller.clone(),
            dials: tokio::sync::Mutex::new(dials),
            picks,
            joins,
        });
        let arrival = Arrival {
            carrier: carrier.into(),
            carrier_id: "CA1".into(),
            from: "+15550002000".into(),
            to: "+15550001000".into(),
        };
        let leg = Leg { arrival, rate: 8000, inbound, outbound, control };
        tokio::spawn(play(given, caller.clone(), Arc::clone(&record), start, marks));
        let (orders, to_do) = mpsc::channel(16);
        let (tell, reports) = mpsc::unbounded_channel();
        let leave = CancellationToken::new();
        let live = tokio::spawn(call::session::live(leg, means, to_do, tell, leave.clone()));
        Self { orders: Some(orders), leave, reports, caller, record, dialled, picked, live, start }
    }

    pub(crate) async fn order(&self, key: &str, deed: Deed) {
        let command = Command { key: Key(key.into()), deed };
        let history = Vec::new();
        let order = Box::new(Order { command, tools: None, history, prepared: None, epoch: 0 });
        assert!(self.orders.as_ref().unwrap().send(order).await.is_ok());
    }

    pub(crate) async fn press(&self, keys: &str) {
        for key in keys.chars() {
            self.caller.send(Inbound::Digit(key)).await.unwrap();
        }
    }

    pub(crate) async fn report(&mut self) -> Report {
        timeout(Duration::from_secs(100_000), self.reports.recv()).await.unwrap().unwrap()
    }

    /// The next event, past notes.
    pub(crate) async fn event(&mut self) -> Event {
        loop {
            if let Report::Event(event) = self.report().await {
                return *event;
            }
        }
    }

    /// The exit of the deed under `key`, which must be the next to end; `exit digits`.
    pub(crate) async fn exit(&mut self, key: &str) -> String {
        match self.event().await {
            Event::Done { key: done, exit, values, .. } => {
                assert_eq!(done.0, key);
                match values.get("digits").and_then(|digits| digits.as_str()) {
                    Some(digits) => format!("{exit} {digits}"),
                    None => exit,
                }
            }
            other => panic!("{other:?} instead of the end of {key}"),
        }
    }

    /// The last event, after which the call's task must have ended.
    pub(crate) async fn hung_up(mut self) -> HangupCause {
        let event = self.event().await;
        let Event::HungUp { cause } = event else { panic!("{event:?} instead of the end") };
        timeout(Duration::from_secs(60), self.live).await.unwrap().unwrap();
        assert!(self.reports.recv().await.is_none());
        cause
    }

    /// Lets the call go once it has left, and waits for the end of its task; what it had reported
    /// before.
    pub(crate) async fn left(mut self) -> Vec<Report> {
        let mut before = Vec::new();
        loop {
            match self.report().await {
                Report::Left(answer) => {
                    assert!(!self.acts().contains(&Seen::Release), "it did not wait");
                    answer.send(()).unwrap();
                    break;
                }
                report => before.push(report),
            }
        }
        timeout(Duration::from_secs(60), &mut self.live).await.unwrap().unwrap();
        assert!(self.reports.recv().await.is_none());
        assert_eq!(self.acts().last(), Some(&Seen::Release));
        before
    }

    /// Milliseconds since the call began.
    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Everything but sound.
    pub(crate) fn acts(&self) -> Vec<Seen> {
        let record = self.record.lock().unwrap();
        record
            .iter()
            .filter(|(_, s)| !matches!(s, Seen::Frame(_)))
            .map(|(_, s)| s.clone())
            .collect()
    }

    /// The times at which frames were heard.
    pub(crate) fn heard(&self) -> Vec<u64> {
        let record = self.record.lock().unwrap();
        record.iter().filter(|(_, s)| matches!(s, Seen::Frame(_))).map(|(at, _)| *at).collect()
    }
}

/// Plays a frame each 20 ms; returns marks when what was before them is over.
async fn play(
    mut given: mpsc::Receiver<Outbound>,
    caller: mpsc::Sender<Inbound>,
    record: Record,
    start: Instant,
    marks: Marks,
) {
    let see = |seen| {
        let at = start.elapsed().as_millis() as u64;
        record.lock().unwrap().push((at, seen));
    };
    let mut queue: VecDeque<Outbound> = VecDeque::new();
    let mut free = Instant::now();
    loop {
        tokio::select! {
            biased;
            sound = given.recv() => match sound {
                Some(Outbound::Clear) => {
                    see(Seen::Clear);
                    for dropped in queue.drain(..) {
                        if let (Outbound::Mark(id), Marks::Answered) = (dropped, marks) {
                            let _ = caller.send(Inbound::Mark(id)).await;
                        }
                    }
                }
                Some(sound) => {
                    if queue.is_empty() {
                        free = free.max(Instant::now());
                    }
                    assert!(queue.len() < 20, "more than 400 ms ahead");
                    queue.push_back(sound);
                }
                None => return,
            },
            () = tokio::time::sleep_until(free), if !queue.is_empty() => match queue.pop_front() {
                Some(Outbound::Frame(Frame { rate, samples })) => {
                    assert_eq!((rate, samples.len()), (8000, 160));
                    see(Seen::Frame(samples[80]));
                    free += Duration::from_millis(20);
                }
                Some(Outbound::Mark(id)) if marks == Marks::Answered => {
                    let _ = caller.send(Inbound::Mark(id)).await;
                }
                _ => {}
            },
        }
    }
}

struct Far {
    record: Record,
    start: Instant,
    caller: mpsc::Sender<Inbound>,
    dials: tokio::sync::Mutex<mpsc::Receiver<Result<Dialled, String>>>,
    picks: watch::Receiver<Option<Option<Picked>>>,
    joins: Option<bool>,
}

impl Far {
    fn see(&self, seen: Seen) {
        let at = self.start.elapsed().as_millis() as u64;
        self.record.lock().unwrap().push((at, seen));
    }
}

struct Dropped<'a>(&'a Far, bool);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.see(Seen::DialDropped);
        }
    }
}

#[async_trait]
impl Control for Far {
    async fn answer(&self) -> Result<(), String> {
        self.see(Seen::Answer);
        Ok(())
    }

    async fn hangup(&self, cause: HangupCause) -> Result<(), String> {
        self.see(Seen::Hangup(cause));
        let _ = self.caller.send(Inbound::Gone).await;
        Ok(())
    }

    async fn picked_up(&self) -> Result<Picked, Unable> {
        let mut picks = self.picks.clone();
        if picks.borrow().is_none() {
            return Err(Unable::Cannot);
        }
        let told = picks.wait_for(|picked| matches!(picked, Some(Some(_)))).await;
        told.ok().and_then(|told| told.flatten()).ok_or(Unable::Cannot)
    }

    async fn transfer(&self, to: &Destination) -> Result<(), Unable> {
        self.see(Seen::Transfer(to.target.clone()));
        if to.target.is_empty() {
            return Err(Unable::Failed("nobody answers".into()));
        }
        let _ = self.caller.send(Inbound::Gone).await;
        Ok(())
    }

    async fn join(&self, other: &Arrival) -> Result<(), Unable> {
        self.see(Seen::Join(other.to.clone()));
        match self.joins {
            Some(true) => {
                let _ = self.caller.send(Inbound::Gone).await;
                Ok(())
            }
            Some(false) => Err(Unable::Failed("the trunk does not know Replaces".into())),
            None => Err(Unable::Cannot),
        }
    }

    async fn release(&self) {
        self.see(Seen::Release);
    }

    async fn connect(&self, dial: Dial) -> Result<Dialled, String> {
        self.see(Seen::Dial(dial.destinations[0].target.clone()));
        let mut dropped = Dropped(self, true);
        let end = self.dials.lock().await.recv().await.unwrap();
        dropped.1 = false;
        end
    }
}
