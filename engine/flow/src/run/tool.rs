//! Actions that a model takes.

use jiff::Timestamp;
use serde_json::Value;

use super::strand::Strand;
use super::{Activeflow, Flows};
use crate::action::Tool;
use crate::cx::{Cx, Naming};
use crate::event::{Command, Key, Medium, Vars};
use crate::link::{Flow, from_model};
use crate::step::Step;

/// The word for waiting for the end of a conversation.
const TALK: &str = "ai_talk";

/// Takes an action as a model's tool, beside the run: its options are `args`, it is entered once,
/// and what it asks for is returned under `key`. Variables that it sets are set in `vars`.
///
/// # Errors
/// A sentence for the model: the tool does not exist, or its arguments are wrong.
pub fn take_tool(
    flow: &Flow,
    kind: &str,
    args: &Value,
    key: Key,
    medium: Medium,
    now: Timestamp,
    vars: &mut Vars,
) -> Result<Vec<Command>, String> {
    let (kind, spec, action) = from_model(flow.catalog, kind, args)?;
    if spec.tool != Tool::Instant {
        return Err(format!("`{kind}` cannot be taken while the conversation goes on"));
    }
    if !spec.needs.met_by(medium) {
        return Err(format!("`{kind}` needs {}", spec.needs.words()));
    }
    let mut cx = Cx {
        now,
        medium,
        called: false,
        vars,
        beside: 0,
        zone: &flow.zone,
        key: Naming::Given(&key),
        asked: 0,
        count: 0,
        commands: Vec::new(),
        changed: Vec::new(),
        fault: None,
    };
    let step = action.enter(&mut cx);
    match (cx.fault, step) {
        (Some(why), _) => Err(why),
        (None, Step::Exit { exit, why }) if exit != "done" => Err(why),
        (None, _) => Ok(cx.commands),
    }
}

impl Activeflow {
    /// What [`crate::Event::Done`] should carry as `then` when a model ends the conversation by
    /// taking this action. Its arguments may be anything when the flow goes on with an action of
    /// this type anyway: the options that the author gave there count.
    ///
    /// # Errors
    /// A sentence for the model: the tool does not exist, or its arguments are wrong.
    pub fn ends_with<'a>(
        &self,
        flows: impl Into<Flows<'a>>,
        kind: &str,
        args: &Value,
    ) -> Result<Value, String> {
        let flows = flows.into();
        let talking = |strand: &&Strand| strand.waiting.as_ref().is_some_and(|w| w.what == TALK);
        let strand = self.strands.iter().find(talking).or(self.strands.first());
        let flow = strand.and_then(|s| flows.get(s.version())).unwrap_or(flows.own());
        let next = strand
            .and_then(|strand| strand.place(flows)?.next)
            .and_then(|next| flow.places.get(next as usize));
        if let (Some(next), Some((kind, _))) = (next, flow.catalog.get(kind))
            && next.kind == kind
        {
            return Ok(serde_json::json!({ "type": kind, "option": args }));
        }
        let (kind, spec, _) = from_model(flow.catalog, kind, args)?;
        if spec.tool != Tool::Ends {
            return Err(format!("`{kind}` does not end a conversation"));
        }
        if !spec.needs.met_by(self.medium) {
            return Err(format!("`{kind}` needs {}", spec.needs.words()));
        }
        Ok(serde_json::json!({ "type": kind, "option": args }))
    }
}
