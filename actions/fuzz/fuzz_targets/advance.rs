//! Links and advances whatever the bytes say: `cargo +nightly fuzz run advance` in `actions`.
#![no_main]

#[path = "../../tests/chance/mod.rs"]
mod chance;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    chance::play::play(bytes);
});
