//! Every action, one file each. The list below is made by `UPDATE=1 cargo test -p actions`.

mod aliases;
mod comparison;
#[cfg(test)]
mod golden;
mod method;
mod schemas;

use flow::{Catalog, Spec};

pub use aliases::ALIASES;
pub use schemas::{publish, schemas};

pub mod ai_talk;
pub mod answer;
pub mod block;
pub mod branch;
pub mod call_flow;
pub mod condition_datetime;
pub mod condition_variable;
pub mod connect_call;
pub mod fetch;
pub mod for_each;
pub mod goto;
pub mod hangup;
pub mod parallel;
pub mod play;
pub mod receive_digits;
pub mod send_message;
pub mod send_webhook;
pub mod set_variables;
pub mod sleep;
pub mod stop;
pub mod stop_service;
pub mod talk;
pub mod wait_event;
pub mod wait_message;

const TYPES: &[(&str, Spec)] = &[
    ("ai_talk", ai_talk::SPEC),
    ("answer", answer::SPEC),
    ("block", block::SPEC),
    ("branch", branch::SPEC),
    ("call_flow", call_flow::SPEC),
    ("condition_datetime", condition_datetime::SPEC),
    ("condition_variable", condition_variable::SPEC),
    ("connect_call", connect_call::SPEC),
    ("fetch", fetch::SPEC),
    ("for_each", for_each::SPEC),
    ("goto", goto::SPEC),
    ("hangup", hangup::SPEC),
    ("parallel", parallel::SPEC),
    ("play", play::SPEC),
    ("receive_digits", receive_digits::SPEC),
    ("send_message", send_message::SPEC),
    ("send_webhook", send_webhook::SPEC),
    ("set_variables", set_variables::SPEC),
    ("sleep", sleep::SPEC),
    ("stop", stop::SPEC),
    ("stop_service", stop_service::SPEC),
    ("talk", talk::SPEC),
    ("wait_event", wait_event::SPEC),
    ("wait_message", wait_message::SPEC),
];

/// Every action there is.
pub const ALL: Catalog = Catalog { types: TYPES, aliases: ALIASES };
