//! An agent answers a text: asked outside of any transaction, committed only when no newer text
//! has come meanwhile.
//!
//! What tools do is collected and committed together with the reply, so a reply that is thrown
//! away has done nothing.
//!
//! Read in this order: this file (when a reply is made, and when it counts) → `think` (how) →
//! `silence` (when nobody writes any more).

mod silence;
mod think;

pub(crate) use self::silence::TOGETHER;

use std::sync::Arc;

use agent::{Config, Item, Tool};
use conversation::segment::{self, Sender};
use conversation::thread::{Input, Output, Thread, Why};
use flow::{Event, Flow, Key, Medium, Vars};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{OutboxRow, RunRow, SessionRow, ThreadRow, Write};

use crate::numbers::Number;
use crate::step::{self, Step, life};
use crate::{Called, Runtime, Trouble, texts, tools};

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
    /// The action by which a tool ended the conversation.
    ends: Option<Value>,
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
    called: Called,
    tools: Vec<Tool>,
    now: Timestamp,
}

impl Runtime {
    /// Answers the newest text of a session, if nobody has.
    pub(crate) async fn reply(&self, id: &str) -> Result<(), Trouble> {
        let timer = Write::Forget { id: format!("reply:{id}") };
        // Before the session is read: it has every text that came until then.
        let now = self.parts.clock.now();
        let Some(session) = self.parts.store.session_by_id(id).await? else {
            return Ok(self.commit(vec![timer]).await?);
        };
        let unmoved = Write::Unmoved((&session).into());
        // A flow that ends the conversation right after `ai_talk` wants this one reply.
        let over = session.ended.as_deref().is_some_and(|why| why != Why::StopService.word());
        if over || session.answered >= session.generation {
            return Ok(self.commit(vec![unmoved, timer]).await?);
        }
        let thread = self.parts.store.thread(&session.thread).await?;
        let run = self.parts.store.run(&session.run).await?;
        let (Some(thread), Some(run)) = (thread, run) else {
            return Err(Trouble::Broken(format!("session {id} has lost its thread or run")));
        };
        let config: Config = serde_json::from_value(session.agent.clone())
            .map_err(|error| Trouble::Broken(format!("session {id}: {error}")))?;
        // A reply that came too late is thrown away and this job done again: the burst goes on.
        let due = step::reply_due(&session, &config);
        if due > now {
            return Ok(self.commit(vec![unmoved, step::timer("reply", &session, due)]).await?);
        }
        let flow = self.flow(&run.flow).await?;
        // A reply brings no flow with it, so any event that brings none will do.
        let called = self.called(&run.state, &Event::ServiceStopped).await?;
        let thinking = Thinking {
            runtime: self,
            number: self.number(&thread.peering)?,
            thread: thread.clone(),
            session: &session,
            tools: tools::offered(&flow, Medium::Text, &config),
            config: Arc::new(config),
            run,
            flow,
            called,
            now: self.parts.clock.now(),
        };
        let thought = match thinking.more() {
            Some(thought) => thought,
            None => thinking.think().await,
        };
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
            let timer = Write::Forget { id: format!("reply:{}", session.id) };
            return Ok(self.commit(vec![Write::Unmoved((*session).into()), timer]).await?);
        }
        let mut row =
            SessionRow { answered: session.generation, active: now, ..(*session).clone() };
        row.awaited = None;
        row.history.extend(thought.said);
        let mut writes = vec![Write::Forget { id: format!("reply:{}", session.id) }];
        if thought.ends.is_some() {
            row.ended = Some(Why::StopService.word().into());
            writes.push(Write::Forget { id: format!("session:{}", session.id) });
        }
        let smart = self.parts.texting.smart;
        let has_segments = self.has_segments(&peering.channel);
        let whole = match thought.text.trim() {
            text if smart && has_segments => segment::smart(text),
            text => text.into(),
        };
        let most = if has_segments { config.max_segments as usize } else { 0 };
        let (text, rest) = segment::offer(&whole, most, Sender::of(peering.ours.as_str()));
        row.rest = rest.into();
        if !text.is_empty() {
            let key = format!("{}/{}", session.id, session.generation);
            let reply = texts::row(key, peering.clone(), text.to_string(), Vec::new(), now);
            writes.push(Write::Outbox(OutboxRow { about: Some(session.run.clone()), ..reply }));
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
            let then = thought.ends.clone();
            let event = Event::Done { key, exit, values, why: String::new(), then };
            let open = row.ended.is_none().then(|| SessionRow { seq: row.seq + 1, ..row.clone() });
            let flow = Arc::clone(&thinking.flow);
            let thread = thinking.thread.clone();
            let step = Step::new(self, thinking.number, thread, flow, run, open);
            let step = step.with(thinking.called.clone()).take(event);
            writes.push(Write::Session(row.clone()));
            writes.extend(step.writes.iter().cloned());
            if let Some(thread) = step.thread.clone().filter(|moved| *moved != thinking.thread) {
                writes.push(Write::Thread(thread));
            }
            stepped = Some(step);
        } else {
            writes.push(Write::Session(row.clone()));
            if run.state.vars != thinking.run.state.vars {
                writes.push(Write::Run(run));
            }
        }
        self.commit(writes).await?;
        if thought.ends.is_some() {
            let data = json!({ "session": session.id, "why": Why::StopService.word() });
            self.tell(&session.run, &session.thread, "session_ended", data);
        }
        if let Some(stepped) = stepped {
            stepped.committed(self);
        }
        Ok(())
    }

    /// A run may wait for a reply that will not come: a newer text is answered in its place, or
    /// the session is over.
    pub(crate) async fn release_run(&self, id: &str) -> Result<(), Trouble> {
        let timer = Write::Forget { id: format!("awaits:{id}") };
        let Some(run) = self.parts.store.run(id).await? else {
            return Ok(self.commit(vec![timer]).await?);
        };
        if let Some(waiting) = run.state.waits().find(|waiting| waiting.what == "ai_talk") {
            let session = self.parts.store.session(&run.subject).await?;
            let awaited = session.and_then(|session| session.awaited);
            if awaited.as_ref() != Some(&waiting.key.0) {
                let (key, values) = (waiting.key.clone(), Vars::new());
                let (exit, why) = ("done".into(), "a newer text is answered instead".into());
                let event = Event::Done { key, exit, values, why, then: None };
                if let Some(stepped) = self.step(id, None, event).await? {
                    let mut writes = stepped.writes.clone();
                    writes.push(timer);
                    self.commit(writes).await?;
                    stepped.committed(self);
                    return Ok(());
                }
            }
        }
        Ok(self.commit(vec![Write::Unmoved((&run).into()), timer]).await?)
    }
}
