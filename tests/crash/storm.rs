//! The storm: a worker killed every two seconds, the broker and the database restarted, a worker
//! frozen, a carrier and a model that stumble. Then the books are read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::double::openai::{Reply, text_of};
use tests::double::twilio::Mishap;
use tests::rig::{Setup, World};
use tests::servers::Servers;
use tokio::sync::Mutex;

use crate::fleet::Fleet;
use crate::ledger::{self, ANSWER, Open, SORRY};
use crate::load::Load;

/// How often a worker is killed.
const KILL: Duration = Duration::from_secs(2);
/// How long one is frozen.
const FROZEN: Duration = Duration::from_secs(20);
/// How long all may take to come to its end after the last text.
const CALM: Duration = Duration::from_secs(120);

/// Odd people talk to an agent, even ones get an echo.
pub(crate) fn flow() -> Value {
    json!({ "name": "storm", "actions": [
        { "id": "who", "type": "branch", "option": { "cases": [
            { "when": "message.text.starts_with(\"ai\")", "target": "agent" } ] } },
        { "id": "echo", "type": "send_message", "option": { "text": "re: ${message.text}" },
          "next": "end" },
        { "id": "agent", "type": "ai_talk", "option": { "ai": {
            "name": "desk", "engine_model": "openai.gpt-4o-mini", "init_prompt": "Be brief.",
            "fallback": SORRY, "debounce_ms": 0 } } } ] })
}

/// The model names every text since its last answer; it takes its time, and stumbles.
fn mind(request: &Value) -> Reply {
    if rand::random_bool(0.02) {
        return Reply::broken();
    }
    let messages = request["messages"].as_array().unwrap();
    let unanswered = messages.iter().rev().take_while(|message| message["role"] != "assistant");
    let mut texts: Vec<String> = unanswered
        .filter(|message| message["role"] == "user")
        .map(|message| text_of(&message["content"]))
        .collect();
    texts.reverse();
    let after = Duration::from_millis(rand::random_range(5..150));
    Reply::say(&format!("{ANSWER}{}", texts.join(" "))).after(after)
}

/// The carrier takes its time, and stumbles.
fn weather() -> (Duration, Option<Mishap>) {
    let mishap = match rand::random_range(0..200) {
        0 => Some(Mishap::Busy),
        1 => Some(Mishap::Broken),
        2 => Some(Mishap::TakenButBroken),
        3 => Some(Mishap::TakenButCut),
        _ => None,
    };
    (Duration::from_millis(rand::random_range(1..60)), mishap)
}

async fn world() -> World {
    let world = World::open(mind, &[]).await;
    world.twilio.weather(weather);
    world
}

/// Full size, or small.
fn load(small: Load) -> Load {
    match std::env::var("VOXFLOW_CRASH").as_deref() {
        Ok("full") => Load { threads: 500, each: 20, over: Duration::from_secs(240) },
        _ => small,
    }
}

/// A worker dies every two seconds, whichever is not `frozen`, and never by itself.
async fn kill_for_ever(fleet: &Fleet, frozen: &Mutex<Option<usize>>) {
    let mut turn = 0;
    loop {
        tokio::time::sleep(KILL).await;
        fleet.all_live();
        turn = (turn + 1) % fleet.len();
        let spared = frozen.lock().await;
        if *spared == Some(turn) {
            turn = (turn + 1) % fleet.len();
        }
        if *spared != Some(turn) {
            fleet.kill(turn).await;
        }
    }
}

/// Waits until nothing is open; the answer is what still is.
async fn calm(fleet: &Fleet, database: &str, load: Load, world: &World) -> Open {
    let began = Instant::now();
    loop {
        fleet.all_live();
        let open = ledger::open(database).await;
        let whole = || ledger::read(load, &world.twilio.sent().all()).whole();
        if (open == Open::default() && whole()) || began.elapsed() > CALM {
            return open;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn judge(
    name: &str,
    fleet: &Fleet,
    database: &str,
    load: Load,
    world: &World,
    began: Instant,
) {
    let calming = Instant::now();
    let open = calm(fleet, database, load, world).await;
    let sent = world.twilio.sent().all();
    let books = ledger::read(load, &sent);
    eprintln!(
        "{name}: {} texts in {} threads, {} kills, {} answers, {} requests to the model, \
         {} times the carrier was asked what it took; lost {}, twice {}, out of order {}; \
         open {open:?}; {:.0} s in all, {:.0} s to come to rest",
        load.threads * load.each,
        load.threads,
        fleet.kills.load(Ordering::Relaxed),
        books.answers,
        world.openai.requests().len(),
        world.twilio.lists(),
        books.lost.len(),
        books.twice.len(),
        books.disorder.len(),
        began.elapsed().as_secs_f64(),
        calming.elapsed().as_secs_f64(),
    );
    assert!(books.whole() && open == Open::default(), "{books:#?}\n{open:?}\n{}", fleet.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_a_broker_and_a_database_lose_nothing() {
    let load = load(Load { threads: 60, each: 10, over: Duration::from_secs(30) });
    let servers = Mutex::new(Servers::start().await);
    let world = world().await;
    let database = servers.lock().await.postgres();
    let setup = Setup {
        message_flow: Some(flow()),
        database: Some(database.clone()),
        queue: Some(servers.lock().await.amqp()),
        ..Setup::default()
    };
    let fleet = Arc::new(Fleet::start(&world, 3, &setup).await);
    let began = Instant::now();
    let frozen = Mutex::new(None);
    let breaks = async {
        tokio::time::sleep(load.over / 10).await;
        *frozen.lock().await = Some(0);
        fleet.freeze(0).await;
        tokio::join!(
            async {
                tokio::time::sleep(FROZEN).await;
                fleet.thaw(0).await;
                *frozen.lock().await = None;
            },
            async {
                tokio::time::sleep(load.over / 5).await;
                let mut servers = servers.lock().await;
                servers.kill_broker().await;
                servers.start_broker().await;
                tokio::time::sleep(load.over / 5).await;
                servers.kill_postgres().await;
                servers.start_postgres().await;
            }
        );
        std::future::pending::<()>().await;
    };
    let brought = tokio::select! {
        brought = async {
            let (brought, ()) = tokio::join!(load.bring(&fleet, &world.signer), at_least(load.over));
            brought
        } => brought,
        () = breaks => unreachable!(),
        () = kill_for_ever(&fleet, &frozen) => unreachable!(),
    };
    // However short the load was, nobody stays frozen.
    if frozen.lock().await.take().is_some() {
        fleet.thaw(0).await;
    }
    eprintln!("{brought:?}");
    judge("storm", &fleet, &database, load, &world, began).await;
}

async fn at_least(long: Duration) {
    tokio::time::sleep(long).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_with_a_file_loses_nothing() {
    let load = load(Load { threads: 20, each: 8, over: Duration::from_secs(12) });
    let world = world().await;
    let database = format!("sqlite:{}", world.folder.path().join("storm.db").display());
    let setup =
        Setup { message_flow: Some(flow()), database: Some(database.clone()), ..Setup::default() };
    let fleet = Arc::new(Fleet::start(&world, 1, &setup).await);
    let began = Instant::now();
    let nobody = Mutex::new(None);
    let brought = tokio::select! {
        brought = load.bring(&fleet, &world.signer) => brought,
        () = kill_for_ever(&fleet, &nobody) => unreachable!(),
    };
    eprintln!("{brought:?}");
    judge("file", &fleet, &database, load, &world, began).await;
}
