//! A run about a thread takes an event: what it becomes, and what it wants done, as one list of
//! writes that is committed or not at all.
//!
//! Read in this order: this file (a step) → `session` (what it does to the thread's AI session).

mod session;

use std::collections::VecDeque;
use std::sync::Arc;

use conversation::Address;
use conversation::thread::Why;
use flow::{Command, Deed, Event, Flow, Flows, Medium};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{DeedRow, Line, Peering, RunRow, SessionRow, ThreadRow, TimerRow, Write};
use tracing::field;

pub(crate) use self::session::{life, release, reply_due, timer};
use crate::numbers::Number;
use crate::texts::Behalf;
use crate::{Called, Runtime, Trouble, begin, deeds, told, trace};

/// Who is meant where a text names nobody, or why nobody can be; and the carrier.
type Own = (Result<Peering, String>, String);

/// A run at work, what it is about, and the writes so far.
pub(crate) struct Step<'a> {
    pub(crate) runtime: &'a Runtime,
    /// The number of ours that it is about, if it is about one.
    number: Option<&'a Number>,
    thread: Option<ThreadRow>,
    /// Who is meant where a text names nobody, and the carrier of the call that it is about.
    own: Own,
    flow: Arc<Flow>,
    called: Called,
    run: RunRow,
    session: Option<SessionRow>,
    now: Timestamp,
    /// Whether nothing of the event was for the run.
    dropped: bool,
    /// Whether the event came from somebody who ends a service or the run.
    from_outside: bool,
    writes: Vec<Write>,
    /// Told once the writes are committed.
    happenings: Vec<(&'static str, Value)>,
}

/// What a step wants committed, and what onlookers are told then.
pub(crate) struct Stepped {
    pub(crate) run: RunRow,
    /// The thread, with the run that waits for its next text; written by whoever commits the step.
    pub(crate) thread: Option<ThreadRow>,
    pub(crate) writes: Vec<Write>,
    /// The thread's session that is not over, as it is once the writes are committed.
    session: Option<SessionRow>,
    /// Whether the event was not for the run as it stands.
    pub(crate) dropped: bool,
    happenings: Vec<(&'static str, Value)>,
}

impl Stepped {
    /// Call when the writes are committed.
    pub(crate) fn committed(self, runtime: &Runtime) {
        for (kind, data) in self.happenings {
            runtime.tell(&self.run.id, &self.run.subject, kind, data);
        }
    }

    /// Remembers the run for the end of its text, which comes soon. `thread` is the row that was
    /// committed.
    pub(crate) fn remembered(&self, runtime: &Runtime, thread: &ThreadRow) {
        let run = RunRow { seq: self.run.seq + 1, ..self.run.clone() };
        runtime.recent.keep(run, Some(thread.clone()), self.session.clone());
    }
}

impl<'a> Step<'a> {
    /// A run to be given an event. The session is the thread's that is not over.
    pub(crate) fn new(
        runtime: &'a Runtime,
        number: &'a Number,
        thread: ThreadRow,
        flow: Arc<Flow>,
        run: RunRow,
        session: Option<SessionRow>,
    ) -> Self {
        let own = (Ok(thread.peering.clone()), thread.peering.channel.clone());
        let step = Self::alone(runtime, Some(number), own, flow, run);
        Self { thread: Some(thread), session, ..step }
    }

    /// A run about no thread; about a call that is over, perhaps.
    fn alone(
        runtime: &'a Runtime,
        number: Option<&'a Number>,
        own: Own,
        flow: Arc<Flow>,
        run: RunRow,
    ) -> Self {
        let now = runtime.parts.clock.now();
        Self {
            runtime,
            number,
            thread: None,
            own,
            flow,
            called: Called::new(),
            run,
            session: None,
            now,
            dropped: false,
            from_outside: false,
            writes: Vec::new(),
            happenings: Vec::new(),
        }
    }

    /// The same, with the flows that the run has called or is about to call.
    pub(crate) fn with(mut self, called: Called) -> Self {
        self.called = called;
        self
    }

