//! One suite for both stores: every test runs on a fresh SQLite file and on a fresh PostgreSQL
//! schema.
#![allow(clippy::unwrap_used)]

mod calls;
mod claims;
mod deeds;
mod fence;
mod lanes;
mod outbox;
mod rig;
mod server;
mod timers;
