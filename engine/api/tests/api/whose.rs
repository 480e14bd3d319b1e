//! Whose data is shown to whom, and whether all of it is described.

use api::openapi;
use axum::http::StatusCode;
use flow::Medium;
use serde_json::{Value, json};
use store::Write;

use crate::rig::{Rig, from, peering};

#[tokio::test]
async fn the_document_describes_all_that_can_be_asked_and_nothing_else() {
    let rig = Rig::new(&[]).await;
    let (status, document) = rig.get("/v1.0/openapi.json").await;
    assert_eq!((status, &document["openapi"]), (StatusCode::OK, &json!("3.1.0")));
    for door in openapi::DOORS {
        let path = door.path.replace("{id}", "nobody");
        let method = door.method.to_uppercase();
        let (_, text) = rig.ask(from("127.0.0.1:9", &method, &path, "")).await;
        assert!(!text.contains("ROUTE_NOT_FOUND"), "{method} {path}: {text}");
        assert!(!text.contains("METHOD_NOT_ALLOWED"), "{method} {path}: {text}");
    }
    // What the router has is in the list.
    let source = include_str!("../../src/lib.rs").replace(['\n', ' '], "");
    let routes = source.split(".route(\"").skip(1).map(|rest| {
        let (path, methods) = rest.split_once("\",").unwrap();
        (path.to_owned(), methods.split(".route(").next().unwrap().to_owned())
    });
    let mut counted = 0;
    for (path, methods) in routes.filter(|(path, _)| path.starts_with("/v1.0/")) {
        for method in ["get", "post"] {
            if path != "/v1.0/ws" && methods.contains(&format!("{method}(")) {
                counted += 1;
                let described = &document["paths"][&path][method];
                assert!(described.is_object(), "{method} {path} is not described");
            }
        }
    }
    assert_eq!(counted, openapi::DOORS.len());
}

#[tokio::test]
async fn a_tenants_key_shows_and_does_what_is_that_tenants() {
    let rig = Rig::with(&["all"], &[("theirs", "acme"), ("ours", "default")]).await;
    rig.fill().await;
    let thread = peering().thread_id();
    let ask = async |key: &str, method: &str, path: &str, body: &str| {
        let joint = if path.contains('?') { '&' } else { '?' };
        let request = from("192.0.2.7:5", method, &format!("{path}{joint}accesskey={key}"), body);
        let (status, text) = rig.ask(request).await;
        (status.as_u16(), serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text)))
    };
    let count = |answer: &Value| answer["result"].as_array().unwrap().len();
    // The recordings of a run are whose the run is.
    std::fs::write(rig.folder.path().join("r1_rec_1_1.wav"), "RIFF").unwrap();
    for (key, rows) in [("all", 1), ("ours", 1), ("theirs", 0)] {
        assert_eq!(count(&ask(key, "GET", "/v1.0/recordings", "").await.1), rows, "{key}");
        let one = ask(key, "GET", "/v1.0/recordings/r1_rec_1_1", "").await.0;
        assert_eq!(one, if rows == 1 { 200 } else { 404 }, "{key}");
    }
    // Nobody calls in another's name.
    let call = r#"{ "customer_id": "default", "actions": [{ "type": "hangup" }],
        "destinations": [{ "type": "tel", "target": "+15557654321" }] }"#;
    for (key, status) in [("ours", 404), ("theirs", 403)] {
        assert_eq!(ask(key, "POST", "/v1.0/calls", call).await.0, status, "{key}");
    }
    for list in
        ["/v1.0/activeflows", "/v1.0/conversations", "/v1.0/conversations?peer=%2B15557654321"]
    {
        for (key, rows) in [("all", 1), ("ours", 1), ("theirs", 0)] {
            assert_eq!(count(&ask(key, "GET", list, "").await.1), rows, "{key} {list}");
        }
    }
    let conversation = format!("/v1.0/conversations/{thread}");
    for (method, path, body) in [
        ("GET", "/v1.0/activeflows/r1".to_owned(), ""),
        ("GET", conversation.clone(), ""),
        ("GET", "/v1.0/conversations/+15557654321".to_owned(), ""),
        ("GET", format!("{conversation}/messages"), ""),
        ("POST", format!("{conversation}/messages"), r#"{"text": "hello"}"#),
        ("POST", format!("{conversation}/assign"), r#"{"to": "eve"}"#),
        ("POST", "/v1.0/activeflows/r1/events".to_owned(), r#"{"name": "x"}"#),
        ("POST", "/v1.0/activeflows/r1/continue".to_owned(), ""),
        ("POST", "/v1.0/activeflows/r1/stop".to_owned(), ""),
    ] {
        // As if there were none.
        let (status, answer) = ask("theirs", method, &path, body).await;
        assert_eq!(status, 404, "{method} {path}: {answer}");
    }
    assert_eq!(ask("ours", "GET", "/v1.0/activeflows/r1", "").await.0, 200);

    // What a tenant begins is its own, whatever it says.
    let begin = r#"{"actions": [{"type": "stop"}]}"#;
    let (status, run) = ask("theirs", "POST", "/v1.0/activeflows", begin).await;
    assert_eq!((status, &run["customer_id"]), (200, &json!("acme")));
    let for_others = r#"{"actions": [{"type": "stop"}], "customer_id": "default"}"#;
    assert_eq!(ask("theirs", "POST", "/v1.0/activeflows", for_others).await.0, 403);
    let about_others =
        format!(r#"{{"actions": [{{"type": "stop"}}], "conversation_id": "{thread}"}}"#);
    assert_eq!(ask("theirs", "POST", "/v1.0/activeflows", &about_others).await.0, 404);
    assert_eq!(count(&ask("ours", "GET", "/v1.0/activeflows", "").await.1), 1);
    assert_eq!(count(&ask("theirs", "GET", "/v1.0/activeflows", "").await.1), 1);

    assert_eq!(ask("theirs", "GET", "/metrics", "").await.0, 403);
    assert_eq!(ask("all", "GET", "/metrics", "").await.0, 200);
    assert_eq!(ask("nobody's", "GET", "/v1.0/numbers", "").await.0, 401);
}

/// Its process has died, or hangs: nobody has stopped the call, and nobody says so.
#[tokio::test]
async fn a_call_whose_host_is_silent_is_not_said_to_be_stopped() {
    let rig = Rig::new(&[]).await;
    rig.fill().await;
    let store = &rig.runtime.parts.store;
    let mut run = store.run("r1").await.unwrap().unwrap();
    (run.id, run.subject, run.medium, run.seq) = ("r2".into(), "c1".into(), Medium::Call, 0);
    store.commit(vec![Write::Run(run)]).await.unwrap();
    // The host has some seconds to answer.
    tokio::time::pause();
    let (status, answer) =
        rig.ask(from("127.0.0.1:9", "POST", "/v1.0/activeflows/r2/stop", "")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(answer.contains("SERVICE_UNAVAILABLE"), "{answer}");
    assert!(store.run("r2").await.unwrap().unwrap().outcome.is_none());
    assert!(store.told(9).await.unwrap().is_empty(), "somebody may still take it");
}
