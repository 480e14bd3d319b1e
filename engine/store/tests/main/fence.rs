//! Rows that are advanced: one of two who have seen the same row wins.

use flow::{Cause, Event, Taken};
use futures_util::future::join_all;
use serde_json::json;
use store::{Error, Seen, Write};

use crate::rig::{at, on_each, peering, run, session, text, timer};

#[tokio::test]
async fn a_run_is_advanced_by_who_saw_it_last() {
    on_each(|store| async move {
        store.commit(vec![Write::Run(run("r1"))]).await.unwrap();
        let twice = store.commit(vec![Write::Run(run("r1"))]).await;
        assert_eq!(twice, Err(Error::Conflict { what: "run r1".into() }));

        let mut seen = store.run("r1").await.unwrap().unwrap();
        assert_eq!(seen, store::RunRow { seq: 1, ..run("r1") });
        seen.updated = at(5);
        store.commit(vec![Write::Run(seen.clone())]).await.unwrap();
        seen.updated = at(6);
        let late = store.commit(vec![Write::Run(seen.clone())]).await;
        assert!(matches!(late, Err(Error::Conflict { .. })));
        let now = store.run("r1").await.unwrap().unwrap();
        assert_eq!((now.seq, now.updated), (2, at(5)));
        let absent = store.commit(vec![Write::Run(store::RunRow { seq: 3, ..run("no") })]).await;
        assert!(matches!(absent, Err(Error::Conflict { .. })));
    })
    .await;
}

