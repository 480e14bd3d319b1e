//! `transfer_call`: hand the caller over to somebody else.

use flow::{Action, Cx, Destination, Event, Needs, Pace, Spec, Step, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<TransferCall>(Needs::Call).exits(&["failed"]).tool(Tool::Ends);

/// After this long nobody will tell any more how it ended, seconds: the new one may ring.
const AT_MOST_S: u64 = 120;
/// The longest conversation of two people who hear each other through us, seconds.
const TALK_S: u64 = 4 * 3600;

/// Hands the caller over to somebody else, and for this flow the call is over. With `failed` the
/// call goes on here. Unseen (a blind transfer), the carrier puts the caller through: calls by SIP
/// are handed over by REFER, those of Twilio and Telnyx by their own commands; the other carriers
/// cannot, there `connect_call` puts the caller through. `attended`, whoever takes the call is
/// called first, on every carrier that dials, and the caller goes on here unless they take it.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TransferCall {
    /// Who takes the call.
    destination: Destination,
    /// Whether they are called and asked first, while the caller hears ringing (an attended
    /// transfer). Those who hang up refuse. If they do not take the call, the exit is `failed`,
    /// and `transfer_call.outcome` is `busy`, `no_answer`, `rejected` or `failed`.
    #[serde(default)]
    attended: bool,
    /// What they are told first, such as who calls and why. Only with `attended`, as all below.
    announce: Option<String>,
    /// Keys of which they press one to take the caller; by any other they refuse. Empty = whoever
    /// is still there when all was told takes the caller.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9A-D#*]*$"))]
    accept_on: String,
    /// A sound file that the caller hears meanwhile, again and again: an `https://` address, or a
    /// file below the media folder. Without it the caller hears ringing.
    music: Option<String>,
    /// How long it may ring, seconds.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 1, max = 600))]
    ring_s: u64,
}

fn half_a_minute() -> u64 {
    30
}

impl Action for TransferCall {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let at_most = if self.attended { self.ring_s + TALK_S } else { AT_MOST_S };
        service::enter(cx, "transfer_call", self, at_most)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "transfer_call")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
