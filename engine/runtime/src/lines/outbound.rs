//! Calls that we make: each is dialed, and its run begins when somebody picks up.

use std::sync::Arc;
use std::time::Duration;

use call::{Arrival, Dialer, Dialled, Leg, NotReached, Prepared, Progress, Ringing};
use conversation::Tenant;
use flow::{Activeflow, Destination, Event, Flow, Medium, Vars};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{CallRow, DeedRow, FlowRow, LiveRow, RunRow, Write};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::deeds::End;
use crate::{NotBegun, Number, Runtime, Trouble, Wanted};

/// The service that is ours.
pub(crate) const CREATE_CALL: &str = "create_call";
/// How long it may ring when nobody says.
const RING: Duration = Duration::from_secs(60);
/// Calls that a run makes have ids that are made of the wish, so that the same wish calls once.
const CALLING: Uuid = Uuid::from_u128(0x9a1f_60c2_7d5e_4b36_8a70_1e4f_52b9_c8d1);

/// Calls to make.
pub struct CallOut {
    /// Whose they are.
    pub tenant: Tenant,
    /// The flow that each of them runs.
    pub flow: Wanted,
    /// Our number that they see calling; `None` = the tenant's only one.
    pub from: Option<String>,
    /// Whom to call, each by a call of its own.
    pub to: Vec<Destination>,
    /// Whether nobody may see who calls.
    pub anonymous: bool,
    /// Whether the flow begins as soon as there is sound, before anybody has picked up.
    pub early: bool,
    /// Variables of the new runs.
    pub vars: Vars,
    /// The run with whose call they end, if it has one here.
    pub chained: Option<String>,
    /// The wish: the same one calls once.
    pub key: Option<String>,
}

/// What the action says.
#[derive(Deserialize)]
struct Asked {
    destinations: Vec<Destination>,
    #[serde(default)]
    source: Option<Destination>,
    #[serde(default)]
    flow: Option<String>,
    #[serde(default)]
    actions: Vec<Value>,
    #[serde(default)]
    chained: bool,
    #[serde(default)]
    early: bool,
    #[serde(default)]
    anonymous: bool,
}

/// The rate at which a greeting is prepared for a leg that is not there yet: a telephone's.
const TELEPHONE: u32 = 8_000;

/// A call on its way.
struct Outgoing {
    number: Number,
    version: FlowRow,
    flow: Arc<Flow>,
    call: CallRow,
    vars: Vars,
    early: bool,
    /// Cancelled when the run is over with which it ends.
    over: Option<CancellationToken>,
}

impl Runtime {
    /// Begins to call; returns as soon as the calls are stored. Each is then dialed by this process.
    ///
    /// # Errors
    /// There is no such flow or number, the document has errors, or the store did not answer.
    pub async fn call_out(&self, out: CallOut) -> Result<Vec<CallRow>, NotBegun> {
        let number = self.own_number(&out.tenant, out.from.as_deref())?;
        let (version, flow) = match out.flow {
            Wanted::Named(name) => match self.named(&out.tenant, &name).await {
                Ok(found) => found,
                Err(Trouble::Store(error)) => return Err(error.into()),
                Err(Trouble::Broken(why)) => return Err(NotBegun::Unknown(why)),
            },
            Wanted::Text(text) => {
                self.fresh_version(&out.tenant, "inline", text).await.map_err(NotBegun::Faulty)?
            }
        };
        let mut calls = Vec::new();
        for (at, to) in out.to.iter().enumerate() {
            let id = match &out.key {
                Some(key) => Uuid::new_v5(&CALLING, format!("{key}/{at}").as_bytes()),
                None => Uuid::now_v7(),
            };
            if out.key.is_some()
                && let Some(known) = self.parts.store.call(&id.to_string()).await?
            {
                calls.push(known);
                continue;
            }
            let near = number.carrier.as_deref().unwrap_or_default();
            let dialer = call::dialer::choose(&self.parts.dialers, near, to);
            let now = self.parts.clock.now();
            let call = CallRow {
                id: id.to_string(),
                tenant: out.tenant.clone(),
                carrier: dialer.map_or("", |dialer| dialer.carrier()).into(),
                carrier_id: String::new(),
                from: number.number.as_str().into(),
                to: to.target.clone(),
                run: Uuid::now_v7().to_string(),
                status: if dialer.is_some() { "dialing" } else { "failed" }.into(),
                started: now,
                ended: dialer.is_none().then_some(now),
            };
            let mut writes = vec![Write::Flow(version.clone()), Write::Call(call.clone())];
            if dialer.is_some() {
                writes.push(Write::Live(self.dialing(&call)));
            }
            self.parts.store.commit(writes).await?;
            calls.push(call.clone());
            let (Some(dialer), Some(runtime)) = (dialer, self.me.upgrade()) else {
                tracing::warn!(to = to.target, "no carrier is configured that can dial this");
                continue;
            };
            let wanted = call::Wanted {
                from: number.number.as_str().into(),
                to: to.clone(),
                ring: RING,
                early_media: out.early,
                anonymous: out.anonymous,
                detect_machine: flow.uses("detect_machine"),
            };
            let outgoing = Outgoing {
                number: number.clone(),
                version: version.clone(),
                flow: Arc::clone(&flow),
                call,
                vars: out.vars.clone(),
                early: out.early,
                over: out.chained.as_deref().and_then(|run| self.lines.over(run)),
            };
            let dialer = Arc::clone(dialer);
            tokio::spawn(async move { runtime.dial(outgoing, dialer, wanted).await });
        }
        Ok(calls)
    }

