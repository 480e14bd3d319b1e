//! Calls that are hosted: the run moves with the leg, and what it texts leaves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use call::{Arrival, Control, Dial, Dialled, HangupCause, Inbound, Leg, Outbound, Switchboard};
use flow::Outcome;
use runtime::Runtime;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::faults::{Fault, Faulty};
use crate::rig::{OURS, PEER, Rig};
use crate::world::soon;

/// The caller's end of a call.
pub(crate) struct Caller {
    pub(crate) ear: mpsc::Sender<Inbound>,
    answered: Arc<AtomicBool>,
    /// Whether the leg was hung up, and whether it was let go.
    pub(crate) hung_up: Arc<AtomicBool>,
    pub(crate) released: Arc<AtomicBool>,
    /// The loudest sample of each frame that the caller was given.
    pub(crate) heard: Arc<Mutex<Vec<u16>>>,
    hosted: JoinHandle<()>,
}

struct Phone {
    ear: mpsc::Sender<Inbound>,
    answered: Arc<AtomicBool>,
    hung_up: Arc<AtomicBool>,
    released: Arc<AtomicBool>,
}

#[async_trait]
impl Control for Phone {
    async fn answer(&self) -> Result<(), String> {
        self.answered.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn outlives(&self) -> bool {
        true
    }

    async fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
        let _ = self.ear.send(Inbound::Gone).await;
    }

    async fn hangup(&self, _: HangupCause) -> Result<(), String> {
        self.hung_up.store(true, Ordering::SeqCst);
        let _ = self.ear.send(Inbound::Gone).await;
        Ok(())
    }

    async fn connect(&self, _: Dial) -> Result<Dialled, String> {
        Ok(Dialled::NoAnswer)
    }
}

/// A leg that its carrier bridges to somebody, for ever.
struct Bridged(Arc<dyn Control>);

#[async_trait]
impl Control for Bridged {
    async fn answer(&self) -> Result<(), String> {
        self.0.answer().await
    }

    async fn hangup(&self, cause: HangupCause) -> Result<(), String> {
        self.0.hangup(cause).await
    }

    fn bridges(&self) -> bool {
        true
    }

    async fn connect(&self, _: Dial) -> Result<Dialled, String> {
        std::future::pending().await
    }
}

impl Caller {
    /// Somebody calls; marks come back at once, as if all sound had been played.
    pub(crate) fn calls(rig: &Rig, from: &str) -> Self {
        let runtime = Arc::clone(rig.runtime());
        Self::with(from, |leg| async move { runtime.arrive(leg).await })
    }

    /// Somebody calls whose carrier bridges, and never says how that ended.
    pub(crate) fn dials_for_ever(rig: &Rig, from: &str) -> Self {
        let runtime = Arc::clone(rig.runtime());
        Self::with(from, |leg| async move {
            let control = Arc::new(Bridged(Arc::clone(&leg.control)));
            runtime.arrive(Leg { control, ..leg }).await;
        })
    }

    /// The same call comes back to this runtime; how the dial ended that it was in.
    pub(crate) fn comes_back(runtime: &Arc<Runtime>, from: &str, end: Option<Dialled>) -> Self {
        let runtime = Arc::clone(runtime);
        Self::with(from, |leg| async move { runtime.take_over(leg, end).await })
    }

    fn with<F: Future<Output = ()> + Send + 'static>(
        from: &str,
        hosts: impl FnOnce(Leg) -> F,
    ) -> Self {
        let (ear, inbound) = mpsc::channel(64);
        let (outbound, mut sound) = mpsc::channel(64);
        let [answered, hung_up, released] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let marks = ear.clone();
        let heard: Arc<Mutex<Vec<u16>>> = Arc::default();
        let ears = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Some(sound) = sound.recv().await {
                if let Outbound::Frame(frame) = &sound {
                    let loudest = frame.samples.iter().map(|sample| sample.unsigned_abs()).max();
                    ears.lock().unwrap().push(loudest.unwrap_or_default());
                }
                if let Outbound::Mark(mark) = sound
                    && marks.send(Inbound::Mark(mark)).await.is_err()
                {
                    return;
                }
            }
        });
        let leg = Leg {
            arrival: Arrival {
                carrier: "twilio".into(),
                carrier_id: "CA1".into(),
                from: from.into(),
                to: OURS.into(),
            },
            rate: 8000,
            inbound,
            outbound,
            control: Arc::new(Phone {
                ear: ear.clone(),
                answered: Arc::clone(&answered),
                hung_up: Arc::clone(&hung_up),
                released: Arc::clone(&released),
            }),
        };
        let hosted = tokio::spawn(hosts(leg));
        Self { ear, answered, hung_up, released, heard, hosted }
    }

    pub(crate) async fn hangs_up(&self) {
        let _ = self.ear.send(Inbound::Gone).await;
    }

    pub(crate) async fn over(self) {
        soon("the call to be over", self.hosted).await.unwrap();
    }
}

