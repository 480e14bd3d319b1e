//! What an agent answers: models asked in order, tools taken on the way, nothing committed.

use std::sync::Arc;
use std::time::Duration;

use agent::prompt::{self, Medium as Told};
use agent::{Ask, Item, Llm, Piece, ToolCall};
use conversation::segment;
use flow::{Deed, Flows, Key, Medium, Tool};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use store::Write;
use tokio::time::timeout;

use super::{Thinking, Thought};
use crate::texts::Behalf;
use crate::tools;

/// How long a reply may take in all, models and tools.
const AT_MOST: Duration = Duration::from_secs(30);
/// How long one model may take; then the next is asked.
const MODEL: Duration = Duration::from_secs(15);
/// How often a model may ask for tools before it must answer.
const ROUNDS: usize = 8;

impl Thinking<'_> {
    /// What the agent says. When no model can answer, its fallback.
    pub(super) async fn think(&self) -> Thought {
        let models = match self.runtime.parts.vendors.llm(&self.config) {
            Ok(models) => models,
            Err(error) => return self.apology(&error.to_string()),
        };
        let mut trouble = "no model is configured".to_owned();
        let all = async {
            for model in models {
                match self.ask(model.as_ref()).await {
                    Ok(thought) => return Some(thought),
                    Err(error) => {
                        tracing::warn!(session = self.session.id, %error, "a model could not answer");
                        call::failed("llm", &error);
                        self.tell("trouble", json!({ "text": error.to_string() }));
                        trouble = error.to_string();
                    }
                }
            }
            None
        };
        let thought = timeout(AT_MOST, all).await;
        match thought {
            Ok(Some(thought)) => thought,
            Ok(None) => self.apology(&trouble),
            Err(_) => self.apology("no answer came in time"),
        }
    }

    /// What is left of the reply before, when the peer asks for more of it.
    pub(super) fn more(&self) -> Option<Thought> {
        let asked = self.session.history.iter().rev().find_map(|item| match item {
            Item::User { text } => Some(text),
            Item::System { .. } | Item::Assistant { .. } | Item::Tool { .. } => None,
        });
        let rest = self.session.rest.clone();
        if rest.is_empty() || !segment::wants_more(asked?) {
            return None;
        }
        let said = vec![Item::Assistant { text: rest.clone(), calls: Vec::new() }];
        Some(Thought { text: rest, said, ..Thought::default() })
    }

    fn apology(&self, why: &str) -> Thought {
        tracing::warn!(session = self.session.id, why, "the fallback text is sent");
        metrics::counter!("voxflow_replies_total", "kind" => "fallback").increment(1);
        let text = self.config.fallback.clone();
        let said = vec![Item::Assistant { text: text.clone(), calls: Vec::new() }];
        Thought { text, said, ..Thought::default() }
    }

    /// Asks one model until it has said all, taking the tools that it wants on the way.
    async fn ask(&self, model: &dyn Llm) -> Result<Thought, agent::Error> {
        let mut items = prompt::system(&self.config, Told::Text, &self.now.to_zoned(TimeZone::UTC));
        items.extend(self.session.history.iter().cloned());
        let mut thought = Thought::default();
        for round in 0..=ROUNDS {
            let tools = if round < ROUNDS { self.tools.clone() } else { Vec::new() };
            let mut all = items.clone();
            all.extend(thought.said.iter().cloned());
            let ask = Ask {
                config: Arc::clone(&self.config),
                items: agent::trim(&all, self.config.history_tokens),
                tools,
                session: self.session.id.clone(),
            };
            let (text, calls) = listen(model, ask).await?;
            if !text.trim().is_empty() {
                if !thought.text.is_empty() {
                    thought.text.push('\n');
                }
                thought.text.push_str(text.trim());
            }
            if calls.is_empty() {
                thought.said.push(Item::Assistant { text, calls });
                break;
            }
            thought.said.push(Item::Assistant { text, calls: calls.clone() });
            for (n, call) in calls.iter().enumerate() {
                let key = format!("{}/{round}/{n}", self.session.generation);
                let result = self
                    .tool(&mut thought, &key, call)
                    .unwrap_or_else(|why| json!({ "error": why }));
                let data =
                    json!({ "name": call.name, "arguments": call.arguments, "result": result });
                self.tell("tool", data);
                thought
                    .said
                    .push(Item::Tool { call_id: call.id.clone(), text: result.to_string() });
            }
            if thought.ends.is_some() && !thought.text.is_empty() {
                break;
            }
        }
        if thought.text.is_empty() && thought.ends.is_none() && thought.writes.is_empty() {
            // Whoever wrote to us would wait for ever.
            return Err(broken("the answer is empty"));
        }
        Ok(thought)
    }

    /// Takes a tool for the model: what it wants is collected.
    fn tool(&self, thought: &mut Thought, key: &str, call: &ToolCall) -> Result<Value, String> {
        let args = tools::arguments(call)?;
        if !self.tools.iter().any(|tool| tool.name == call.name) {
            return Err(format!("there is no tool `{}`", call.name));
        }
        let offers = self.flow.tools(Medium::Text);
        if offers.iter().any(|offer| offer.kind == call.name && offer.tool == Tool::Ends) {
            let flows = Flows::new(&self.flow, &self.called);
            thought.ends = Some(self.run.state.ends_with(flows, &call.name, &args)?);
            return Ok(json!({ "status": "the conversation ends after your answer" }));
        }
        let mut vars = thought.vars.clone().unwrap_or_else(|| self.run.state.vars.clone());
        let key = Key(format!("{}/{key}", self.session.id));
        let commands = flow::run::take_tool(
            &self.flow,
            &call.name,
            &args,
            key,
            Medium::Text,
            self.now,
            &mut vars,
        )?;
        if vars != self.run.state.vars {
            thought.vars = Some(vars);
        }
        let peering = &self.thread.peering;
        let behalf = Behalf {
            number: self.number,
            carrier: &peering.channel,
            own: Ok(peering.clone()),
            // The run does not wait for what a model sends.
            run: None,
            about: Some(&self.run.id),
            now: self.now,
        };
        let mut status = "done";
        for command in commands {
            if !matches!(command.deed, Deed::SendMessage { .. }) {
                return Err("this cannot be done in a conversation of texts".into());
            }
            let rows = self.runtime.texts(&behalf, &command)?;
            thought.writes.extend(rows.into_iter().map(Write::Outbox));
            status = "queued";
        }
        Ok(json!({ "status": status }))
    }

    fn tell(&self, kind: &'static str, data: Value) {
        self.runtime.tell(&self.session.run, &self.session.thread, kind, data);
    }
}

/// One whole answer of a model.
async fn listen(model: &dyn Llm, ask: Ask) -> Result<(String, Vec<ToolCall>), agent::Error> {
    let mut answer = model.ask(ask);
    let whole = async {
        let (mut text, mut calls) = (String::new(), Vec::new());
        loop {
            match answer.0.recv().await {
                Some(Ok(Piece::Text(piece))) => text.push_str(&piece),
                Some(Ok(Piece::Call(call))) => calls.push(call),
                Some(Ok(Piece::End(_))) => return Ok((text, calls)),
                Some(Err(error)) => return Err(error),
                None => return Err(broken("the answer broke off")),
            }
        }
    };
    timeout(MODEL, whole).await.unwrap_or_else(|_| Err(broken("no answer came in time")))
}

fn broken(why: &str) -> agent::Error {
    agent::Error::Unreachable { vendor: "the model", why: why.into() }
}
