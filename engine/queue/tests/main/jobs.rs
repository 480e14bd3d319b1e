//! What every queue does: jobs come, are finished once, and come back when they were dropped.

use std::collections::BTreeSet;

use crate::rig::{job, next, on_each};

#[tokio::test]
async fn jobs_come_in_order_and_only_once_when_done() {
    on_each(|queue| async move {
        // Published before anybody listens.
        for id in ["a", "b", "c"] {
            queue.publish(job(id)).await.unwrap();
        }
        let mut jobs = queue.subscribe().await.unwrap();
        for id in ["a", "b", "c"] {
            let delivery = next(&mut jobs).await;
            assert_eq!(delivery.job, job(id));
            delivery.done();
        }
        queue.publish(job("d")).await.unwrap();
        let last = next(&mut jobs).await;
        assert_eq!(last.job, job("d"));
        last.done();
        queue.ready().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_dropped_job_comes_back() {
    on_each(|queue| async move {
        let mut jobs = queue.subscribe().await.unwrap();
        queue.publish(job("a")).await.unwrap();
        for _ in 0..3 {
            assert_eq!(next(&mut jobs).await.job, job("a"));
        }
        next(&mut jobs).await.done();
        queue.publish(job("b")).await.unwrap();
        let other = next(&mut jobs).await;
        assert_eq!(other.job, job("b"));
        other.done();
    })
    .await;
}

#[tokio::test]
async fn what_a_subscriber_leaves_behind_goes_to_another() {
    on_each(|queue| async move {
        let mut first = queue.subscribe().await.unwrap();
        let ids: BTreeSet<String> = (0..5).map(|i| format!("j{i}")).collect();
        for id in &ids {
            queue.publish(job(id)).await.unwrap();
        }
        let in_hand = next(&mut first).await;
        drop(first);
        drop(in_hand);
        let mut second = queue.subscribe().await.unwrap();
        let mut came = BTreeSet::new();
        while came != ids {
            let delivery = next(&mut second).await;
            came.insert(delivery.job.id.clone());
            delivery.done();
        }
    })
    .await;
}

#[tokio::test]
async fn work_in_hand_can_still_be_finished_by_who_wants_no_more() {
    on_each(|queue| async move {
        let mut first = queue.subscribe().await.unwrap();
        queue.publish(job("a")).await.unwrap();
        let in_hand = next(&mut first).await;
        drop(first);
        let mut second = queue.subscribe().await.unwrap();
        in_hand.done();
        queue.publish(job("b")).await.unwrap();
        let only = next(&mut second).await;
        assert_eq!(only.job, job("b"));
        only.done();
    })
    .await;
}

#[tokio::test]
async fn two_subscribers_share_the_work() {
    on_each(|queue| async move {
        let mut first = queue.subscribe().await.unwrap();
        let mut second = queue.subscribe().await.unwrap();
        let mut came = BTreeSet::new();
        let mut shares = [0, 0];
        // In small lots, each after the one before is done, as work comes in real life; whoever is
        // there first may take some lots alone.
        for lot in 0..500 {
            for i in 0..4 {
                queue.publish(job(&format!("{lot}-{i}"))).await.unwrap();
            }
            for _ in 0..4 {
                let (delivery, who) = tokio::select! {
                    biased;
                    delivery = next(&mut second) => (delivery, 1),
                    delivery = next(&mut first) => (delivery, 0),
                };
                shares[who] += 1;
                assert!(came.insert(delivery.job.id.clone()), "{} came twice", delivery.job.id);
                delivery.done();
            }
            if shares.iter().all(|s| *s > 0) {
                return;
            }
        }
        panic!("one got everything: {shares:?}");
    })
    .await;
}

#[tokio::test]
async fn many_publishers_at_once_lose_nothing() {
    on_each(|queue| async move {
        let mut jobs = queue.subscribe().await.unwrap();
        let publish = futures_util::future::join_all((0..500).map(|i| {
            let queue = queue.clone();
            async move { queue.publish(job(&format!("{i}"))).await.unwrap() }
        }));
        let take = async {
            let mut came = BTreeSet::new();
            while came.len() < 500 {
                let delivery = next(&mut jobs).await;
                assert!(came.insert(delivery.job.id.clone()));
                delivery.done();
            }
        };
        tokio::join!(publish, take);
    })
    .await;
}

#[tokio::test]
async fn a_url_that_is_none_says_what_it_must_be() {
    let why = queue::open("kafka://me:hush@x").await.map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("amqp://") && !why.contains("hush"), "{why}");
}
