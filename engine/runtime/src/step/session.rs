//! What a step does to the AI session of its thread: begins it, goes on with it, ends it.

use agent::{Config, Item};
use conversation::thread::{Input, Output, Session, Thread, Why};
use flow::Key;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use store::{SessionRow, TimerRow, Write};
use uuid::Uuid;

use super::Step;
use crate::trace;

/// The variable that names the text that an agent has heard last.
const HEARD: &str = "message.heard";

impl Step<'_> {
    /// Goes on with the thread's AI session, or begins one; the reply is made a little later.
    pub(super) fn talk(&mut self, key: Key, agent: Value, wait: bool) -> Result<(), String> {
        if self.thread.is_none() {
            return Err("this needs a live call or a thread of texts".into());
        }
        let agent = self.runtime.parts.agents.resolve(agent)?;
        let config: Config = serde_json::from_value(agent.clone())
            .map_err(|error| format!("the agent's configuration is wrong: {error}"))?;
        let own = self.number.and_then(|number| number.idle_s);
        let idle_s = own.unwrap_or(self.runtime.parts.idle_s);
        let mut thread = Thread { session: self.session.as_ref().map(life) };
        let input =
            Input::Text { agent: identity(&agent), idle: SignedDuration::from_secs(idle_s) };
        for output in thread.on(self.now, input) {
            match output {
                Output::End(why) => {
                    if let Some(session) = self.session.take() {
                        self.end(session, why);
                    }
                }
                Output::Begin => self.session = Some(self.begin()),
                Output::GoOn | Output::Send | Output::Drop => {}
            }
        }
        let (Some(mut session), Some(life)) = (self.session.take(), thread.session) else {
            return Err("no session could be had".into());
        };
        self.writes.extend(release(&session, self.now));
        session.agent = agent;
        session.generation = life.generation;
        session.active = life.active;
        session.idle_s = idle_s;
        session.run = self.run.id.clone();
        session.awaited = wait.then_some(key.0);
        if let Some(text) = self.unheard() {
            session.history.push(Item::User { text });
        }
        let idle = life.active.checked_add(life.idle).unwrap_or(Timestamp::MAX);
        self.writes.push(timer("session", &session, idle));
        self.writes.push(timer("reply", &session, reply_due(&session, &config)));
        self.writes.push(Write::Session(session.clone()));
        session.seq += 1;
        self.session = Some(session);
        Ok(())
    }

    fn begin(&mut self) -> SessionRow {
        let id = Uuid::now_v7().to_string();
        self.happenings.push(("session_started", json!({ "session": id })));
        SessionRow {
            id,
            thread: self.run.subject.clone(),
            seq: 0,
            agent: Value::Null,
            generation: 0,
            answered: 0,
            run: self.run.id.clone(),
            awaited: None,
            history: Vec::new(),
            rest: String::new(),
            active: self.now,
            idle_s: 0,
            ended: None,
        }
    }

    /// The text of the peer that the run has and that no agent has heard yet. A run may have done
    /// other things since the text came, so the run's variables keep it.
    fn unheard(&mut self) -> Option<String> {
        let vars = &mut self.run.state.vars;
        let id = vars.get("message.id").cloned();
        if id.is_none() || id.as_ref() == vars.get(HEARD) {
            return None;
        }
        vars.insert(HEARD.into(), id.unwrap_or_default());
        let mut text =
            vars.get("message.text").and_then(Value::as_str).unwrap_or_default().to_owned();
        for media in vars.get("message.media").and_then(Value::as_array).into_iter().flatten() {
            text.push_str(&format!("\n[attachment: {}]", media.as_str().unwrap_or_default()));
        }
        Some(text.trim_start().to_owned())
    }

    /// The session is over. What the peer was promised by a flow that ends it itself still comes:
    /// the reply to the text before. An end from outside takes that back.
    pub(super) fn end(&mut self, mut session: SessionRow, why: Why) {
        self.happenings
            .push(("session_ended", json!({ "session": session.id, "why": why.word() })));
        self.writes.push(Write::Forget { id: format!("session:{}", session.id) });
        if why != Why::StopService || self.from_outside {
            session.answered = session.generation;
            self.writes.push(Write::Forget { id: format!("reply:{}", session.id) });
            self.writes.extend(release(&session, self.now));
        }
        self.writes.push(Write::Session(SessionRow { ended: Some(why.word().into()), ..session }));
    }
}

/// When a session's newest text is answered: when no other has come for a while.
pub(crate) fn reply_due(session: &SessionRow, config: &Config) -> Timestamp {
    let debounce =
        SignedDuration::from_millis(i64::try_from(config.debounce_ms).unwrap_or(i64::MAX));
    session.active.checked_add(debounce).unwrap_or(Timestamp::MAX)
}

/// The timer of a session.
pub(crate) fn timer(kind: &str, session: &SessionRow, due: Timestamp) -> Write {
    Write::Timer(TimerRow {
        id: format!("{kind}:{}", session.id),
        due,
        kind: kind.into(),
        subject: session.id.clone(),
        guard: session.generation.to_string(),
        trace: (kind == "reply").then(trace::current).flatten(),
    })
}

/// The run that waits for this session's reply shall be looked at: the reply will not come.
pub(crate) fn release(session: &SessionRow, now: Timestamp) -> Option<Write> {
    let guard = session.awaited.clone()?;
    Some(Write::Timer(TimerRow {
        id: format!("awaits:{}", session.run),
        due: now,
        kind: "awaits".into(),
        subject: session.run.clone(),
        guard,
        trace: trace::current(),
    }))
}

/// A session as the machine of its thread sees it.
pub(crate) fn life(session: &SessionRow) -> Session {
    Session {
        agent: identity(&session.agent),
        generation: session.generation,
        answered: session.answered,
        active: session.active,
        idle: SignedDuration::from_secs(session.idle_s),
    }
}

/// What makes an agent another one: its name, its model, its rules. A changed prompt goes on with
/// the session, so that variables in a prompt do not end it.
fn identity(agent: &Value) -> String {
    format!("{} {} {}", agent["name"], agent["engine_model"], agent["rules"])
}
