//! What a frame of 20 ms costs, part by part: `cargo bench -p audio`. A call in conversation has 50
//! frames in a second each way.

#![allow(missing_docs)]

use audio::g711::Law;
use audio::playout::{Next, Playout};
use audio::resample::Resampler;
use audio::vad::Vad;
use audio::{Frame, Rate};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// 20 ms of something that is no silence.
fn sound(rate: Rate) -> Vec<i16> {
    let mut seed: u32 = 1;
    (0..Frame::samples_per_frame(rate))
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 18) as i16
        })
        .collect()
}

#[divan::bench]
fn decode_mu_law(bencher: Bencher<'_, '_>) {
    let bytes = Law::Mu.encode(&sound(8_000));
    bencher.bench(|| Law::Mu.decode(black_box(&bytes)));
}

#[divan::bench]
fn encode_mu_law(bencher: Bencher<'_, '_>) {
    let samples = sound(8_000);
    bencher.bench(|| Law::Mu.encode(black_box(&samples)));
}

#[divan::bench(args = [8_000, 16_000])]
fn voice_detection(bencher: Bencher<'_, '_>, rate: Rate) {
    let mut vad = Vad::new(rate, 0.7, 0.0);
    let frame = Frame { rate, samples: sound(rate) };
    bencher.bench_local(|| vad.hear(black_box(&frame)));
}

#[divan::bench(args = [(8_000, 16_000), (16_000, 8_000), (24_000, 8_000), (48_000, 16_000)])]
fn resample(bencher: Bencher<'_, '_>, (from, to): (Rate, Rate)) {
    let mut resampler = Resampler::new(from, to);
    let samples = sound(from);
    bencher.bench_local(|| resampler.process(black_box(&samples)));
}

/// A frame that comes from a voice and goes out, and the marks between.
#[divan::bench]
fn playout(bencher: Bencher<'_, '_>) {
    let mut playout = Playout::new(8_000);
    playout.begin(1);
    let samples = sound(8_000);
    let mut now = std::time::Duration::ZERO;
    bencher.bench_local(|| {
        playout.push(1, black_box(&samples));
        now += std::time::Duration::from_millis(20);
        while let Some(next) = playout.next(now) {
            if let Next::Mark(mark) = next {
                playout.marked(now, mark);
            }
        }
    });
}
