//! A text leaves: sent once, its end told to the run that waits.
//!
//! The claim is committed before the text can leave and counts the try; its outcome is committed
//! after. A try without an outcome is the matter of `unsure`.

use std::sync::Arc;
use std::time::Duration;

use conversation::{Messenger, Refusal, Status};
use flow::{Event, Key, Vars};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::{OptOut, OutboxRow, Peering, Write};
use tracing::{Instrument, field};

use crate::hold::{Claimed, Held};
use crate::{Runtime, Trouble, trace};

/// How keys of answers to opt-out words end: these are sent to whoever has left, once.
pub(crate) const OPT_OUT: &str = "/opt_out";
/// How the reason begins of a text to somebody who has left.
const LEFT: &str = "the peer has opted out";
/// Instead of a carrier's code: it was not even asked.
const BLOCKED: &str = "blocked here";
/// How long a claim holds, seconds. Nobody else touches the text for so long.
pub(crate) const HOLD: u32 = 24;
/// The same, short of what clocks may differ.
const OURS: Duration = Duration::from_secs(HOLD as u64 - 1);
/// How old a claim may be when the sending begins. A process that was frozen in between lets go:
/// another one may have taken the text over.
pub(crate) const FRESH: Duration = Duration::from_secs(3);
/// How old a claim may be when the carrier's answer is there. It stays within [`HOLD`], and a carrier
/// has 18 s at least.
const ANSWERED: Duration = Duration::from_secs(21);
/// How often a carrier may have no time for a text, or no answer, before it is given up.
pub(crate) const TRIES: i64 = 8;
/// The pauses before a carrier that is full is asked again, where it says nothing.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);
const FULL: SignedDuration = SignedDuration::from_secs(60);
/// The longest pause between two tries.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

impl Runtime {
    /// Sends a claimed text, and keeps what became of it. The next one of its thread, claimed.
    pub(crate) async fn send_text(
        &self,
        Claimed { mut row, held }: Claimed,
        messenger: Option<Arc<dyn Messenger>>,
    ) -> Option<Claimed> {
        let outgoing = row.outgoing.clone();
        let left = row.left && !row.key.ends_with(OPT_OUT);
        if !left && messenger.is_some() && row.unsure.is_none() {
            match self.admit(&outgoing).await {
                Ok(Ok(())) => {}
                Ok(Err(at)) => {
                    self.put_back(row, at, "it waits until its number may send".into()).await;
                    return None;
                }
                Err(error) => {
                    // The claim runs out, and the text is taken up again.
                    tracing::warn!(key = row.key, %error, "a text waits");
                    return None;
                }
            }
        }
        let mut writes = Vec::new();
        let sent = match messenger {
            _ if left => Some(Err(Refusal::OptedOut { code: BLOCKED.into() })),
            Some(messenger) if row.unsure.is_some() => {
                let why = "the process that was sending it died or froze";
                Some(self.look_up(&mut row, &*messenger, why, &mut writes).await)
            }
            Some(messenger) => match self.attempt(&row, held, &*messenger).await {
                Some(Err(Refusal::Unknown { .. })) if self.held_for(held) >= OURS => {
                    // It may be somebody else's by now, who asks the carrier.
                    row.unsure = row.tried;
                    None
                }
                Some(Err(Refusal::Unknown { why })) => {
                    row.unsure = row.tried;
                    row.refused += 1;
                    Some(self.look_up(&mut row, &*messenger, &why, &mut writes).await)
                }
                Some(Err(Refusal::Later { why, after })) => {
                    row.refused += 1;
                    Some(Err(Refusal::Later { why, after }))
                }
                known => known,
            },
            None => Some(Err(Refusal::Never {
                code: "no_channel".into(),
                why: format!("the channel `{}` is not configured", outgoing.channel),
            })),
        };
        if let Some(Err(Refusal::Full { why, after })) = sent {
            let at = self.not_full(&row, after);
            self.pause(&outgoing, at);
            self.put_back(row, at, why).await;
            return None;
        }
        // What was held up here is free to be claimed again.
        let exit = sent.and_then(|sent| self.outcome(&mut row, sent, &mut writes));
        let told = exit.map(|exit| {
            let data =
                json!({ "text": outgoing.text, "to": outgoing.peer, "exit": exit, "why": row.why });
            (row.run.clone().unwrap_or_default(), row.thread.clone(), data)
        });
        let kept = tracing::info_span!(
            target: trace::TARGET, "kept", otel.name = "keep what became of a text", key = row.key
        );
        trace::follow(&kept, outgoing.trace.as_deref());
        let took = self.parts.clock.now().duration_since(row.created).as_secs_f64();
        let next = self.record(row, exit, writes).instrument(kept).await;
        // Whoever is told that a text has left may take it that we know it too.
        let kind = exit.unwrap_or("later");
        metrics::counter!("voxflow_outbox_sent_total", "outcome" => kind).increment(1);
        if kind == "done" {
            metrics::histogram!("voxflow_outbox_seconds").record(took);
        }
        if let Some((run, thread, data)) = told {
            self.readers.call(&thread);
            self.tell(&run, &thread, "text_out", data);
        }
        if exit.is_none() {
            // It may be the first that is due.
            self.outbox_changed();
        }
        next
    }

