//! `send_message`: send a text.

use flow::{Action, Cx, Deed, Destination, Event, Needs, Pace, Spec, Step, Tool};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<SendMessage>(Needs::Nothing)
    .exits(&["failed", "opted_out"])
    .tool(Tool::Instant)
    .older(&[], |option| option.addresses(&["source", "destinations"]));

/// After this long nobody will tell any more whether it was sent, seconds.
const AT_MOST_S: u64 = 300;

/// Sends a text message, to the other side of this call or thread unless told otherwise.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendMessage {
    /// The text.
    #[schemars(length(min = 1, max = 1600))]
    text: String,
    /// To whom; without it, the caller or texter.
    #[serde(default)]
    destinations: Vec<Destination>,
    /// From which of our numbers; without it, the one that was called or texted.
    source: Option<Destination>,
    /// Addresses of attachments.
    #[serde(default)]
    media: Vec<String>,
}

impl Action for SendMessage {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        cx.ask(Deed::SendMessage {
            destinations: self.destinations.clone(),
            source: self.source.clone(),
            text: self.text.clone(),
            media: self.media.clone(),
        });
        Step::wait("send_message", AT_MOST_S)
    }

    fn resume(&self, event: &Event, _: &mut Cx<'_>) -> Step {
        match event {
            Event::Done { exit, why, .. } => Step::exit(exit, why),
            Event::TimedOut { .. } => Step::exit("timeout", "nobody told whether it was sent"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
