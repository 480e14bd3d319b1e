//! The socket that vendors share: dialing, keep-alive, closing words, first-byte times.
