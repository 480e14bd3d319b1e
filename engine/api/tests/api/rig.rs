//! The API over a real store, with some data in it, and its answers held against its document.

use std::net::SocketAddr;
use std::sync::Arc;

use agent::{Config, Error, Llm, Models};
use api::{Access, Api, openapi};
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use conversation::{Address, Outgoing, Status, Tenant};
use flow::{Linking, Medium, Needs, Vars};
use jiff::Timestamp;
use runtime::{Numbers, Parts, Role, Runtime};
use serde_json::{Value, json};
use store::{FlowRow, Line, MessageRow, OutboxRow, Peering, RunRow, Write};
use talk::{Stt, Tts};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Nobody talks here.
pub(crate) struct Nobody;

impl Models for Nobody {
    fn llm(&self, _: &Config) -> Result<Vec<Arc<dyn Llm>>, Error> {
        Ok(Vec::new())
    }
}

impl talk::Vendors for Nobody {
    fn stt(&self, _: &Config) -> Result<Vec<Arc<dyn Stt>>, Error> {
        Ok(Vec::new())
    }

    fn tts(&self, _: &Config) -> Result<Vec<Arc<dyn Tts>>, Error> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl call::Library for Nobody {
    async fn fetch(&self, source: &str) -> Result<Vec<u8>, String> {
        Err(source.into())
    }
}

pub(crate) const FLOW: &str = r#"{ "name": "greet", "actions": [
    { "id": "hi", "type": "send_message", "option": { "text": "hello" } } ] }"#;

pub(crate) struct Rig {
    /// Where its recordings are.
    pub(crate) folder: tempfile::TempDir,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) router: Router,
    pub(crate) stop: CancellationToken,
}

impl Rig {
    pub(crate) async fn new(keys: &[&str]) -> Self {
        Self::with(keys, &[]).await
    }

    /// With keys for everybody's data, and keys of tenants.
    pub(crate) async fn with(keys: &[&str], of_tenants: &[(&str, &str)]) -> Self {
        let of_tenants = of_tenants.iter().map(|(key, tenant)| ((*key).into(), (*tenant).into()));
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new(Parts {
            store: store::open("sqlite::memory:").await.unwrap(),
            queue: queue::open("embedded").await.unwrap(),
            doors: None,
            role: Role::All,
            clock: Arc::new(runtime::clock::System),
            vendors: Arc::new(Nobody),
            library: Arc::new(Nobody),
            web: Arc::new(runtime::web::Offline),
            services: Vec::new(),
            dialers: Arc::new([]),
            full_above: runtime::Limits { late: std::time::Duration::from_secs(1), busy: 100 },
            waiting: call::waiting::Waiting::default(),
            recordings: Some(folder.path().into()),
            messengers: Vec::new(),
            delivery: Default::default(),
            catalog: actions::ALL,
            numbers: Numbers::default(),
            flows: Vec::new(),
            texting: runtime::Texting::default(),
            agents: Default::default(),
            idle_s: 60,
            worker: "w".into(),
            address: None,
        });
        let stop = CancellationToken::new();
        // Not installed: the recorder of a process is one, and these tests run side by side.
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let router = api::router(Api {
            runtime: Arc::clone(&runtime),
            catalog: actions::ALL,
            access: Access::new(keys.iter().map(|key| (*key).into()).collect())
                .and_tenants(of_tenants.collect()),
            metrics: recorder.handle(),
            stop: stop.clone(),
        });
        Self { folder, runtime, router, stop }
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let (status, text) = self.ask(from("127.0.0.1:9", "GET", path, "")).await;
        let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if path.starts_with("/v1.0/") {
            is_as_described("get", path, status, &answer);
        }
        (status, answer)
    }

