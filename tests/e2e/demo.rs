//! The demo as a newcomer has it: no key, no account, written rules, espeak-ng and pocketsphinx.
//! It is texted by `curl`, called by an independent Twilio, and used in a browser.

use std::path::Path;

use serde_json::{Value, json};
use tests::python;
use tests::record::until;
use tests::rig::{PEER, Voxflow, free_port, http};
use tests::sound;

use super::calls::{exits, transcript};

/// What the demo's rules know.
const QUESTION: &str = "what are your opening hours";
/// A word of the answer.
const ANSWER: &str = "nine";

async fn demo(folder: &Path) -> Voxflow {
    let at = free_port();
    let listen = at.to_string();
    Voxflow::start(at, folder.to_owned(), &["demo"], &[("VOXFLOW_LISTEN", &listen)]).await
}

/// The runs that are over, in full, newest first.
async fn runs_over(voxflow: &Voxflow, n: usize) -> Vec<Value> {
    let ids = until("the end of the runs", || async {
        let runs = voxflow.get("/v1.0/activeflows").await;
        let runs = runs["result"].as_array().unwrap().clone();
        let over: Vec<Value> = runs.into_iter().filter(|run| !run["outcome"].is_null()).collect();
        (over.len() >= n).then_some(over)
    })
    .await;
    let mut full = Vec::new();
    for run in ids {
        full.push(voxflow.get(&format!("/v1.0/activeflows/{}", run["id"].as_str().unwrap())).await);
    }
    full
}

/// An unsigned webhook for a call, as a newcomer without an account may send it from this machine:
/// the address of the media stream and its parameters.
async fn arrive(voxflow: &Voxflow, number: &str) -> (String, Vec<String>) {
    let form = [
        ("CallSid", "CA00000000000000000000000000000001"),
        ("AccountSid", "AC1"),
        ("From", PEER),
        ("To", number),
    ];
    let url = format!("http://{}/twilio/voice", voxflow.at);
    let answer = http().post(url).form(&form).send().await.unwrap();
    let twiml = answer.text().await.unwrap();
    let document =
        roxmltree::Document::parse(&twiml).unwrap_or_else(|why| panic!("{why}: {twiml}"));
    let stream = document.descendants().find(|node| node.has_tag_name("Stream")).expect(&twiml);
    let path = stream.attribute("url").unwrap().splitn(4, '/').nth(3).unwrap();
    let parameters = stream.children().filter(|node| node.has_tag_name("Parameter"));
    let of = |node: &roxmltree::Node<'_, '_>, name| node.attribute(name).unwrap().to_owned();
    let parameters =
        parameters.map(|node| format!("{}={}", of(&node, "name"), of(&node, "value"))).collect();
    (format!("ws://{}/{path}", voxflow.at), parameters)
}

async fn number(voxflow: &Voxflow) -> String {
    voxflow.get("/v1.0/numbers").await["result"][0]["number"].as_str().unwrap().to_owned()
}

/// Plays a scenario on the demo's line, and returns streamdouble's report.
async fn play(voxflow: &Voxflow, folder: &Path, steps: &Value) -> Value {
    let (url, parameters) = arrive(voxflow, &number(voxflow).await).await;
    // JSON is YAML.
    let scenario = folder.join("scenario.yaml");
    std::fs::write(&scenario, json!({ "name": "a call", "steps": steps }).to_string()).unwrap();
    let trace = folder.join("trace.jsonl");
    let mut args = vec![scenario.to_str().unwrap(), &url, trace.to_str().unwrap()];
    args.extend(parameters.iter().map(String::as_str));
    let report = python::run("line.py", &args).await;
    let report: Value =
        serde_json::from_str(&report).unwrap_or_else(|why| panic!("{why}: {report}"));
    assert_eq!(report["violations"], json!([]), "{report:#}");
    report
}

