//! The API over a real store: what it shows, what it refuses, and in which shape.

#![allow(clippy::unwrap_used)]

mod rig;
mod whose;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::{StatusCode, header};
use futures_util::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::rig::{FLOW, Rig, from, peering};

#[tokio::test]
async fn runs_are_listed_and_shown_with_what_was_said() {
    let rig = Rig::new(&[]).await;
    rig.fill().await;
    let (status, list) = rig.get("/v1.0/activeflows").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(list["next_page_token"], "");
    let run = &list["result"][0];
    assert_eq!(run["id"], "r1");
    assert_eq!(run["status"], "waiting");
    assert_eq!(run["waiting_for"]["what"], "send_message");
    assert_eq!(run["reference_type"], "conversation");

    let (_, shown) = rig.get("/v1.0/activeflows/r1").await;
    assert_eq!(shown["transcript"][0]["text"], "good day");
    assert!(shown["executed_actions"].is_array() && shown["variables"].is_object(), "{shown:#}");

    let (_, page) = rig.get("/v1.0/activeflows?page_size=1").await;
    let token = page["next_page_token"].as_str().unwrap();
    let (_, next) = rig.get(&format!("/v1.0/activeflows?page_token={token}")).await;
    assert_eq!(next["result"], json!([]));
}

#[tokio::test]
async fn conversations_are_found_by_id_and_by_peer() {
    let rig = Rig::new(&[]).await;
    rig.fill().await;
    rig.reply().await;
    let thread = peering().thread_id();
    let (_, list) = rig.get("/v1.0/conversations").await;
    assert_eq!(list["result"][0]["id"], thread.as_str());
    let (_, none) = rig.get("/v1.0/conversations?peer=somebody").await;
    assert_eq!(none["result"], json!([]));
    for name in [&thread, "+15557654321", "%2B15557654321"] {
        let (status, texts) = rig.get(&format!("/v1.0/conversations/{name}/messages")).await;
        assert_eq!(status, StatusCode::OK, "{name}");
        let said: Vec<_> = texts["result"].as_array().unwrap().iter().collect();
        assert_eq!((&said[0]["direction"], &said[0]["text"]), (&json!("incoming"), &json!("hi")));
        assert_eq!(
            (&said[1]["direction"], &said[1]["text"]),
            (&json!("outgoing"), &json!("hello"))
        );
    }
    let (_, last) = rig.get(&format!("/v1.0/conversations/{thread}/messages?last=1")).await;
    assert_eq!(last["result"].as_array().unwrap().len(), 1);
    assert_eq!(last["result"][0]["text"], "hello");
}

#[tokio::test]
async fn a_question_can_wait_for_the_reply() {
    let rig = Rig::new(&[]).await;
    rig.fill().await;
    let path = "/v1.0/conversations/+15557654321/messages?as=text&wait=";
    let late = rig.ask(from("127.0.0.1:9", "GET", &format!("{path}1"), ""));
    assert_eq!(late.await.1, "+15557654321: hi\n(no reply within 1 s)\n");

    let waiting = rig.ask(from("127.0.0.1:9", "GET", &format!("{path}30"), ""));
    let replying = async {
        tokio::task::yield_now().await;
        rig.reply().await;
        rig.tell("text_out");
    };
    let ((_, text), ()) = tokio::join!(waiting, replying);
    assert_eq!(text, "+15557654321: hi\n+15550001000: hello\n");
}

