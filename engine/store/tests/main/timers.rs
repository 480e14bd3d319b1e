//! Timers: claimed by one, fired once, late after a crash but never lost.

use futures_util::future::join_all;
use store::Write;

use crate::rig::{at, on_each, timer};

#[tokio::test]
async fn a_timer_is_taken_when_due_and_again_when_nobody_fired_it() {
    on_each(|store| async move {
        assert_eq!(store.next_due().await.unwrap(), None);
        store.commit(vec![Write::Timer(timer("a", 10))]).await.unwrap();
        assert_eq!(store.next_due().await.unwrap(), Some(at(10)));
        assert!(store.due(at(9), 30, 10).await.unwrap().is_empty());
        assert_eq!(store.due(at(10), 30, 10).await.unwrap(), [timer("a", 10)]);
        assert!(store.due(at(11), 30, 10).await.unwrap().is_empty());
        assert_eq!(store.next_due().await.unwrap(), Some(at(40)));
        // Who took it died: the next one gets it, with the time when it was due.
        assert_eq!(store.due(at(40), 30, 10).await.unwrap(), [timer("a", 10)]);
        store.commit(vec![Write::Forget { id: "a".into() }]).await.unwrap();
        assert_eq!(store.next_due().await.unwrap(), None);
        store.commit(vec![Write::Forget { id: "a".into() }]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_timer_that_fired_nothing_is_there_again_if_it_is_still_the_same() {
    on_each(|store| async move {
        let all = ["a", "b", "c"].map(|id| Write::Timer(timer(id, 10)));
        store.commit(all.into()).await.unwrap();
        let taken = store.due(at(10), 30, 10).await.unwrap();
        let anew = timer("b", 20);
        store.commit(vec![Write::Timer(anew.clone())]).await.unwrap();
        store.commit(vec![Write::Forget { id: "c".into() }]).await.unwrap();
        store.commit(taken.into_iter().map(Write::Unfired).collect()).await.unwrap();
        assert_eq!(store.due(at(11), 30, 10).await.unwrap(), [timer("a", 10)]);
        assert_eq!(store.due(at(20), 30, 10).await.unwrap(), [anew]);
    })
    .await;
}

#[tokio::test]
async fn a_timer_set_anew_replaces_the_old_one() {
    on_each(|store| async move {
        store
            .commit(vec![Write::Timer(timer("a", 10)), Write::Timer(timer("b", 20))])
            .await
            .unwrap();
        store.due(at(10), 30, 10).await.unwrap();
        let mut later = timer("a", 15);
        later.guard = "k2".into();
        store.commit(vec![Write::Timer(later.clone())]).await.unwrap();
        assert_eq!(store.due(at(25), 30, 10).await.unwrap(), [later, timer("b", 20)]);
    })
    .await;
}

#[tokio::test]
async fn workers_share_what_is_due() {
    on_each(|store| async move {
        let all = (0..200).map(|i| Write::Timer(timer(&format!("t{i:03}"), i % 7))).collect();
        store.commit(all).await.unwrap();
        let taken = join_all((0..8).map(|_| store.due(at(10), 30, 25))).await;
        let mut ids: Vec<_> = taken.into_iter().flat_map(|t| t.unwrap()).map(|t| t.id).collect();
        // A worker may find what it wants taken by another and come back with less; the rest is
        // there for the next round.
        while let rest = store.due(at(10), 30, 25).await.unwrap()
            && !rest.is_empty()
        {
            ids.extend(rest.into_iter().map(|t| t.id));
        }
        ids.sort();
        assert_eq!(ids, (0..200).map(|i| format!("t{i:03}")).collect::<Vec<_>>());
    })
    .await;
}
