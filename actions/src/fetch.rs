//! `fetch`: get actions from a server, and run them as a part of this flow.

use std::collections::BTreeMap;

use flow::step::LOAD;
use flow::{Action, Call, Cx, Deed, Event, FlowSource, Needs, Pace, Spec, Step, Vars};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::call_flow::{AT_MOST_S, loaded};
use crate::method::Method;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Fetch>(Needs::Nothing)
    .exits(&["failed"])
    .renamed(&[("event_url", "url"), ("event_method", "method")])
    .words(&[("method", "post", "POST"), ("method", "get", "GET")])
    .ended_older_runs();

/// Asks a server for a flow, a document or a bare list of actions, and runs it as a part of this
/// one, as `call_flow` does: it works on the variables of this flow, and what it sets stays set.
/// The exit `failed` is taken when the server does not answer, when what it answers is no flow
/// without faults, and when nothing in it catches a failure.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fetch {
    /// Where, `https://` or `http://`.
    #[schemars(length(min = 1))]
    url: String,
    /// How to ask; a `POST` tells the server of the run.
    #[serde(default)]
    method: Method,
}

impl Action for Fetch {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let method = self.method.word().into();
        let source = FlowSource::Url { method, url: self.url.clone() };
        cx.ask(Deed::LoadFlow { source });
        Step::wait(LOAD, AT_MOST_S)
    }

    fn resume(&self, event: &Event, _: &mut Cx<'_>) -> Step {
        let call = |version: &str| Call {
            version: version.into(),
            arguments: Vars::new(),
            results: BTreeMap::new(),
            isolated: false,
        };
        loaded(event, call)
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }

    fn sets(&self) -> Vec<String> {
        vec!["*".into()]
    }
}
