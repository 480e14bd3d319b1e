//! Cuts a stream of words into pieces that can be spoken already.
