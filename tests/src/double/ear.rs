//! How doubles of recognizers hear: by loudness. Sound after silence begins a turn; half a second
//! of silence ends it. Time is counted in sound received.

use crate::sound;

/// Silence that ends a turn, and that likely does.
const END_MS: usize = 500;
const LIKELY_MS: usize = 160;

/// What is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A turn begins.
    Began,
    /// Some of it was said.
    Half,
    /// It is likely over.
    Likely,
    /// It is over.
    Ended,
}

/// One stream's hearing.
pub(super) struct Ear {
    mulaw: bool,
    rate: usize,
    carry: Vec<u8>,
    /// So much sound came, milliseconds.
    pub(super) ms: usize,
    voice_ms: usize,
    quiet_ms: usize,
    speaking: bool,
}

impl Ear {
    /// For sound of this kind: mu-law, or 16 bits.
    pub(super) fn new(mulaw: bool, rate: usize) -> Self {
        let carry = Vec::new();
        Self { mulaw, rate, carry, ms: 0, voice_ms: 0, quiet_ms: 0, speaking: false }
    }

    /// The length of sound, milliseconds.
    pub(super) fn length(&self, bytes: &[u8]) -> usize {
        bytes.len() * 1000 / self.rate / if self.mulaw { 1 } else { 2 }
    }

    /// Takes sound.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Vec<Heard> {
        self.carry.extend_from_slice(bytes);
        let size = self.rate / 50 * if self.mulaw { 1 } else { 2 };
        let mut heard = Vec::new();
        while self.carry.len() >= size {
            let frame: Vec<u8> = self.carry.drain(..size).collect();
            let loud = if self.mulaw {
                sound::audible(&frame)
            } else {
                let pairs = frame.as_chunks::<2>().0.iter();
                sound::loudness(pairs.map(|pair| i16::from_le_bytes(*pair))) > 300.0
            };
            self.ms += 20;
            heard.extend(self.step(loud));
        }
        heard
    }

    fn step(&mut self, loud: bool) -> Option<Heard> {
        (self.voice_ms, self.quiet_ms) =
            if loud { (self.voice_ms + 20, 0) } else { (0, self.quiet_ms + 20) };
        match (self.speaking, self.voice_ms, self.quiet_ms) {
            (false, 60.., _) => {
                self.speaking = true;
                Some(Heard::Began)
            }
            (true, 300, _) => Some(Heard::Half),
            (true, _, LIKELY_MS) => Some(Heard::Likely),
            (true, _, END_MS..) => {
                self.speaking = false;
                Some(Heard::Ended)
            }
            _ => None,
        }
    }
}

/// The first two words.
pub(super) fn half(words: &str) -> String {
    words.split_inclusive(' ').take(2).collect::<String>().trim().to_owned()
}