fn texts() -> serde_json::Value {
    json!([
        { "id": "hello", "type": "answer" },
        { "id": "text", "type": "send_message", "option": { "text": "you called, ${caller.number:-friend}" } },
        { "id": "bye", "type": "hangup" },
    ])
}

#[tokio::test]
async fn a_call_texts_its_caller_and_ends() {
    let rig = Rig::calls(texts()).await;
    let caller = Caller::calls(&rig, PEER);
    let answered = Arc::clone(&caller.answered);
    caller.over().await;
    assert!(answered.load(Ordering::SeqCst));
    let sent = rig.carrier.sent(1).await;
    assert_eq!((sent[0].peer.as_str(), sent[0].text.as_str()), (PEER, "you called, +15557654321"));
    let runs = rig.ended(1).await;
    assert_eq!(runs[0].outcome, Some(Outcome::Finished));
    assert_eq!(rig.steps(&runs[0].id).await, ["hello done", "text done", "bye ended"]);
    let call = rig.store.call(&runs[0].subject).await.unwrap().unwrap();
    assert_eq!((call.status.as_str(), call.run.as_str()), ("completed", runs[0].id.as_str()));
    assert!(call.ended.is_some());
}

#[tokio::test]
async fn who_calls_from_no_phone_cannot_be_texted() {
    let rig = Rig::calls(texts()).await;
    Caller::calls(&rig, "browser").over().await;
    let runs = rig.ended(1).await;
    let taken = rig.store.taken(&runs[0].id).await.unwrap();
    assert_eq!((&*taken[1].action, &*taken[1].exit), ("text", "failed"));
    assert!(taken[1].why.contains("browser"), "{}", taken[1].why);
    assert_eq!(rig.carrier.texts(), [""; 0]);
}

pub(crate) fn waits() -> serde_json::Value {
    json!([
        { "id": "hello", "type": "answer" },
        { "id": "nap", "type": "sleep", "option": { "duration_s": 3600 } },
        { "id": "bye", "type": "hangup" },
    ])
}

pub(crate) async fn naps(rig: &Rig) -> String {
    rig.until("the run to sleep", async || {
        let runs = rig.runs().await;
        runs.first().and_then(|run| run.state.waiting()).is_some_and(|w| w.what == "sleep")
    })
    .await;
    rig.runs().await[0].id.clone()
}

#[tokio::test]
async fn a_caller_who_hangs_up_ends_the_run() {
    let rig = Rig::calls(waits()).await;
    let caller = Caller::calls(&rig, PEER);
    naps(&rig).await;
    caller.hangs_up().await;
    caller.over().await;
    let runs = rig.ended(1).await;
    assert_eq!(runs[0].outcome, Some(Outcome::HungUp));
    let call = rig.store.call(&runs[0].subject).await.unwrap().unwrap();
    assert_eq!(call.status, "completed");
}

#[tokio::test]
async fn time_passes_on_a_call_too() {
    let rig = Rig::calls(waits()).await;
    let caller = Caller::calls(&rig, PEER);
    naps(&rig).await;
    rig.pass(3600);
    caller.over().await;
    assert_eq!(rig.ended(1).await[0].outcome, Some(Outcome::Finished));
}

#[tokio::test]
async fn a_call_is_stopped_from_outside() {
    let rig = Rig::calls(waits()).await;
    let caller = Caller::calls(&rig, PEER);
    let run = naps(&rig).await;
    assert!(rig.runtime().stop_run(&run, "enough").await.unwrap());
    caller.over().await;
    assert_eq!(rig.ended(1).await[0].outcome, Some(Outcome::Stopped));
    assert!(!rig.runtime().stop_run(&run, "again").await.unwrap());
}

#[tokio::test]
async fn a_number_without_a_flow_for_calls_takes_none() {
    let rig = Rig::texts(json!([{ "type": "stop" }])).await;
    assert!(!rig.runtime().answers(OURS));
    Caller::calls(&rig, PEER).over().await;
    assert!(rig.runs().await.is_empty());
}

#[tokio::test]
async fn a_call_goes_on_when_the_store_does_not_and_is_saved_later() {
    for fault in [Fault::Down, Fault::Mute] {
        let store = Faulty::new().await;
        let queue = queue::open("embedded").await.unwrap();
        let mut rig = Rig::on(Arc::clone(&store) as _, queue, Some(waits()), None);
        rig.start();
        let caller = Caller::calls(&rig, PEER);
        naps(&rig).await;
        store.is(fault);
        // The nap is over, and the call is hung up whether this can be stored or not.
        rig.pass(3600);
        soon("the leg to be gone", caller.ear.closed()).await;
        store.is(Fault::None);
        caller.over().await;
        let runs = rig.ended(1).await;
        assert_eq!(rig.steps(&runs[0].id).await, ["hello done", "nap done", "bye ended"]);
        let call = rig.store.call(&runs[0].subject).await.unwrap().unwrap();
        assert_eq!(call.status, "completed");
    }
}