    /// The number of a tenant that others see calling.
    fn own_number(&self, tenant: &Tenant, from: Option<&str>) -> Result<Number, NotBegun> {
        let own = |number: &&Number| number.tenant == *tenant;
        let unknown = |why: String| NotBegun::Unknown(why);
        if let Some(from) = from {
            let number = self.parts.numbers.get(from).filter(own);
            return number
                .cloned()
                .ok_or_else(|| unknown(format!("`{from}` is no number of ours")));
        }
        let phones = self.parts.numbers.0.values().filter(own);
        let mut phones = phones.filter(|number| number.number.as_str().starts_with('+'));
        match (phones.next(), phones.next()) {
            (Some(number), None) => Ok(number.clone()),
            (None, _) => Err(unknown("there is no number to call from".into())),
            (Some(_), Some(_)) => Err(unknown("name the number to call from: `source`".into())),
        }
    }

    /// Until somebody picks up; then until the call is over.
    async fn dial(
        self: Arc<Self>,
        mut out: Outgoing,
        dialer: Arc<dyn Dialer>,
        wanted: call::Wanted,
    ) {
        // The carrier's word of its end is heard here, and by nobody who finds its row.
        let _dials = self.lines.dials(&out.call.run);
        let mut ringing = match dialer.dial(wanted).await {
            Ok(ringing) => ringing,
            Err(end) => return self.unreached(out.call, end).await,
        };
        let prepared = self.prepare(&out);
        out.call.carrier_id = ringing.carrier_id.clone();
        self.keep_call(&out.call).await;
        let mut early = None;
        loop {
            let progress = tokio::select! {
                biased;
                () = cancelled(out.over.as_ref()) => {
                    drop(ringing);
                    let why = "the call that made this one is over".into();
                    let end = NotReached { how: Dialled::NoAnswer, why };
                    return self.unreached(out.call, end).await;
                }
                progress = ringing.next() => progress,
            };
            match progress {
                Progress::Ringing => {
                    out.call.status = "ringing".into();
                    self.keep_call(&out.call).await;
                }
                Progress::EarlyMedia(leg) if out.early => {
                    // Letting go of it would cancel the call.
                    tokio::spawn(keep(ringing));
                    return self.go_on(out, leg, "ringing", prepared).await;
                }
                Progress::EarlyMedia(leg) => early = Some(leg),
                Progress::Answered(leg) => {
                    return match leg.or(early) {
                        Some(leg) => self.go_on(out, leg, "progressing", prepared).await,
                        None => {
                            let end = NotReached::failed("the carrier gave no leg");
                            self.unreached(out.call, end).await;
                        }
                    };
                }
                Progress::Ended(end) => return self.unreached(out.call, end).await,
            }
        }
    }

    /// What the run will say first is begun while it rings.
    fn prepare(&self, out: &Outgoing) -> Option<Prepared> {
        let CallRow { id, carrier, carrier_id, from, to, run, .. } = out.call.clone();
        let arrival = Arrival { carrier, carrier_id, from, to };
        let mut vars = super::variables(&arrival, &id, &arrival.to);
        vars.extend(out.vars.clone());
        let state = Activeflow::new(&run, &out.flow, Medium::Call, vars);
        self.greeting(&out.flow, &state, TELEPHONE)
    }

