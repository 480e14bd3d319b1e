//! Calls that we make: by a client of the API, by a run.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use call::{
    Arrival, Control, Dialer, Dialled, HangupCause, Inbound, Leg, NotReached, Outbound, Picked,
    Progress, Ringing, Unable, Wanted as Ask,
};
use conversation::{Messenger, Outgoing, Refusal, Sent, Tenant};
use flow::{Destination, Outcome, Vars};
use runtime::{CallOut, NotBegun, Wanted};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::calls::Caller;
use crate::rig::{OURS, PEER, Rig};

/// A carrier that dials: what became of its dials is for the test to say.
#[derive(Default)]
pub(crate) struct Lines {
    /// What it is called; `lines` when empty.
    name: &'static str,
    dials: Mutex<Vec<(Ask, mpsc::Sender<Progress>)>>,
    ears: Mutex<Vec<mpsc::Sender<Inbound>>>,
}

#[async_trait]
impl Dialer for Lines {
    fn carrier(&self) -> &'static str {
        if self.name.is_empty() { "lines" } else { self.name }
    }

    fn reaches(&self, to: &Destination) -> bool {
        to.kind == "tel"
    }

    async fn dial(&self, wanted: Ask) -> Result<Ringing, NotReached> {
        let (tell, ringing) = Ringing::pair("L1");
        self.dials.lock().unwrap().push((wanted, tell));
        Ok(ringing)
    }
}

struct Far(mpsc::Sender<Inbound>);

#[async_trait]
impl Control for Far {
    async fn answer(&self) -> Result<(), String> {
        Ok(())
    }

    async fn hangup(&self, _: HangupCause) -> Result<(), String> {
        let _ = self.0.send(Inbound::Gone).await;
        Ok(())
    }

    async fn picked_up(&self) -> Result<Picked, Unable> {
        Ok(Picked::Machine)
    }
}

impl Lines {
    pub(crate) fn count(&self) -> usize {
        self.dials.lock().unwrap().len()
    }

    fn wanted(&self, at: usize) -> Ask {
        self.dials.lock().unwrap()[at].0.clone()
    }

    /// Nobody listens any more to what becomes of a dial.
    pub(crate) fn dial_is_over(&self, at: usize) -> bool {
        self.dials.lock().unwrap()[at].1.is_closed()
    }

    pub(crate) async fn becomes(&self, at: usize, progress: Progress) {
        let tell = self.dials.lock().unwrap()[at].1.clone();
        tell.send(progress).await.unwrap();
    }

    async fn cancelled(&self, at: usize) {
        let tell = self.dials.lock().unwrap()[at].1.clone();
        crate::world::soon("the dial to be cancelled", tell.closed()).await;
    }

    /// A leg that plays at once whatever it is given.
    fn leg(&self) -> Leg {
        let (ear, inbound) = mpsc::channel(64);
        let (outbound, mut sound) = mpsc::channel(64);
        let marks = ear.clone();
        tokio::spawn(async move {
            while let Some(sound) = sound.recv().await {
                if let Outbound::Mark(mark) = sound
                    && marks.send(Inbound::Mark(mark)).await.is_err()
                {
                    return;
                }
            }
        });
        self.ears.lock().unwrap().push(ear.clone());
        let arrival = Arrival {
            carrier: "lines".into(),
            carrier_id: "L1".into(),
            from: OURS.into(),
            to: PEER.into(),
        };
        Leg { arrival, rate: 8000, inbound, outbound, control: Arc::new(Far(ear)) }
    }
}

async fn rig(actions: Value, calls: bool) -> (Rig, Arc<Lines>) {
    let lines = Arc::new(Lines::default());
    let mut rig = if calls { Rig::idle_calls(actions).await } else { Rig::idle(actions).await };
    rig.dialers.push(lines.clone());
    rig.start();
    (rig, lines)
}

fn to(target: &str) -> Destination {
    Destination { kind: "tel".into(), target: target.into(), name: None }
}

pub(crate) fn out(actions: Value) -> CallOut {
    CallOut {
        tenant: Tenant::default(),
        flow: Wanted::Text(actions.to_string()),
        from: None,
        to: vec![to(PEER)],
        anonymous: false,
        early: false,
        vars: Vars::from([("why".into(), json!("rent"))]),
        chained: None,
        key: None,
    }
}

