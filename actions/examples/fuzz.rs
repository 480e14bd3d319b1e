//! Plays random flows for as long as it is told: `cargo run --release -p actions --example fuzz --
//! --seconds 600`. What fails is named by its seed, and played again by `--seed`.
#![allow(clippy::unwrap_used)]

#[path = "../tests/chance/mod.rs"]
mod chance;

use std::io::Write;
use std::time::{Duration, Instant};

use chance::play::play;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let given = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.parse::<u64>().ok()
    };
    let mut out = std::io::stdout();
    if let Some(seed) = given("--seed") {
        let played = play(&bytes(seed));
        writeln!(out, "seed {seed}: {played:?}").unwrap();
        return;
    }
    let end = Instant::now() + Duration::from_secs(given("--seconds").unwrap_or(10));
    let first = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let first = first.as_nanos() as u64;
    let (mut runs, mut linked, mut branched, mut called, mut entered) = (0u64, 0u64, 0u64, 0u64, 0);
    while Instant::now() < end {
        let seed = first.wrapping_add(runs);
        let Ok(played) = std::panic::catch_unwind(|| play(&bytes(seed))) else {
            writeln!(out, "seed {seed} fails").unwrap();
            std::process::exit(1);
        };
        runs += 1;
        linked += u64::from(played.linked);
        branched += u64::from(played.waits > 1);
        called += u64::from(played.called > 0);
        entered += played.entered;
    }
    let seen = format!("{linked} linked, {branched} branched, {called} called another flow");
    writeln!(out, "{runs} inputs: {seen}, {entered} actions; nothing failed").unwrap();
}

/// Bytes from a seed: SplitMix64.
fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let length = 40 + (next() % 2000) as usize;
    std::iter::repeat_with(next).flat_map(u64::to_le_bytes).take(length).collect()
}
