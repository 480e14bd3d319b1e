//! Recordings: what is in the file, how they end, and that their end is told when the file is whole.

use std::sync::Arc;
use std::time::Duration;

use audio::Frame;
use audio::wav::Wav;
use call::{HangupCause, Inbound, Report};
use flow::{Deed, Event};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::phone::{Marks, Phone};
use crate::vendors::{Habit, Shelf, Studio};

/// A call that can be recorded, and where.
fn phone() -> (TempDir, Phone) {
    let folder = tempfile::tempdir().unwrap();
    let studio = Arc::new(Studio(vec![Habit::Speaks(8000)]));
    let keeps = Some(folder.path().into());
    let phone = Phone::keeping(studio, Arc::new(Shelf), Marks::Answered, Arc::new([]), keeps);
    (folder, phone)
}

fn service(name: &str, option: Value) -> Deed {
    Deed::Service { name: name.into(), option }
}

/// The options of a recording, with these other than usual.
fn start(other: Value) -> Value {
    let mut option = json!({ "format": "wav", "silence_s": 0, "finish_on": "", "max_s": 0,
        "beep": false, "on_end": null });
    for (name, value) in other.as_object().unwrap() {
        option[name] = value.clone();
    }
    option
}

/// The caller gives 20 ms of sound, if he is not gone.
async fn speaks(phone: &Phone, sample: i16) {
    let frame = Frame { rate: 8000, samples: vec![sample; 160] };
    let _ = phone.caller.try_send(Inbound::Frame(frame));
    sleep(Duration::from_millis(20)).await;
}

/// Waits until the end of a recording is told, which must be the next that is told of one.
async fn recorded(phone: &mut Phone, key: &str) {
    loop {
        if let Report::Recorded(told) = phone.report().await {
            assert_eq!(told.0, key);
            return;
        }
    }
}

fn heard(folder: &TempDir, file: &str) -> Wav {
    audio::wav::read(&std::fs::read(folder.path().join(file)).unwrap()).unwrap()
}

/// Seconds of a recording.
fn seconds(wav: &Wav) -> f64 {
    wav.samples.len() as f64 / 2.0 / f64::from(wav.rate)
}

#[tokio::test(start_paused = true)]
async fn a_recording_holds_both_sides_until_it_is_stopped() {
    let (folder, mut phone) = phone();
    let start = start(json!({}));
    phone.order("r1/rec/1/1", service("start_recording", start.clone())).await;
    let Event::Done { exit, values, .. } = phone.event().await else { panic!() };
    assert_eq!((exit.as_str(), &values["file"]), ("done", &json!("r1_rec_1_1.wav")));
    phone.order("again", service("start_recording", start)).await;
    assert_eq!(phone.exit("again").await, "failed");
    let say = Deed::Say {
        text: "0123456789".into(),
        language: None,
        tts_type: None,
        voice_id: None,
        stop_on_digit: false,
    };
    phone.order("say", say).await;
    for _ in 0..60 {
        speaks(&phone, 321).await;
    }
    assert_eq!(phone.exit("say").await, "done");
    phone.order("stop", service("stop_recording", json!({}))).await;
    assert_eq!(phone.exit("stop").await, "done");
    recorded(&mut phone, "r1/rec/1/1").await;
    phone.order("none", service("stop_recording", json!({}))).await;
    assert_eq!(phone.exit("none").await, "failed");
    let wav = heard(&folder, "r1_rec_1_1.wav");
    assert_eq!((wav.rate, wav.channels), (8000, 2));
    let (caller, ours): (Vec<i16>, Vec<i16>) =
        wav.samples.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
    // A second of speech that began at once, 1.2 s of the caller.
    let loud = |voice: &[i16], sample| voice.iter().filter(|s| **s == sample).count();
    assert!((7840..=8160).contains(&loud(&ours, 1000)), "{}", loud(&ours, 1000));
    assert!((9200..=9600).contains(&loud(&caller, 321)), "{}", loud(&caller, 321));
    assert!(ours[..1600].contains(&1000) && caller[..1600].contains(&321));
    // The call is heard on.
    phone
        .order(
            "keys",
            Deed::ReceiveDigits {
                max_digits: 1,
                finish_on: String::new(),
                timeout_ms: 1000,
                between_ms: 0,
                window_ms: None,
            },
        )
        .await;
    phone.press("7").await;
    assert_eq!(phone.exit("keys").await, "done 7");
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_ends_by_itself_is_told_of_when_its_file_is_whole() {
    // He speaks for a second, then is silent, and presses a key after four.
    for (other, lasts) in [
        (json!({ "silence_s": 2 }), 2.9..3.1),
        (json!({ "finish_on": "#" }), 3.9..4.1),
        (json!({ "max_s": 5 }), 4.9..5.1),
    ] {
        let (folder, mut phone) = phone();
        phone.order("r1/rec/1/1", service("start_recording", start(other.clone()))).await;
        assert_eq!(phone.exit("r1/rec/1/1").await, "done");
        for frame in 0..300 {
            if frame == 200 {
                phone.press("#").await;
            }
            speaks(&phone, if frame < 50 { 3210 } else { 0 }).await;
        }
        recorded(&mut phone, "r1/rec/1/1").await;
        let length = seconds(&heard(&folder, "r1_rec_1_1.wav"));
        assert!(lasts.contains(&length), "{length} s of {other}");
        // Another may begin, and is told of under its own key.
        phone.order("r1/rec/2/1", service("start_recording", start(json!({ "max_s": 1 })))).await;
        assert_eq!(phone.exit("r1/rec/2/1").await, "done");
        for _ in 0..60 {
            speaks(&phone, 0).await;
        }
        recorded(&mut phone, "r1/rec/2/1").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_recording_ends_with_its_call_and_is_told_of_before_that_is_let_go() {
    let (folder, mut phone) = phone();
    phone.order("r1/rec/1/1", service("start_recording", start(json!({})))).await;
    assert_eq!(phone.exit("r1/rec/1/1").await, "done");
    for _ in 0..50 {
        speaks(&phone, 3210).await;
    }
    phone.caller.send(Inbound::Gone).await.unwrap();
    assert_eq!(phone.event().await, Event::HungUp { cause: HangupCause::Normal });
    recorded(&mut phone, "r1/rec/1/1").await;
    let length = seconds(&heard(&folder, "r1_rec_1_1.wav"));
    assert!((0.9..1.1).contains(&length), "{length} s");

    let (folder, mut phone) = self::phone();
    phone.order("r1/rec/1/1", service("start_recording", start(json!({})))).await;
    assert_eq!(phone.exit("r1/rec/1/1").await, "done");
    for _ in 0..50 {
        speaks(&phone, 3210).await;
    }
    phone.leave.cancel();
    let before = phone.left().await;
    assert!(matches!(&before[..], [Report::Recorded(key)] if key.0 == "r1/rec/1/1"), "{before:?}");
    let length = seconds(&heard(&folder, "r1_rec_1_1.wav"));
    assert!((0.9..1.1).contains(&length), "{length} s");
}