    /// Gives it the event, and then whatever its wishes led to at once.
    pub(crate) fn take(mut self, event: Event) -> Stepped {
        let span = tracing::info_span!(
            target: trace::TARGET, "run", otel.name = format!("run {}", self.run.flow_name),
            run = self.run.id, steps = field::Empty
        );
        let _within = span.enter();
        self.from_outside = matches!(event, Event::ServiceStopped | Event::Stopped { .. });
        if self.run.state.entered() == 0 {
            let from = self.own.0.as_ref().ok().map(|own| &own.peer);
            let data = json!({ "flow": self.run.flow_name, "from": from });
            self.happenings.push(("run_started", data));
        }
        self.dropped = true;
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let flows = Flows::new(&self.flow, &self.called);
            let advance = self.run.state.advance_noted(flows, self.now, event);
            self.dropped &= advance.dropped;
            self.happenings.extend(advance.taken.iter().map(told::taken));
            if !span.is_disabled() {
                let steps = advance.taken.iter().map(|it| format!("{} -> {}", it.action, it.exit));
                span.record("steps", steps.collect::<Vec<_>>().join(", "));
            }
            if !advance.taken.is_empty() {
                self.writes.push(Write::Taken { run: self.run.id.clone(), taken: advance.taken });
            }
            for command in advance.commands {
                let (key, kind) = (command.key.clone(), command.deed.kind().to_owned());
                let unwaited = matches!(command.deed, Deed::Talk { wait: false, .. });
                let wished = self.wish(command);
                if wished.is_ok() && unwaited && deeds::awaited(&self.run.state, &key) {
                    // It has begun, and that is all that the run wants to know.
                    events.push_back(told::done(key));
                } else if let Err(why) = wished {
                    tracing::warn!(run = self.run.id, key = key.0, why, "what a run asked for");
                    if !deeds::awaited(&self.run.state, &key) {
                        let text = format!("`{kind}` could not be done: {why}");
                        let (run, who) = (self.run.id.clone(), "note".into());
                        self.writes.push(Write::Line(Line { run, at: self.now, who, text }));
                    }
                    events.push_back(told::failed(key, why));
                }
            }
        }
        self.finish()
    }

    fn finish(mut self) -> Stepped {
        let timer = format!("run:{}", self.run.id);
        if let Some(outcome) = self.run.state.outcome {
            self.happenings.push(told::ended(&self.run.state, outcome));
            if self.run.seq > 0 {
                self.writes.push(Write::Forget { id: timer });
            }
            self.writes.extend(begin::afterwards(&self.flow, &self.run, self.now));
        } else {
            self.happenings
                .extend(told::waiting(&self.run.state, Flows::new(&self.flow, &self.called)));
            if let Some((key, due)) = self.run.state.deadline() {
                let (kind, subject, guard) = ("run".into(), self.run.id.clone(), key.0);
                let row = TimerRow { id: timer, due, kind, subject, guard, trace: None };
                self.writes.push(Write::Timer(row));
            }
        }
        self.run.outcome = self.run.state.outcome;
        self.run.updated = self.now;
        self.writes.push(Write::Run(self.run.clone()));
        if let Some(thread) = &mut self.thread {
            if self.run.state.awaits("message") {
                thread.waiting_run = Some(self.run.id.clone());
            } else if thread.waiting_run.as_ref() == Some(&self.run.id) {
                thread.waiting_run = None;
            }
        }
        let Self { run, thread, session, writes, dropped, happenings, .. } = self;
        Stepped { run, thread, session, writes, dropped, happenings }
    }

    /// Turns a command into writes.
    fn wish(&mut self, command: Command) -> Result<(), String> {
        match command.deed {
            Deed::SendMessage { ref source, .. } => {
                let named = || self.runtime.parts.numbers.get(&source.as_ref()?.target);
                let number = self.number.or_else(named);
                let number = number
                    .filter(|number| number.tenant == self.run.tenant)
                    .ok_or("this run is about none of our numbers: name one of them as `source`")?;
                let behalf = Behalf {
                    number,
                    carrier: &self.own.1,
                    own: self.own.0.clone(),
                    run: Some(&self.run.id),
                    about: Some(&self.run.id),
                    now: self.now,
                };
                let rows = self.runtime.texts(&behalf, &command)?;
                self.writes.extend(rows.into_iter().map(Write::Outbox));
                Ok(())
            }
            Deed::Talk { agent, wait, .. } => self.talk(command.key, agent, wait),
            Deed::StopService => {
                if let Some(session) = self.session.take() {
                    self.end(session, Why::StopService);
                }
                Ok(())
            }
            Deed::Answer
            | Deed::Hangup { .. }
            | Deed::Say { .. }
            | Deed::Play { .. }
            | Deed::ReceiveDigits { .. }
            | Deed::Connect { .. } => Err("this needs a live call".into()),
            Deed::Request { .. } | Deed::LoadFlow { .. } | Deed::Service { .. } => {
                let (tenant, run) = (self.run.tenant.clone(), self.run.id.clone());
                let row = DeedRow { tenant, run, command, created: self.now };
                self.writes.extend(deeds::wanted(row));
                Ok(())
            }
        }
    }
}

