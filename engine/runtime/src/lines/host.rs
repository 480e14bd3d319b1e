//! The owner of one call's run: takes events, saves, lets effects leave.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use agent::{Config, Took, ToolCall};
use call::{Arrival, Note, Order, Report};
use conversation::Address;
use flow::{Command, Deed, Destination, Event, Flow, Flows, HangupCause, Key, Medium, Outcome};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{CallRow, DeedRow, Line, Peering, RunRow, Write};
use tokio::sync::mpsc;

use crate::numbers::Number;
use crate::texts::Behalf;
use crate::tools::{self, OnCall, Request};
use crate::{Called, Runtime, begin, deeds, outbox, services, told};

/// How long an effect waits for a store that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile.
const AGAIN: Duration = Duration::from_millis(250);
/// How often the end of a text is looked for that another process may have sent.
const LOOK: Duration = Duration::from_secs(1);
/// Steps and lines that wait for a store that is down; the oldest go first.
const UNSAVED: usize = 10_000;

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
    pub(super) orders: Option<mpsc::Sender<Order>>,
    pub(super) wishes: mpsc::UnboundedSender<Request>,
    /// Keys of the tools that were taken.
    pub(super) seen: HashSet<String>,
    /// Texts whose end the run waits for; another process may send them.
    pub(super) sending: Vec<Key>,
}

