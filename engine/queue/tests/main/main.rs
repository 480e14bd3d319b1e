//! One suite for both queues: every test runs on an embedded one, and on queues of its own at a
//! RabbitMQ.
#![allow(clippy::unwrap_used)]

mod broker;
mod jobs;
mod rig;
