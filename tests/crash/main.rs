//! What a crash may not do: lose a text, answer it twice, answer it out of order, leave a run
//! standing. Real processes, a real broker and a real database, killed and frozen at work.
//! Started by `tests/run.sh`; `make crash` plays it in full size (`VOXFLOW_CRASH=full`).

#![allow(clippy::unwrap_used)]

mod fleet;
mod frozen;
mod ledger;
mod load;
mod reconnect;
mod storm;
