//! Every action, one file each. The list below is made by `UPDATE=1 cargo test -p actions`.

mod aliases;
mod comparison;
#[cfg(test)]
mod golden;
mod method;
mod schemas;
mod service;

use flow::{Catalog, Spec};

pub use aliases::{ALIASES, SAME};
pub use schemas::{publish, schemas};

pub mod ai_summary;
pub mod ai_talk;
pub mod ai_task;
pub mod answer;
pub mod block;
pub mod branch;
pub mod call_flow;
pub mod condition_call_digits;
pub mod condition_call_status;
pub mod condition_datetime;
pub mod condition_variable;
pub mod connect_call;
pub mod create_call;
pub mod detect_machine;
pub mod echo;
pub mod fetch;
pub mod for_each;
pub mod goto;
pub mod hangup;
pub mod join_bridge;
pub mod join_conference;
pub mod join_queue;
pub mod mute;
pub mod open_case;
pub mod parallel;
pub mod play;
pub mod play_tone;
pub mod receive_digits;
pub mod send_digits;
pub mod send_email;
pub mod send_message;
pub mod send_to_conversation;
pub mod send_webhook;
pub mod set_variables;
pub mod sleep;
pub mod start_external_media;
pub mod start_recording;
pub mod start_transcription;
pub mod stop;
pub mod stop_external_media;
pub mod stop_recording;
pub mod stop_service;
pub mod stop_transcription;
pub mod talk;
pub mod transcribe_recordings;
pub mod transfer_call;
pub mod wait_event;
pub mod wait_message;

const TYPES: &[(&str, Spec)] = &[
    ("ai_summary", ai_summary::SPEC),
    ("ai_talk", ai_talk::SPEC),
    ("ai_task", ai_task::SPEC),
    ("answer", answer::SPEC),
    ("block", block::SPEC),
    ("branch", branch::SPEC),
    ("call_flow", call_flow::SPEC),
    ("condition_call_digits", condition_call_digits::SPEC),
    ("condition_call_status", condition_call_status::SPEC),
    ("condition_datetime", condition_datetime::SPEC),
    ("condition_variable", condition_variable::SPEC),
    ("connect_call", connect_call::SPEC),
    ("create_call", create_call::SPEC),
    ("detect_machine", detect_machine::SPEC),
    ("echo", echo::SPEC),
    ("fetch", fetch::SPEC),
    ("for_each", for_each::SPEC),
    ("goto", goto::SPEC),
    ("hangup", hangup::SPEC),
    ("join_bridge", join_bridge::SPEC),
    ("join_conference", join_conference::SPEC),
    ("join_queue", join_queue::SPEC),
    ("mute", mute::SPEC),
    ("open_case", open_case::SPEC),
    ("parallel", parallel::SPEC),
    ("play", play::SPEC),
    ("play_tone", play_tone::SPEC),
    ("receive_digits", receive_digits::SPEC),
    ("send_digits", send_digits::SPEC),
    ("send_email", send_email::SPEC),
    ("send_message", send_message::SPEC),
    ("send_to_conversation", send_to_conversation::SPEC),
    ("send_webhook", send_webhook::SPEC),
    ("set_variables", set_variables::SPEC),
    ("sleep", sleep::SPEC),
    ("start_external_media", start_external_media::SPEC),
    ("start_recording", start_recording::SPEC),
    ("start_transcription", start_transcription::SPEC),
    ("stop", stop::SPEC),
    ("stop_external_media", stop_external_media::SPEC),
    ("stop_recording", stop_recording::SPEC),
    ("stop_service", stop_service::SPEC),
    ("stop_transcription", stop_transcription::SPEC),
    ("talk", talk::SPEC),
    ("transcribe_recordings", transcribe_recordings::SPEC),
    ("transfer_call", transfer_call::SPEC),
    ("wait_event", wait_event::SPEC),
    ("wait_message", wait_message::SPEC),
];

/// Every action there is.
pub const ALL: Catalog = Catalog { types: TYPES, aliases: ALIASES, same: SAME, vendors: None };
