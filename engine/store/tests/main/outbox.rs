//! Texts that leave: written once, one at a time per thread, their status forward only.

use conversation::{Receipt, Status};
use futures_util::future::join_all;
use store::{Error, OutboxRow, Place, Write};

use crate::rig::{at, on_each, peering, reply, run, text};

fn keys(rows: &[OutboxRow]) -> Vec<&str> {
    rows.iter().map(|r| r.key.as_str()).collect()
}

fn sent(mut row: OutboxRow, carrier_id: &str) -> Write {
    row.status = Status::Sent;
    row.carrier_id = Some(carrier_id.into());
    Write::Tried(row)
}

fn receipt(carrier_id: &str, status: Status) -> Receipt {
    Receipt { channel: "twilio".into(), carrier_id: carrier_id.into(), status, code: None }
}

#[tokio::test]
async fn a_key_is_written_once() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        store.commit(vec![Write::Outbox(reply(&peer, "k1", 0))]).await.unwrap();
        let mut other = reply(&peer, "k1", 1);
        other.outgoing.text = "different".into();
        store.commit(vec![Write::Outbox(other)]).await.unwrap();
        store.commit(vec![Write::Outbox(reply(&peer, "k2", 2))]).await.unwrap();
        assert_eq!(store.outbox("k1").await.unwrap(), Some(reply(&peer, "k1", 0)));
        let texts = store.messages(&peer.thread_id(), 0, 10).await.unwrap();
        let seen: Vec<_> = texts.iter().map(|m| (m.n, m.text.as_str())).collect();
        assert_eq!(seen, [(1, "reply k1"), (2, "reply k2")]);
        assert_eq!(store.thread(&peer.thread_id()).await.unwrap().unwrap().peering, peer);
    })
    .await;
}

#[tokio::test]
async fn a_text_of_ours_has_its_place_by_key_and_by_what_was_delivered() {
    on_each(|store| async move {
        let (peer, other) = (peering("a", "+15551110001"), peering("b", "+15551110001"));
        let thread = peer.thread_id();
        let place = async |of| store.place(&thread, of).await.unwrap();
        assert_eq!(place(Place::Newest).await, None);
        store.commit(vec![text(&peer, Some("in"), "hello", at(0))]).await.unwrap();
        for key in ["k1", "k2"] {
            store.commit(vec![Write::Outbox(reply(&peer, key, 0))]).await.unwrap();
        }
        assert_eq!(place(Place::Newest).await, Some(3));
        assert_eq!(place(Place::Of("k1")).await, Some(2));
        assert_eq!(store.place(&other.thread_id(), Place::Of("k1")).await.unwrap(), None);
        for (key, carrier_id) in [("k1", "C1"), ("k2", "C2")] {
            let row = store.claim_outbox("w1", at(10), 30, 1).await.unwrap().remove(0);
            assert_eq!(row.key, key);
            store.commit(vec![sent(row, carrier_id)]).await.unwrap();
        }
        assert_eq!(place(Place::Delivered).await, None);
        store.receipt(&receipt("C1", Status::Delivered)).await.unwrap();
        assert_eq!(place(Place::Delivered).await, Some(2));
        // A text tells the key by which the outbox has it.
        let texts = store.messages(&thread, 1, 10).await.unwrap();
        assert_eq!(texts.iter().map(|text| &*text.claim).collect::<Vec<_>>(), ["k1", "k2"]);
    })
    .await;
}

#[tokio::test]
async fn one_text_of_a_thread_is_under_way_at_a_time() {
    on_each(|store| async move {
        let (a, b) = (peering("a", "+15551110001"), peering("a", "+15551110002"));
        for (peer, key, created) in [(&a, "a1", 1), (&a, "a2", 1), (&b, "b1", 3)] {
            store.commit(vec![Write::Outbox(reply(peer, key, created))]).await.unwrap();
        }
        let first = store.claim_outbox("w1", at(10), 30, 10).await.unwrap();
        assert_eq!(keys(&first), ["a1", "b1"]);
        assert_eq!(first[0].claimed_by.as_deref(), Some("w1"));
        assert!(store.claim_outbox("w2", at(11), 30, 10).await.unwrap().is_empty());

        store.commit(vec![sent(first[0].clone(), "C1")]).await.unwrap();
        let next = store.claim_outbox("w2", at(12), 30, 10).await.unwrap();
        assert_eq!(keys(&next), ["a2"]);
        let row = store.outbox("a1").await.unwrap().unwrap();
        assert_eq!((row.status, row.carrier_id.as_deref()), (Status::Sent, Some("C1")));
        assert_eq!((row.claimed_by, row.attempts), (None, 1));
    })
    .await;
}

