//! espeak-ng: a voice on this machine, without a key.
