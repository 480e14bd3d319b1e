//! A worker that was frozen while it was sending, and wakes when another has taken over.

use std::sync::Arc;
use std::time::Duration;

use tests::double::openai::Reply;
use tests::record::until;
use tests::rig::{PUBLIC, Setup, World, http, text_form};
use tests::servers::Servers;

use crate::fleet::Fleet;
use crate::ledger;
use crate::load::peer;
use crate::storm::flow;

/// How long the carrier lets a text wait for its answer: the worker is frozen meanwhile.
const SLOW: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wakes_late_writes_nothing_and_sends_nothing_twice() {
    let servers = Servers::start().await;
    let world = World::open(|_| Reply::say("re: nothing"), &[]).await;
    world.twilio.weather(|| (SLOW, None));
    let setup = Setup {
        message_flow: Some(flow()),
        database: Some(servers.postgres()),
        queue: Some(servers.amqp()),
        ..Setup::default()
    };
    // One worker alone, so that the texts are its own.
    let first = Arc::new(Fleet::start(&world, 1, &setup).await);
    let url = format!("{PUBLIC}/twilio/messages");
    for thread in 0..10 {
        let form = text_form(&peer(2 * thread), "echo-0");
        let signature = world.signer.sign(&url, &form).await;
        let asked = http()
            .post(format!("http://{}/twilio/messages", first.at(0)))
            .header("X-Twilio-Signature", signature)
            .form(&form);
        assert_eq!(asked.send().await.unwrap().status().as_u16(), 200);
    }
    // The carrier has them all, and nobody heard its answer.
    world.twilio.sent().reach(10, "texts at the carrier").await;
    first.freeze(0).await;
    world.twilio.weather(|| (Duration::ZERO, None));

    // Another takes over when the claims have run out: it asks the carrier, and believes it.
    let second = Fleet::start(&world, 1, &setup).await;
    let patience = std::time::Instant::now();
    let database = servers.postgres();
    while ledger::open(&database).await != ledger::Open::default() {
        assert!(patience.elapsed().as_secs() < 60, "{}", second.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(world.twilio.lists(), 10);
    let before = rows(&database).await;

    // Now the answers reach the first one, and its claims are long gone.
    first.thaw(0).await;
    let log = || async {
        let process = first.take(0).unwrap();
        let log = process.log();
        first.put(0, process);
        (log.matches("had run out").count() >= 10).then_some(())
    };
    until("the first one to learn that its claims are gone", log).await;
    assert_eq!(rows(&database).await, before);
    assert_eq!(world.twilio.sent().len(), 10);
}

/// The texts and runs as they are stored.
async fn rows(database: &str) -> Vec<String> {
    let (client, connection) =
        tokio_postgres::connect(database, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let all = "SELECT outbox::text FROM outbox UNION ALL SELECT runs::text FROM runs ORDER BY 1";
    client.query(all, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
