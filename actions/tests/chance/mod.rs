//! Flows, events and whole runs made from bytes, and what must hold for every one of them. Used by
//! the tests, by the example `fuzz` and by `cargo fuzz`.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod document;
pub mod play;

use arbitrary::Unstructured;

/// Bytes that decide. When they have run out, every choice is the first.
pub struct Chance<'a>(Unstructured<'a>);

impl<'a> Chance<'a> {
    /// From bytes of any number.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.int_in_range(0..=n.max(1) - 1).unwrap_or(0)
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// One of several.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Whether nothing is left that could decide.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}