impl Host<'_> {
    /// Until the call is over.
    pub(super) async fn host(
        mut self,
        mut reports: mpsc::UnboundedReceiver<Report>,
        mut told: mpsc::UnboundedReceiver<Event>,
        mut wished: mpsc::UnboundedReceiver<Request>,
    ) {
        let started =
            json!({ "flow": self.run.flow_name, "from": self.arrival.from, "to": self.arrival.to });
        self.tell("run_started", started);
        self.unsaved.push(Write::Call(self.call.clone()));
        self.take(Event::Started).await;
        loop {
            let clock = Arc::clone(&self.runtime.parts.clock);
            let deadline = self.run.state.deadline();
            tokio::select! {
                biased;
                report = reports.recv() => match report {
                    // The call is over, and has reported so before.
                    None => break,
                    Some(Report::Event(event)) => self.take(event).await,
                    Some(Report::Note(note)) => self.note(note).await,
                    Some(Report::History(_)) => {}
                },
                Some(request) = wished.recv() => self.wish(request).await,
                Some(event) = told.recv() => self.take(event).await,
                () = tokio::time::sleep(LOOK), if !self.sending.is_empty() => self.look_at_texts().await,
                () = until(clock.as_ref(), deadline.as_ref().map(|(_, at)| *at)), if deadline.is_some() => {
                    if let Some((key, _)) = deadline {
                        self.take(Event::TimedOut { key }).await;
                    }
                }
            }
        }
        self.take(Event::HungUp { cause: HangupCause::Normal }).await;
        self.call.ended = Some(self.runtime.parts.clock.now());
        let failed = self.run.outcome == Some(Outcome::Failed);
        self.call.status = if failed { "failed" } else { "completed" }.into();
        self.unsaved.push(Write::Call(self.call.clone()));
        if let Err(error) = self.save(Vec::new(), Patience::Patient).await {
            tracing::error!(call = self.call.id, run = self.run.id, %error, "a call could not be saved");
        }
    }

    /// Gives one event to the run, saves what it led to, and lets the effects leave. What cannot be
    /// done comes back to the run at once.
    async fn take(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            if self.run.state.outcome.is_some() {
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
            let keys: Vec<Key> = texts
                .iter()
                .filter(|(_, row)| row.run.is_some())
                .map(|(key, _)| key.clone())
                .collect();
            let patience = if texts.is_empty() { Patience::Brief } else { Patience::Patient };
            let writes = texts.into_iter().map(|(_, row)| Write::Outbox(row)).collect();
            match self.save(writes, patience).await {
                Ok(()) => {
                    self.sending.extend(keys);
                    self.runtime.timers_changed();
                }
                Err(error) => {
                    tracing::warn!(run = self.run.id, %error, "a step could not be saved yet");
                    let why = format!("the text could not be stored: {error}");
                    events.extend(keys.into_iter().map(|key| told::failed(key, why.clone())));
                }
            }
            if service {
                // The deed that runs is not wanted any more.
                orders.insert(0, Command { key: Key(String::new()), deed: Deed::StopService });
            }
            beside.into_iter().for_each(|row| self.runtime.carry_out_beside(row));
            for command in orders {
                self.order(command).await;
            }
            self.look();
        }
    }

    /// Texts that have come to their end without our being told.
    async fn look_at_texts(&mut self) {
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
    fn look(&mut self) {
        if let Some(outcome) = self.run.state.outcome {
            if self.orders.take().is_some() {
                let (kind, data) = told::ended(&self.run.state, outcome);
                self.tell(kind, data);
            }
        } else if let Some((kind, data)) = told::waiting(&self.run.state, self.flows()) {
            self.tell(kind, data);
        }
    }

    /// Hands a command to the call, with what a conversation needs.
    async fn order(&mut self, mut command: Command) {
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
        // Fails only when the call is over, and then it reports so.
        let _ = orders.send(Order { command, tools, history: Vec::new() }).await;
    }

    /// On whose behalf texts are sent; `run` when the run waits for their end.
    fn behalf<'b>(&'b self, run: Option<&'b str>, now: Timestamp) -> Behalf<'b> {
        let carrier = &self.arrival.carrier;
        let ours = self.number.number.as_str();
        let Arrival { from, to, .. } = &self.arrival;
        // Of a call that we made it is whom we called.
        let peer = if from == ours { to } else { from };
        let own = Address::phone(peer).and_then(|peer| {
            let channel = self.runtime.phone_channel(carrier)?;
            let ours = self.number.number.clone();
            Ok(Peering { tenant: self.run.tenant.clone(), channel, ours, peer })
        });
        let about = Some(self.run.id.as_str());
        Behalf { number: self.number, carrier, own, run, about, now }
    }

    /// Takes a tool for the model; the same key never acts twice.
    async fn wish(&mut self, request: Request) {
        let took = if self.seen.insert(request.key.clone()) {
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
        self.save(writes, Patience::Patient).await.map_err(|error| error.to_string())?;
        Ok(Took::Result { value: json!({ "status": status }), speak: true })
    }

    /// Keeps what is worth remembering of a conversation, and tells it.
    async fn note(&mut self, note: Note) {
        let (kind, who, text, data): (_, _, _, Value) = match note {
            Note::Caller(text) => ("caller", "caller", text.clone(), json!({ "text": text })),
            Note::Agent(text) => ("agent", "agent", text.clone(), json!({ "text": text })),
            Note::Tool { name, arguments, result } => (
                "tool",
                "tool",
                format!("{name} {arguments} -> {result}"),
                json!({ "name": name, "arguments": arguments, "result": result }),
            ),
            Note::BargeIn(millis) => (
                "barge_in",
                "note",
                format!("barge-in after {millis} ms"),
                json!({ "millis": millis }),
            ),
            Note::Trouble(text) => ("trouble", "note", text.clone(), json!({ "text": text })),
            Note::State(state) => return self.tell("state", json!({ "state": state })),
        };
        self.tell(kind, data);
        let (run, at) = (self.run.id.clone(), self.runtime.parts.clock.now());
        self.unsaved.push(Write::Line(Line { run, at, who: who.into(), text }));
        if let Err(error) = self.save(Vec::new(), Patience::Brief).await {
            tracing::warn!(run = self.run.id, %error, "a line could not be saved yet");
        }
    }

    /// Saves the run, what was not saved before, and `writes`. What fails stays for the next time,
    /// but for `writes`: their fate is the caller's.
    async fn save(&mut self, writes: Vec<Write>, patience: Patience) -> Result<(), store::Error> {
        self.run.outcome = self.run.state.outcome;
        self.run.updated = self.runtime.parts.clock.now();
        if self.unsaved.len() > UNSAVED {
            self.unsaved.drain(..self.unsaved.len() - UNSAVED);
        }
        let give_up = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut all = self.unsaved.clone();
            all.push(Write::Run(self.run.clone()));
            all.extend(writes.iter().cloned());
            let error = match self.runtime.commit(all).await {
                Ok(()) => {
                    self.unsaved.clear();
                    self.doubtful = 0;
                    self.run.seq += 1;
                    return Ok(());
                }
                Err(error) => error,
            };
            match error {
                store::Error::Unavailable(_) => {
                    self.doubtful = self.unsaved.len();
                    if patience == Patience::Brief || tokio::time::Instant::now() >= give_up {
                        return Err(error);
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                // Nobody else writes this run: an attempt whose answer was lost had succeeded.
                store::Error::Conflict { .. } if self.caught_up().await => {}
                store::Error::Conflict { .. } | store::Error::Duplicate => return Err(error),
            }
        }
    }

    /// Goes on from what the store has of the run, when that is one commit ahead of what we know.
    async fn caught_up(&mut self) -> bool {
        let Ok(Some(stored)) = self.runtime.parts.store.run(&self.run.id).await else {
            return false;
        };
        if stored.seq != self.run.seq + 1 {
            return false;
        }
        self.run.seq = stored.seq;
        self.unsaved.drain(..self.doubtful.min(self.unsaved.len()));
        self.doubtful = 0;
        true
    }

    fn tell(&self, kind: &'static str, data: Value) {
        let now = self.runtime.parts.clock.now();
        // Onlookers know the call by the carrier's id, which the caller's side knows too.
        self.runtime.watch.tell(now, &self.run.id, &self.arrival.carrier_id, kind, data);
    }
}

/// Whether a deed has nothing to do with the sound of the call.
fn beside_a_call(deed: &Deed) -> bool {
    match deed {
        Deed::Request { .. } | Deed::LoadFlow { .. } => true,
        Deed::Service { name, .. } => !call::services::carries(name),
        _ => false,
    }
}

/// How long a save may take.
#[derive(Clone, Copy, PartialEq)]
enum Patience {
    /// One try; the rest later.
    Brief,
    /// [`PATIENCE`]: something depends on it.
    Patient,
}

async fn until(clock: &dyn crate::Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => clock.until(at).await,
        None => std::future::pending().await,
    }
}
