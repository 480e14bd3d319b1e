//! An agent answers a text: asked outside of any transaction, committed only when no newer text
//! has come meanwhile.
//!
//! What tools do is collected and committed together with the reply, so a reply that is thrown
//! away has done nothing.

use std::sync::Arc;
use std::time::Duration;

use agent::prompt::{self, Medium as Told};
use agent::{Ask, Config, Item, Llm, Piece, Tool, ToolCall};
use conversation::segment;
use conversation::thread::{Input, Output, Thread, Why};
use flow::{Deed, Event, Flow, Key, Medium, Vars};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use store::{RunRow, SessionRow, ThreadRow, Write};
use tokio::time::timeout;

use crate::numbers::Number;
use crate::step::{Step, life, text_row};
use crate::{Runtime, Trouble, tools};

/// How long a reply may take in all, models and tools.
const AT_MOST: Duration = Duration::from_secs(30);
/// How long one model may take; then the next is asked.
const MODEL: Duration = Duration::from_secs(15);
/// How often a model may ask for tools before it must answer.
const ROUNDS: usize = 8;

/// What an agent came to.
#[derive(Default)]
struct Thought {
    /// What to send; empty = nothing.
    text: String,
    /// What was said and done, for the history.
    said: Vec<Item>,
    /// What tools want committed.
    writes: Vec<Write>,
    /// Variables that tools set, when they set any.
    vars: Option<Vars>,
    /// A tool ended the conversation.
    ends: bool,
}

/// A session about to be answered.
struct Thinking<'a> {
    runtime: &'a Runtime,
    number: &'a Number,
    thread: ThreadRow,
    session: &'a SessionRow,
    config: Arc<Config>,
    run: RunRow,
    flow: Arc<Flow>,
    tools: Vec<Tool>,
    now: Timestamp,
}

impl Runtime {
    /// Answers the newest text of a session, if nobody has.
    pub(crate) async fn reply(&self, id: &str) -> Result<(), Trouble> {
        let timer = || Write::Forget { id: format!("reply:{id}") };
        let Some(session) = self.parts.store.session_by_id(id).await? else {
            return Ok(self.parts.store.commit(vec![timer()]).await?);
        };
        if session.ended.is_some() || session.answered >= session.generation {
            return Ok(self.parts.store.commit(vec![timer()]).await?);
        }
        let thread = self.parts.store.thread(&session.thread).await?;
        let run = self.parts.store.run(&session.run).await?;
        let (Some(thread), Some(run)) = (thread, run) else {
            return Err(Trouble::Broken(format!("session {id} has lost its thread or run")));
        };
        let config: Config = serde_json::from_value(session.agent.clone())
            .map_err(|error| Trouble::Broken(format!("session {id}: {error}")))?;
        let flow = self.flow(&run.flow).await?;
        let thinking = Thinking {
            runtime: self,
            number: self.number(&thread.peering)?,
            thread: thread.clone(),
            session: &session,
            tools: tools::offered(&flow, Medium::Text, &config),
            config: Arc::new(config),
            run,
            flow,
            now: self.parts.clock.now(),
        };
        let thought = thinking.think().await;
        self.say(&thinking, thought).await
    }

