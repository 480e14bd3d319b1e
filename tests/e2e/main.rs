//! End to end: filled room by room.
