//! From one rate to another, statefully and band-limited.
