//! `transfer_call`: hand the caller over to somebody else.

use flow::{Action, Cx, Destination, Event, Needs, Pace, Spec, Step, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<TransferCall>(Needs::Call).exits(&["failed"]).tool(Tool::Ends);

/// After this long nobody will tell any more how it ended, seconds: the new one may ring.
const AT_MOST_S: u64 = 120;

/// Hands the call over to somebody else, unseen (a blind transfer): the carrier puts the caller
/// through to them, and for this flow the call is over. With `failed` the call goes on here. Calls
/// by SIP are handed over by REFER, those of Twilio and Telnyx by their own commands; the other
/// carriers cannot, there `connect_call` puts the caller through.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TransferCall {
    /// Who takes the call.
    destination: Destination,
}

impl Action for TransferCall {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "transfer_call", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "transfer_call")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
