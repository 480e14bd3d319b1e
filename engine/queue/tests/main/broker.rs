//! What only a broker can do to us.

use lapin::options::{BasicNackOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use queue::rabbit::Rabbit;
use queue::{Delivery, Job, Jobs, Queue};

use crate::rig::{Broker, Wire, job, next, soon, until};

/// Until this job comes. Acknowledgements go in groups, so those of others may have been cut off
/// with the wire, and they come again.
async fn come(jobs: &mut Jobs, id: &str) -> Delivery {
    loop {
        let next = next(jobs).await;
        if next.job == job(id) {
            return next;
        }
        next.done();
    }
}

#[tokio::test]
async fn a_cut_wire_loses_nothing_and_is_told() {
    let broker = Broker::new().await;
    let wire = Wire::new(&broker.url).await;
    let queue = Rabbit::open(&wire.url, &broker.name).await.unwrap();
    let mut jobs = queue.subscribe().await.unwrap();
    for round in 0..3 {
        let (done, open) = (format!("done {round}"), format!("open {round}"));
        queue.publish(job(&done)).await.unwrap();
        come(&mut jobs, &done).await.done();
        queue.publish(job(&open)).await.unwrap();
        let in_hand = come(&mut jobs, &open).await;

        wire.cut();
        soon(async { while queue.ready().await.is_ok() {} }).await;
        let refused = soon(queue.publish(job("nowhere"))).await;
        assert!(refused.is_err());
        // Its connection is gone, so this cannot count any more.
        in_hand.done();

        wire.mend();
        // That one is dropped, and comes once more.
        drop(come(&mut jobs, &open).await);
        until(|| async { queue.ready().await.is_ok() }).await;
        come(&mut jobs, &open).await.done();
        queue.publish(job("after")).await.unwrap();
        come(&mut jobs, "after").await.done();
    }
    until(|| async { broker.waiting("jobs").await == 0 }).await;
    assert_eq!(broker.waiting("dead").await, 0);
    drop((jobs, queue));
    broker.clean().await;
}

#[tokio::test]
async fn queues_that_vanish_are_declared_again() {
    let broker = Broker::new().await;
    let queue = Rabbit::open(&broker.url, &broker.name).await.unwrap();
    queue.publish(job("lost with the queue")).await.unwrap();
    broker.delete("jobs").await;
    queue.publish(job("a")).await.unwrap();
    let mut jobs = queue.subscribe().await.unwrap();
    next(&mut jobs).await.done();
    // Under a consumer as well: the broker cancels it, and it comes back.
    broker.delete("jobs").await;
    until(|| async { queue.ready().await.is_err() }).await;
    until(|| async { queue.ready().await.is_ok() }).await;
    queue.publish(job("b")).await.unwrap();
    let b = next(&mut jobs).await;
    assert_eq!(b.job, job("b"));
    b.done();
    drop((jobs, queue));
    broker.clean().await;
}

#[tokio::test]
async fn what_is_no_job_goes_to_the_dead_ones() {
    let broker = Broker::new().await;
    let queue = Rabbit::open(&broker.url, &broker.name).await.unwrap();
    let mut jobs = queue.subscribe().await.unwrap();
    broker.put(b"{\"what\": ").await;
    queue.publish(job("a")).await.unwrap();
    next(&mut jobs).await.done();
    until(|| async { broker.waiting("dead").await == 1 }).await;
    let dead = queue.dead(9).await.unwrap();
    assert_eq!((dead.len(), dead[0].why.as_str()), (1, "rejected"));
    assert_eq!(dead[0].body, "{\"what\": ");
    assert_eq!(queue.replay(9).await.unwrap(), 0);
    assert_eq!(broker.waiting("dead").await, 0);
    drop((jobs, queue));
    broker.clean().await;
}

#[tokio::test]
async fn a_job_that_always_comes_back_ends_with_the_dead_ones() {
    let broker = Broker::new().await;
    let queue = Rabbit::open(&broker.url, &broker.name).await.unwrap();
    queue.publish(job("poison")).await.unwrap();
    let mut times = 0;
    soon(async {
        while broker.waiting("dead").await == 0 {
            if let Some(message) = broker.get("jobs").await {
                times += 1;
                let again = BasicNackOptions { multiple: false, requeue: true };
                message.delivery.nack(again).await.unwrap();
            }
        }
    })
    .await;
    assert_eq!(times, 21);
    // Looking changes nothing, however often.
    for _ in 0..3 {
        let dead = queue.dead(9).await.unwrap();
        assert_eq!((dead.len(), dead[0].why.as_str()), (1, "delivery_limit"));
        assert_eq!(serde_json::from_str::<Job>(&dead[0].body).unwrap(), job("poison"));
        until(|| async { broker.waiting("dead").await == 1 }).await;
    }
    assert_eq!(queue.replay(9).await.unwrap(), 1);
    assert_eq!(broker.waiting("dead").await, 0);
    let mut jobs = queue.subscribe().await.unwrap();
    let alive = next(&mut jobs).await;
    assert_eq!(alive.job, job("poison"));
    alive.done();
    drop(jobs);
    drop(queue);
    broker.clean().await;
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named_without_its_password() {
    for url in ["amqp://me:hu sh@:x:/", "amqp://me:hush@127.0.0.1:hush/"] {
        let why = soon(queue::open(url)).await.map(|_| ()).unwrap_err().to_string();
        assert!(!why.contains("hush") && !why.contains("hu sh"), "{why}");
    }
    // Nobody is there yet: that is no reason to give up, and `ready` tells it.
    let queue = soon(queue::open("amqp://me:hush@127.0.0.1:1/vhost")).await.unwrap();
    let why = soon(queue.ready()).await.unwrap_err().to_string();
    assert!(why.contains("amqp://127.0.0.1:1/vhost") && why.contains("refused"), "{why}");
    assert!(!why.contains("hush"), "{why}");

    let broker = Broker::new().await;
    let wrong = broker.url.replacen("guest:guest", "guest:hush", 1);
    assert_ne!(wrong, broker.url);
    let why = soon(queue::open(&wrong)).await.map(|_| ()).unwrap_err().to_string();
    assert!(!why.contains("hush"), "{why}");
}

#[tokio::test]
async fn a_queue_that_was_opened_before_its_broker_comes_to_life_with_it() {
    let broker = Broker::new().await;
    let wire = Wire::new(&broker.url).await;
    wire.cut();
    let queue = soon(Rabbit::open(&wire.url, &broker.name)).await.unwrap();
    let mut jobs = queue.subscribe().await.unwrap();
    soon(queue.ready()).await.unwrap_err();
    soon(queue.publish(job("too early"))).await.unwrap_err();

    wire.mend();
    until(|| async { queue.ready().await.is_ok() }).await;
    queue.publish(job("a")).await.unwrap();
    let a = next(&mut jobs).await;
    assert_eq!(a.job, job("a"));
    a.done();
    drop((jobs, queue));
    broker.clean().await;
}

#[tokio::test]
async fn queues_of_another_make_are_an_error_at_once() {
    let broker = Broker::new().await;
    let name = format!("{}.jobs", broker.name).into();
    let (options, none) = (QueueDeclareOptions::durable(), FieldTable::default());
    broker.channel.queue_declare(name, options, none).await.unwrap();
    let why = soon(Rabbit::open(&broker.url, &broker.name)).await.map(|_| ()).unwrap_err();
    assert!(why.to_string().contains("PRECONDITION"), "{why}");
    broker.clean().await;
}