impl Runtime {
    /// Gives an event to a run about a thread, and commits what it led to.
    pub(crate) async fn advance_run(&self, id: &str, event: Event) -> Result<(), Trouble> {
        if let Some(stepped) = self.step(id, None, event).await? {
            self.commit(stepped.writes.clone()).await?;
            stepped.committed(self);
        }
        Ok(())
    }

    /// What an event leads to in a run about a thread; `None` when the run is over, or a call's.
    /// The thread is among the writes when another run waits for its next text now.
    /// `about` is the thread that the run is about, for those who know: then all is asked at once.
    pub(crate) async fn step(
        &self,
        id: &str,
        about: Option<&str>,
        event: Event,
    ) -> Result<Option<Stepped>, Trouble> {
        let store = &self.parts.store;
        let (run, mut around) = match (self.recent.take(id), about) {
            (Some((run, thread, session)), _) => (Some(run), (thread, session)),
            (None, Some(thread)) => {
                let (run, around) = tokio::join!(store.run(id), self.around(thread));
                (run?, around?)
            }
            (None, None) => (store.run(id).await?, (None, None)),
        };
        let Some(run) = run else { return Ok(None) };
        if run.outcome.is_some() || run.medium == Medium::Call {
            return Ok(None);
        }
        let flow = self.flow(&run.flow).await?;
        let called = self.called(&run.state, &event).await?;
        if run.medium == Medium::None {
            let (number, own) = self.about(&run).await?;
            let step = Step::alone(self, number, own, flow, run).with(called);
            return Ok(Some(step.take(event)));
        }
        if around.0.as_ref().is_none_or(|thread| thread.id != run.subject) {
            around = self.around(&run.subject).await?;
        }
        let (Some(thread), session) = around else { return Ok(None) };
        let number = self.number(&thread.peering)?;
        let before = thread.waiting_run.clone();
        let step = Step::new(self, number, thread, flow, run, session).with(called);
        let mut stepped = step.take(event);
        if let Some(thread) = &stepped.thread
            && thread.waiting_run != before
        {
            stepped.writes.push(Write::Thread(thread.clone()));
        }
        Ok(Some(stepped))
    }

    /// A thread and its session.
    pub(crate) async fn around(
        &self,
        thread: &str,
    ) -> Result<(Option<ThreadRow>, Option<SessionRow>), Trouble> {
        let store = &self.parts.store;
        let (thread, session) = tokio::join!(store.thread(thread), store.session(thread));
        Ok((thread?, session?))
    }

    /// What a run without a thread is about: the number and the caller of a call that is over, or
    /// nobody.
    async fn about(&self, run: &RunRow) -> Result<(Option<&Number>, Own), Trouble> {
        let nobody = || Err("this run is about nobody: name `destinations`".to_owned());
        let Some(call) = self.parts.store.call(&run.subject).await? else {
            return Ok((None, (nobody(), String::new())));
        };
        let number = self.parts.numbers.get(&call.to).filter(|n| n.tenant == run.tenant);
        let Some(number) = number else { return Ok((None, (nobody(), call.carrier))) };
        let own = Address::phone(&call.from).and_then(|peer| {
            let (tenant, ours) = (number.tenant.clone(), number.number.clone());
            let channel = self.phone_channel(&ours, &call.carrier)?;
            Ok(Peering { tenant, channel, ours, peer })
        });
        Ok((Some(number), (own, call.carrier)))
    }

    /// A run's deadline may have passed.
    pub(crate) async fn run_deadline(&self, id: &str) -> Result<(), Trouble> {
        let Some(run) = self.parts.store.run(id).await? else { return Ok(()) };
        let unmoved = Write::Unmoved((&run).into());
        if run.outcome.is_none() && run.medium != Medium::Call && run.state.entered() == 0 {
            return self.advance_run(id, Event::Started).await;
        }
        match run.state.deadline() {
            Some((key, until)) if until <= self.parts.clock.now() && run.medium != Medium::Call => {
                match self.patience_for_text(&run, &key).await? {
                    Some(timer) => Ok(self.commit(vec![unmoved, timer]).await?),
                    None => self.advance_run(id, Event::TimedOut { key }).await,
                }
            }
            Some(_) => Ok(()),
            None => {
                let timer = Write::Forget { id: format!("run:{id}") };
                Ok(self.commit(vec![unmoved, timer]).await?)
            }
        }
    }
}
