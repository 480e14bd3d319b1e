//! Fresh stores, and rows to put into them.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use conversation::{Address, Message, Outgoing, Status, Tenant};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::row::MessageRow;
use store::{OutboxRow, Peering, RunRow, SessionRow, Store, ThreadRow, TimerRow, Write};
use uuid::Uuid;

/// Runs a test on each kind of store.
pub(crate) async fn on_each<F: Future<Output = ()>>(test: impl Fn(Arc<dyn Store>) -> F) {
    eprintln!("on SQLite in a file");
    let file = File::new();
    test(store::open(&file.url()).await.unwrap()).await;
    drop(file);

    eprintln!("on SQLite in memory");
    test(store::open("sqlite::memory:").await.unwrap()).await;

    eprintln!("on PostgreSQL");
    let schema = Schema::new().await;
    test(store::open(&schema.url()).await.unwrap()).await;
    schema.drop().await;
}

/// A schema of its own in the PostgreSQL of the tests.
pub(crate) struct Schema {
    pub(crate) name: String,
    pub(crate) server: tokio_postgres::Client,
}

impl Schema {
    pub(crate) async fn new() -> Self {
        let (server, connection) =
            tokio_postgres::connect(&server(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let name = format!("test_{}", Uuid::now_v7().simple());
        server.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
        Self { name, server }
    }

    /// The server's URL with this schema as the only one that is seen.
    pub(crate) fn url(&self) -> String {
        let server = server();
        let joint = if server.contains('?') { '&' } else { '?' };
        let name = &self.name;
        format!("{server}{joint}application_name={name}&options=-csearch_path%3D{name}")
    }

    pub(crate) async fn drop(self) {
        self.server.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.name)).await.unwrap();
    }
}

fn server() -> String {
    std::env::var("VOXFLOW_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "VOXFLOW_TEST_POSTGRES is not set: `make test` starts a PostgreSQL and sets it, or set \
             it to the URL of one whose user may create schemas"
        )
    })
}

/// A database file of its own, gone with the value.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(format!("voxflow-store-{}.db", Uuid::now_v7())))
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.0.display())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

/// Seconds after the beginning of the test.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_secs(seconds)
}

pub(crate) fn peering(tenant: &str, peer: &str) -> Peering {
    Peering {
        tenant: Tenant(tenant.into()),
        channel: "twilio".into(),
        ours: Address::id("+15550000001"),
        peer: Address::id(peer),
    }
}

pub(crate) fn message(peering: &Peering, id: Option<&str>, text: &str, at: Timestamp) -> Message {
    Message {
        tenant: peering.tenant.clone(),
        channel: peering.channel.clone(),
        ours: peering.ours.clone(),
        peer: peering.peer.clone(),
        id: id.map(Into::into),
        text: text.into(),
        media: Vec::new(),
        answered_by_carrier: false,
        at,
    }
}

/// A text that comes in.
pub(crate) fn text(peering: &Peering, id: Option<&str>, text: &str, at: Timestamp) -> Write {
    let message = message(peering, id, text, at);
    Write::Receive(MessageRow::received(&message), peering.clone())
}

pub(crate) fn thread(peering: &Peering) -> ThreadRow {
    ThreadRow {
        id: peering.thread_id(),
        peering: peering.clone(),
        seq: 0,
        handled: 0,
        waiting_run: None,
        assigned: None,
        updated: at(0),
    }
}

pub(crate) fn run(id: &str) -> RunRow {
    let state = json!({
        "id": id, "medium": "text", "vars": {}, "outcome": null, "waiting": null,
    });
    RunRow {
        id: id.into(),
        tenant: Tenant::default(),
        flow: "f1".into(),
        flow_name: "greeting".into(),
        medium: flow::Medium::Text,
        subject: "t1".into(),
        seq: 0,
        state: serde_json::from_value(state).unwrap(),
        outcome: None,
        created: at(0),
        updated: at(0),
    }
}

pub(crate) fn session(id: &str, thread: &str) -> SessionRow {
    SessionRow {
        id: id.into(),
        thread: thread.into(),
        seq: 0,
        agent: json!({ "z": 1, "a": 2 }),
        generation: 1,
        answered: 0,
        run: "r1".into(),
        awaited: None,
        rest: String::new(),
        history: vec![agent::Item::User { text: "hello\u{0}there".into() }],
        active: at(0),
        idle_s: 86_400,
        ended: None,
    }
}

/// A text that leaves.
pub(crate) fn reply(peering: &Peering, key: &str, created: i64) -> OutboxRow {
    OutboxRow {
        key: key.into(),
        thread: peering.thread_id(),
        outgoing: Outgoing {
            key: key.into(),
            tenant: peering.tenant.clone(),
            channel: peering.channel.clone(),
            ours: peering.ours.clone(),
            peer: peering.peer.clone(),
            text: format!("reply {key}"),
            media: vec!["https://example.com/a.jpg".into()],
            prompted: true,
            trace: None,
        },
        run: None,
        about: None,
        status: Status::Queued,
        carrier_id: None,
        why: None,
        attempts: 0,
        refused: 0,
        not_before: at(0),
        claimed_by: None,
        tried: None,
        unsure: None,
        created: at(created),
        receipt: None,
        left: false,
    }
}

pub(crate) fn timer(id: &str, due: i64) -> TimerRow {
    TimerRow {
        id: id.into(),
        due: at(due),
        kind: "run".into(),
        subject: "r1".into(),
        guard: "k1".into(),
        trace: Some("00-1-2-01".into()),
    }
}
