//! Whose turn it is to speak. Pure: what is heard goes in, what to say or stop comes out.

/// A turn: the right to speak, and what is said in it. Raised by every question and every cut, so
/// that what comes late is known by comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnId(pub u64);

impl TurnId {
    /// The turn after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
