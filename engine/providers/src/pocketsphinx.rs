//! pocketsphinx: a recognizer on this machine, by grammar, without a key.
