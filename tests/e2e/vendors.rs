//! A call by other vendors than the usual: AssemblyAI hears, Anthropic thinks, Cartesia speaks; and
//! others stand in for them.

use serde_json::{Value, json};
use tests::double::KEY;
use tests::double::anthropic::Anthropic;
use tests::double::assemblyai::AssemblyAi;
use tests::double::cartesia::Cartesia;
use tests::double::flux::Flux;
use tests::double::openai::{Reply, last_user};
use tests::double::scribe::Scribe;
use tests::phone::Dialling;
use tests::rig::{Setup, Voxflow, World};
use tests::sound;

use super::calls::{GREETING, baker, finished_run, line, transcript};

/// A call with this agent, whose caller says one thing and hears a goodbye; its process and its run.
pub(super) async fn held(
    world: &World,
    ai: &Value,
    environment: Vec<(&'static str, String)>,
    words: &str,
) -> (Voxflow, Value) {
    let setup = Setup { call_flow: Some(line(ai)), environment, ..Setup::default() };
    let voxflow = world.start(setup).await;
    let phone = world.call(&voxflow, Dialling::default());
    phone.hears_out(0, "the greeting").await;
    let before = phone.count();
    phone.say(&sound::speech(words));
    phone.hears_out(before, "the goodbye").await;
    let run = finished_run(&voxflow).await;
    (voxflow, run)
}

#[tokio::test]
async fn a_call_is_held_by_the_vendors_that_the_agent_names() {
    let assemblyai = AssemblyAi::open(&["that was all"]).await;
    let cartesia = Cartesia::open().await;
    let anthropic = Anthropic::open(|_| {
        Reply::say("Goodbye, and thank you. ").and_call("stop_service", &json!({}))
    })
    .await;
    let world = World::open(|_| Reply::broken(), &[]).await;
    let mut ai = baker();
    ai["engine_model"] = "anthropic.claude-x".into();
    ai["stt_type"] = "assemblyai".into();
    ai["tts_type"] = "cartesia".into();
    let environment = vec![
        ("ANTHROPIC_API_KEY", KEY.to_owned()),
        ("ANTHROPIC_BASE_URL", anthropic.base()),
        ("ASSEMBLYAI_API_KEY", KEY.to_owned()),
        ("ASSEMBLYAI_BASE_URL", assemblyai.base()),
        ("CARTESIA_API_KEY", KEY.to_owned()),
        ("CARTESIA_BASE_URL", cartesia.base()),
    ];
    let (_voxflow, run) = held(&world, &ai, environment, "that was all").await;
    let expected =
        [("agent", GREETING), ("caller", "that was all"), ("agent", "Goodbye, and thank you.")];
    assert_eq!(transcript(&run), expected.map(|(who, text)| (who.to_owned(), text.to_owned())));
    assert_eq!(cartesia.spoken().all(), [GREETING, "Goodbye, and thank you."]);
    assert_eq!(assemblyai.violations(), [""; 0]);
    assert_eq!(cartesia.violations(), [""; 0]);
    assert_eq!(anthropic.violations(), [""; 0]);
    assert!(world.deepgram.opened().is_empty() && world.elevenlabs.spoken().is_empty());
}

#[tokio::test]
async fn deepgram_alone_hears_turns_and_speaks() {
    let deepgram = Flux::open(&["that was all"]).await;
    let world = World::open(
        |request| {
            assert_eq!(last_user(request), "that was all");
            Reply::say("Goodbye, and thank you. ").and_call("stop_service", &json!({}))
        },
        &[],
    )
    .await;
    let mut ai = baker();
    ai["stt_type"] = "deepgram.flux-general-en".into();
    ai["tts_type"] = "deepgram".into();
    let environment = vec![("VOXFLOW_DEEPGRAM_BASE_URL", deepgram.base())];
    let (voxflow, run) = held(&world, &ai, environment, "that was all").await;
    assert_eq!(transcript(&run)[1], ("caller".to_owned(), "that was all".to_owned()));
    assert_eq!(deepgram.spoken().all(), [GREETING, "Goodbye, and thank you."]);
    // The vendor told of the end before it was sure: the answer was made meanwhile, once.
    let ahead = voxflow.metrics().await;
    assert!(ahead.contains(r#"voxflow_asked_ahead_total{outcome="used"} 1"#), "{ahead}");
    assert_eq!(world.openai.requests().len(), 1);
    assert_eq!(deepgram.violations(), [""; 0]);
}

#[tokio::test]
async fn scribe_hears_a_call() {
    let scribe = Scribe::open(&["that was all"]).await;
    let world = World::open(
        |_| Reply::say("Goodbye, and thank you. ").and_call("stop_service", &json!({})),
        &[],
    )
    .await;
    let mut ai = baker();
    ai["stt_type"] = "elevenlabs".into();
    ai["tts_type"] = "openai".into();
    let environment = vec![("VOXFLOW_ELEVENLABS_BASE_URL", scribe.base())];
    let (_voxflow, run) = held(&world, &ai, environment, "that was all").await;
    assert_eq!(transcript(&run)[1], ("caller".to_owned(), "that was all".to_owned()));
    assert_eq!(scribe.violations(), [""; 0]);
}

#[tokio::test]
async fn vendors_that_are_gone_are_stood_in_for_in_the_same_call() {
    let anthropic = Anthropic::open(|_| {
        Reply::say("Goodbye, and thank you. ").and_call("stop_service", &json!({}))
    })
    .await;
    let world = World::open(|_| Reply::broken(), &["that was all"]).await;
    let gone = "http://127.0.0.1:9".to_owned();
    let mut ai = baker();
    ai["engine_fallback"] = json!(["anthropic.claude-x"]);
    ai["stt_type"] = "assemblyai".into();
    ai["stt_fallback"] = json!(["deepgram"]);
    ai["tts_type"] = "cartesia".into();
    ai["tts_fallback"] = json!(["elevenlabs"]);
    let environment = vec![
        ("ANTHROPIC_API_KEY", KEY.to_owned()),
        ("ANTHROPIC_BASE_URL", anthropic.base()),
        ("ASSEMBLYAI_API_KEY", KEY.to_owned()),
        ("ASSEMBLYAI_BASE_URL", gone.clone()),
        ("CARTESIA_API_KEY", KEY.to_owned()),
        ("CARTESIA_BASE_URL", gone),
    ];
    let (voxflow, run) = held(&world, &ai, environment, "that was all").await;
    let said = transcript(&run);
    assert_eq!(said.last().unwrap(), &("agent".to_owned(), "Goodbye, and thank you.".to_owned()));
    assert!(!world.openai.requests().is_empty(), "it was asked first");
    assert!(!voxflow.log().contains(KEY), "no key is logged");
}
