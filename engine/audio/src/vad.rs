//! Is somebody speaking.