    /// Commits a reply under the session's fence. A conflict throws it away; the job is then done
    /// again and finds what is newest.
    async fn say(&self, thinking: &Thinking<'_>, thought: Thought) -> Result<(), Trouble> {
        let Thinking { session, config, .. } = thinking;
        let peering = &thinking.thread.peering;
        let now = self.parts.clock.now();
        let mut thread = Thread { session: Some(life(session)) };
        if !thread.on(now, Input::Answered(session.generation)).contains(&Output::Send) {
            // Silence has ended it while it was thinking.
            return Ok(self
                .parts
                .store
                .commit(vec![Write::Forget { id: format!("reply:{}", session.id) }])
                .await?);
        }
        let mut row =
            SessionRow { answered: session.generation, active: now, ..(*session).clone() };
        row.awaited = None;
        row.history.extend(thought.said);
        let mut writes = vec![Write::Forget { id: format!("reply:{}", session.id) }];
        if thought.ends {
            row.ended = Some(Why::StopService.word().into());
            writes.push(Write::Forget { id: format!("session:{}", session.id) });
        }
        let whole = thought.text.trim();
        let text = segment::cut(whole, config.max_segments as usize);
        if !text.is_empty() {
            let key = format!("{}/{}", session.id, session.generation);
            writes.push(Write::Outbox(text_row(
                key,
                peering.clone(),
                text.into(),
                Vec::new(),
                None,
                now,
            )));
        }
        writes.extend(thought.writes);
        let mut run = thinking.run.clone();
        if let Some(vars) = thought.vars {
            run.state.vars = vars;
        }
        // The run either waits for this reply and goes on, or has only its variables changed.
        let mut stepped = None;
        if let Some(key) = &session.awaited
            && run.outcome.is_none()
        {
            let values = Vars::from([("text".into(), json!(text))]);
            let (exit, key) = ("done".into(), Key(key.clone()));
            let event = Event::Done { key, exit, values, why: String::new(), then: None };
            let open = row.ended.is_none().then(|| SessionRow { seq: row.seq + 1, ..row.clone() });
            let flow = Arc::clone(&thinking.flow);
            let thread = thinking.thread.clone();
            let step = Step::new(self, thinking.number, thread, flow, run, open).take(event);
            writes.push(Write::Session(row.clone()));
            writes.extend(step.writes.iter().cloned());
            if step.thread != thinking.thread {
                writes.push(Write::Thread(step.thread.clone()));
            }
            stepped = Some(step);
        } else {
            writes.push(Write::Session(row.clone()));
            if run.state.vars != thinking.run.state.vars {
                writes.push(Write::Run(run));
            }
        }
        self.parts.store.commit(writes).await?;
        self.outbox_changed();
        self.timers_changed();
        if thought.ends {
            let data = json!({ "session": session.id, "why": Why::StopService.word() });
            self.tell(&session.run, &session.thread, "session_ended", data);
        }
        if let Some(stepped) = stepped {
            stepped.committed(self);
        }
        Ok(())
    }

    /// A session's silence may have lasted long enough.
    pub(crate) async fn expire_session(&self, id: &str) -> Result<(), Trouble> {
        let timer = format!("session:{id}");
        let session = self.parts.store.session_by_id(id).await?;
        let Some(session) = session.filter(|session| session.ended.is_none()) else {
            return Ok(self.parts.store.commit(vec![Write::Forget { id: timer }]).await?);
        };
        let mut thread = Thread { session: Some(life(&session)) };
        let outputs = thread.on(self.parts.clock.now(), Input::Timeout);
        if outputs.is_empty() {
            // It was used in between: the timer goes on to the new deadline.
            let due = thread.deadline().unwrap_or(Timestamp::MAX);
            let guard = session.generation.to_string();
            let row = store::TimerRow {
                id: timer,
                due,
                kind: "session".into(),
                subject: id.into(),
                guard,
            };
            return Ok(self.parts.store.commit(vec![Write::Timer(row)]).await?);
        }
        let (run, subject) = (session.run.clone(), session.thread.clone());
        let ended = SessionRow { ended: Some(Why::Idle.word().into()), ..session };
        let reply = format!("reply:{id}");
        let writes =
            vec![Write::Session(ended), Write::Forget { id: timer }, Write::Forget { id: reply }];
        self.parts.store.commit(writes).await?;
        self.tell(
            &run,
            &subject,
            "session_ended",
            json!({ "session": id, "why": Why::Idle.word() }),
        );
        Ok(())
    }
}

impl Thinking<'_> {
    /// What the agent says. When no model can answer, its fallback.
    async fn think(&self) -> Thought {
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
            if thought.ends && !thought.text.is_empty() {
                break;
            }
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
        if offers.iter().any(|offer| offer.kind == call.name && offer.tool == flow::Tool::Ends) {
            thought.ends = true;
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
        let flow = Arc::clone(&self.flow);
        let step =
            Step::new(self.runtime, self.number, self.thread.clone(), flow, self.run.clone(), None);
        let mut status = "done";
        for command in commands {
            let Deed::SendMessage { destinations, source, text, media } = command.deed else {
                return Err("this cannot be done in a conversation of texts".into());
            };
            let rows = step.texts(&command.key, &destinations, source.as_ref(), &text, &media)?;
            // The run does not wait for what a model sends.
            let rows =
                rows.into_iter().map(|row| Write::Outbox(store::OutboxRow { run: None, ..row }));
            thought.writes.extend(rows);
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
    let broken = |why: &str| agent::Error::Unreachable { vendor: "the model", why: why.into() };
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
