//! The runtime in one process: real flows and actions, a real store and queue; the carrier, the
//! model and the clock are the tests'.
//!
//! Read in this order: [`rig`] (a runtime to send texts to) → [`world`] (the carrier and the model
//! around it) → [`wish`] (an action that asks for anything) → [`faults`] (a store and a queue that fail)
//! → [`database`] (a PostgreSQL of several) → [`ice`] (a process that freezes) → the tests.

#![allow(clippy::unwrap_used)]

mod bursts;
mod calls;
mod database;
mod deeds;
mod faults;
mod flows;
mod frozen;
mod greeting;
mod ice;
mod killed;
mod leaving;
mod lost;
mod made;
mod outbox;
mod outside;
mod replies;
mod rig;
mod runs;
mod sessions;
mod shared;
mod taped;
mod texts;
mod together;
mod unread;
mod wish;
mod world;
