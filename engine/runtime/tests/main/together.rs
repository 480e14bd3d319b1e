//! Two processes on one PostgreSQL: what holds for all of them together.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conversation::{Messenger, Outgoing, Refusal, Sent};
use jiff::{SignedDuration, Timestamp};
use runtime::agreed::Agreed;
use runtime::clock::Manual;
use runtime::{Clock, Texting};
use serde_json::{Value, json};
use store::{Error, Store};
use tokio::sync::watch;

use crate::database::Database;
use crate::faults::{Between, Through};
use crate::rig::Rig;
use crate::world::{Carrier, soon};

fn echo() -> Value {
    json!([{ "id": "say", "type": "send_message", "option": { "text": "${message.text}" } }])
}

/// Two runtimes that are about to start, with a connection and a queue for each, and one world.
async fn two(database: &Database, actions: Value) -> [Rig; 2] {
    let queue = || async { queue::open("embedded").await.unwrap() };
    let first = Rig::on(database.store().await, queue().await, None, Some(actions.clone()));
    let mut second = Rig::on(database.store().await, queue().await, None, Some(actions));
    second.clock = Arc::clone(&first.clock);
    second.carrier = Arc::clone(&first.carrier);
    second.alter = Some(Box::new(|parts| parts.worker = "second".into()));
    [first, second]
}

#[tokio::test]
async fn a_number_sends_no_faster_by_two_processes_than_by_one() {
    let database = Database::new().await;
    let mut both = two(&database, echo()).await;
    for rig in &mut both {
        rig.texting = Texting { per_second: Some(1.0), ..Texting::default() };
        rig.start();
    }
    let began = both[0].now();
    for n in 0..8 {
        let text = both[n % 2].message(&format!("+1555000000{n}"), "hi", Some(&n.to_string()));
        both[n % 2].receive(text).await.unwrap();
    }
    both[0].carrier.sent(1).await;
    both[0]
        .until("all but one to wait", async || {
            let waits = "SELECT COUNT(*) FROM outbox WHERE status = 'queued' \
                         AND claimed_by IS NULL AND why IS NOT NULL";
            database.server.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 7
        })
        .await;
    assert_eq!(both[0].carrier.texts().len(), 1);
    tokio::select! {
        _ = both[0].carrier.sent(8) => {}
        () = both[0].goes_on() => unreachable!(),
    }
    assert!(both[0].now() >= began + SignedDuration::from_secs(7));
    let tries = "SELECT COUNT(DISTINCT claimed) FROM (SELECT key AS claimed FROM outbox \
                 WHERE attempts = 1) tried";
    assert_eq!(database.server.query_one(tries, &[]).await.unwrap().get::<_, i64>(0), 8);
    for rig in &mut both {
        rig.stop().await;
    }
    database.drop().await;
}

/// A machine whose clock is wrong.
struct Wrong {
    right: Arc<Manual>,
    by: SignedDuration,
}

#[async_trait]
impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        self.right.now() + self.by
    }

    fn steady(&self) -> Duration {
        self.right.steady()
    }

    async fn until(&self, then: Timestamp) {
        self.right.until(then - self.by).await;
    }
}

/// A database whose clock is the tests', and how often it was asked for texts to send.
struct Telling {
    store: Arc<dyn Store>,
    clock: Arc<Manual>,
    looked: watch::Sender<usize>,
}

impl Between for Arc<Telling> {
    fn store(&self) -> &dyn Store {
        &*self.store
    }

    async fn time(&self) -> Result<Option<Timestamp>, Error> {
        Ok(Some(self.clock.now()))
    }

    async fn looks<T: Send>(
        &self,
        look: impl Future<Output = Result<Vec<T>, Error>> + Send,
    ) -> Result<Vec<T>, Error> {
        let found = look.await;
        self.looked.send_modify(|looked| *looked += 1);
        found
    }
}

/// A carrier that keeps texts waiting for its answer until it is told to go on.
struct Slow {
    carrier: Arc<Carrier>,
    goes_on: watch::Receiver<bool>,
}

#[async_trait]
impl Messenger for Slow {
    fn channel(&self) -> &'static str {
        self.carrier.channel()
    }

    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal> {
        let sent = self.carrier.send(text).await;
        let _ = self.goes_on.clone().wait_for(|goes_on| *goes_on).await;
        sent
    }
}

#[tokio::test]
async fn clocks_that_differ_by_minutes_send_nothing_twice_and_wake_nobody_early() {
    let database = Database::new().await;
    let actions = json!([
        { "id": "say", "type": "send_message", "option": { "text": "1 ${message.text}" } },
        { "id": "nap", "type": "sleep", "option": { "duration_s": 60 } },
        { "id": "more", "type": "send_message", "option": { "text": "2 ${message.text}" } },
    ]);
    let mut both = two(&database, actions).await;
    let (go_on, goes_on) = watch::channel(false);
    let mut looks = Vec::new();
    for (n, rig) in both.iter_mut().enumerate() {
        let (store, clock) = (Arc::clone(&rig.store), Arc::clone(&rig.clock));
        let telling = Arc::new(Telling { store, clock, looked: watch::Sender::new(0) });
        looks.push(telling.looked.subscribe());
        rig.store = Arc::new(Through(telling));
        let (right, carrier, goes_on) =
            (Arc::clone(&rig.clock), Arc::clone(&rig.carrier), goes_on.clone());
        rig.alter = Some(Box::new(move |parts| {
            let by = SignedDuration::from_mins(if n == 0 { -5 } else { 5 });
            parts.clock = Arc::new(Agreed::new(Arc::new(Wrong { right: right.clone(), by })));
            let (carrier, goes_on) = (carrier.clone(), goes_on.clone());
            parts.messengers = vec![Arc::new(Slow { carrier, goes_on })];
            parts.worker = format!("worker {n}");
        }));
    }
    // The one that is behind sends; the one that is ahead looks for what nobody does.
    both[0].start();
    both[0].text("hi").await;
    both[0].carrier.sent(1).await;
    both[1].start();
    soon("both kinds of work to be looked for twice", looks[1].wait_for(|looked| *looked >= 6))
        .await
        .unwrap();
    let claimed = "SELECT claimed_by, attempts FROM outbox";
    let row = database.server.query_one(claimed, &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, i64>(1)), ("worker 0", 1));
    go_on.send_replace(true);
    // It sleeps for a minute by anybody's clock.
    let sleeps = "SELECT due FROM timers WHERE kind = 'run'";
    let due = || async {
        let rows = database.server.query(sleeps, &[]).await.unwrap();
        rows.first().map(|row| row.get::<_, i64>(0))
    };
    let began = both[0].now();
    both[0]
        .until("it to sleep", async || {
            due().await == Some((began + SignedDuration::from_secs(60)).as_microsecond())
        })
        .await;
    both[0].pass(59);
    let seen = *looks[1].borrow();
    soon("another look", looks[1].wait_for(|looked| *looked >= seen + 3)).await.unwrap();
    assert_eq!(both[0].carrier.texts(), ["1 hi"]);
    both[0].pass(1);
    both[0].carrier.sent(2).await;
    assert_eq!(both[0].carrier.texts(), ["1 hi", "2 hi"]);
    for rig in &mut both {
        rig.stop().await;
    }
    database.drop().await;
}
