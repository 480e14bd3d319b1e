//! A call with a model that hears and speaks by itself: Twilio's media stream on one side, OpenAI
//! Realtime on the other.

use serde_json::json;
use tests::double::anthropic::Anthropic;
use tests::double::gemini::Gemini;
use tests::double::openai::Reply;
use tests::double::realtime::{Realtime, Turn};
use tests::double::{Fault, KEY};
use tests::phone::Dialling;
use tests::rig::{Setup, World};
use tests::sound;

use super::calls::{GREETING, baker, exits, finished_run, line, transcript};
use super::vendors::held;

fn turn(heard: &str, says: &str, call: Option<(&str, serde_json::Value)>) -> Turn {
    let call = call.map(|(name, arguments)| (name.to_owned(), arguments));
    Turn { heard: heard.into(), says: says.into(), call }
}

#[tokio::test]
async fn a_caller_asks_interrupts_and_ends_the_call_by_sound_alone() {
    let long = "We bake bread and rolls and cakes for every day of the week and on Sundays a very large one";
    let realtime = Realtime::open(vec![
        turn("what do you sell", long, None),
        turn("that is all", "Goodbye then.", Some(("stop_service", json!({})))),
    ])
    .await;
    let world = World::open(|_| Reply::broken(), &[]).await;
    let mut ai = baker();
    ai["engine_model"] = "openai.gpt-realtime-2.1".into();
    let environment =
        vec![("OPENAI_API_KEY", KEY.to_owned()), ("VOXFLOW_OPENAI_BASE_URL", realtime.base())];
    let setup = Setup { call_flow: Some(line(&ai)), environment, ..Setup::default() };
    let voxflow = world.start(setup).await;
    let phone = world.call(&voxflow, Dialling::default());
    let told = |after: usize, kind: &'static str| {
        realtime.told().find_after(after, kind, move |event| (event["type"] == kind).then_some(()))
    };

    phone.hears_out(0, "the greeting").await;
    let before = phone.count();
    phone.say(&sound::speech("what do you sell"));
    told(0, "input_audio_buffer.commit").await;
    phone.hears(before, "the answer").await;
    // Over it.
    let asked = realtime.told().len();
    phone.say(&sound::speech("that is all"));
    told(asked, "conversation.item.truncate").await;
    told(asked, "input_audio_buffer.commit").await;

    let run = finished_run(&voxflow).await;
    let said = transcript(&run);
    assert_eq!(said[0], ("agent".into(), GREETING.into()));
    assert!(said.contains(&("caller".into(), "what do you sell".into())), "{said:?}");
    assert!(said.contains(&("caller".into(), "that is all".into())), "{said:?}");
    let cut =
        said.iter().find(|(who, text)| who == "agent" && text.starts_with("We bake")).unwrap();
    assert!(cut.1.len() < long.len(), "what was not heard was not said: {cut:?}");
    assert_eq!(said.last().unwrap(), &("agent".into(), "Goodbye then.".into()));
    assert!(exits(&run).contains(&("agent".into(), "done".into())), "{:?}", exits(&run));
    // Cancelled when nothing was in the works any more: the vendor does not mind.
    assert_eq!(realtime.violations(), [""; 0]);
    assert_eq!(phone.violations(), [""; 0]);
    assert!(world.deepgram.opened().is_empty() && world.elevenlabs.spoken().is_empty());
}

#[tokio::test]
async fn a_caller_is_answered_by_gemini_and_the_call_ends_by_its_tool() {
    let gemini = Gemini::open(
        |words| match words {
            "that is all" => Reply::say("Goodbye then.").and_call("stop_service", &json!({})),
            words => match words.split_once("nothing else: ") {
                Some((_, exactly)) => Reply::say(exactly.trim_end_matches(')')),
                None => Reply::say("Okay."),
            },
        },
        "that is all",
    )
    .await;
    let world = World::open(|_| Reply::broken(), &[]).await;
    let mut ai = baker();
    ai["engine_model"] = "gemini.gemini-x-live".into();
    let environment = vec![("GEMINI_API_KEY", KEY.to_owned()), ("GEMINI_BASE_URL", gemini.base())];
    let (_voxflow, run) = held(&world, &ai, environment, "that is all").await;
    let expected = [("agent", GREETING), ("caller", "that is all"), ("agent", "Goodbye then.")];
    assert_eq!(transcript(&run), expected.map(|(who, text)| (who.to_owned(), text.to_owned())));
    assert_eq!(gemini.violations(), [""; 0]);
}

#[tokio::test]
async fn when_the_model_refuses_or_is_cut_off_others_hold_the_call() {
    for fault in [Fault::Refuse, Fault::Drop, Fault::Rubbish] {
        let realtime = Realtime::open(Vec::new()).await;
        realtime.fail(fault);
        let anthropic = Anthropic::open(|_| {
            Reply::say("Goodbye, and thank you. ").and_call("stop_service", &json!({}))
        })
        .await;
        let world = World::open(|_| Reply::broken(), &["that was all"]).await;
        let mut ai = baker();
        ai["engine_model"] = "openai.gpt-realtime-2.1".into();
        ai["engine_fallback"] = json!(["anthropic.claude-x"]);
        let environment = vec![
            ("VOXFLOW_OPENAI_BASE_URL", realtime.base()),
            ("ANTHROPIC_API_KEY", KEY.to_owned()),
            ("ANTHROPIC_BASE_URL", anthropic.base()),
        ];
        let (voxflow, run) = held(&world, &ai, environment, "that was all").await;
        let expected =
            [("agent", GREETING), ("caller", "that was all"), ("agent", "Goodbye, and thank you.")];
        let expected = expected.map(|(who, text)| (who.to_owned(), text.to_owned()));
        assert_eq!(transcript(&run), expected, "{fault:?}");
        assert!(!voxflow.log().contains(KEY), "no key is logged");
    }
}
