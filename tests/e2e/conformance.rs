//! The doubles against the vendors' own libraries: what those accept, the doubles may say.

use serde_json::json;
use tests::double::KEY;
use tests::double::anthropic::Anthropic;
use tests::double::assemblyai::AssemblyAi;
use tests::double::cartesia::{self, Cartesia};
use tests::double::deepgram::Deepgram;
use tests::double::elevenlabs::{ElevenLabs, MS_PER_CHARACTER};
use tests::double::flux::{self, Flux};
use tests::double::gemini::Gemini;
use tests::double::line::Line;
use tests::double::openai::{OpenAi, Reply, last_user};
use tests::double::realtime::{Realtime, Turn};
use tests::double::scribe::Scribe;
use tests::double::telnyx::Telnyx;
use tests::double::twilio::{ACCOUNT, TOKEN, Twilio, field};
use tests::python;

#[tokio::test]
async fn openai_speaks_as_its_library_expects() {
    let openai = OpenAi::open(|request| match last_user(request).as_str() {
        "connect me" => {
            Reply::call("connect_call", &json!({ "department": "sales", "note": "größer" }))
        }
        words => Reply::say(&format!("You said: {words}")),
    })
    .await;
    python::run("conform_openai.py", &[&openai.base(), KEY]).await;
    assert_eq!(openai.violations().len(), 1, "{:?}", openai.violations());
    assert_eq!(openai.requests().len(), 4);
}

#[tokio::test]
async fn openai_converses_as_its_library_expects() {
    let turn =
        |heard: &str, says: &str, call| Turn { heard: heard.into(), says: says.into(), call };
    let call = Some(("look_up".into(), json!({ "a": 1 })));
    let script = vec![turn("my name is eve", "Hello Eve.", call), turn("", "Found.", None)];
    let realtime = Realtime::open(script).await;
    python::run("conform_realtime.py", &[&realtime.base(), KEY]).await;
    assert_eq!(realtime.violations().len(), 1, "{:?}", realtime.violations());
}

#[tokio::test]
async fn anthropic_speaks_as_its_library_expects() {
    let anthropic = Anthropic::open(|request| {
        let last = request["messages"].as_array().unwrap().last().unwrap();
        match last["content"].as_array().unwrap().last().unwrap()["text"].as_str().unwrap() {
            "look" => Reply::say("Let me look.").and_call("look_up", &json!({ "note": "größer" })),
            words => Reply::say(&format!("You said: {words}")),
        }
    })
    .await;
    python::run("conform_anthropic.py", &[&anthropic.base(), KEY]).await;
    assert_eq!(anthropic.violations().len(), 1, "{:?}", anthropic.violations());
    assert_eq!(anthropic.requests().len(), 3);
}

#[tokio::test]
async fn gemini_speaks_as_its_library_expects() {
    let mind = |words: &str| match words {
        "look" => Reply::say("Let me look.").and_call("look_up", &json!({ "note": "größer" })),
        words => Reply::say(&format!("You said: {words}")),
    };
    let gemini = Gemini::open(mind, "my name is eve").await;
    python::run("conform_gemini.py", &[&gemini.base(), KEY]).await;
    assert_eq!(gemini.violations(), [""; 0]);
}

#[tokio::test]
async fn deepgram_hears_turns_and_speaks_as_its_library_expects() {
    let double = Flux::open(&["first words of all"]).await;
    let per_character = flux::MS_PER_CHARACTER.to_string();
    python::run("conform_flux.py", &[&double.base(), KEY, &per_character]).await;
    assert_eq!(double.spoken().all(), ["Hello there. Bye."]);
    assert_eq!(double.violations(), [""; 0]);
}

#[tokio::test]
async fn elevenlabs_hears_as_its_library_expects() {
    let scribe = Scribe::open(&["first words of all"]).await;
    python::run("conform_scribe.py", &[&scribe.base(), KEY]).await;
    assert_eq!(scribe.violations(), [""; 0]);
}

#[tokio::test]
async fn assemblyai_speaks_as_its_library_expects() {
    let assemblyai = AssemblyAi::open(&["first words of all"]).await;
    python::run("conform_assemblyai.py", &[&assemblyai.base(), KEY]).await;
    assert_eq!(assemblyai.violations(), [""; 0]);
}

#[tokio::test]
async fn cartesia_speaks_as_its_library_expects() {
    let double = Cartesia::open().await;
    let per_character = cartesia::MS_PER_CHARACTER.to_string();
    python::run("conform_cartesia.py", &[&double.base(), KEY, &per_character]).await;
    assert_eq!(double.violations().len(), 2, "{:?}", double.violations());
}

#[tokio::test]
async fn deepgram_speaks_as_its_library_expects() {
    let deepgram = Deepgram::open(&["first words of all", "second"]).await;
    python::run("conform_deepgram.py", &[&deepgram.base(), KEY]).await;
    assert_eq!(deepgram.utterances().all(), ["first words of all", "second"]);
    assert!(deepgram.violations().is_empty(), "{:?}", deepgram.violations());
}

#[tokio::test]
async fn elevenlabs_speaks_as_its_library_expects() {
    let elevenlabs = ElevenLabs::open().await;
    let per_character = MS_PER_CHARACTER.to_string();
    python::run("conform_elevenlabs.py", &[&elevenlabs.base(), KEY, &per_character]).await;
    assert_eq!(elevenlabs.violations(), ["more than 5 contexts at once"]);
}

#[tokio::test]
async fn twilio_answers_as_its_library_expects() {
    let twilio = Twilio::open().await;
    twilio.opt_out("+15550000013");
    let sid = format!("CA{:032x}", 7);
    let mut updates = twilio.connect(&sid);
    python::run("conform_twilio.py", &[&twilio.base(), ACCOUNT, TOKEN, &sid]).await;
    let sent = twilio.sent().all();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].to(), sent[0].body()), ("+15557654321", "héllo & bye"));
    let update = updates.recv().await.unwrap();
    assert_eq!(field(&update, "Twiml"), "<Response><Hangup/></Response>");
    let (_, dialed) = twilio.dialed().all().pop().unwrap();
    // As we ask for it, too.
    let events: Vec<&str> = dialed
        .iter()
        .filter(|(name, _)| name == "StatusCallbackEvent")
        .map(|(_, event)| event.as_str())
        .collect();
    assert_eq!(events, ["ringing", "completed"]);
    assert_eq!(
        (field(&dialed, "AsyncAmd"), field(&dialed, "MachineDetection")),
        ("true", "Enable")
    );
    assert_eq!(twilio.refused().len(), 7);
}

#[tokio::test]
async fn telnyx_answers_as_its_library_expects() {
    let telnyx = Telnyx::open().await;
    telnyx.opt_out("+15550000013");
    telnyx.ends("v3:ended");
    python::run("conform_telnyx.py", &[&telnyx.base(), KEY]).await;
    assert_eq!(telnyx.sent().len(), 2);
    let asked: Vec<String> = telnyx.asked().all().into_iter().map(|asked| asked.action).collect();
    assert_eq!(asked, ["dial", "answer", "send_dtmf", "transfer"]);
}

#[tokio::test]
async fn line_answers_as_its_library_expects() {
    let line = Line::open().await;
    line.grant("token-1");
    python::run("conform_line.py", &[&line.base(), KEY, "token-1"]).await;
    let calls: Vec<String> = line.sent().all().into_iter().map(|(call, _)| call).collect();
    assert_eq!(calls, ["reply", "push"]);
}
