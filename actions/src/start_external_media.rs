//! `start_external_media`: send the sound to another host.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<StartExternalMedia>(Needs::Call).exits(&["failed"]);

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 30;

/// Sends the sound of the call to another host, and plays what comes from there.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StartExternalMedia {
    /// Host and port, such as `media.example.com:4000`.
    #[schemars(length(min = 1))]
    external_host: String,
    /// `rtp` or `audiosocket`.
    encapsulation: Option<String>,
    /// `udp` or `tcp`.
    transport: Option<String>,
    /// What the transport needs besides.
    transport_data: Option<String>,
    /// Who connects: `client` = this side.
    connection_type: Option<String>,
    /// The codec, such as `ulaw`.
    format: Option<String>,
    /// Whose sound is sent: `in`, `out` or `both`.
    direction_listen: Option<String>,
    /// Who hears what comes: `in`, `out` or `both`.
    direction_speak: Option<String>,
    /// What the other host is told besides.
    data: Option<String>,
}

impl Action for StartExternalMedia {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "start_external_media", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "external_media")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
