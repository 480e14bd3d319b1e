//! The broker and the database go away and come back while workers work.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tests::double::openai::Reply;
use tests::record::until;
use tests::rig::{PUBLIC, Setup, World, http};
use tests::servers::Servers;

use crate::fleet::Fleet;
use crate::ledger;
use crate::load::{peer, words};
use crate::storm::flow;

/// How long a server may take to be taken up again.
const PATIENCE: Duration = Duration::from_secs(45);

/// How long a new queue lives in peace.
const SETTLED: Duration = Duration::from_secs(5);

/// What `/readyz` says: its status, and the body.
async fn readiness(fleet: &Fleet, n: usize) -> (u16, Value) {
    let url = format!("http://{}/readyz", fleet.at(n));
    let answer = http().get(url).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap())
}

async fn becomes(fleet: &Fleet, wanted: u16) -> Value {
    let began = std::time::Instant::now();
    loop {
        let (status, body) = readiness(fleet, 0).await;
        if status == wanted {
            return body;
        }
        assert!(began.elapsed() < PATIENCE, "not {wanted}: {body}\n{}", fleet.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Three people text once each, and are answered.
async fn texts(world: &World, fleet: &Arc<Fleet>, from: usize) {
    let before = world.twilio.sent().len();
    for person in 0..3 {
        let status = text(world, fleet, from + 2 * person).await;
        assert_eq!(status, 200);
    }
    world.twilio.sent().reach(before + 3, "answers").await;
}

/// One text; the status of the answer.
async fn text(world: &World, fleet: &Arc<Fleet>, person: usize) -> u16 {
    let form = tests::rig::text_form(&peer(person), &words(person, 0));
    let url = format!("{PUBLIC}/twilio/messages");
    let signature = world.signer.sign(&url, &form).await;
    let asked = http().post(format!("http://{}/twilio/messages", fleet.at(0)));
    let asked = asked.header("X-Twilio-Signature", signature).form(&form);
    asked.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_wait_for_a_broker_and_a_database_and_go_on() {
    let mut servers = Servers::start().await;
    let world = World::open(|_| Reply::say("re: nothing"), &[]).await;
    let setup = Setup {
        message_flow: Some(flow()),
        database: Some(servers.postgres()),
        queue: Some(servers.amqp()),
        ..Setup::default()
    };
    let fleet = Arc::new(Fleet::start(&world, 1, &setup).await);
    // A quorum queue that is killed in its first second may not come back with RabbitMQ 3.10: the
    // broker knows its name, and answers nothing on it.
    let began = std::time::Instant::now();
    for round in 0.. {
        texts(&world, &fleet, 1000 + 10 * round).await;
        if began.elapsed() > SETTLED {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    servers.kill_broker().await;
    let body = becomes(&fleet, 503).await;
    assert_eq!(body["store"], "ready", "{body}");
    assert_ne!(body["queue"], "ready", "{body}");
    servers.start_broker().await;
    becomes(&fleet, 200).await;
    texts(&world, &fleet, 10).await;

    servers.kill_postgres().await;
    let body = becomes(&fleet, 503).await;
    assert_eq!(body["queue"], "ready", "{body}");
    assert_ne!(body["store"], "ready", "{body}");
    servers.start_postgres().await;
    becomes(&fleet, 200).await;
    texts(&world, &fleet, 20).await;

    // The broker comes back with an empty disk: what it forgot is found in the database.
    servers.kill_broker().await;
    servers.wipe_broker();
    let before = world.twilio.sent().len();
    assert_eq!(text(&world, &fleet, 30).await, 200, "a text is taken without a broker");
    servers.start_broker().await;
    world.twilio.sent().reach(before + 1, "the answer").await;
    becomes(&fleet, 200).await;
    until("nothing to be open", || async {
        (ledger::open(&servers.postgres()).await == ledger::Open::default()).then_some(())
    })
    .await;
}

/// A fleet is started in any order: what was first waits for the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_starts_before_its_servers_waits_for_them() {
    let mut servers = Servers::start().await;
    servers.kill_broker().await;
    servers.kill_postgres().await;
    let world = World::open(|_| Reply::say("re: nothing"), &[]).await;
    let setup = Setup {
        message_flow: Some(flow()),
        database: Some(servers.postgres()),
        queue: Some(servers.amqp()),
        ..Setup::default()
    };
    let fleet = Arc::new(Fleet::begin(&world, 1, &setup));
    let body = first_word(&fleet).await;
    assert_ne!(body["store"], "ready", "{body}");
    assert_ne!(body["queue"], "ready", "{body}");
    // Its carrier shall try again.
    assert_eq!(text(&world, &fleet, 40).await, 503);

    servers.start_postgres().await;
    servers.start_broker().await;
    becomes(&fleet, 200).await;
    texts(&world, &fleet, 50).await;
}

/// What `/readyz` says first, which must not be that all is well.
async fn first_word(fleet: &Fleet) -> Value {
    let url = format!("http://{}/readyz", fleet.at(0));
    until("an answer", || async {
        let answer = http().get(&url).send().await.ok()?;
        assert_eq!(answer.status().as_u16(), 503);
        answer.json().await.ok()
    })
    .await
}
