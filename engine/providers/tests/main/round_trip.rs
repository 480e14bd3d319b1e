//! What espeak-ng says over a telephone, pocketsphinx understands. Needs both programs.

use std::path::PathBuf;
use std::time::Duration;

use agent::{Ask, Config, Item, Models, Piece};
use audio::g711::Law;
use audio::resample::Resampler;
use audio::{Frame, Rate};
use providers::espeak::Espeak;
use providers::pocketsphinx::{Pocketsphinx, UNCLEAR};
use providers::{Engines, Settings};
use talk::{Hear, Listening, Say, Spoken, Stt, Tts, TurnId, Voice, Want, Words};

/// Longer than any recognition takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a caller at `rate` sounds like; at 8 kHz through a telephone's mu-law.
async fn spoken(text: &str, voice: &str, rate: Rate) -> Vec<i16> {
    let voice = Voice { id: voice.into(), language: String::new(), rate };
    let mut speaking = Espeak::default().open(voice).await.unwrap();
    speaking.say.send(Say::Text(TurnId(1), text.into())).await.unwrap();
    speaking.say.send(Say::End(TurnId(1))).await.unwrap();
    let mut resampler = Resampler::new(22_050, rate);
    let mut samples = vec![0; rate as usize / 5];
    while let Spoken::Sound(_, frame) = speaking.sound.recv().await.unwrap().unwrap() {
        samples.extend(resampler.process(&frame.samples));
    }
    samples.extend(vec![0; rate as usize / 2]);
    if rate == 8000 { Law::Mu.decode(&Law::Mu.encode(&samples)) } else { samples }
}

/// Lets a recognizer hear; voice is detected 200 ms late, as by a talk.
async fn hear(listening: &mut Listening, samples: &[i16], rate: Rate) -> String {
    for (n, samples) in samples.chunks(Frame::samples_per_frame(rate)).enumerate() {
        if n == 20 {
            listening.sound.send(Hear::Voice).await.unwrap();
        }
        let frame = Frame { rate, samples: samples.to_vec() };
        listening.sound.send(Hear::Frame(frame)).await.unwrap();
    }
    listening.sound.send(Hear::Quiet).await.unwrap();
    let Listening { sound, words } = listening;
    let answer = tokio::select! {
        answer = tokio::time::timeout(PATIENCE, words.recv()) => answer.expect("an answer"),
        // A call is never without sound: silence goes on while the words are recognized.
        () = async { while sound.send(Hear::Frame(Frame::silence(rate))).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        } } => panic!("the stream is over"),
    };
    let Words::Final(text) = answer.unwrap().unwrap() else {
        panic!("the words come first");
    };
    assert_eq!(listening.words.recv().await.unwrap().unwrap(), Words::EndOfTurn);
    text
}

async fn listening(rate: Rate, phrases: Option<Vec<String>>) -> Listening {
    let want = Want { rate, language: "en-US".into(), ..Want::default() };
    let listening = Pocketsphinx::default().open(want).await.unwrap();
    listening.sound.send(Hear::Expect(phrases)).await.unwrap();
    listening
}

/// The phrases of the example's rules that can be meant at first.
fn phrases() -> Vec<String> {
    let rules = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../flows")];
    let engines = Engines::new(Settings { rules, ..Settings::default() }).unwrap();
    let config = Config { rules: "support_line.rules.json".into(), ..Config::default() };
    engines.llm(&config).unwrap()[0].expects(&[]).unwrap()
}

