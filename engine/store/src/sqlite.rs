//! SQLite: the store of a single machine.