    /// A run that waits, and a thread with a question.
    pub(crate) async fn fill(&self) {
        let store = &self.runtime.parts.store;
        let now = Timestamp::now();
        let linking = Linking { catalog: actions::ALL, medium: Needs::Text };
        let (flow, _) = flow::link(FLOW, linking).unwrap();
        let row = FlowRow {
            id: "f1".into(),
            tenant: Tenant::default(),
            name: "greet".into(),
            text: FLOW.into(),
            created: now,
        };
        let mut state = flow::Activeflow::new("r1", &flow, Medium::Text, Vars::new());
        state.advance(&flow, now, flow::Event::Started);
        let run = RunRow {
            id: "r1".into(),
            tenant: Tenant::default(),
            flow: "f1".into(),
            flow_name: "greet".into(),
            medium: Medium::Text,
            subject: "t1".into(),
            seq: 0,
            outcome: None,
            state,
            created: now,
            updated: now,
        };
        let line =
            Line { run: "r1".into(), at: now, who: "caller".into(), text: "good day".into() };
        store
            .commit(vec![
                Write::Flow(row),
                Write::Run(run),
                Write::Line(line),
                Write::Receive(message("m1", "hi"), peering()),
            ])
            .await
            .unwrap();
    }
}

pub(crate) fn peering() -> Peering {
    Peering {
        tenant: Tenant::default(),
        channel: "twilio".into(),
        ours: Address::phone("+15550001000").unwrap(),
        peer: Address::phone("+15557654321").unwrap(),
    }
}

pub(crate) fn from(peer: &str, method: &str, path: &str, body: &str) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "127.0.0.1:8080")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

impl Rig {
    /// A text of ours, as the outbox writes it.
    pub(crate) async fn reply(&self) {
        let Peering { tenant, channel, ours, peer } = peering();
        let outgoing = Outgoing {
            key: "k1".into(),
            tenant,
            channel,
            ours,
            peer,
            text: "hello".into(),
            media: Vec::new(),
            prompted: true,
            trace: None,
        };
        let row = OutboxRow {
            key: "k1".into(),
            thread: peering().thread_id(),
            outgoing,
            run: None,
            status: Status::Queued,
            carrier_id: None,
            why: None,
            attempts: 0,
            refused: 0,
            tried: None,
            unsure: None,
            about: None,
            not_before: Timestamp::now(),
            claimed_by: None,
            created: Timestamp::now(),
            receipt: None,
            left: false,
        };
        self.runtime.parts.store.commit(vec![Write::Outbox(row)]).await.unwrap();
    }

    pub(crate) fn tell(&self, kind: &'static str) {
        let data = json!({ "text": "hello" });
        self.runtime.watch.tell(Timestamp::now(), "r1", &peering().thread_id(), kind, data);
    }
}

pub(crate) fn message(id: &str, text: &str) -> MessageRow {
    MessageRow {
        id: id.into(),
        thread: peering().thread_id(),
        n: 0,
        claim: format!("id:{id}"),
        inbound: true,
        text: text.into(),
        media: Vec::new(),
        answered_by_carrier: false,
        at: Timestamp::now(),
    }
}

/// The answer is what the API's document says of it.
#[track_caller]
pub(crate) fn is_as_described(method: &str, path: &str, status: StatusCode, answer: &Value) {
    let document = openapi::document();
    let path = path.split('?').next().unwrap();
    let fits = |door: &&openapi::Door| {
        let (pattern, path) = (door.path.split('/'), path.split('/'));
        door.method == method
            && pattern.clone().count() == path.clone().count()
            && pattern.zip(path).all(|(pattern, part)| pattern == "{id}" || pattern == part)
    };
    // Where there is nothing, nothing is described.
    let Some(door) = openapi::DOORS.iter().find(fits) else { return };
    let code = if status.is_success() { "200" } else { "default" };
    let responses = &document["paths"][door.path][method]["responses"];
    let mut schema = responses[code]["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{method} {path}: {code} is not described");
    schema["components"] = document["components"].clone();
    let found: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(answer)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(found.is_empty(), "{method} {path}: {found:#?}\n{answer:#}");
}
