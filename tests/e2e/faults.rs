//! A vendor that refuses, stalls, drops or talks rubbish in the middle of a call: the caller hears
//! an apology, the run takes the exit `failed`, nothing hangs and nothing stays.

use tests::double::Fault;
use tests::double::openai::Reply;
use tests::phone::Dialling;
use tests::rig::{PEER, Setup, World};
use tests::sound;

use super::calls::{baker, exits, finished_run, line};

/// Which vendor fails.
#[derive(Clone, Copy, Debug)]
enum Vendor {
    Model,
    Recognizer,
    Voice,
}

/// The vendor is broken from the start of the call (`early`), or breaks after the greeting.
async fn fails(vendor: Vendor, fault: Fault) {
    let world = World::open(
        |_| Reply::say("We sell bread, and rolls, and very large cakes."),
        &["what do you sell"],
    )
    .await;
    let voxflow = world.start(Setup { call_flow: Some(line(&baker())), ..Setup::default() }).await;
    let rest = voxflow.tasks_at_rest().await;
    let breaks = || match vendor {
        Vendor::Model => world.openai.fail(fault),
        Vendor::Recognizer => world.deepgram.fail(fault),
        Vendor::Voice => world.elevenlabs.fail(fault),
    };
    // A key is refused when the call begins; the rest happens in the middle of it.
    if fault == Fault::Refuse {
        breaks();
    }
    let phone = world.call(&voxflow, Dialling::default());
    phone.hears_out(0, "the greeting, or the apology").await;
    let before = phone.count();
    if fault != Fault::Refuse {
        breaks();
    }
    phone.say(&sound::speech("what do you sell"));
    if fault != Fault::Refuse || matches!(vendor, Vendor::Model) {
        phone.hears(before, "the apology").await;
    }
    let sorry =
        world.twilio.sent().find("the text of the failed exit", |sent| Some(sent.clone())).await;
    assert_eq!(
        (sorry.to(), sorry.body()),
        (PEER, "Sorry, we could not talk."),
        "{vendor:?} {fault:?}"
    );
    phone.ends().await;
    let run = finished_run(&voxflow).await;
    let exits = exits(&run);
    assert!(exits.contains(&("agent".into(), "failed".into())), "{vendor:?} {fault:?}: {exits:?}");
    assert_eq!(phone.violations(), [""; 0]);
    // The runtime keeps connections to those that it asks by HTTP: Twilio and the model.
    voxflow.settles_at(rest + 4.0).await;
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
    fails(Vendor::Voice, Fault::Refuse).await;
}

#[tokio::test]
async fn the_voice_stalls() {
    fails(Vendor::Voice, Fault::Stall).await;
}

#[tokio::test]
async fn the_voice_drops() {
    fails(Vendor::Voice, Fault::Drop).await;
}

#[tokio::test]
async fn the_voice_talks_rubbish() {
    fails(Vendor::Voice, Fault::Rubbish).await;
}
