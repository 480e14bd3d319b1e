//! End to end: what the tests share.