    /// When a carrier that is full is asked again: when it says, else the later the longer it is so.
    fn not_full(&self, row: &OutboxRow, after: Option<Duration>) -> Timestamp {
        let now = self.parts.clock.now();
        let pause = match after.and_then(|after| SignedDuration::try_from(after).ok()) {
            Some(after) => after.min(LONGEST),
            None => (now.duration_since(row.created) / 4).clamp(SHORTEST, FULL),
        };
        now.checked_add(pause).unwrap_or(now)
    }

    /// A text waits until then. That is no try, and the next of its thread waits too.
    async fn put_back(&self, row: OutboxRow, at: Timestamp, why: String) {
        let key = row.key.clone();
        let waits = Write::PutBack(OutboxRow { not_before: at, why: Some(why), ..row });
        if let Err(error) = self.parts.store.commit(vec![waits]).await {
            // The claim runs out, and the text is taken up again.
            tracing::warn!(key, %error, "a text waits");
        }
        metrics::counter!("voxflow_outbox_held_total").increment(1);
        self.outbox_changed();
    }

    /// One try. It does not last longer than the claim, and it does not even begin (`None`) when
    /// this process was held up so long that the claim may soon be somebody else's.
    async fn attempt(
        &self,
        row: &OutboxRow,
        held: Held,
        messenger: &dyn Messenger,
    ) -> Option<Result<conversation::Sent, Refusal>> {
        if self.held_for(held) > FRESH {
            tracing::warn!(key = row.key, "a text was held up before it could be sent");
            return None;
        }
        let span = tracing::info_span!(
            target: trace::TARGET, "send", otel.name = format!("send {}", row.outgoing.channel), otel.kind = "client",
            key = row.key, channel = row.outgoing.channel, attempt = row.attempts,
            carrier_id = field::Empty, why = field::Empty
        );
        trace::follow(&span, row.outgoing.trace.as_deref());
        let sending = messenger.send(&row.outgoing).instrument(span.clone());
        let sent = self.while_held(held, ANSWERED, sending).await;
        let sent =
            sent.unwrap_or_else(|| Err(Refusal::Unknown { why: "no answer in time".into() }));
        match &sent {
            Ok(sent) => span.record("carrier_id", &sent.carrier_id),
            Err(refusal) => span.record("why", field::display(refusal)),
        };
        Some(sent)
    }