async fn status(rig: &Rig, call: &str) -> String {
    rig.store.call(call).await.unwrap().unwrap().status
}

#[tokio::test]
async fn a_call_of_the_api_runs_its_flow_when_somebody_picks_up() {
    let (rig, lines) = rig(json!([{ "type": "stop" }]), false).await;
    let flow = json!([
        { "id": "who", "type": "detect_machine", "on": { "machine": "text", "failed": "bye" } },
        { "id": "bye", "type": "hangup" },
        { "id": "text", "type": "send_message",
          "option": { "text": "${why} ${call.status} ${caller.number}" }, "next": "bye" },
    ]);
    let calls = rig.runtime().call_out(out(flow)).await.unwrap();
    assert_eq!((calls.len(), calls[0].status.as_str()), (1, "dialing"));
    assert_eq!((calls[0].from.as_str(), calls[0].to.as_str()), (OURS, PEER));
    rig.until("the dial", async || lines.count() == 1).await;
    let wanted = lines.wanted(0);
    assert!(wanted.detect_machine && !wanted.anonymous);
    assert_eq!((wanted.from.as_str(), wanted.to.target.as_str()), (OURS, PEER));
    lines.becomes(0, Progress::Ringing).await;
    rig.until("it to ring", async || status(&rig, &calls[0].id).await == "ringing").await;
    lines.becomes(0, Progress::Answered(Some(lines.leg()))).await;
    // Whom we call is whom the flow texts, from our number.
    let sent = rig.carrier.sent(1).await;
    assert_eq!((sent[0].peer.as_str(), sent[0].ours.as_str()), (PEER, OURS));
    assert_eq!(sent[0].text, "rent progressing +15557654321");
    let runs = rig.ended(1).await;
    assert_eq!((runs[0].outcome, &runs[0].id), (Some(Outcome::Finished), &calls[0].run));
    rig.until("the call to end", async || status(&rig, &calls[0].id).await == "completed").await;
    assert_eq!(rig.store.call(&calls[0].id).await.unwrap().unwrap().carrier_id, "L1");
}

#[tokio::test]
async fn a_call_that_reaches_nobody_says_how_it_ended() {
    let (rig, lines) = rig(json!([{ "type": "stop" }]), false).await;
    let mut two = out(json!([{ "type": "hangup" }]));
    two.to.push(Destination { kind: "pigeon".into(), target: "x".into(), name: None });
    let calls = rig.runtime().call_out(two).await.unwrap();
    // Nobody carries pigeons.
    assert_eq!((calls[0].status.as_str(), calls[1].status.as_str()), ("dialing", "failed"));
    rig.until("the dial", async || lines.count() == 1).await;
    lines.becomes(0, Progress::Ended(Dialled::Busy.into())).await;
    rig.until("it to end", async || status(&rig, &calls[0].id).await == "busy").await;
    assert!(rig.runs().await.is_empty());
    let stranger =
        CallOut { from: Some("+15550000000".into()), ..out(json!([{ "type": "hangup" }])) };
    let refused = rig.runtime().call_out(stranger).await;
    assert!(matches!(refused, Err(NotBegun::Unknown(why)) if why.contains("no number of ours")));
    let broken = rig.runtime().call_out(out(json!([{ "type": "no_such" }]))).await;
    assert!(matches!(broken, Err(NotBegun::Faulty(_))));
}

#[tokio::test]
async fn a_run_calls_once_and_goes_on_at_once() {
    let create = json!([
        { "id": "call", "type": "create_call", "option": { "destinations": [to("+15550003000")],
          "actions": [{ "type": "hangup" }] }, "on": { "failed": "sorry" } },
        { "id": "text", "type": "send_message", "option": { "text": "${create_call.call_ids}" } },
        { "id": "stop", "type": "stop" },
        { "id": "sorry", "type": "send_message", "option": { "text": "sorry" } },
    ]);
    let (rig, lines) = rig(create, false).await;
    rig.text("call them").await;
    let sent = rig.carrier.sent(1).await;
    let ids: Vec<String> = serde_json::from_str(&sent[0].text).unwrap();
    assert_eq!(status(&rig, &ids[0]).await, "dialing");
    rig.until("the dial", async || lines.count() == 1).await;
    assert_eq!(lines.wanted(0).from, OURS);
    lines.becomes(0, Progress::Answered(Some(lines.leg()))).await;
    rig.until("the call to end", async || status(&rig, &ids[0]).await == "completed").await;
    let call = rig.store.call(&ids[0]).await.unwrap().unwrap();
    let made = rig.store.run(&call.run).await.unwrap().unwrap();
    assert_eq!(made.outcome, Some(Outcome::Finished));
    assert_eq!(lines.count(), 1);
}

