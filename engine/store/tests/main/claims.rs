//! Texts that come in: once, in order, never across tenants.

use futures_util::future::join_all;
use store::{Error, OptOut, Write};

use crate::rig::{at, on_each, peering, reply, run, text, thread};

#[tokio::test]
async fn a_text_is_taken_once_within_two_days() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        store.commit(vec![text(&peer, Some("SM1"), "hi", at(0))]).await.unwrap();
        let again = store.commit(vec![text(&peer, Some("SM1"), "hi", at(47 * 3600))]).await;
        assert_eq!(again, Err(Error::Duplicate));
        store.commit(vec![text(&peer, Some("SM1"), "hi", at(49 * 3600))]).await.unwrap();
        store.commit(vec![text(&peer, Some("SM2"), "hi", at(1))]).await.unwrap();
        assert_eq!(store.messages(&peer.thread_id(), 0, 10).await.unwrap().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_text_without_an_id_is_taken_again_after_four_seconds_or_a_reply() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        let press = |s| text(&peer, None, "1", at(s));
        store.commit(vec![press(0)]).await.unwrap();
        assert_eq!(store.commit(vec![press(3)]).await, Err(Error::Duplicate));
        store.commit(vec![press(5)]).await.unwrap();
        assert_eq!(store.commit(vec![press(6)]).await, Err(Error::Duplicate));
        store.commit(vec![Write::Outbox(reply(&peer, "k", 6))]).await.unwrap();
        store.commit(vec![press(7)]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_refused_text_undoes_all_of_its_commit() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        store.commit(vec![text(&peer, Some("SM1"), "hi", at(0))]).await.unwrap();
        let both = vec![Write::Run(run("r1")), text(&peer, Some("SM1"), "hi", at(1))];
        assert_eq!(store.commit(both).await, Err(Error::Duplicate));
        assert_eq!(store.run("r1").await.unwrap(), None);
        assert_eq!(store.messages(&peer.thread_id(), 0, 10).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn tenants_with_the_same_peer_never_meet() {
    on_each(|store| async move {
        let (a, b) = (peering("a", "+15551110001"), peering("b", "+15551110001"));
        store.commit(vec![text(&a, Some("SM1"), "for a", at(0))]).await.unwrap();
        store.commit(vec![text(&b, Some("SM1"), "for b", at(0))]).await.unwrap();
        assert_ne!(a.thread_id(), b.thread_id());
        for (peer, said) in [(&a, "for a"), (&b, "for b")] {
            let texts = store.messages(&peer.thread_id(), 0, 10).await.unwrap();
            assert_eq!(texts.iter().map(|m| m.text.as_str()).collect::<Vec<_>>(), [said]);
        }
        store.commit(vec![Write::OptOut(a.clone(), OptOut::Left)]).await.unwrap();
        assert!(store.opted_out(&a.thread_id()).await.unwrap());
        assert!(!store.opted_out(&b.thread_id()).await.unwrap());
        store.commit(vec![Write::OptOut(a.clone(), OptOut::Left)]).await.unwrap();
        store.commit(vec![Write::OptOut(a.clone(), OptOut::Returned(at(5)))]).await.unwrap();
        assert!(!store.opted_out(&a.thread_id()).await.unwrap());
        // What a carrier says counts for what was tried after that.
        for (tried, left) in [(4, false), (5, false), (6, true)] {
            let refused = OptOut::Refused(at(tried));
            store.commit(vec![Write::OptOut(a.clone(), refused)]).await.unwrap();
            assert_eq!(store.opted_out(&a.thread_id()).await.unwrap(), left, "{tried}");
        }
        store.commit(vec![Write::OptOut(b.clone(), OptOut::Refused(at(0)))]).await.unwrap();
        assert!(store.opted_out(&b.thread_id()).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn texts_that_come_at_once_get_each_its_place() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        let done = join_all((0..60).map(|i| {
            let (store, peer) = (store.clone(), &peer);
            // Each is brought twice, and half of the pairs at the same time.
            async move {
                let id = format!("SM{}", i / 2);
                store.commit(vec![text(peer, Some(&id), &id, at(i))]).await
            }
        }))
        .await;
        assert_eq!(done.iter().filter(|d| d.is_ok()).count(), 30);
        assert_eq!(done.iter().filter(|d| **d == Err(Error::Duplicate)).count(), 30);
        let texts = store.messages(&peer.thread_id(), 0, 100).await.unwrap();
        assert_eq!(texts.iter().map(|m| m.n).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_text_that_nobody_handled_is_found() {
    on_each(|store| async move {
        let (a, b) = (peering("a", "+15551110001"), peering("a", "+15551110002"));
        store.commit(vec![text(&a, Some("SM1"), "one", at(10))]).await.unwrap();
        store.commit(vec![text(&b, Some("SM2"), "two", at(20))]).await.unwrap();
        assert!(store.unhandled(at(10), 10).await.unwrap().is_empty());
        assert_eq!(store.unhandled(at(15), 10).await.unwrap(), [a.thread_id()]);
        assert_eq!(store.unhandled(at(30), 10).await.unwrap(), [a.thread_id(), b.thread_id()]);

        let mut handled = store.thread(&a.thread_id()).await.unwrap().unwrap();
        handled.handled = 1;
        let answer = Write::Outbox(reply(&a, "k", 31));
        store.commit(vec![Write::Thread(handled), answer]).await.unwrap();
        assert_eq!(store.unhandled(at(40), 10).await.unwrap(), [b.thread_id()]);

        // Our answer took place 2, the next text takes 3, and its own time counts.
        store.commit(vec![text(&a, Some("SM3"), "three", at(50))]).await.unwrap();
        assert_eq!(store.unhandled(at(45), 10).await.unwrap(), [b.thread_id()]);
        assert_eq!(store.unhandled(at(60), 10).await.unwrap(), [b.thread_id(), a.thread_id()]);
        let texts = store.messages(&a.thread_id(), 1, 10).await.unwrap();
        let seen: Vec<_> = texts.iter().map(|m| (m.n, m.inbound, m.text.as_str())).collect();
        assert_eq!(seen, [(2, false, "reply k"), (3, true, "three")]);
        assert_eq!(texts[0].media[0].url, "https://example.com/a.jpg");
    })
    .await;
}

#[tokio::test]
async fn threads_are_listed_by_age_and_peer() {
    on_each(|store| async move {
        let (a, b) = (peering("a", "+15551110001"), peering("a", "+15551110002"));
        store.commit(vec![text(&a, Some("SM1"), "one", at(10))]).await.unwrap();
        store.commit(vec![text(&b, Some("SM2"), "two", at(20))]).await.unwrap();
        let ids = |rows: Vec<store::ThreadRow>| rows.into_iter().map(|t| t.id).collect::<Vec<_>>();
        let all = ids(store.threads(None, None, None, 10).await.unwrap());
        assert_eq!(all, [b.thread_id(), a.thread_id()]);
        let older = ids(store.threads(None, None, Some(at(20)), 10).await.unwrap());
        assert_eq!(older, [a.thread_id()]);
        let of_b = ids(store.threads(None, Some("+15551110002"), None, 10).await.unwrap());
        assert_eq!(of_b, [b.thread_id()]);
        store.commit(vec![text(&a, Some("SM3"), "three", at(30))]).await.unwrap();
        assert_eq!(ids(store.threads(None, None, None, 1).await.unwrap()), [a.thread_id()]);
        // Another tenant's are among all, and not among one's own.
        let c = peering("c", "+15551110002");
        store.commit(vec![text(&c, Some("SM4"), "four", at(40))]).await.unwrap();
        let of = async |tenant, peer| ids(store.threads(tenant, peer, None, 10).await.unwrap());
        assert_eq!(of(None, None).await, [c.thread_id(), a.thread_id(), b.thread_id()]);
        assert_eq!(of(Some("a"), None).await, [a.thread_id(), b.thread_id()]);
        assert_eq!(of(Some("a"), Some("+15551110002")).await, [b.thread_id()]);
        assert_eq!(of(Some("c"), Some("+15551110001")).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn odd_characters_survive() {
    on_each(|store| async move {
        let peer = peering("a", "wei'rd\u{0}\"$1 ? 陈 🙂");
        let said = "'; DROP TABLE messages; -- $1 ?1 🙂\r\n";
        store.commit(vec![text(&peer, Some("SM'1"), said, at(0))]).await.unwrap();
        store.commit(vec![text(&peer, Some("SM2"), "a\u{0}b", at(1))]).await.unwrap();
        let texts = store.messages(&peer.thread_id(), 0, 10).await.unwrap();
        assert_eq!(texts[0].text, said);
        assert_eq!(texts[1].text, "a\u{fffd}b");
        let mut row = store.thread(&peer.thread_id()).await.unwrap().unwrap();
        assert_eq!(row.peering.peer.as_str(), "wei'rd\u{fffd}\"$1 ? 陈 🙂");
        row.handled = 1;
        store.commit(vec![Write::Thread(row)]).await.unwrap();
        // A thread that we text first is made by the worker.
        let new = peering("a", "+15551119999");
        store.commit(vec![Write::Thread(thread(&new))]).await.unwrap();
        store.commit(vec![text(&new, None, "hi", at(2))]).await.unwrap();
        assert_eq!(store.thread(&new.thread_id()).await.unwrap().unwrap().seq, 1);
    })
    .await;
}
