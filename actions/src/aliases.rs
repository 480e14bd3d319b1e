//! Older names of action types, each with today's. A flow that was written with one keeps loading.

/// `(older, today's)`.
pub const ALIASES: &[(&str, &str)] = &[
    ("connect", "connect_call"),
    ("digits_receive", "receive_digits"),
    ("message_send", "send_message"),
    ("variable_set", "set_variables"),
];
