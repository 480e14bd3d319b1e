//! A vendor that refuses, stalls, drops or talks rubbish in the middle of a call. Where another
//! stands in, the talk goes on; else the caller hears an apology and the run takes the exit
//! `failed`. Nothing hangs and nothing stays.

use tests::double::Fault;
use tests::double::openai::{Reply, last_user};
use tests::phone::{Dialling, Phone};
use tests::record::until;
use tests::rig::{PEER, Setup, Voxflow, World};
use tests::sound;

use super::calls::{baker, exits, finished_run, line, transcript};

/// What the model answers.
const ANSWER: &str = "We sell bread, and rolls, and very large cakes.";

/// Which vendor fails.
#[derive(Clone, Copy, Debug)]
enum Vendor {
    Model,
    Recognizer,
    Voice,
}

/// A call whose vendor breaks: a key is refused when the call begins, the rest happens after the
/// greeting, when the caller asks.
struct Broken {
    world: World,
    voxflow: Voxflow,
    phone: Phone,
    /// Live tasks before the call.
    rest: f64,
    /// What was seen before the caller asked.
    before: usize,
}

async fn breaks(vendor: Vendor, fault: Fault, setup: Setup) -> Broken {
    let world = World::open(|_| Reply::say(ANSWER), &["what do you sell"]).await;
    let setup = Setup { call_flow: Some(line(&baker())), ..setup };
    let voxflow = world.start(setup).await;
    let rest = voxflow.tasks_at_rest().await;
    let breaks = || match vendor {
        Vendor::Model => world.openai.fail(fault),
        Vendor::Recognizer => world.deepgram.fail(fault),
        Vendor::Voice => world.elevenlabs.fail(fault),
    };
    if fault == Fault::Refuse {
        breaks();
    }
    let phone = world.call(&voxflow, Dialling::default());
    // A refused recognizer ends the greeting by the apology: either is heard.
    phone.hears_out(0, "the greeting, or the apology").await;
    let before = phone.count();
    if fault != Fault::Refuse {
        breaks();
    }
    phone.say(&sound::speech("what do you sell"));
    Broken { world, voxflow, phone, rest, before }
}

/// The caller hears an apology, the run takes the exit `failed`, and the flow goes on there.
async fn fails(vendor: Vendor, fault: Fault) {
    let Broken { world, voxflow, phone, rest, before } =
        breaks(vendor, fault, Setup::default()).await;
    if fault != Fault::Refuse || matches!(vendor, Vendor::Model) {
        phone.hears(before, "the apology").await;
    }
    let sorry = world.twilio.sent().find("the text of the failed exit", |sent| Some(sent.clone()));
    let sorry = sorry.await;
    assert_eq!((sorry.to(), sorry.body()), (PEER, "Sorry, we could not talk."));
    phone.ends().await;
    assert!(
        world.elevenlabs.spoken().all().iter().any(|said| said.contains("something is broken"))
    );
    let run = finished_run(&voxflow).await;
    let exits = exits(&run);
    assert!(exits.contains(&("agent".into(), "failed".into())), "{exits:?}");
    assert_eq!(phone.violations(), [""; 0]);
    // The runtime keeps connections to those that it asks by HTTP: Twilio and the model.
    voxflow.settles_at(rest + 4.0).await;
}

/// Another voice stands in: the caller hears the answer, and the talk goes on.
async fn is_stood_in_for(fault: Fault) {
    let Broken { world, voxflow, phone, rest, before } =
        breaks(Vendor::Voice, fault, Setup::default()).await;
    let answered = voxflow_says(&voxflow, ANSWER);
    phone.hears(before, "the answer").await;
    answered.await;
    phone.hang_up();
    phone.ends().await;
    let run = finished_run(&voxflow).await;
    assert_eq!(run["outcome"], "hung_up", "{run:#}");
    assert_eq!(phone.violations(), [""; 0]);
    let asked = world.openai.requests().all();
    let asked = asked.iter().filter(|request| last_user(request) == "what do you sell").count();
    assert_eq!(asked, 1, "the model was asked once");
    voxflow.settles_at(rest + 4.0).await;
}

/// Waits until the run's transcript has the agent's words, all of them heard.
async fn voxflow_says(voxflow: &Voxflow, words: &str) {
    until("the answer in the transcript", || async {
        let runs = voxflow.get("/v1.0/activeflows").await;
        let id = runs["result"][0]["id"].as_str()?.to_owned();
        let run = voxflow.get(&format!("/v1.0/activeflows/{id}")).await;
        transcript(&run).contains(&("agent".into(), words.into())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_model_refuses() {
    fails(Vendor::Model, Fault::Refuse).await;
}

#[tokio::test]
async fn the_model_stalls() {
    fails(Vendor::Model, Fault::Stall).await;
}

#[tokio::test]
async fn the_model_drops() {
    fails(Vendor::Model, Fault::Drop).await;
}

#[tokio::test]
async fn the_model_talks_rubbish() {
    fails(Vendor::Model, Fault::Rubbish).await;
}

#[tokio::test]
async fn the_recognizer_refuses() {
    fails(Vendor::Recognizer, Fault::Refuse).await;
}

#[tokio::test]
async fn the_recognizer_stalls() {
    fails(Vendor::Recognizer, Fault::Stall).await;
}

#[tokio::test]
async fn the_recognizer_drops() {
    fails(Vendor::Recognizer, Fault::Drop).await;
}

#[tokio::test]
async fn the_recognizer_talks_rubbish() {
    fails(Vendor::Recognizer, Fault::Rubbish).await;
}

#[tokio::test]
async fn the_voice_refuses() {
    is_stood_in_for(Fault::Refuse).await;
}

#[tokio::test]
async fn the_voice_stalls() {
    is_stood_in_for(Fault::Stall).await;
}

#[tokio::test]
async fn the_voice_drops() {
    is_stood_in_for(Fault::Drop).await;
}

#[tokio::test]
async fn the_voice_talks_rubbish() {
    is_stood_in_for(Fault::Rubbish).await;
}

/// Without another voice on this machine nobody can apologize; the flow goes on all the same.
#[tokio::test]
async fn the_only_voice_drops() {
    let setup = Setup { path: Some(String::new()), ..Setup::default() };
    let Broken { world, voxflow, phone, rest, .. } =
        breaks(Vendor::Voice, Fault::Drop, setup).await;
    let sorry = world.twilio.sent().find("the text of the failed exit", |sent| Some(sent.clone()));
    assert_eq!(sorry.await.body(), "Sorry, we could not talk.");
    phone.ends().await;
    let exits = exits(&finished_run(&voxflow).await);
    assert!(exits.contains(&("agent".into(), "failed".into())), "{exits:?}");
    voxflow.settles_at(rest + 4.0).await;
}
