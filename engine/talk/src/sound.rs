//! What a leg gives and takes: 20 ms frames, keys, marks. The only thing a talk knows of a call.

use audio::Frame;

/// From the caller's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// 20 ms of sound at the leg's rate.
    Frame(Frame),
    /// A key: `0`-`9`, `*`, `#`, `A`-`D`.
    Digit(char),
    /// All sound before this mark was played, or dropped by [`Outbound::Clear`].
    Mark(u64),
    /// The caller's side is gone. Nothing comes after it.
    Gone,
}

/// To the caller's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// Sound at the leg's rate, 20 ms.
    Frame(Frame),
    /// Tell when all sound before has been played.
    Mark(u64),
    /// Drop what is not played yet; pending marks come back at once.
    Clear,
}