#[tokio::test]
async fn a_conversation_goes_to_a_human_who_writes_and_gives_it_back() {
    let rig = Rig::new(&[]).await;
    rig.fill().await;
    let path = "/v1.0/conversations/+15557654321";
    let post = async |what: &str, body: &str| {
        let request = from("127.0.0.1:9", "POST", &format!("{path}/{what}"), body);
        let (status, text) = rig.ask(request).await;
        (status.as_u16(), serde_json::from_str::<Value>(&text).unwrap())
    };
    let (status, shown) = post("assign", r#"{"to": "anna"}"#).await;
    assert_eq!((status, &shown["assigned_to"]), (200, &json!("anna")));
    let (status, _) = post("messages", r#"{"text": "Anna here."}"#).await;
    assert_eq!(status, 200);
    let (_, texts) = rig.get(&format!("{path}/messages?last=1")).await;
    assert_eq!(texts["result"][0]["text"], "Anna here.");
    let (_, shown) = post("assign", r#"{"to": null}"#).await;
    assert_eq!(shown["assigned_to"], Value::Null);
    for (what, body) in [("assign", "anna"), ("messages", "{}"), ("messages", r#"{"txt": "a"}"#)] {
        assert_eq!(post(what, body).await.0, 400, "{what} {body}");
    }
}

#[tokio::test]
async fn refusals_have_one_shape_and_an_id() {
    let rig = Rig::new(&[]).await;
    let check = async |method: &str, path: &str, body: &str, status: u16, reason: &str| {
        let response =
            rig.router.clone().oneshot(from("127.0.0.1:9", method, path, body)).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body["error"]["reason"], reason, "{body:#}");
        assert_eq!(body["error"]["request_id"], id.as_str());
        assert!(body["error"]["message"].is_string() && body["error"]["status"].is_string());
    };
    check("GET", "/v1.0/activeflows/none", "", 404, "ACTIVEFLOW_NOT_FOUND").await;
    check("GET", "/v1.0/calls/none", "", 404, "CALL_NOT_FOUND").await;
    check("GET", "/v1.0/conversations/none/messages", "", 404, "CONVERSATION_NOT_FOUND").await;
    check("GET", "/v1.0/none", "", 404, "ROUTE_NOT_FOUND").await;
    check("DELETE", "/v1.0/calls", "", 405, "METHOD_NOT_ALLOWED").await;
    check("GET", "/v1.0/calls?page_size=many", "", 400, "INVALID_PARAMETER").await;
    check("GET", "/v1.0/calls?page_token=yesterday", "", 400, "INVALID_PARAMETER").await;
    check("GET", "/v1.0/ws", "", 400, "INVALID_REQUEST").await;
    let large = "x".repeat(1024 * 1024 + 1);
    check("POST", "/v1.0/flows/validate", &large, 413, "BODY_TOO_LARGE").await;
}

#[tokio::test]
async fn only_this_machine_comes_in_without_a_key() {
    let rig = Rig::new(&[]).await;
    for path in ["/v1.0/activeflows", "/metrics", "/console/", "/v1.0/ws"] {
        let (status, text) = rig.ask(from("192.0.2.1:9", "GET", path, "")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert!(text.contains("access_keys"), "{text}");
    }
    for path in ["/healthz", "/readyz"] {
        let (status, _) = rig.ask(from("192.0.2.1:9", "GET", path, "")).await;
        assert_eq!(status, StatusCode::OK, "{path}");
    }
    let rig = Rig::new(&["secret"]).await;
    let (status, _) = rig.ask(from("192.0.2.1:9", "GET", "/v1.0/calls", "")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = rig.ask(from("192.0.2.1:9", "GET", "/v1.0/calls?accesskey=secret", "")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_flow_is_checked_as_on_the_command_line() {
    let rig = Rig::new(&[]).await;
    let check = async |path: &str, flow: &str| {
        let (status, text) = rig.ask(from("127.0.0.1:9", "POST", path, flow)).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(check("/v1.0/flows/validate", FLOW).await["links"], true);
    let wrong = check("/v1.0/flows/validate", "{ \"actions\": [ { \"type\": \"tlak\" } ] }").await;
    assert_eq!(wrong["links"], false);
    assert_eq!(wrong["diagnostics"][0]["code"], "F001");
    let call = "{ \"actions\": [ { \"type\": \"answer\" } ] }";
    assert_eq!(check("/v1.0/flows/validate?for=call", call).await["links"], true);
    assert_eq!(check("/v1.0/flows/validate?for=text", call).await["links"], false);
}

#[tokio::test]
async fn the_console_is_served_with_headers_that_keep_foreign_code_out() {
    let rig = Rig::new(&[]).await;
    for file in ["", "app.js", "call.js", "worklet.js", "style.css", "icon.svg"] {
        let request = from("127.0.0.1:9", "GET", &format!("/console/{file}"), "");
        let response = rig.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{file}");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'self'"));
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    let (_, page) = rig.ask(from("127.0.0.1:9", "GET", "/console/", "")).await;
    for id in ["text", "send", "call", "hangup", "transcript", "action", "messages"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    let (status, _) = rig.ask(from("127.0.0.1:9", "GET", "/console/../Cargo.toml", "")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn happenings_are_replayed_and_followed_until_the_end() {
    let rig = Rig::new(&[]).await;
    rig.tell("run_started");
    rig.tell("action");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = rig.router.clone().into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, service).await });

    let url = format!("ws://{address}/v1.0/ws?since=1&run=r1");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut next = async || loop {
        let message = tokio::time::timeout(Duration::from_secs(10), socket.next()).await.unwrap();
        match message {
            Some(Ok(message)) if message.is_text() => {
                let text = message.into_text().unwrap();
                return serde_json::from_str::<Value>(&text).unwrap();
            }
            Some(Ok(message)) if message.is_close() => return Value::Null,
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    let replayed = next().await;
    assert_eq!((&replayed["seq"], &replayed["type"]), (&json!(2), &json!("action")));
    let at = Timestamp::now();
    rig.runtime.watch.tell(at, "r2", "elsewhere", "action", Value::Null);
    rig.tell("run_ended");
    assert_eq!(next().await["type"], "run_ended");
    rig.stop.cancel();
    assert_eq!(next().await, Value::Null);
    server.abort();
}

#[tokio::test]
async fn ready_says_what_is_not() {
    let rig = Rig::new(&[]).await;
    let (status, body) = rig.get("/readyz").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    rig.stop.cancel();
    let (status, body) = rig.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["process"], "stopping");
}

impl Rig {
    async fn post(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let mut request = from("127.0.0.1:9", "POST", path, &body.to_string());
        if !key.is_empty() {
            request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        }
        let (status, text) = self.ask(request).await;
        (status.as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The run, once it has this status.
    async fn run(&self, id: &str, status: &str) -> Value {
        let become_so = async {
            loop {
                let (_, run) = self.get(&format!("/v1.0/activeflows/{id}")).await;
                if run["status"] == status {
                    return run;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), become_so).await.unwrap()
    }
}

#[tokio::test]
async fn a_run_is_begun_and_told_of_an_event_by_the_api() {
    let rig = Rig::new(&[]).await;
    tokio::spawn(Arc::clone(&rig.runtime).serve(rig.stop.clone()));
    let waits = json!({ "variables": { "order": 7 }, "actions": [
        { "type": "wait_event", "option": { "name": "paid", "timeout_s": 60 } },
        { "type": "block", "option": { "timeout_s": 60 } } ] });
    let (status, run) = rig.post("/v1.0/activeflows", "", &waits).await;
    assert_eq!((status, &run["reference_type"]), (200, &json!("api")), "{run:#}");
    let id = run["id"].as_str().unwrap();
    rig.run(id, "waiting").await;
    let events = format!("/v1.0/activeflows/{id}/events");
    let (status, refused) = rig.post(&events, "", &json!({ "name": "shipped" })).await;
    assert_eq!((status, &refused["error"]["reason"]), (409, &json!("ACTIVEFLOW_NOT_WAITING")));
    let paid = json!({ "name": "paid", "values": { "sum": 9 } });
    assert_eq!(rig.post(&format!("{events}?customer_id=other"), "", &paid).await.0, 404);
    assert_eq!(rig.post(&events, "", &paid).await.0, 200);
    assert_eq!(rig.post(&format!("/v1.0/activeflows/{id}/continue"), "", &json!({})).await.0, 200);
    let run = rig.run(id, "ended").await;
    assert_eq!(run["variables"]["event.sum"], 9);
    assert_eq!(run["variables"]["order"], 7);
    let (status, refused) = rig.post(&events, "", &paid).await;
    assert_eq!((status, &refused["error"]["reason"]), (409, &json!("STATE_INVALID")));
    rig.stop.cancel();
}

#[tokio::test]
async fn a_request_with_a_key_is_done_once() {
    let rig = Rig::new(&[]).await;
    let stop = json!({ "actions": [ { "type": "stop" } ] });
    let (_, first) = rig.post("/v1.0/activeflows", "k1", &stop).await;
    let (status, second) = rig.post("/v1.0/activeflows?accesskey=x", "k1", &stop).await;
    assert_eq!((status, &second["id"]), (200, &first["id"]));
    let (_, third) = rig.post("/v1.0/activeflows", "k2", &stop).await;
    assert_ne!(third["id"], first["id"]);
    let other = json!({ "actions": [ { "type": "hangup" } ] });
    let (status, refused) = rig.post("/v1.0/activeflows", "k1", &other).await;
    assert_eq!((status, &refused["error"]["reason"]), (409, &json!("IDEMPOTENCY_KEY_REUSED")));
    // What was refused was not done: the key is free for the mended request.
    let faulty = json!({ "actions": [ { "type": "tlak" } ] });
    let (status, refused) = rig.post("/v1.0/activeflows", "k3", &faulty).await;
    assert_eq!((status, &refused["error"]["reason"]), (400, &json!("FLOW_INVALID")));
    assert_eq!(rig.post("/v1.0/activeflows", "k3", &stop).await.0, 200);
}

#[tokio::test]
async fn what_cannot_be_begun_is_refused_in_the_one_shape() {
    let rig = Rig::new(&[]).await;
    let check = async |path: &str, body: Value, status: u16, reason: &str| {
        let (got, refused) = rig.post(path, "", &body).await;
        assert_eq!(
            (got, refused["error"]["reason"].as_str()),
            (status, Some(reason)),
            "{refused:#}"
        );
    };
    let runs = "/v1.0/activeflows";
    check(runs, json!({ "flow_id": "none" }), 404, "RESOURCE_NOT_FOUND").await;
    check(runs, json!({}), 400, "MISSING_REQUEST_PARAMETER").await;
    check(runs, json!({ "flow": "none" }), 400, "INVALID_JSON_BODY").await;
    check("/v1.0/activeflows/none/events", json!({ "name": "a" }), 404, "ACTIVEFLOW_NOT_FOUND")
        .await;
    check("/v1.0/activeflows/none/events", json!({}), 400, "INVALID_JSON_BODY").await;
}

#[tokio::test]
async fn a_call_is_made_with_a_flow_from_a_number_of_ours() {
    let rig = Rig::new(&[]).await;
    let post = async |body: Value| {
        let request = from("127.0.0.1:9", "POST", "/v1.0/calls", &body.to_string());
        let (status, text) = rig.ask(request).await;
        (status.as_u16(), text)
    };
    let to = json!([{ "type": "tel", "target": "+15557654321", "target_name": "Ann" }]);
    let actions = json!([{ "type": "hangup" }]);
    let (status, said) = post(json!({ "destinations": to })).await;
    assert!(status == 400 && said.contains("flow_id"), "{said}");
    let (status, said) = post(json!({ "destinations": [], "actions": actions })).await;
    assert!(status == 400 && said.contains("destinations"), "{said}");
    let (status, said) = post(json!({ "destinations": to, "actions": actions })).await;
    assert!(status == 404 && said.contains("no number to call from"), "{said}");
    let stranger = json!({ "type": "tel", "target": "+15550000000" });
    let (status, said) =
        post(json!({ "destinations": to, "actions": actions, "source": stranger })).await;
    assert!(status == 404 && said.contains("no number of ours"), "{said}");
}

#[tokio::test]
async fn recordings_are_listed_and_fetched() {
    let rig = Rig::new(&[]).await;
    assert_eq!(rig.get("/v1.0/recordings").await.1["result"], json!([]));
    std::fs::write(rig.folder.path().join("r1_rec_1_1.wav"), "RIFF").unwrap();
    std::fs::write(rig.folder.path().join("notes.txt"), "not a recording").unwrap();
    let listed = rig.get("/v1.0/recordings").await.1;
    let rows = listed["result"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["id"], &rows[0]["activeflow_id"]), (&json!("r1_rec_1_1"), &json!("r1")));
    assert_eq!(rows[0]["size"], 4);
    let wav = from("127.0.0.1:9", "GET", "/v1.0/recordings/r1_rec_1_1", "");
    let (status, wav) = rig.ask(wav).await;
    assert_eq!((status.as_u16(), wav.as_str()), (200, "RIFF"));
    for none in ["r2", "..%2Fnotes", "notes.txt"] {
        assert_eq!(rig.get(&format!("/v1.0/recordings/{none}")).await.0.as_u16(), 404, "{none}");
    }
}
