//! A process that freezes at any moment of its work, and wakes when another has done all of it: it
//! writes nothing then, and nothing leaves it. On a real PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use conversation::Message;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::database::Database;
use crate::faults::Through;
use crate::ice::{Ice, Icy};
use crate::rig::{PEER, Rig};

/// Processes that freeze side by side.
const AT_ONCE: usize = 4;
/// Seconds after which silence ends a session, and one more.
const SILENCE: i64 = 86_401;

/// A text leaves, time passes, a server is asked, another text leaves, an agent answers.
fn flow() -> Value {
    json!([
        { "id": "say", "type": "send_message", "option": { "text": "1 ${message.text}" } },
        { "id": "nap", "type": "sleep", "option": { "duration_s": 1 } },
        { "id": "ask", "type": "wish", "option": { "deed": {
            "deed": "request", "method": "POST", "url": "https://example.com/orders",
            "headers": {}, "body": null, "timeout_s": 10 } } },
        { "id": "tell", "type": "send_message", "option": { "text": "2 ${message.text}" } },
        { "id": "agent", "type": "ai_talk", "option": { "ai": {
            "name": "Sam", "init_prompt": "Be brief.", "debounce_ms": 0 } } },
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_wakes_late_writes_nothing_and_sends_nothing() {
    let (mut worlds, mut moment, mut all) = (JoinSet::new(), 0, usize::MAX);
    loop {
        while worlds.len() < AT_ONCE && moment < all {
            moment += 1;
            worlds.spawn(freezes_at(moment));
        }
        match worlds.join_next().await {
            Some(Ok((moment, false))) => all = all.min(moment - 1),
            Some(froze) => drop(froze.unwrap()),
            None => break,
        }
    }
    eprintln!("frozen: at each of {all} moments");
    assert!(all > 40, "only {all} moments");
}

/// Plays it in a world of its own; the moment, and whether there was such a moment.
async fn freezes_at(moment: usize) -> (usize, bool) {
    let database = Database::new().await;
    let ice = Ice::at(moment);
    let mut other = Rig::on(database.store().await, embedded().await, None, Some(flow()));
    other.model.echoes();
    other.web.serves();
    let behind = Icy { ice: Arc::clone(&ice), behind: database.store().await };
    let mut frozen = Rig::on(Arc::new(Through(behind)), embedded().await, None, Some(flow()));
    frozen.clock = Arc::clone(&other.clock);
    frozen.model = Arc::clone(&other.model);
    let (carrier, web) = (Arc::clone(&other.carrier), Arc::clone(&other.web));
    let cold = Arc::clone(&ice);
    frozen.alter = Some(Box::new(move |parts| {
        let ice = || Arc::clone(&cold);
        parts.messengers = vec![Arc::new(Icy { ice: ice(), behind: Arc::clone(&carrier) })];
        parts.web = Arc::new(Icy { ice: ice(), behind: Arc::clone(&web) });
        parts.worker = "frozen".into();
    }));
    frozen.start();
    let text = frozen.message(PEER, "hi", Some("SM1"));
    let door = receives(&frozen, text.clone());
    database.comes_to_rest(&other, || ice.is_frozen()).await;
    let froze = ice.is_frozen();
    if froze {
        other.start();
        // Its carrier heard nothing, or hears that we have it.
        other.receive(text).await.unwrap();
        database.comes_to_rest(&other, || false).await;
        let (rows, left) = (database.rows().await, (other.carrier.all().len(), other.web.count()));
        ice.thaw();
        frozen.stop().await;
        let _ = door.await.unwrap();
        let at = format!("woken at moment {moment}");
        assert_eq!(database.rows().await, rows, "{at}");
        assert_eq!((other.carrier.all().len(), other.web.count()), left, "{at}");
    } else {
        frozen.stop().await;
    }
    other.stop().await;
    let mut texts = other.carrier.texts();
    texts.sort();
    assert_eq!(texts, ["1 hi", "2 hi", "re: hi"], "frozen at moment {moment}");
    // Once, or twice under its key when it was under way.
    assert!((1..=2).contains(&other.web.count()), "frozen at moment {moment}");
    database.drop().await;
    (moment, froze)
}

async fn embedded() -> Arc<dyn queue::Queue> {
    queue::open("embedded").await.unwrap()
}

/// A carrier brings it.
fn receives(
    rig: &Rig,
    text: Message,
) -> tokio::task::JoinHandle<Result<conversation::Accepted, conversation::Busy>> {
    let runtime = Arc::clone(rig.runtime());
    tokio::spawn(async move { conversation::Inbox::receive(&*runtime, text).await })
}

impl Database {
    /// Time passes until all is done that the text led to, and silence has ended the session; or until
    /// that.
    async fn comes_to_rest(&self, rig: &Rig, or: impl Fn() -> bool) {
        let mut again = tokio::time::interval(Duration::from_millis(20));
        let began = std::time::Instant::now();
        let mut silent = false;
        while !or() {
            again.tick().await;
            rig.pass(1);
            let open = "SELECT (SELECT COUNT(*) FROM runs WHERE outcome IS NOT NULL), \
                 (SELECT COUNT(*) FROM runs WHERE outcome IS NULL) \
                 + (SELECT COUNT(*) FROM outbox WHERE status = 'queued') \
                 + (SELECT COUNT(*) FROM unhandled) + (SELECT COUNT(*) FROM deeds) \
                 + (SELECT COUNT(*) FROM timers WHERE kind <> 'session'), \
                 (SELECT COUNT(*) FROM timers)";
            let open = self.server.query_one(open, &[]).await.unwrap();
            let (over, open, timers): (i64, i64, i64) = (open.get(0), open.get(1), open.get(2));
            if over > 0 && open == 0 && timers == 0 {
                return;
            }
            if over > 0 && open == 0 && !silent {
                rig.pass(SILENCE);
                silent = true;
            }
            assert!(began.elapsed().as_secs() < 60, "it never rests: {:#?}", self.rows().await);
        }
    }

    /// All that is stored, but for who is alive.
    async fn rows(&self) -> Vec<String> {
        let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 \
                      AND tablename <> 'workers' ORDER BY 1";
        let tables = self.server.query(tables, &[&self.schema]).await.unwrap();
        let mut all = Vec::new();
        for table in tables {
            let table: String = table.get(0);
            let rows = format!("SELECT '{table} ' || t::text FROM {table} t ORDER BY 1");
            let rows = self.server.query(&rows, &[]).await.unwrap();
            all.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
        all
    }
}
