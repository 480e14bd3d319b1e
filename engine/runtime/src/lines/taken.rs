//! A call that another process had: the carrier has brought it back to this one.
//!
//! The run is taken under its fence, so that whoever had it can write nothing more, and its effects
//! stay inside. It goes on at the action where it was: what the call was told to do and had not
//! ended is done again, from its beginning but for a conversation, which goes on with what was said.
//!
//! | what was under way | what becomes of it |
//! |---|---|
//! | `ai_talk` | goes on with what was heard; when somebody waits for the agent, it speaks at once |
//! | `talk`, `play`, `receive_digits`, `answer`, `echo`, `hangup` | again |
//! | requests, flows that are fetched, services | again, under the same key |
//! | `connect_call` that the carrier bridged | ends as the carrier says, and the flow goes on |
//! | `connect_call` that the lost process bridged | `failed`: the other leg is gone |
//! | `mute` | again, so that who was mute is |
//! | a recording | has ended: the flow of its `on_end` begins |
//! | `send_digits` | `failed`: nobody knows whether they were sent |
//! | texts, timers, waits for events | as if nothing had happened |

use std::time::Duration;

use agent::Standing;
use call::{Arrival, Dialled, Leg};
use flow::{Deed, Event, Vars};
use jiff::Timestamp;
use serde_json::json;
use store::{DeedRow, Line, LiveRow, Pending, StandingRow, Write};

use super::Hosted;
use super::host::{Begins, Host, beside_a_call};
use crate::{Runtime, Trouble, told};

/// How often the take is tried when whoever had the call wrote at the same moment, or the store is
/// away.
const TRIES: usize = 20;
/// How long it is waited in between.
const AGAIN: Duration = Duration::from_millis(100);
/// The least that is left of a conversation's time, seconds.
const LEAST_S: u64 = 5;

impl Runtime {
    /// Takes the call of a leg that came back, and hosts it until it is over. A leg whose call is
    /// over is dropped, and so hung up.
    pub(super) async fn take_lost(&self, leg: Leg, end: Option<Dialled>) {
        for _ in 0..TRIES {
            match self.taken(&leg.arrival).await {
                Ok(Some((hosted, standing))) => {
                    metrics::counter!("voxflow_calls_taken_over_total").increment(1);
                    tracing::info!(run = hosted.run.id, "a call is taken over");
                    let begins = Begins::TakenOver(standing, end);
                    return self.hosts(hosted, leg, begins).await;
                }
                Ok(None) => return,
                Err(Trouble::Broken(why)) => {
                    return tracing::error!(call = leg.arrival.carrier_id, why, "a call is lost");
                }
                Err(Trouble::Store(error)) => {
                    tracing::warn!(call = leg.arrival.carrier_id, %error, "a call waits");
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Makes the call ours.
    async fn taken(
        &self,
        arrival: &Arrival,
    ) -> Result<Option<(Hosted<'_>, Option<StandingRow>)>, Trouble> {
        let store = &self.parts.store;
        let Some(live) = store.live_of(&arrival.carrier, &arrival.carrier_id).await? else {
            return Ok(None);
        };
        let (run, call, standing) =
            tokio::join!(store.run(&live.run), store.call(&live.call), store.standing(&live.run));
        let standing = standing?;
        let (Some(mut run), Some(call)) = (run?, call?) else { return Ok(None) };
        if run.outcome.is_some() {
            return Ok(None);
        }
        let flow = self.flow(&run.flow).await?;
        let number = [&call.to, &call.from].into_iter().find_map(|to| self.parts.numbers.get(to));
        let number = number.ok_or_else(|| Trouble::Broken("its number is not ours".into()))?;
        let pending = live.pending.clone();
        let epoch = live.epoch + 1;
        let now = self.parts.clock.now();
        let (who, text) = ("note".into(), "the call goes on in another process".into());
        let row = LiveRow { worker: self.parts.worker.clone(), epoch, at: now, ..live };
        let line = Line { run: run.id.clone(), at: now, who, text };
        let writes = vec![Write::Run(run.clone()), Write::Live(row), Write::Line(line)];
        self.commit(writes).await?;
        run.seq += 1;
        let (prepared, unsaved) = (None, Vec::new());
        let hosted = Hosted { number, flow, run, call, epoch, pending, prepared, unsaved };
        Ok(Some((hosted, standing)))
    }
}

impl Host<'_> {
    /// Goes on where another process was.
    pub(super) async fn goes_on(&mut self, standing: Option<StandingRow>, end: Option<Dialled>) {
        self.tell("taken_over", json!({ "flow": self.run.flow_name, "times": self.epoch }));
        match self.runtime.called(&self.run.state, &Event::Started).await {
            Ok(called) => self.called = called,
            Err(error) => tracing::warn!(run = self.run.id, %error, "a flow cannot be had"),
        }
        self.close_tapes().await;
        self.look();
        let keys = self.run.state.waits().map(|waiting| waiting.key.clone());
        let known = |key: &flow::Key| self.pending.iter().any(|p| p.command.key == *key);
        // Texts are nobody's of the call: it is only looked at how far they came.
        self.sending = keys.filter(|key| !known(key)).collect();
        for Pending { mut command, since } in self.pending.clone() {
            let key = command.key.clone();
            if beside_a_call(&command.deed) {
                let (tenant, run) = (self.run.tenant.clone(), self.run.id.clone());
                if command.deed.kind() == crate::services::TO_THREAD {
                    self.sending.push(key);
                }
                self.runtime.carry_out_beside(DeedRow { tenant, run, command, created: since });
                continue;
            }
            match &mut command.deed {
                Deed::Connect { .. } => {
                    let event = match end {
                        Some(end) => Event::Done {
                            key,
                            exit: end.exit().into(),
                            values: Vars::new(),
                            why: end.words().into(),
                            then: None,
                        },
                        None => told::failed(key, "the process died that had both legs".into()),
                    };
                    self.take(event).await;
                }
                Deed::Service { name, .. } if name == "send_digits" => {
                    let why = "the process died that sent them".into();
                    self.take(told::failed(key, why)).await;
                }
                Deed::Talk { duration_s, .. } => {
                    *duration_s = left(*duration_s, since, self.runtime.parts.clock.now());
                    let stood = standing.clone().filter(|row| row.key == key);
                    let said = stood.map(|row| row.standing).map(Standing::taken_up);
                    self.order(command, said.unwrap_or_default()).await;
                }
                _ => self.order(command, Vec::new()).await,
            }
        }
    }
}

/// What is left of a time that began then, seconds.
fn left(all_s: u64, since: Timestamp, now: Timestamp) -> u64 {
    let gone = u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0);
    all_s.saturating_sub(gone).max(LEAST_S.min(all_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_keeps_to_its_time() {
        let at = |second| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        assert_eq!(left(600, at(0), at(100)), 500);
        assert_eq!(left(600, at(0), at(700)), LEAST_S);
        assert_eq!(left(600, at(100), at(0)), 600, "clocks differ");
    }
}
