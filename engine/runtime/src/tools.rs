//! What a model may do in a run: actions of the catalog, offered as tools.

use agent::{Config, Tool, ToolCall};
use async_trait::async_trait;
use flow::{Flow, Medium};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// The tools of an agent: those that it names and that fit the medium.
pub fn offered(flow: &Flow, medium: Medium, config: &Config) -> Vec<Tool> {
    let all = config.tool_names.iter().any(|name| name == "all");
    flow.tools(medium)
        .into_iter()
        .filter(|offer| all || config.tool_names.iter().any(|name| name == offer.kind))
        .map(|offer| Tool {
            name: offer.kind.into(),
            description: offer.description,
            parameters: offer.parameters,
        })
        .collect()
}

/// The arguments of a call; what a model leaves out is an empty object.
///
/// # Errors
/// A sentence for the model.
pub(crate) fn arguments(call: &ToolCall) -> Result<Value, String> {
    if call.arguments.trim().is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(fields)) => Ok(Value::Object(fields)),
        Ok(_) => Err("the arguments must be a JSON object".into()),
        Err(error) => Err(format!("the arguments are not JSON: {error}")),
    }
}

/// What a model hears of a tool that could not be taken.
pub(crate) fn refused(why: &str) -> agent::Took {
    agent::Took::Result { value: json!({ "error": why }), speak: true }
}

/// A tool that is to be taken, and where the answer goes.
pub(crate) struct Request {
    pub(crate) key: String,
    pub(crate) call: ToolCall,
    pub(crate) answer: oneshot::Sender<agent::Took>,
}

/// The tools of a talk: each is taken by the task that owns the run.
pub(crate) struct OnCall {
    pub(crate) list: Vec<Tool>,
    pub(crate) owner: mpsc::UnboundedSender<Box<Request>>,
}

#[async_trait]
impl agent::Tools for OnCall {
    fn list(&self) -> Vec<Tool> {
        self.list.clone()
    }

    async fn take(&self, key: &str, call: &ToolCall) -> agent::Took {
        if !self.list.iter().any(|tool| tool.name == call.name) {
            return refused(&format!("there is no tool `{}`", call.name));
        }
        let (answer, took) = oneshot::channel();
        let request = Request { key: key.into(), call: call.clone(), answer };
        let gone = || refused("the call is over");
        if self.owner.send(request.into()).is_err() {
            return gone();
        }
        took.await.unwrap_or_else(|_| gone())
    }
}
