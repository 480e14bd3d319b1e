//! The owner of one call's run: takes events, saves (`keep`), lets effects leave.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use agent::{Config, Item, Took, ToolCall};
use call::{Arrival, Control, Note, Order, Prepared, Report};
use conversation::Address;
use flow::{Command, Deed, Destination, Event, Flow, Flows, HangupCause, Key, Medium, Outcome};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{CallRow, DeedRow, Peering, Pending, RunRow, StandingRow, Write};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::lines::Letting;
use crate::lines::behind::Settled;
use crate::lines::keep::Patience;
use crate::numbers::Number;
use crate::texts::Behalf;
use crate::tools::{self, OnCall, Request};
use crate::{Called, Runtime, begin, deeds, outbox, services, told};

/// How often the end of a text is looked for that another process may have sent.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a call stays here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Going {
    /// It does.
    Stays,
    /// It is let go, and another process may take it: its run stands still here.
    Leaves,
    /// Another process has it.
    Lost,
    /// It ends with the words that are being said.
    Ends,
}

/// How the hosting of a call begins.
pub(super) enum Begins {
    /// With its run.
    Anew,
    /// Where another process had it: how its conversation stood, and how the dial ended in which
    /// the carrier had bridged it.
    TakenOver(Option<StandingRow>, Option<call::Dialled>),
}

/// The owner of one call's run.
pub(super) struct Host<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) number: &'a Number,
    pub(super) flow: Arc<Flow>,
    /// Flows that the run has called.
    pub(super) called: Called,
    pub(super) run: RunRow,
    pub(super) call: CallRow,
    pub(super) arrival: Arrival,
    /// What a store that did not answer has yet to take.
    pub(super) unsaved: Vec<Write>,
    /// How many of them were in the last attempt whose end is not known.
    pub(super) doubtful: usize,
    /// `None` once the run has ended: the call then hangs up.
    pub(super) orders: Option<mpsc::Sender<Box<Order>>>,
    pub(super) wishes: mpsc::UnboundedSender<Box<Request>>,
    /// Keys of the tools that were taken.
    pub(super) seen: HashSet<String>,
    /// Texts whose end the run waits for; another process may send them.
    pub(super) sending: Vec<Key>,
    /// The caller's leg, besides its sound.
    pub(super) control: Arc<dyn Control>,
    /// How many processes had the call before this one.
    pub(super) epoch: i64,
    /// What the run has asked for and waits for, and what holds for the rest of the call.
    pub(super) pending: Vec<Pending>,
    /// Keys of its recordings that have not ended.
    pub(super) recording: Vec<Key>,
    /// Its first words, until it is known whether they are.
    pub(super) prepared: Option<Prepared>,
    /// How the conversation stands, if there is one.
    pub(super) standing: Option<Arc<StandingRow>>,
    /// What is settled of it.
    pub(super) settled: Settled,
    /// How many turns it was told of.
    pub(super) turns: i64,
    pub(super) going: Going,
    /// Tells the call to leave.
    pub(super) leave: CancellationToken,
    /// Whether the call is over, so that nothing of it lives any more.
    pub(super) over: bool,
}