#[tokio::test]
async fn what_was_decided_by_a_row_that_has_moved_is_not_written() {
    on_each(|store| async move {
        let there = vec![Write::Run(run("r1")), Write::Session(session("s1", "t1"))];
        store.commit(there).await.unwrap();
        let run = store.run("r1").await.unwrap().unwrap();
        let session = store.session_by_id("s1").await.unwrap().unwrap();
        let all = [
            (Seen::from(&run), Write::Run(run.clone())),
            (Seen::from(&session), Write::Session(session.clone())),
        ];
        for (seen, moves) in all {
            let decided = || vec![Write::Unmoved(seen.clone()), Write::Timer(timer("a", 1))];
            // It changes nothing itself.
            for _ in 0..2 {
                store.commit(decided()).await.unwrap();
            }
            assert_eq!(store.due(at(1), 30, 9).await.unwrap(), [timer("a", 1)]);
            store.commit(vec![Write::Forget { id: "a".into() }]).await.unwrap();
            store.commit(vec![moves]).await.unwrap();
            let late = store.commit(decided()).await;
            assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
            assert!(store.due(at(99), 30, 9).await.unwrap().is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn of_many_writers_one_wins_each_round() {
    on_each(|store| async move {
        store.commit(vec![Write::Run(run("r1"))]).await.unwrap();
        for round in 1..=5 {
            let seen = store.run("r1").await.unwrap().unwrap();
            assert_eq!(seen.seq, round);
            let done = join_all((0..20).map(|i| {
                let (store, seen) = (store.clone(), seen.clone());
                let mark = Write::Timer(timer(&format!("{round}-{i}"), i));
                async move { store.commit(vec![mark, Write::Run(seen)]).await }
            }))
            .await;
            assert_eq!(done.iter().filter(|d| d.is_ok()).count(), 1);
        }
        // Nothing of the losers is left.
        assert_eq!(store.due(at(100), 30, 1000).await.unwrap().len(), 5);
    })
    .await;
}

#[tokio::test]
async fn texts_that_come_in_do_not_disturb_the_worker() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        store.commit(vec![text(&peer, Some("SM1"), "one", at(0))]).await.unwrap();
        let mut seen = store.thread(&peer.thread_id()).await.unwrap().unwrap();
        assert_eq!((seen.seq, seen.handled), (0, 0));
        store.commit(vec![text(&peer, Some("SM2"), "two", at(1))]).await.unwrap();
        seen.handled = 1;
        seen.waiting_run = Some("r1".into());
        store.commit(vec![Write::Thread(seen.clone())]).await.unwrap();
        let late = store.commit(vec![Write::Thread(seen)]).await;
        assert!(matches!(late, Err(Error::Conflict { .. })));

        let now = store.thread(&peer.thread_id()).await.unwrap().unwrap();
        assert_eq!((now.seq, now.handled, now.waiting_run.as_deref()), (1, 1, Some("r1")));
        assert_eq!(now.peering, peer);
        // The second text is still to be handled.
        assert_eq!(store.unhandled(at(9), 9).await.unwrap(), [peer.thread_id()]);
    })
    .await;
}

#[tokio::test]
async fn a_thread_has_one_living_session() {
    on_each(|store| async move {
        let first = session("s1", "t1");
        store.commit(vec![Write::Session(first.clone())]).await.unwrap();
        let mut seen = store.session("t1").await.unwrap().unwrap();
        assert_eq!(seen, store::SessionRow { seq: 1, ..first });
        assert_eq!(seen.agent.to_string(), json!({ "z": 1, "a": 2 }).to_string());
        let second = store.commit(vec![Write::Session(session("s2", "t1"))]).await;
        assert!(matches!(second, Err(Error::Conflict { .. })));

        seen.ended = Some("idle".into());
        let new = Write::Session(session("s2", "t1"));
        store.commit(vec![Write::Session(seen.clone()), new]).await.unwrap();
        assert_eq!(store.session("t1").await.unwrap().unwrap().id, "s2");
        let over = store.session_by_id("s1").await.unwrap().unwrap();
        assert_eq!((over.seq, over.ended.as_deref()), (2, Some("idle")));
        let late = store.commit(vec![Write::Session(seen)]).await;
        assert!(matches!(late, Err(Error::Conflict { .. })));
    })
    .await;
}

#[tokio::test]
async fn history_is_kept_in_order() {
    on_each(|store| async move {
        let taken = |action: &str| Taken {
            flow: String::new(),
            action: action.into(),
            kind: "talk".into(),
            exit: "done".into(),
            why: "it \"was\" said".into(),
            at: at(1),
            changed: vec!["x".into()],
            cause: Some(Box::new(Cause { event: Event::Started, given: None })),
        };
        let first = vec![taken("a"), taken("b")];
        store.commit(vec![Write::Taken { run: "r1".into(), taken: first }]).await.unwrap();
        store.commit(vec![Write::Taken { run: "r1".into(), taken: vec![] }]).await.unwrap();
        let then = vec![taken("c")];
        store.commit(vec![Write::Taken { run: "r1".into(), taken: then }]).await.unwrap();
        let all = store.taken("r1").await.unwrap();
        assert_eq!(all, [taken("a"), taken("b"), taken("c")]);
        assert!(store.taken("r2").await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn runs_are_listed_newest_first() {
    on_each(|store| async move {
        for i in 0..5 {
            let row = store::RunRow { created: at(i), ..run(&format!("r{i}")) };
            store.commit(vec![Write::Run(row)]).await.unwrap();
        }
        let ids = |rows: Vec<store::RunRow>| rows.into_iter().map(|r| r.id).collect::<Vec<_>>();
        assert_eq!(ids(store.runs(None, None, 2).await.unwrap()), ["r4", "r3"]);
        assert_eq!(ids(store.runs(None, Some(at(3)), 2).await.unwrap()), ["r2", "r1"]);
        let tenant = conversation::Tenant("b".into());
        let row = store::RunRow { created: at(9), tenant, ..run("rb") };
        store.commit(vec![Write::Run(row)]).await.unwrap();
        assert_eq!(ids(store.runs(None, None, 1).await.unwrap()), ["rb"]);
        assert_eq!(ids(store.runs(Some("b"), None, 9).await.unwrap()), ["rb"]);
        assert_eq!(ids(store.runs(Some("default"), None, 2).await.unwrap()), ["r4", "r3"]);
        assert_eq!(ids(store.runs(Some("default"), Some(at(1)), 9).await.unwrap()), ["r0"]);
        assert_eq!(ids(store.runs(Some("b"), Some(at(9)), 9).await.unwrap()), [""; 0]);
    })
    .await;
}