#[tokio::test]
async fn a_chained_call_ends_with_the_one_that_made_it() {
    let create = json!([
        { "id": "call", "type": "create_call", "option": { "destinations": [to("+15550003000"),
          to("+15550003001")], "chained": true,
          "actions": [{ "type": "sleep", "option": { "duration_s": 3600 } }] } },
        { "id": "nap", "type": "sleep", "option": { "duration_s": 3600 } },
    ]);
    let (rig, lines) = rig(create, true).await;
    let caller = Caller::calls(&rig, PEER);
    rig.until("the dials", async || lines.count() == 2).await;
    let first = usize::from(lines.wanted(0).to.target != "+15550003000");
    lines.becomes(first, Progress::Answered(Some(lines.leg()))).await;
    rig.until("the run of the new call", async || rig.runs().await.len() == 2).await;
    caller.hangs_up().await;
    caller.over().await;
    // The one that talks is hung up, the one that rings is not wanted any more.
    lines.cancelled(1 - first).await;
    let runs = rig.ended(2).await;
    assert_eq!(runs[1].outcome, Some(Outcome::Stopped));
    rig.until("both to be gone", async || rig.runtime().live_calls() == 0).await;
}

#[tokio::test]
async fn an_early_flow_begins_with_the_first_sound() {
    let (rig, lines) = rig(json!([{ "type": "stop" }]), false).await;
    let flow = json!([{ "type": "send_message", "option": { "text": "${call.status}" } },
        { "type": "sleep", "option": { "duration_s": 3600 } }]);
    rig.runtime().call_out(CallOut { early: true, ..out(flow) }).await.unwrap();
    rig.until("the dial", async || lines.count() == 1).await;
    assert!(lines.wanted(0).early_media);
    lines.becomes(0, Progress::EarlyMedia(lines.leg())).await;
    assert_eq!(rig.carrier.sent(1).await[0].text, "ringing");
    lines.becomes(0, Progress::Answered(None)).await;
    let ear = lines.ears.lock().unwrap()[0].clone();
    ear.send(Inbound::Gone).await.unwrap();
    assert_eq!(rig.ended(1).await[0].outcome, Some(Outcome::HungUp));
}

/// A carrier of texts to phones that takes everything.
struct Post(&'static str);

#[async_trait]
impl Messenger for Post {
    fn channel(&self) -> &'static str {
        self.0
    }

    async fn send(&self, _: &Outgoing) -> Result<Sent, Refusal> {
        Ok(Sent { carrier_id: "P1".into() })
    }
}

#[tokio::test]
async fn calls_and_texts_of_a_number_go_by_its_carrier() {
    for (named, wanted) in [(Some("second"), "second"), (Some("away"), "first"), (None, "first")] {
        let mut rig = Rig::idle(json!([{ "type": "stop" }])).await;
        rig.numbers.0.values_mut().for_each(|number| number.carrier = named.map(Into::into));
        let lines = ["first", "second"].map(|name| Arc::new(Lines { name, ..Lines::default() }));
        rig.dialers.extend(lines.iter().map(|lines| Arc::clone(lines) as Arc<dyn Dialer>));
        rig.alter = Some(Box::new(|parts| {
            parts.messengers = vec![Arc::new(Post("first")), Arc::new(Post("second"))];
        }));
        rig.start();
        let flow = json!([{ "id": "text", "type": "send_message", "option": { "text": "hello" } }]);
        let calls = rig.runtime().call_out(out(flow)).await.unwrap();
        assert_eq!(calls[0].carrier, wanted, "{named:?}");
        let dialed = lines.iter().find(|lines| lines.carrier() == wanted).unwrap();
        rig.until("the dial", async || dialed.count() == 1).await;
        dialed.becomes(0, Progress::Answered(Some(dialed.leg()))).await;
        let runs = rig.ended(1).await;
        let texts = rig.store.asked_by(&runs[0]).await.unwrap();
        assert_eq!(texts[0].outgoing.channel, wanted, "{named:?}");
        rig.stop().await;
    }
}
