//! `connect_call`: dial somebody and bridge the caller to them.

use flow::{
    Action, Cx, Deed, Destination, Event, HangupCause, Needs, Outcome, Pace, Spec, Step, Tool,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<ConnectCall>(Needs::Call)
    .exits(&["busy", "no_answer", "rejected", "failed"])
    .tool(Tool::Ends)
    .older(&["relay_reason", "unchained"], |option| {
        option.addresses(&["source", "destinations"]);
        option.rename("relay_reason", "relay_cause");
        crate::service::anonymous(option);
        option.drop(&["unchained"]);
    });

/// The longest conversation of two people, seconds.
const TALK_S: u64 = 4 * 3600;

/// Dials other parties, all at once, and connects the caller to the first that answers. The
/// exit `done` is taken when they have talked and the other side has hung up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConnectCall {
    /// Whom to dial.
    #[schemars(length(min = 1, max = 16))]
    destinations: Vec<Destination>,
    /// Whom the far side sees calling; without it, our number.
    source: Option<Destination>,
    /// How long it may ring, seconds.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 1, max = 600))]
    ring_s: u64,
    /// Whether the caller hears what the far side plays before it picks up, such as its own
    /// ringing tone, where the carrier can do so.
    #[serde(default)]
    early_media: bool,
    /// Whether nobody may see who calls, where the carrier can hide it.
    #[serde(default)]
    anonymous: bool,
    /// A sound file that the caller hears until somebody picks up, again and again: an `https://`
    /// address, or a file below the media folder. Without it the caller hears ringing.
    music: Option<String>,
    /// What whoever picks up is told before the caller is put through, such as who calls and why.
    announce: Option<String>,
    /// Keys by which the caller ends the conversation with the other side, so that the flow goes
    /// on; empty = none.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9A-D#*]*$"))]
    end_on: String,
    /// Whether the caller is hung up for the same reason when nobody could be reached, such as
    /// busy, instead of going on by that exit.
    #[serde(default)]
    relay_cause: bool,
}

fn half_a_minute() -> u64 {
    30
}

/// The cause of a hangup that tells a caller why nobody was reached.
fn cause(exit: &str) -> Option<HangupCause> {
    match exit {
        "busy" => Some(HangupCause::Busy),
        "no_answer" => Some(HangupCause::NoAnswer),
        "rejected" => Some(HangupCause::Rejected),
        "failed" => Some(HangupCause::Failed),
        _ => None,
    }
}

impl Action for ConnectCall {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        cx.ask(Deed::Connect {
            destinations: self.destinations.clone(),
            source: self.source.clone(),
            ring_s: self.ring_s,
            early_media: self.early_media,
            anonymous: self.anonymous,
            music: self.music.clone(),
            announce: self.announce.clone(),
            end_on: self.end_on.clone(),
        });
        Step::wait("connect_call", self.ring_s + TALK_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        match event {
            Event::Done { exit, values, why, .. } => {
                // A carrier may tell that somebody answered; here that is what `done` means.
                let exit = if exit == "answered_and_done" { "done" } else { exit };
                for (name, value) in values {
                    cx.set(&format!("connect.{name}"), value.clone());
                }
                cx.set("connect.exit", exit);
                match cause(exit).filter(|_| self.relay_cause) {
                    Some(cause) => {
                        cx.ask(Deed::Hangup { cause });
                        Step::End(Outcome::Finished)
                    }
                    None => Step::exit(exit, why),
                }
            }
            Event::TimedOut { .. } => {
                cx.set("connect.exit", "failed");
                Step::exit("failed", "nobody told how the connection ended")
            }
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
