//! What only a database server can do to us.

use std::time::Duration;

use futures_util::future::join_all;
use store::{Error, Write};

use crate::rig::{Schema, at, on_each, peering, run, text, timer};

#[tokio::test]
async fn many_processes_that_start_together_make_the_tables_once() {
    let schema = Schema::new().await;
    let url = schema.url();
    let stores = join_all((0..6).map(|_| store::open(&url))).await;
    for store in &stores {
        store.as_ref().unwrap().ready().await.unwrap();
    }
    drop(stores);
    schema.drop().await;
}

#[tokio::test]
async fn connections_that_the_server_ends_are_made_anew() {
    let schema = Schema::new().await;
    let store = store::open(&schema.url()).await.unwrap();
    let peer = peering("a", "+15551110001");
    let mut stored = 0;
    for round in 0..5 {
        let done = join_all((0..20).map(|i| {
            let (store, id) = (store.clone(), format!("SM{round}-{i}"));
            let text = text(&peer, Some(&id), &id, at(i));
            async move { store.commit(vec![text]).await }
        }));
        let end_all = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{}'",
            schema.name
        );
        let ended = schema.server.batch_execute(&end_all);
        let (done, ended) = tokio::join!(done, ended);
        ended.unwrap();
        // One whose end was cut off may be stored or not; nobody was told that it is.
        stored += done.iter().filter(|d| d.is_ok()).count();
        let there =
            store_again(|| async { store.messages(&peer.thread_id(), 0, 1000).await }).await;
        assert!(there.len() >= stored, "{} of {stored}", there.len());
        let places: Vec<i64> = there.iter().map(|m| m.n).collect();
        assert_eq!(places, (1..=there.len() as i64).collect::<Vec<_>>());
    }
    assert!(stored > 0);
    drop(store);
    schema.drop().await;
}

