//! What the JSON of a media stream costs, for each frame of 20 ms: `cargo bench -p channels`.

#![allow(missing_docs, clippy::unwrap_used)]

use divan::{Bencher, black_box};

#[allow(dead_code)]
#[path = "../src/stream.rs"]
mod stream;

/// The wire is nobody else's business; so it is measured from its own file.
#[allow(dead_code, unused_imports)]
#[path = "../src/twilio/wire.rs"]
mod twilio;

fn main() {
    divan::main();
}

#[divan::bench]
fn read_twilio_media(bencher: Bencher<'_, '_>) {
    let sound: Vec<i16> = (0..160).map(|n| n * 100).collect();
    let written = twilio::Writer::new("MZ0123456789abcdef0123456789abcdef").media(&sound);
    let text = written.replace(
        r#""media":{"#,
        r#""sequenceNumber":"1234","media":{"track":"inbound","chunk":"1233","timestamp":"24640","#,
    );
    assert!(matches!(twilio::read(&text), Ok(twilio::Heard::Sound(heard)) if heard.len() == 160));
    bencher.bench(|| twilio::read(black_box(&text)).unwrap());
}

#[divan::bench]
fn write_twilio_media(bencher: Bencher<'_, '_>) {
    let sound: Vec<i16> = (0..160).map(|n| n * 100).collect();
    let writer = twilio::Writer::new("MZ0123456789abcdef0123456789abcdef");
    bencher.bench(|| writer.media(black_box(&sound)));
}