    /// What became of a text: its row, and the exit of the action that waits, if it is over.
    fn outcome(
        &self,
        row: &mut OutboxRow,
        sent: Result<conversation::Sent, Refusal>,
        writes: &mut Vec<Write>,
    ) -> Option<&'static str> {
        let refusal = match sent {
            Ok(sent) => {
                row.status = Status::Sent;
                row.carrier_id = Some(sent.carrier_id);
                row.why = None;
                return Some("done");
            }
            Err(refusal) => refusal,
        };
        tracing::warn!(key = row.key, %refusal, "a text did not leave");
        row.why = Some(refusal.to_string());
        match refusal {
            Refusal::Later { after, .. } if row.refused < TRIES || row.unsure.is_some() => {
                let doubled = SignedDuration::from_secs(1 << row.refused.clamp(1, 16));
                let pause =
                    after.and_then(|after| SignedDuration::try_from(after).ok()).unwrap_or(doubled);
                let now = self.parts.clock.now();
                row.not_before = now.checked_add(pause.min(LONGEST)).unwrap_or(now);
                None
            }
            Refusal::OptedOut { code } => {
                // What we know already is not written again.
                if code != BLOCKED {
                    let refused = OptOut::Refused(row.tried.unwrap_or(row.created));
                    writes.push(Write::OptOut(Peering::from(&row.outgoing), refused));
                }
                row.status = Status::Failed;
                row.why = Some(format!("{LEFT} ({code})"));
                Some("opted_out")
            }
            Refusal::Later { .. }
            | Refusal::Full { .. }
            | Refusal::Never { .. }
            | Refusal::Unknown { .. } => {
                row.status = Status::Failed;
                Some("failed")
            }
        }
    }

    /// Commits what became of a text, together with what it leads to in the run that waits.
    async fn record(
        &self,
        row: OutboxRow,
        exit: Option<&'static str>,
        writes: Vec<Write>,
    ) -> Option<Claimed> {
        let waits = row.run.clone().zip(exit);
        let event = waits.as_ref().and_then(|_| ended(&row));
        let next = loop {
            match self
                .try_record(
                    &row,
                    waits.as_ref().map(|(run, _)| run.as_str()),
                    event.clone(),
                    &writes,
                )
                .await
            {
                Ok(next) => break next,
                Err(Trouble::Store(store::Error::Conflict { what })) if what.contains("outbox") => {
                    tracing::warn!(
                        key = row.key,
                        "the claim on a text had run out before its end was known"
                    );
                    break None;
                }
                Err(error) => {
                    // It has left or failed for good: this must be known, however long it takes.
                    tracing::warn!(key = row.key, %error, "the end of a text could not be stored yet");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        };
        if let (Some((run, _)), Some(event)) = (waits, event) {
            // A call's run is told by its host; in another process the host looks itself.
            self.lines.tell(&run, event);
        }
        next
    }

    async fn try_record(
        &self,
        row: &OutboxRow,
        run: Option<&str>,
        event: Option<Event>,
        writes: &[Write],
    ) -> Result<Option<Claimed>, Trouble> {
        let mut all = vec![Write::Tried(row.clone())];
        all.extend(writes.iter().cloned());
        let stepped = match (run, event) {
            (Some(run), Some(event)) => self.step(run, Some(&row.thread), event).await?,
            _ => None,
        };
        if let Some(stepped) = &stepped {
            all.extend(stepped.writes.iter().cloned());
        }
        all.extend(self.next_of(&row.thread));
        let next = self.commit_for_next(all).await?;
        if let Some(stepped) = stepped {
            stepped.committed(self);
        }
        Ok(next)
    }
}

/// What the run that waits for a text is told, once the text has come to its end.
pub(crate) fn ended(row: &OutboxRow) -> Option<Event> {
    let why = row.why.clone().unwrap_or_default();
    let exit = match row.status {
        Status::Queued => return None,
        Status::Sent | Status::Delivered => "done",
        Status::Failed if row.why.as_deref().is_some_and(|why| why.starts_with(LEFT)) => {
            "opted_out"
        }
        // The carrier had it, and told later that it did not arrive.
        Status::Failed if row.carrier_id.is_some() => "done",
        Status::Failed => "failed",
    };
    let values = Vars::from([("carrier_id".into(), json!(row.carrier_id))]);
    Some(Event::Done { key: Key(row.key.clone()), exit: exit.into(), values, why, then: None })
}
