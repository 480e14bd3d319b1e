//! Flows, calls and transcripts; and how a store opens.

use std::sync::Arc;

use agent::{Floor, Item, Ledger, Standing};
use conversation::Tenant;
use flow::Key;
use store::{CallRow, Error, FlowRow, Line, LiveRow, StandingRow, TURNS_MOST, TurnRow, Write};

use crate::rig::{File, at, on_each, peering, text};

#[tokio::test]
async fn a_flow_is_kept_as_it_was_first_stored() {
    on_each(|store| async move {
        let row = FlowRow {
            id: "h1".into(),
            tenant: Tenant::default(),
            name: "greeting".into(),
            text: "{ \"actions\": [] }".into(),
            created: at(0),
        };
        store.commit(vec![Write::Flow(row.clone())]).await.unwrap();
        let again = FlowRow { created: at(9), ..row.clone() };
        store.commit(vec![Write::Flow(again)]).await.unwrap();
        assert_eq!(store.flow("h1").await.unwrap(), Some(row));
        assert_eq!(store.flow("h2").await.unwrap(), None);
        store.ready().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_call_changes_and_its_words_are_kept() {
    on_each(|store| async move {
        let mut call = CallRow {
            id: "c1".into(),
            tenant: Tenant::default(),
            carrier: "twilio".into(),
            carrier_id: "CA1".into(),
            from: "+15551110001".into(),
            to: "+15550000001".into(),
            run: "r1".into(),
            status: "in_progress".into(),
            started: at(0),
            ended: None,
        };
        store.commit(vec![Write::Call(call.clone())]).await.unwrap();
        assert_eq!(store.call("c1").await.unwrap().as_ref(), Some(&call));
        call.status = "completed".into();
        call.ended = Some(at(60));
        let line = |who: &str, text: &str| Line {
            run: "r1".into(),
            at: at(1),
            who: who.into(),
            text: text.into(),
        };
        let said = [line("agent", "Hello"), line("caller", "Hi")];
        let mut writes = vec![Write::Call(call.clone())];
        writes.extend(said.iter().cloned().map(Write::Line));
        store.commit(writes).await.unwrap();
        assert!(store.calls(None, Some(at(0)), 10).await.unwrap().is_empty());
        assert_eq!(store.calls(Some("nobody"), None, 10).await.unwrap(), []);
        assert_eq!(store.calls(Some(&call.tenant.0), None, 10).await.unwrap(), [call.clone()]);
        assert_eq!(store.calls(None, None, 10).await.unwrap(), [call]);
        assert_eq!(store.transcript("r1").await.unwrap(), said);
    })
    .await;
}

fn live(epoch: i64) -> LiveRow {
    LiveRow {
        run: "r1".into(),
        call: "c1".into(),
        carrier: "twilio".into(),
        carrier_id: "CA1".into(),
        worker: format!("w{epoch}"),
        epoch,
        pending: Vec::new(),
        at: at(epoch),
    }
}

/// A conversation of these words.
fn stands(words: &str, settled: usize, told: i64) -> StandingRow {
    let items = words.split(' ').map(|word| Item::User { text: word.into() }).collect();
    let standing = Standing { items, floor: Floor::Speaking, words: "and".into() };
    StandingRow { key: Key("r1/1".into()), standing, told, settled }
}

#[tokio::test]
async fn a_conversation_is_put_together_from_what_is_settled_and_what_goes_on() {
    on_each(|store| async move {
        let told = |epoch: i64, row: StandingRow, whole: bool| {
            let (run, standing) = ("r1".into(), Arc::new(row));
            store.commit(vec![Write::Standing { run, epoch, standing, whole }])
        };
        let stood = || async { store.standing("r1").await.unwrap() };
        told(0, stands("nobody lives", 1, 0), true).await.unwrap();
        store.commit(vec![Write::Live(live(0))]).await.unwrap();
        assert_eq!(stood().await, None);
        told(0, stands("a b c", 2, 1), true).await.unwrap();
        assert_eq!(stood().await, Some(stands("a b c", 2, 1)));
        told(0, stands("a b c d", 2, 2), false).await.unwrap();
        assert_eq!(stood().await, Some(stands("a b c d", 2, 2)));
        // Only what goes on was written.
        told(0, stands("x y c d e", 2, 3), false).await.unwrap();
        assert_eq!(stood().await, Some(stands("a b c d e", 2, 3)));
        // What was told before comes too late, whole or not.
        told(0, stands("a", 1, 2), true).await.unwrap();
        assert_eq!(stood().await, Some(stands("a b c d e", 2, 3)));
        // It is kept when the row is written anew, and for the next host, who begins to count anew.
        store.commit(vec![Write::Live(live(0)), Write::Live(live(1))]).await.unwrap();
        assert_eq!(stood().await, Some(stands("a b c d e", 2, 3)));
        told(0, stands("late", 1, 9), true).await.unwrap();
        assert_eq!(stood().await, Some(stands("a b c d e", 2, 3)));
        told(1, stands("b c f", 3, 0), true).await.unwrap();
        assert_eq!(stood().await, Some(stands("b c f", 3, 0)));
        store.commit(vec![Write::Over { run: "r1".into() }]).await.unwrap();
        told(1, stands("over", 1, 1), true).await.unwrap();
        assert_eq!(stood().await, None);
        store.commit(vec![Write::Live(live(0))]).await.unwrap();
        told(0, stands("anew", 0, 0), false).await.unwrap();
        assert_eq!(stood().await, Some(stands("anew", 0, 0)), "nothing is left of it");
    })
    .await;
}

#[tokio::test]
async fn a_call_keeps_what_its_last_turns_took() {
    on_each(|store| async move {
        let row = |epoch: i64, n: i64| {
            let ledger = Ledger { turn: n as u64, kind: "answer".into(), ..Ledger::default() };
            TurnRow { run: "r1".into(), epoch, n, at: at(epoch * 1_000 + n), ledger }
        };
        let last = TURNS_MOST + 3;
        for n in 0..last {
            store.commit(vec![Write::Turn(row(0, n))]).await.unwrap();
        }
        let turns =
            |kept: Vec<TurnRow>| kept.iter().map(|kept| kept.ledger.turn).collect::<Vec<_>>();
        let kept = store.turns("r1").await.unwrap();
        assert_eq!(turns(kept), (3..last as u64).collect::<Vec<_>>());
        // Another process goes on with the call, and counts anew.
        store.commit(vec![Write::Turn(row(1, 0)), Write::Turn(row(1, 1))]).await.unwrap();
        let kept = store.turns("r1").await.unwrap();
        assert_eq!(kept.len(), TURNS_MOST as usize);
        assert_eq!(turns(kept)[TURNS_MOST as usize - 3..], [last as u64 - 1, 0, 1]);
        assert_eq!(store.turns("r2").await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_file_is_found_again() {
    let file = File::new();
    let peer = peering("a", "+15551110001");
    let store = store::open(&file.url()).await.unwrap();
    store.commit(vec![text(&peer, Some("SM1"), "hi", at(0))]).await.unwrap();
    // A second process on the same file, while the first still has it.
    let second = store::open(&file.url()).await.unwrap();
    let again = second.commit(vec![text(&peer, Some("SM1"), "hi", at(1))]).await;
    assert_eq!(again, Err(Error::Duplicate));
    drop((store, second));
    let third = store::open(&file.url()).await.unwrap();
    assert_eq!(third.messages(&peer.thread_id(), 0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    for (url, says) in
        [("mysql://x", "must begin with"), ("sqlite:/nowhere/at/all.db", "/nowhere/at/all.db")]
    {
        let Err(Error::Unavailable(why)) = store::open(url).await.map(|_| ()) else {
            panic!("{url} was opened");
        };
        assert!(why.contains(says), "{why}");
        assert!(!why.contains("hush"), "{why}");
    }
}
