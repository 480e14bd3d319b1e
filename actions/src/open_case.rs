//! `open_case`: open a case about this person.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<OpenCase>(Needs::Nothing)
    .exits(&["failed"])
    .older(&["sync"], |option| option.drop(&["sync"]));

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 30;

/// Opens a case for whoever this call or thread is about, unless one is open. Its id is in
/// `case.id`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OpenCase {
    /// What it is called.
    name: Option<String>,
    /// What it is about.
    detail: Option<String>,
    /// A first note.
    note: Option<String>,
}

impl Action for OpenCase {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "open_case", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "case")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
