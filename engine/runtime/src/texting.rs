//! Texts come in: stored once, then each thread is worked in order; replies are thought in between.
