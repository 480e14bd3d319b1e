//! The broker and the database go away and come back while workers work.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tests::double::openai::Reply;
use tests::record::until;
use tests::rig::{PUBLIC, Setup, World, http};
use tests::servers::{Known, Servers};

use crate::fleet::Fleet;
use crate::ledger;
use crate::load::{peer, words};
use crate::storm::flow;

/// How long a server may take to be taken up again; a broker may have lost half of a queue, which is
/// then made anew.
const PATIENCE: Duration = Duration::from_secs(90);

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

/// A process that answers texts on these servers.
fn setup(servers: &Servers) -> Setup {
    Setup {
        message_flow: Some(flow()),
        database: Some(servers.postgres()),
        queue: Some(servers.amqp()),
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_wait_for_a_broker_and_a_database_and_go_on() {
    let mut servers = Servers::start().await;
    let world = World::open(|_| Reply::say("re: nothing"), &[]).await;
    let setup = setup(&servers);
    let fleet = Arc::new(Fleet::start(&world, 1, &setup).await);
    texts(&world, &fleet, 0).await;

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

/// A broker that is killed while a queue is young may come back with half of it: the name is there, and
/// nothing on it is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_a_broker_has_lost_half_of_is_made_anew() {
    let mut servers = Servers::start().await;
    let world = World::open(|_| Reply::say("re: nothing"), &[]).await;
    let setup = setup(&servers);
    // Two, so that they must agree on who makes it anew.
    let fleet = Arc::new(Fleet::start(&world, 2, &setup).await);
    for (round, known) in [Known::Nothing, Known::Place].into_iter().enumerate() {
        servers.halve_queues(known).await;
        servers.kill_broker().await;
        becomes(&fleet, 503).await;
        servers.start_broker().await;
        becomes(&fleet, 200).await;
        texts(&world, &fleet, 60 + 10 * round).await;
        let mended: usize = (0..fleet.len()).map(|n| fleet.wrote(n, "it is made anew")).sum();
        assert_eq!(mended, 4 * (round + 1), "{known:?}: all four queues, once\n{}", fleet.logs());
    }
}

/// And so is one that was killed when it had just been declared, whatever the broker has kept of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_was_killed_young_comes_back() {
    let mut servers = Servers::start().await;
    let world = World::open(|_| Reply::say("re: nothing"), &[]).await;
    let setup = setup(&servers);
    let fleet = Arc::new(Fleet::start(&world, 1, &setup).await);
    for round in 0..3 {
        servers.kill_broker().await;
        becomes(&fleet, 503).await;
        servers.wipe_broker();
        servers.start_broker().await;
        becomes(&fleet, 200).await;
        servers.kill_broker().await;
        becomes(&fleet, 503).await;
        servers.start_broker().await;
        becomes(&fleet, 200).await;
        texts(&world, &fleet, 100 + 10 * round).await;
    }
}

/// A fleet is started in any order: what was first waits for the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_starts_before_its_servers_waits_for_them() {
    let mut servers = Servers::start().await;
    servers.kill_broker().await;
    servers.kill_postgres().await;
    let world = World::open(|_| Reply::say("re: nothing"), &[]).await;
    let setup = setup(&servers);
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