impl Host<'_> {
    /// Until the call is over, or goes on elsewhere.
    pub(super) async fn host(
        mut self,
        begins: Begins,
        mut reports: mpsc::UnboundedReceiver<Report>,
        mut told: mpsc::UnboundedReceiver<Box<Event>>,
        mut wished: mpsc::UnboundedReceiver<Box<Request>>,
    ) {
        match begins {
            Begins::Anew => {
                let (from, to) = (&self.arrival.from, &self.arrival.to);
                let started = json!({ "flow": self.run.flow_name, "from": from, "to": to });
                self.tell("run_started", started);
                self.unsaved.push(Write::Call(self.call.clone()));
                self.take(Event::Started).await;
            }
            Begins::TakenOver(standing, end) => self.goes_on(standing, end).await,
        }
        let mut letting = self.runtime.letting.subscribe();
        loop {
            let clock = Arc::clone(&self.runtime.parts.clock);
            let deadline = self.run.state.deadline();
            let looks = !self.sending.is_empty() || *letting.borrow() != Letting::No;
            tokio::select! {
                biased;
                report = reports.recv() => match report {
                    // The call is over, and has reported so before.
                    None => break,
                    Some(Report::Event(event)) => self.hear(*event).await,
                    Some(Report::Note(note)) => self.note(note).await,
                    Some(Report::Stands(latest)) => {
                        if let Some(standing) = latest.take() {
                            self.note(Note::Standing(standing)).await;
                        }
                    }
                    Some(Report::Recording(key)) => self.recording.push(key),
                    Some(Report::Recorded(key)) => self.recorded(&key).await,
                    Some(Report::Left(answer)) => {
                        self.stands().await;
                        let _ = answer.send(());
                    }
                },
                Some(request) = wished.recv() => self.wish(*request).await,
                Some(event) = told.recv() => self.hear(*event).await,
                Ok(()) = letting.changed() => {}
                () = tokio::time::sleep(LOOK), if looks => self.look_at_texts().await,
                () = until(clock.as_ref(), deadline.as_ref().map(|(_, at)| *at)),
                    if deadline.is_some() && self.going == Going::Stays =>
                {
                    if let Some((key, _)) = deadline {
                        self.take(Event::TimedOut { key }).await;
                    }
                }
            }
            self.consider().await;
        }
        if matches!(self.going, Going::Stays | Going::Ends) {
            self.ends().await;
        }
    }

    /// The call is over.
    async fn ends(mut self) {
        self.going = Going::Stays;
        self.take(Event::HungUp { cause: HangupCause::Normal }).await;
        self.over = true;
        self.call.ended = Some(self.runtime.parts.clock.now());
        let failed = self.run.outcome == Some(Outcome::Failed);
        self.call.status = if failed { "failed" } else { "completed" }.into();
        self.unsaved.push(Write::Call(self.call.clone()));
        for key in std::mem::take(&mut self.recording) {
            self.end_of(&key);
        }
        self.unsaved.push(Write::Over { run: self.run.id.clone() });
        self.runtime.behind.forget(&self.of());
        match self.save(Vec::new(), Patience::Patient).await {
            Ok(()) => {}
            Err(_) if self.going == Going::Lost => {}
            Err(error) => {
                let run = self.run.id;
                tracing::error!(call = self.call.id, run, %error, "a call could not be saved");
            }
        }
    }

    /// An event for the run, unless that stands still here.
    async fn hear(&mut self, event: Event) {
        let hung_up = matches!(event, Event::HungUp { .. });
        match self.going {
            Going::Stays => self.take(event).await,
            // Nothing of it was left to others.
            Going::Leaves | Going::Ends if hung_up => {
                self.going = Going::Stays;
                self.take(event).await;
            }
            Going::Ends if Self::said_last(&event) => {
                self.going = Going::Stays;
                self.take(Event::Stopped { why: "the process was stopped".into() }).await;
            }
            Going::Leaves | Going::Ends | Going::Lost => {}
        }
    }

    /// Gives one event to the run, saves what it led to, and lets the effects leave. What cannot be
    /// done comes back to the run at once.
    pub(super) async fn take(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            if self.run.state.outcome.is_some() || self.going != Going::Stays {
                return;
            }
            if let Event::Done { key, .. } = &event {
                self.sending.retain(|other| other != key);
            }
            let service = matches!(event, Event::ServiceStopped | Event::Stopped { .. });
            let now = self.runtime.parts.clock.now();
            match self.runtime.called(&self.run.state, &event).await {
                Ok(called) => self.called = called,
                Err(error) => tracing::warn!(run = self.run.id, %error, "a flow cannot be had"),
            }
            let flows = Flows::new(&self.flow, &self.called);
            let advance = self.run.state.advance_noted(flows, now, event);
            for taken in &advance.taken {
                let (kind, data) = told::taken(taken);
                self.tell(kind, data);
            }
            if !advance.taken.is_empty() {
                self.unsaved.push(Write::Taken { run: self.run.id.clone(), taken: advance.taken });
            }
            if self.run.state.outcome.is_some() {
                self.unsaved.extend(begin::afterwards(&self.flow, &self.run, now));
            }
            let (mut texts, mut orders) = (Vec::new(), Vec::new());
            let mut beside = Vec::new();
            for mut command in advance.commands {
                if let Deed::Talk { agent, .. } = &mut command.deed {
                    match self.runtime.parts.agents.resolve(agent.take()) {
                        Ok(found) => *agent = found,
                        Err(why) => {
                            events.push(told::failed(command.key, why));
                            continue;
                        }
                    }
                }
                if beside_a_call(&command.deed) {
                    let waits = deeds::awaited(&self.run.state, &command.key);
                    let (tenant, run) = (self.run.tenant.clone(), self.run.id.clone());
                    let row = DeedRow { tenant, run, command, created: now };
                    if waits {
                        if row.command.deed.kind() == services::TO_THREAD {
                            self.sending.push(row.command.key.clone());
                        }
                        beside.push(row);
                    } else {
                        // Nobody waits for it, so it must not die with the call.
                        self.unsaved.extend(deeds::wanted(row));
                    }
                } else if matches!(command.deed, Deed::SendMessage { .. }) {
                    match self.runtime.texts(&self.behalf(Some(&self.run.id), now), &command) {
                        Ok(rows) => {
                            texts.extend(rows.into_iter().map(|row| (command.key.clone(), row)))
                        }
                        Err(why) => events.push(told::failed(command.key, why)),
                    }
                } else {
                    orders.push(command);
                }
            }
            let asked = orders.iter().chain(beside.iter().map(|row: &DeedRow| &row.command));
            let asked = asked.map(|command| Pending { command: command.clone(), since: now });
            self.pending.extend(asked.collect::<Vec<_>>());
            let state = &self.run.state;
            let mut known = HashSet::new();
            self.pending.retain(|pending| {
                let lasts = lasting(&pending.command.deed).is_some_and(|name| known.insert(name));
                let records = self.recording.contains(&pending.command.key);
                lasts || records || deeds::awaited(state, &pending.command.key)
            });
            let keys: Vec<Key> = texts
                .iter()
                .filter(|(_, row)| row.run.is_some())
                .map(|(key, _)| key.clone())
                .collect();
            let patience = if texts.is_empty() { Patience::Brief } else { Patience::Patient };
            let writes = texts.into_iter().map(|(_, row)| Write::Outbox(row)).collect();
            match self.save(writes, patience).await {
                Ok(()) => self.sending.extend(keys),
                // Whoever has the call decides what comes of it.
                Err(_) if self.going == Going::Lost => return,
                Err(error) => {
                    tracing::warn!(run = self.run.id, %error, "a step could not be saved yet");
                    let why = format!("the text could not be stored: {error}");
                    events.extend(keys.into_iter().map(|key| told::failed(key, why.clone())));
                }
            }
            let idle = events.is_empty() && beside.is_empty() && !service;
            if idle && self.leaves_before(&orders).await {
                return;
            }
            if service {
                // The deed that runs is not wanted any more.
                orders.insert(0, Command { key: Key(String::new()), deed: Deed::StopService });
            }
            beside.into_iter().for_each(|row| self.runtime.carry_out_beside(row));
            for command in orders {
                self.order(command, Vec::new()).await;
            }
            self.look();
        }
    }

    /// Texts that have come to their end without our being told.
    async fn look_at_texts(&mut self) {
        if self.going != Going::Stays {
            return;
        }
        for key in self.sending.clone() {
            match self.runtime.parts.store.outbox(&key.0).await {
                Ok(Some(row)) => {
                    if let Some(event) = outbox::ended(&row) {
                        self.take(event).await;
                    }
                }
                Ok(None) => self.sending.retain(|other| *other != key),
                Err(error) => {
                    tracing::warn!(run = self.run.id, %error, "the end of a text is not known yet")
                }
            }
        }
    }

    fn flows(&self) -> Flows<'_> {
        Flows::new(&self.flow, &self.called)
    }

    /// Tells onlookers where the run stands, and lets the call go when it is over.
    pub(super) fn look(&mut self) {
        if let Some(outcome) = self.run.state.outcome {
            if self.orders.take().is_some() {
                let (kind, data) = told::ended(&self.run.state, outcome);
                self.tell(kind, data);
            }
        } else if let Some((kind, data)) = told::waiting(&self.run.state, self.flows()) {
            self.tell(kind, data);
        }
    }

    /// Hands a command to the call, with what a conversation needs: also what was said before.
    pub(super) async fn order(&mut self, mut command: Command, history: Vec<Item>) {
        let Some(orders) = self.orders.clone() else { return };
        if let Deed::Connect { source: source @ None, .. } = &mut command.deed {
            let (kind, target) = ("tel".into(), self.number.number.as_str().into());
            *source = Some(Destination { kind, target, name: None });
        }
        let tools: Option<Arc<dyn agent::Tools>> = match &command.deed {
            Deed::Talk { agent, .. } => {
                // The call reads the configuration too, and says what is wrong with it.
                let config: Config = serde_json::from_value(agent.clone()).unwrap_or_default();
                let list = tools::offered(&self.flow, Medium::Call, &config);
                Some(Arc::new(OnCall { list, owner: self.wishes.clone() }))
            }
            _ => None,
        };
        let prepared = match command.deed {
            Deed::Talk { .. } => self.prepared.take(),
            Deed::Answer => None,
            _ => self.prepared.take().and(None),
        };
        // Fails only when the call is over, and then it reports so.
        let order = Order { command, tools, history, prepared, epoch: self.epoch };
        let _ = orders.send(Box::new(order)).await;
    }

    /// On whose behalf texts are sent; `run` when the run waits for their end.
    fn behalf<'b>(&'b self, run: Option<&'b str>, now: Timestamp) -> Behalf<'b> {
        let carrier = &self.arrival.carrier;
        let ours = self.number.number.as_str();
        let Arrival { from, to, .. } = &self.arrival;
        // Of a call that we made it is whom we called.
        let peer = if from == ours { to } else { from };
        let own = Address::phone(peer).and_then(|peer| {
            let ours = self.number.number.clone();
            let channel = self.runtime.phone_channel(&ours, carrier)?;
            Ok(Peering { tenant: self.run.tenant.clone(), channel, ours, peer })
        });
        let about = Some(self.run.id.as_str());
        Behalf { number: self.number, carrier, own, run, about, now }
    }

    /// Takes a tool for the model; the same key never acts twice.
    async fn wish(&mut self, request: Request) {
        let took = if self.going != Going::Stays {
            tools::refused("the call goes on elsewhere")
        } else if self.seen.insert(request.key.clone()) {
            self.tool(&request.key, &request.call).await.unwrap_or_else(|why| tools::refused(&why))
        } else {
            tools::refused("this was done before")
        };
        // Nobody waits when the caller spoke in between; what was done is done.
        let _ = request.answer.send(took);
    }

    async fn tool(&mut self, key: &str, call: &ToolCall) -> Result<Took, String> {
        let args = tools::arguments(call)?;
        let offers = self.flow.tools(Medium::Call);
        let offer = offers
            .iter()
            .find(|offer| offer.kind == call.name)
            .ok_or_else(|| format!("there is no tool `{}`", call.name))?;
        if offer.tool == flow::Tool::Ends {
            let then = Some(self.run.state.ends_with(self.flows(), offer.kind, &args)?);
            return Ok(Took::Ends { then, stop: false });
        }
        let now = self.runtime.parts.clock.now();
        let key = Key(format!("{}/{key}", self.run.id));
        let commands = flow::run::take_tool(
            &self.flow,
            offer.kind,
            &args,
            key,
            Medium::Call,
            now,
            &mut self.run.state.vars,
        )?;
        let mut writes = Vec::new();
        for command in &commands {
            // The run does not wait for what a model sends.
            let rows = self.runtime.texts(&self.behalf(None, now), command)?;
            writes.extend(rows.into_iter().map(Write::Outbox));
        }
        let status = if writes.is_empty() { "done" } else { "queued" };
        // Whoever goes on with the conversation knows that this was done.
        writes.extend(self.standing.clone().map(|standing| Write::Standing {
            run: self.run.id.clone(),
            epoch: self.epoch,
            standing,
            whole: true,
        }));
        self.save(writes, Patience::Patient).await.map_err(|error| error.to_string())?;
        Ok(Took::Result { value: json!({ "status": status }), speak: true })
    }

    pub(super) fn tell(&self, kind: &'static str, data: Value) {
        let now = self.runtime.parts.clock.now();
        // Onlookers know the call by the carrier's id, which the caller's side knows too.
        self.runtime.watch.tell(now, &self.run.id, &self.arrival.carrier_id, kind, data);
    }
}

/// The name of what holds for the rest of the call.
fn lasting(deed: &Deed) -> Option<String> {
    match deed {
        Deed::Service { name, .. } if call::services::lasts(name) => Some(name.clone()),
        _ => None,
    }
}

/// Whether a deed has nothing to do with the sound of the call.
pub(super) fn beside_a_call(deed: &Deed) -> bool {
    match deed {
        Deed::Request { .. } | Deed::LoadFlow { .. } => true,
        Deed::Service { name, .. } => !call::services::carries(name),
        _ => false,
    }
}

async fn until(clock: &dyn crate::Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => clock.until(at).await,
        None => std::future::pending().await,
    }
}
