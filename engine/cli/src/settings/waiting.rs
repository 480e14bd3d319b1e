//! Where callers wait for people.

use schemars::JsonSchema;
use serde::Deserialize;

/// Where callers wait for people, in the order in which they came. Each process has its own: calls
/// of one line must be brought to the same.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitingLine {
    /// How `join_queue` names it.
    pub(crate) name: String,
    /// Who takes callers: numbers in E.164, or `sip:` addresses. Whoever has been free for the
    /// longest time is rung; who does not pick up is left alone for half a minute.
    #[schemars(length(min = 1))]
    pub(crate) members: Vec<String>,
    /// How long it rings at a member's, seconds.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 600))]
    pub(crate) ring_s: u64,
    /// The longest that a caller waits, seconds, before the flow goes on by the exit `timeout`;
    /// without it, for as long as the caller likes.
    pub(crate) wait_s: Option<u64>,
    /// A sound file that callers hear meanwhile; without it, ringing.
    pub(crate) music: Option<String>,
    /// What a member is told before the caller is put through.
    pub(crate) announce: Option<String>,
    /// Whose it is; `default` when absent.
    pub(crate) tenant: Option<String>,
}

fn twenty() -> u64 {
    20
}