    /// Somebody is there: the run begins.
    async fn go_on(&self, out: Outgoing, leg: Leg, status: &str, prepared: Option<Prepared>) {
        let Outgoing { number, version, flow, mut call, vars, over, .. } = out;
        call.status = "in_progress".into();
        let run = call.run.clone();
        let mut all = super::variables(&leg.arrival, &call.id, &leg.arrival.to);
        all.insert("call.status".into(), status.into());
        all.extend(vars);
        let hosted = self.host(&number, (&version, &flow), leg, call, all, prepared);
        tokio::pin!(hosted);
        let over = over.as_ref();
        tokio::select! {
            biased;
            () = &mut hosted => return,
            () = cancelled(over) => {}
        }
        let why = "the call that made this one is over".into();
        self.lines.tell(&run, Event::Stopped { why });
        hosted.await;
    }

    async fn unreached(&self, mut call: CallRow, end: NotReached) {
        tracing::info!(call = call.id, exit = end.how.exit(), why = end.why, "nobody was reached");
        call.status = end.how.exit().into();
        call.ended = Some(self.parts.clock.now());
        self.keep_call(&call).await;
    }

    /// A call that this process dials, so that others see when it dies.
    fn dialing(&self, call: &CallRow) -> LiveRow {
        LiveRow {
            run: call.run.clone(),
            call: call.id.clone(),
            carrier: call.carrier.clone(),
            carrier_id: call.carrier_id.clone(),
            worker: self.parts.worker.clone(),
            epoch: 0,
            pending: Vec::new(),
            at: self.parts.clock.now(),
        }
    }

    async fn keep_call(&self, call: &CallRow) {
        let lives = match call.ended {
            None => Write::Live(self.dialing(call)),
            Some(_) => Write::Over { run: call.run.clone() },
        };
        if let Err(error) = self.parts.store.commit(vec![Write::Call(call.clone()), lives]).await {
            tracing::warn!(call = call.id, %error, "a call could not be stored");
        }
    }

    /// Carries out the action `create_call` of a run.
    pub(crate) async fn create_call(&self, row: &DeedRow, option: &Value) -> Result<End, Trouble> {
        let calls = self.calls_of(row, option).await?;
        if calls.iter().all(|call| call.status == "failed") {
            return Ok(End::failed("no carrier is configured that can dial this"));
        }
        let ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
        Ok(End::done(Vars::from([("call_ids".into(), json!(ids))])))
    }

    async fn calls_of(&self, row: &DeedRow, option: &Value) -> Result<Vec<CallRow>, Trouble> {
        let option = Asked::deserialize(option);
        let option = option.map_err(|error| Trouble::Broken(error.to_string()))?;
        let flow = match (option.flow, option.actions) {
            (Some(flow), _) => Wanted::Named(flow),
            (None, actions) if !actions.is_empty() => Wanted::Text(json!(actions).to_string()),
            (None, _) => {
                let why = "name the flow that the call runs, or bring its actions";
                return Err(Trouble::Broken(why.into()));
            }
        };
        let run = self.parts.store.run(&row.run).await?;
        let from = match option.source {
            Some(source) => Some(source.target),
            None => run.and_then(|run| self.number_of(&run)),
        };
        let out = CallOut {
            tenant: row.tenant.clone(),
            flow,
            from,
            to: option.destinations,
            anonymous: option.anonymous,
            early: option.early,
            vars: Vars::from([("run.parent".into(), json!(row.run))]),
            chained: option.chained.then(|| row.run.clone()),
            key: Some(row.command.key.0.clone()),
        };
        self.call_out(out).await.map_err(|error| match error {
            NotBegun::Store(error) => Trouble::Store(error),
            refused => Trouble::Broken(refused.to_string()),
        })
    }

    /// Our number that a run is about.
    fn number_of(&self, run: &RunRow) -> Option<String> {
        let vars = &run.state.vars;
        let names = ["call.to", "call.from", "message.to", "to", "from"];
        let mut said = names.iter().filter_map(|name| vars.get(*name)?.as_str());
        let own = |number: &&str| {
            self.parts.numbers.get(number).is_some_and(|number| number.tenant == run.tenant)
        };
        said.find(own).map(Into::into)
    }
}

/// Keeps a dial until nothing more becomes of it.
async fn keep(mut ringing: Ringing) {
    while !matches!(ringing.next().await, Progress::Answered(_) | Progress::Ended(_)) {}
}

async fn cancelled(over: Option<&CancellationToken>) {
    match over {
        Some(over) => over.cancelled().await,
        None => std::future::pending().await,
    }
}