#[tokio::test]
async fn a_text_that_is_put_back_was_not_tried_and_is_not_overtaken() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        for key in ["k1", "k2"] {
            store.commit(vec![Write::Outbox(reply(&peer, key, 0))]).await.unwrap();
        }
        let first = store.claim_outbox("w1", at(10), 30, 10).await.unwrap().remove(0);
        let waits = OutboxRow { not_before: at(15), why: Some("its lane".into()), ..first.clone() };
        store.commit(vec![Write::PutBack(waits.clone())]).await.unwrap();
        // The claim is over, so nothing can be written under it.
        let late = store.commit(vec![Write::PutBack(waits)]).await;
        assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
        assert_eq!(store.outbox("k1").await.unwrap().unwrap().attempts, 0);
        assert!(store.claim_outbox("w1", at(14), 30, 10).await.unwrap().is_empty());
        let again = store.claim_outbox("w1", at(15), 30, 10).await.unwrap();
        assert_eq!((keys(&again), again[0].attempts, again[0].unsure), (vec!["k1"], 1, None));
    })
    .await;
}

#[tokio::test]
async fn who_lost_its_claim_can_write_nothing() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        store.commit(vec![Write::Outbox(reply(&peer, "k1", 0))]).await.unwrap();
        let frozen = store.claim_outbox("w1", at(0), 30, 1).await.unwrap().remove(0);
        assert_eq!((frozen.attempts, frozen.tried, frozen.unsure), (1, Some(at(0)), None));
        assert_eq!(store.next_outbox().await.unwrap(), Some(at(30)));
        let other = store.claim_outbox("w2", at(30), 30, 1).await.unwrap().remove(0);
        assert_eq!((other.claimed_by.as_deref(), other.attempts), (Some("w2"), 2));
        assert_eq!((other.tried, other.unsure), (Some(at(30)), Some(at(0))));
        let late = store.commit(vec![sent(frozen, "C1")]).await;
        assert_eq!(late, Err(Error::Conflict { what: "outbox k1".into() }));
        store.commit(vec![sent(other.clone(), "C2")]).await.unwrap();
        let again = store.commit(vec![sent(other, "C3")]).await;
        assert!(matches!(again, Err(Error::Conflict { .. })));
        // The same worker may have slept through its own claim.
        store.commit(vec![Write::Outbox(reply(&peer, "k2", 0))]).await.unwrap();
        let slept = store.claim_outbox("w1", at(60), 30, 1).await.unwrap().remove(0);
        let awake = store.claim_outbox("w1", at(90), 30, 1).await.unwrap().remove(0);
        assert!(matches!(
            store.commit(vec![Write::Tried(slept)]).await,
            Err(Error::Conflict { .. })
        ));
        store.commit(vec![sent(awake, "C4")]).await.unwrap();
        let row = store.outbox("k1").await.unwrap().unwrap();
        assert_eq!((row.carrier_id.as_deref(), row.unsure), (Some("C2"), Some(at(0))));
        assert_eq!(store.sent_as("twilio", "C2").await.unwrap().as_deref(), Some("k1"));
        assert_eq!(store.sent_as("twilio", "C1").await.unwrap(), None);
        assert_eq!(store.next_outbox().await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_text_that_is_tried_again_holds_the_next_one_and_a_deferred_one_does_not() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        let mut morning = reply(&peer, "deferred", 0);
        morning.not_before = at(1000);
        let second = Write::Outbox(reply(&peer, "answer", 1));
        let third = Write::Outbox(reply(&peer, "more", 2));
        store.commit(vec![Write::Outbox(morning), second, third]).await.unwrap();
        assert_eq!(store.next_outbox().await.unwrap(), Some(at(0)));
        let mut answer = store.claim_outbox("w1", at(10), 30, 10).await.unwrap().remove(0);
        assert_eq!(answer.key, "answer");
        answer.not_before = at(60);
        answer.why = Some("the carrier is busy".into());
        store.commit(vec![Write::Tried(answer)]).await.unwrap();
        assert!(store.claim_outbox("w1", at(59), 30, 10).await.unwrap().is_empty());
        let again = store.claim_outbox("w1", at(60), 30, 10).await.unwrap();
        assert_eq!(keys(&again), ["answer"]);
        assert_eq!(again[0].why.as_deref(), Some("the carrier is busy"));
        assert_eq!(again[0].unsure, None);
        store.commit(vec![sent(again[0].clone(), "C1")]).await.unwrap();
        assert_eq!(keys(&store.claim_outbox("w1", at(60), 30, 10).await.unwrap()), ["more"]);
    })
    .await;
}

