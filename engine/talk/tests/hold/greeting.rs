//! A greeting that is made sound of while the phone rings.

use agent::{Config, Item};
use talk::{Inbound, Say};

use super::agent;
use crate::rig::{Log, Phone, Setup, Vendor};

fn texts(log: &Log) -> Vec<&str> {
    let text = |say: &'_ Say| matches!(say, Say::Text(..));
    log.says
        .iter()
        .filter(|say| text(say))
        .map(|say| match say {
            Say::Text(_, text) => text.as_str(),
            Say::End(_) | Say::Cut(_) => "",
        })
        .collect()
}

/// Rings for a while with a greeting; when its first frame was played after the pick-up, what voices
/// were told, and what was said.
async fn rings(rings: Option<Config>, tts: Vec<Vendor>) -> (u64, Vec<String>, Vec<Item>) {
    let setup = Setup { rings, rings_for: 500, tts, first_sound: 100, ..Setup::default() };
    let phone = Phone::begin(setup);
    phone.until("the greeting", |log| !log.played.is_empty()).await;
    let first = phone.at(|log| log.played[0].0);
    phone.hears("Hello, this is Ada.").await;
    phone.passes(1_000).await;
    phone.gives(Inbound::Gone).await;
    let (ended, _, log, _) = phone.ends().await;
    let told = texts(&log.lock().unwrap()).into_iter().map(Into::into).collect();
    (first - 500, told, ended.history)
}

#[tokio::test(start_paused = true)]
async fn the_first_frame_leaves_at_once_after_the_pick_up() {
    let config = Setup::default().config;
    let greeting = vec!["Hello, this is Ada.".to_owned()];
    let (late, told, said) = rings(None, vec![Vendor::Works]).await;
    assert!((100..=140).contains(&late), "{late}");
    assert_eq!(told, greeting);
    assert_eq!(said, [agent("Hello, this is Ada.")]);
    let (late, told, said) = rings(Some(config), vec![Vendor::Works]).await;
    assert!(late <= 20, "{late}");
    assert_eq!(told, greeting, "it was asked for once");
    assert_eq!(said, [agent("Hello, this is Ada.")]);
}

#[tokio::test(start_paused = true)]
async fn another_greeting_is_dropped_and_a_voice_that_failed_is_replaced() {
    let config = Config { greeting: "Good evening.".into(), ..Setup::default().config };
    let (_, told, said) = rings(Some(config), vec![Vendor::Works]).await;
    assert_eq!(told, ["Good evening.", "Hello, this is Ada."]);
    assert_eq!(said, [agent("Hello, this is Ada.")]);
    for broken in [Vendor::Refuses, Vendor::Silent, Vendor::Drops(0)] {
        let config = Setup::default().config;
        let (_, _, said) = rings(Some(config), vec![broken, Vendor::Works]).await;
        assert_eq!(said, [agent("Hello, this is Ada.")], "{broken:?}");
    }
}
