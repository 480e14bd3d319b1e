//! Fresh queues, a way to look behind them, and a wire that can be cut.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use queue::rabbit::Rabbit;
use queue::{Delivery, Job, Jobs, Queue};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;

/// Runs a test on each kind of queue.
pub(crate) async fn on_each<F: Future<Output = ()>>(test: impl Fn(Arc<dyn Queue>) -> F) {
    eprintln!("on the embedded queue");
    test(queue::open("embedded").await.unwrap()).await;

    eprintln!("on RabbitMQ");
    let broker = Broker::new().await;
    test(Arc::new(Rabbit::open(&broker.url, &broker.name).await.unwrap())).await;
    broker.clean().await;
}

/// The RabbitMQ of the tests, and a name of our own in it.
pub(crate) struct Broker {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) channel: Channel,
    _connection: Connection,
}

impl Broker {
    pub(crate) async fn new() -> Self {
        let url = std::env::var("VOXFLOW_TEST_AMQP").unwrap_or_else(|_| {
            panic!(
                "VOXFLOW_TEST_AMQP is not set: `make test` starts a RabbitMQ and sets it, or set it \
                 to the URL of one"
            )
        });
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(&url, properties).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let name = format!("test-{}", Uuid::now_v7().simple());
        Self { url, name, channel, _connection: connection }
    }

    /// How many messages wait in a queue of ours: `jobs` or `dead`.
    pub(crate) async fn waiting(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
        let name = format!("{}.{queue}", self.name).into();
        self.channel
            .queue_declare(name, passive, FieldTable::default())
            .await
            .unwrap()
            .message_count()
    }

    /// Takes a message out of a queue of ours.
    pub(crate) async fn get(&self, queue: &str) -> Option<lapin::message::BasicGetMessage> {
        let name = format!("{}.{queue}", self.name).into();
        self.channel.basic_get(name, BasicGetOptions { no_ack: false }).await.unwrap()
    }

    /// Puts something among the jobs that is none.
    pub(crate) async fn put(&self, body: &[u8]) {
        let name = format!("{}.jobs", self.name).into();
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        self.channel.basic_publish("".into(), name, options, body, properties).await.unwrap();
    }

    pub(crate) async fn delete(&self, queue: &str) {
        let name = format!("{}.{queue}", self.name).into();
        self.channel.queue_delete(name, QueueDeleteOptions::default()).await.unwrap();
    }

    pub(crate) async fn clean(self) {
        self.delete("jobs").await;
        self.delete("dead").await;
    }
}

pub(crate) fn job(id: &str) -> Job {
    Job { kind: "thread".into(), id: id.into(), trace: Some("00-1-2-01".into()) }
}

/// The next job, which must come soon.
pub(crate) async fn next(jobs: &mut Jobs) -> Delivery {
    soon(jobs.0.recv()).await.expect("the queue is open")
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it took too long")
}

/// Asks again and again until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    soon(async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A wire to the broker that can be cut.
pub(crate) struct Wire {
    pub(crate) url: String,
    whole: watch::Sender<bool>,
}

impl Wire {
    pub(crate) async fn new(url: &str) -> Self {
        let mut uri: AMQPUri = url.parse().unwrap();
        let there = (uri.authority.host.clone(), uri.authority.port);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        uri.authority.host = "127.0.0.1".into();
        uri.authority.port = listener.local_addr().unwrap().port();
        let (whole, state) = watch::channel(true);
        tokio::spawn(async move {
            loop {
                let (mut ours, _) = listener.accept().await.unwrap();
                let (there, mut state) = (there.clone(), state.clone());
                tokio::spawn(async move {
                    if !*state.borrow() {
                        return;
                    }
                    let mut theirs = TcpStream::connect(there).await.unwrap();
                    // Whichever ends first closes both.
                    tokio::select! {
                        _ = copy_bidirectional(&mut ours, &mut theirs) => {}
                        _ = state.wait_for(|whole| !whole) => {}
                    }
                });
            }
        });
        Self { url: uri.to_string(), whole }
    }

    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}