#[tokio::test]
async fn workers_share_the_outbox() {
    on_each(|store| async move {
        let mut all = Vec::new();
        for i in 0..60 {
            let peer = peering("a", &format!("+1555111{:04}", i % 20));
            all.push(Write::Outbox(reply(&peer, &format!("k{i:02}"), i)));
        }
        store.commit(all).await.unwrap();
        let mut order = Vec::new();
        while order.len() < 60 {
            let names = ["w1", "w2", "w3", "w4"];
            let claims = join_all(names.map(|w| store.claim_outbox(w, at(100), 30, 7))).await;
            let rows: Vec<_> = claims.into_iter().flat_map(|c| c.unwrap()).collect();
            let mut threads: Vec<_> = rows.iter().map(|r| r.thread.clone()).collect();
            threads.sort();
            threads.dedup();
            assert_eq!(threads.len(), rows.len(), "two of a thread at a time");
            assert!(!rows.is_empty(), "stuck after {}", order.len());
            for row in rows {
                order.push(row.key.clone());
                let id = row.key.clone();
                store.commit(vec![sent(row, &id)]).await.unwrap();
            }
        }
        for thread in 0..20 {
            let of: Vec<_> = order
                .iter()
                .filter(|k| k[1..].parse::<i64>().unwrap() % 20 == thread)
                .cloned()
                .collect();
            let wanted: Vec<_> =
                [0, 20, 40].iter().map(|d| format!("k{:02}", thread + d)).collect();
            assert_eq!(of, wanted);
        }
    })
    .await;
}

#[tokio::test]
async fn receipts_move_forward_only() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        for (key, came, status) in [
            ("k1", vec![Status::Delivered, Status::Sent, Status::Failed], Status::Delivered),
            ("k2", vec![Status::Sent, Status::Failed, Status::Sent], Status::Failed),
            ("k3", vec![Status::Failed, Status::Delivered], Status::Delivered),
            ("k4", vec![Status::Queued], Status::Sent),
        ] {
            store.commit(vec![Write::Outbox(reply(&peer, key, 0))]).await.unwrap();
            let row = store.claim_outbox("w1", at(0), 30, 1).await.unwrap().remove(0);
            store.commit(vec![sent(row, key)]).await.unwrap();
            let mut last = None;
            for status in came {
                last = store.receipt(&receipt(key, status)).await.unwrap();
            }
            assert_eq!(last, Some((key.into(), status)));
            assert_eq!(store.outbox(key).await.unwrap().unwrap().status, status);
        }
        let mut other = receipt("k1", Status::Delivered);
        other.channel = "telnyx".into();
        assert_eq!(store.receipt(&other).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_that_is_faster_than_the_answer_counts() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        store.commit(vec![Write::Outbox(reply(&peer, "k1", 0))]).await.unwrap();
        let row = store.claim_outbox("w1", at(0), 30, 1).await.unwrap().remove(0);
        let mut failed = receipt("C1", Status::Failed);
        failed.code = Some("30003".into());
        assert_eq!(store.receipt(&receipt("C1", Status::Sent)).await.unwrap(), None);
        assert_eq!(store.receipt(&failed).await.unwrap(), None);
        assert_eq!(store.receipt(&receipt("C1", Status::Sent)).await.unwrap(), None);
        store.commit(vec![sent(row, "C1")]).await.unwrap();
        let row = store.outbox("k1").await.unwrap().unwrap();
        assert_eq!((row.status, row.why.as_deref()), (Status::Failed, Some("30003")));
    })
    .await;
}

#[tokio::test]
async fn the_answer_and_its_receipt_at_the_same_moment() {
    on_each(|store| async move {
        for i in 0..20 {
            let peer = peering("a", &format!("+1555111{i:04}"));
            let key = format!("k{i}");
            store.commit(vec![Write::Outbox(reply(&peer, &key, 0))]).await.unwrap();
            let row = store.claim_outbox("w1", at(0), 30, 1).await.unwrap().remove(0);
            let delivered = receipt(&key, Status::Delivered);
            let (tried, told) =
                tokio::join!(store.commit(vec![sent(row, &key)]), store.receipt(&delivered));
            tried.unwrap();
            told.unwrap();
            assert_eq!(store.outbox(&key).await.unwrap().unwrap().status, Status::Delivered);
        }
    })
    .await;
}

#[tokio::test]
async fn the_texts_of_a_run_are_found_among_those_of_its_time() {
    on_each(|store| async move {
        let peer = peering("a", "+15551110001");
        let about = |key: &str, run: &str, seconds| {
            Write::Outbox(OutboxRow { about: Some(run.into()), ..reply(&peer, key, seconds) })
        };
        let day = 86_400;
        let all = [
            about("k0", "r1", 9),
            about("k1", "r1", 10),
            about("k2", "r2", 15),
            about("k3", "r1", 20 + day),
            about("k4", "r1", 21 + day),
        ];
        for write in all {
            store.commit(vec![write]).await.unwrap();
        }
        let row = store::RunRow { created: at(10), updated: at(20), ..run("r1") };
        let found = store.asked_by(&row).await.unwrap();
        let keys = keys(&found);
        assert_eq!(keys, ["k1", "k3"]);
    })
    .await;
}