fn bare(phrase: &str) -> String {
    phrase.to_lowercase().replace(['?', '!', '.', ','], "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nearly_every_phrase_of_the_example_is_understood() {
    for (rate, voice) in [(8000, "en-us"), (16_000, "en-us+f3")] {
        let mut listening = listening(rate, Some(phrases())).await;
        let (mut right, mut wrong) = (0, Vec::new());
        for phrase in phrases() {
            let heard = hear(&mut listening, &spoken(&phrase, voice, rate).await, rate).await;
            match heard == bare(&phrase) {
                true => right += 1,
                false => wrong.push((phrase, heard)),
            }
        }
        println!("{voice} at {rate}: {right} right, not understood: {wrong:?}");
        let taken_for_another = wrong.iter().filter(|(_, heard)| heard != UNCLEAR).count();
        assert!(right * 100 >= phrases().len() * 85, "{voice} at {rate}: {wrong:?}");
        assert!(taken_for_another <= 2, "{voice} at {rate}: {wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fits_no_phrase_is_unclear_and_silence_is_nothing() {
    let sentences = [
        "the weather in Paris is lovely today",
        "my cat likes to sleep on the sofa",
        "eleven green bottles",
        "I would like a pizza with mushrooms",
        "who won the football game last night",
        "blue mountains and rivers",
        "tomorrow morning at seven thirty",
        "elephants never forget anything",
    ];
    let mut listening = listening(8000, Some(phrases())).await;
    let mut taken = Vec::new();
    for sentence in sentences {
        let heard = hear(&mut listening, &spoken(sentence, "en-us", 8000).await, 8000).await;
        if heard != UNCLEAR {
            taken.push((sentence, heard));
        }
    }
    println!("taken for a phrase: {taken:?}");
    assert!(taken.len() <= 2, "{taken:?}");
    assert_eq!(hear(&mut listening, &[0; 16_000], 8000).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phrases_may_change_and_words_without_sounds_do_no_harm() {
    let mut listening =
        listening(8000, Some(vec!["yes please".into(), "no thank you".into()])).await;
    let yes = spoken("yes please", "en-us", 8000).await;
    assert_eq!(hear(&mut listening, &yes, 8000).await, "yes please");
    let odd = vec!["xyzzyq".into(), "grüß gott".into()];
    listening.sound.send(Hear::Expect(Some(odd))).await.unwrap();
    assert_eq!(hear(&mut listening, &yes, 8000).await, UNCLEAR);
    // Dictation is poor, but it hears something.
    listening.sound.send(Hear::Expect(None)).await.unwrap();
    assert_ne!(hear(&mut listening, &yes, 8000).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_utterance_that_comes_while_one_is_recognized_waits_for_its_turn() {
    let mut listening = listening(8000, Some(phrases())).await;
    for text in ["opening hours", "send me the address"] {
        let samples = spoken(text, "en-us", 8000).await;
        listening.sound.send(Hear::Voice).await.unwrap();
        for samples in samples.chunks(160) {
            let frame = Frame { rate: 8000, samples: samples.to_vec() };
            listening.sound.send(Hear::Frame(frame)).await.unwrap();
        }
        listening.sound.send(Hear::Quiet).await.unwrap();
    }
    let mut words = Vec::new();
    while words.len() < 4 {
        words.push(listening.words.recv().await.unwrap().unwrap());
    }
    let expected = [
        Words::Final("opening hours".into()),
        Words::EndOfTurn,
        Words::Final("send me the address".into()),
        Words::EndOfTurn,
    ];
    assert_eq!(words, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_goes_on_coming_does_not_disturb_the_recognition() {
    let mut listening = listening(8000, Some(phrases())).await;
    for samples in spoken("opening hours", "en-us", 8000).await.chunks(160) {
        let frame = Frame { rate: 8000, samples: samples.to_vec() };
        listening.sound.send(Hear::Frame(frame)).await.unwrap();
        listening.sound.send(Hear::Voice).await.unwrap();
    }
    listening.sound.send(Hear::Quiet).await.unwrap();
    // As on a call: a frame of silence every 20 ms, until the words come.
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let heard = tokio::time::timeout(PATIENCE, async {
        loop {
            tokio::select! {
                words = listening.words.recv() => return words.unwrap().unwrap(),
                _ = ticks.tick() => {
                    listening.sound.send(Hear::Frame(Frame::silence(8000))).await.unwrap();
                }
            }
        }
    });
    let heard = heard.await.expect("it never ends while sound comes in");
    assert_eq!(heard, Words::Final("opening hours".into()));
}

#[tokio::test]
async fn whoever_drops_the_stream_ends_it() {
    let at_rest = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let Listening { sound, words } = listening(8000, None).await;
    drop(words);
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > at_rest {
        tokio::task::yield_now().await;
    }
    drop(sound);
}

#[tokio::test]
async fn every_phrase_of_the_example_leads_to_its_rule() {
    let rules = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../flows")];
    let engines = Engines::new(Settings { rules, ..Settings::default() }).unwrap();
    for rules in ["support_line.rules.json", "support_chat.rules.json"] {
        let config = Config { rules: rules.into(), ..Config::default() };
        let model = &engines.llm(&config).unwrap()[0];
        let mut answer = model.ask(Ask {
            config: config.clone().into(),
            items: vec![Item::User { text: "So, what are your opening hours?".into() }],
            tools: Vec::new(),
            session: String::new(),
        });
        let mut said = String::new();
        while let Some(Ok(Piece::Text(text))) = answer.0.recv().await {
            said.push_str(&text);
        }
        assert_eq!(said, "We are open from nine to five, Monday to Friday.");
    }
}