/// Asks until the store answers.
async fn store_again<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> T {
    let answer = async {
        loop {
            if let Ok(answer) = ask().await {
                break answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answer).await.expect("the store came back")
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    for url in [
        "postgres://me:hu%sh@127.0.0.1:hush/nothing",
        "postgres://me:hush@127.0.0.1/nothing?port=hush",
    ] {
        let Err(Error::Unavailable(why)) = store::open(url).await.map(|_| ()) else {
            panic!("{url} was opened");
        };
        assert!(!why.contains("hu%sh") && !why.contains("hush"), "{why}");
        assert!(why.contains("PostgreSQL"), "{why}");
    }
    // Nobody is there yet: that is no reason to give up, and `ready` tells it.
    let store = store::open("postgres://me:hush@127.0.0.1:1/x").await.unwrap();
    let Err(Error::Unavailable(why)) = store.ready().await else { panic!("ready") };
    assert!(why.contains("127.0.0.1:1/x") && why.contains("refused"), "{why}");
    assert!(!why.contains("hush"), "{why}");
    let commit = store.commit(vec![Write::Run(run("r"))]).await;
    assert!(matches!(commit, Err(Error::Unavailable(_))), "{commit:?}");
}

#[tokio::test]
async fn a_database_that_the_server_does_not_know_is_an_error_at_once() {
    let schema = Schema::new().await;
    let url = schema.url();
    let (place, query) = url.split_once('?').unwrap();
    let (server, _) = place.rsplit_once('/').unwrap();
    let Err(Error::Unavailable(why)) =
        store::open(&format!("{server}/no_such_database?{query}")).await.map(|_| ())
    else {
        panic!("opened");
    };
    assert!(why.contains("no_such_database"), "{why}");
    schema.drop().await;
}

/// The server is behind a wire that is plugged in later.
#[tokio::test]
async fn a_store_that_was_opened_before_its_server_comes_to_life_with_it() {
    let schema = Schema::new().await;
    let url: tokio_postgres::Config = schema.url().parse().unwrap();
    let server = ("127.0.0.1", url.get_ports()[0]);
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    drop(held);
    let through = schema.url().replacen(&format!(":{}/", server.1), &format!(":{port}/"), 1);
    let store = store::open(&through).await.unwrap();
    store.ready().await.unwrap_err();

    let wire = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = wire.accept().await {
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(server).await.unwrap();
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    store_again(|| async { store.ready().await }).await;
    store.commit(vec![Write::Run(run("r"))]).await.unwrap();
    assert!(store.run("r").await.unwrap().is_some());
    drop(store);
    schema.drop().await;
}

#[tokio::test]
async fn tls_is_spoken_and_judged_as_the_url_says() {
    let schema = Schema::new().await;
    let authority = std::env::var("VOXFLOW_TEST_CA").expect("these are set by `make test`");
    let with = |host: &str, mode: &str| {
        let url = schema.url().replacen("127.0.0.1", host, 1);
        assert!(url.contains("sslmode=disable"), "{url}");
        url.replacen("sslmode=disable", mode, 1)
    };
    // Who is asked tells whether the connection is kept from others.
    let spoken = || async {
        let ask = format!(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = '{}'",
            schema.name
        );
        schema.server.query_one(&ask, &[]).await.unwrap().get::<_, Option<bool>>(0)
    };
    let judged = format!("sslrootcert={authority}");
    for (host, mode, expected) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), false),
        ("127.0.0.1", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        ("127.0.0.1", format!("sslmode=verify-ca&{judged}"), true),
        ("localhost", format!("sslmode=verify-full&{judged}"), true),
    ] {
        let store = store::open(&with(host, &mode)).await.unwrap();
        store.ready().await.unwrap_or_else(|error| panic!("{mode}: {error}"));
        assert_eq!(spoken().await, Some(expected), "{mode}");
        drop(store);
        store_again(|| async { spoken().await.is_none().then_some(()).ok_or(Error::Duplicate) })
            .await;
    }
    for (host, mode) in [
        // Nobody has signed the certificate whom all the world knows.
        ("localhost", "sslmode=verify-full".to_owned()),
        ("127.0.0.1", "sslmode=verify-ca".to_owned()),
        // It is made out to another name.
        ("127.0.0.1", format!("sslmode=verify-full&{judged}")),
    ] {
        let store = store::open(&with(host, &mode)).await.unwrap();
        let Err(Error::Unavailable(why)) = store.ready().await else { panic!("{mode}: ready") };
        assert!(why.contains("certificate"), "{mode}: {why}");
    }
    schema.drop().await;
}

#[tokio::test]
async fn tables_of_a_newer_voxflow_are_left_alone() {
    let schema = Schema::new().await;
    drop(store::open(&schema.url()).await.unwrap());
    let newer = format!("INSERT INTO {}.voxflow_version VALUES (9999)", schema.name);
    schema.server.batch_execute(&newer).await.unwrap();
    let Err(Error::Unavailable(why)) = store::open(&schema.url()).await.map(|_| ()) else {
        panic!("opened");
    };
    assert!(why.contains("newer voxflow"), "{why}");
    schema.drop().await;
}

#[tokio::test]
async fn a_thousand_commits_at_once_are_all_kept() {
    on_each(|store| async move {
        let done = join_all((0..1000).map(|i| {
            let store = store.clone();
            let peer = peering("a", &format!("+1555{:07}", i % 100));
            let id = format!("r{i}");
            let writes = vec![
                text(&peer, Some(&id), "hi", at(i)),
                Write::Run(run(&id)),
                Write::Timer(timer(&id, i)),
            ];
            async move { store.commit(writes).await }
        }))
        .await;
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        assert_eq!(store.runs(None, None, 2000).await.unwrap().len(), 1000);
        let thread = peering("a", "+15550000007").thread_id();
        assert_eq!(store.messages(&thread, 0, 100).await.unwrap().last().unwrap().n, 10);
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_no_half_commit() {
    on_each(|store| async move {
        for i in 0..50 {
            let id = format!("r{i}");
            let all = vec![Write::Timer(timer(&id, i)), Write::Run(run(&id))];
            // Polled once or twice, then dropped.
            let commit = store.commit(all);
            let _ = tokio::time::timeout(Duration::from_micros(i as u64 * 20), commit).await;
        }
        // Whatever was begun has its end: the store answers, and both rows are there or neither.
        store.commit(vec![Write::Run(run("last"))]).await.unwrap();
        let runs: Vec<_> = store.runs(None, None, 100).await.unwrap();
        for i in 0..50 {
            let id = format!("r{i}");
            let there = runs.iter().any(|r| r.id == id);
            let again = store.commit(vec![Write::Run(run(&id))]).await;
            // One that was under way during the look has ended since.
            assert!(again.is_ok() || there || store.run(&id).await.unwrap().is_some());
        }
        let timers = store.due(at(100), 30, 100).await.unwrap();
        for timer in timers {
            assert!(store.run(&timer.id).await.unwrap().is_some());
        }
    })
    .await;
}