#[tokio::test]
async fn an_independent_twilio_calls_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let voxflow = demo(folder.path()).await;
    let question = folder.path().join("question.wav");
    sound::write_wav(&question, &sound::padded(100, &sound::speech(QUESTION), 100), 8000);
    let steps = json!([ { "wait_for": "audio" }, { "wait_for": "quiet" }, { "say": "question.wav" },
                        { "wait": 3.0 }, { "wait_for": "quiet" }, "hangup" ]);
    let report = play(&voxflow, folder.path(), &steps).await;
    let first = report["time_to_first_audio_ms"].as_f64().expect("it never spoke");
    assert!(first < 2500.0, "the first sound after {first} ms: {report:#}");

    let run = runs_over(&voxflow, 1).await.remove(0);
    assert_eq!(run["outcome"], "hung_up", "{run:#}");
    let said = transcript(&run);
    assert_eq!(said[0].0, "agent", "{said:?}");
    let asked = said.iter().position(|line| *line == ("caller".into(), QUESTION.into()));
    let asked = asked.unwrap_or_else(|| panic!("the question was not understood: {said:?}"));
    assert!(said[asked + 1].0 == "agent" && said[asked + 1].1.contains(ANSWER), "{said:?}");
    assert!(exits(&run).iter().any(|(_, exit)| exit == "done"), "{run:#}");
}

#[tokio::test]
async fn the_line_stops_speaking_when_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let voxflow = demo(folder.path()).await;
    let question = folder.path().join("question.wav");
    sound::write_wav(&question, &sound::speech(QUESTION), 8000);
    // In the middle of the greeting.
    let steps = json!([ { "wait_for": "audio" }, { "wait": 0.6 }, { "say": "question.wav" }, { "expect": "clear" },
                        { "wait": 3.0 }, "hangup" ]);
    let report = play(&voxflow, folder.path(), &steps).await;
    assert_eq!(report["exit_code"], 0, "{report:#}");
    let run = runs_over(&voxflow, 1).await.remove(0);
    let said = transcript(&run);
    assert!(said.iter().any(|(who, text)| who == "caller" && text == QUESTION), "{said:?}");
}

/// What the demo prints is a line for a shell that texts it and brings the reply back.
#[tokio::test]
async fn the_printed_line_texts_it() {
    let folder = tempfile::tempdir().unwrap();
    let voxflow = demo(folder.path()).await;
    let line = until("the printed curl", || async {
        let log = voxflow.log();
        log.lines().find(|line| line.trim_start().starts_with("curl ")).map(ToOwned::to_owned)
    })
    .await;
    for _ in 0..2 {
        let shell = tokio::process::Command::new("sh").arg("-c").arg(&line).output().await.unwrap();
        let said = String::from_utf8_lossy(&shell.stdout);
        assert!(shell.status.success() && said.contains(ANSWER), "{line}\n{shell:?}");
    }
}

#[tokio::test]
async fn a_person_texts_and_calls_in_the_browser() {
    let folder = tempfile::tempdir().unwrap();
    let voxflow = demo(folder.path()).await;
    let speech = folder.path().join("speech.wav");
    // The microphone runs from the start of the call: the greeting is over when the person speaks.
    sound::write_wav(&speech, &sound::padded(6000, &sound::speech(QUESTION), 12_000), 8000);
    let url = format!("http://{}", voxflow.at);
    let screenshot = std::env::temp_dir().join("voxflow-console.png");
    let screenshot =
        std::env::var("VOXFLOW_TEST_SCREENSHOT").unwrap_or(screenshot.display().to_string());
    let args = [
        &url,
        speech.to_str().unwrap(),
        &screenshot,
        "What are your opening hours?",
        ANSWER,
        QUESTION,
        ANSWER,
        "agent",
    ];
    python::run("console.py", &args).await;
    let runs = runs_over(&voxflow, 2).await;
    let kinds: Vec<&str> = runs.iter().map(|run| run["reference_type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"call") && kinds.contains(&"conversation"), "{kinds:?}");
}
