//! A text that may or may not have left: the carrier is asked, and where it cannot tell, the
//! channel's [`Delivery`] decides. Either way the history of the run says so.
//!
//! A carrier may list what it took a little late, and a request may still be on its way to it, so
//! "it was not taken" counts only when a claim's time has passed since the try.

use conversation::{Delivery, Messenger, Refusal, Sent};
use jiff::{SignedDuration, Timestamp};
use store::{Line, OutboxRow, Write};

use crate::Runtime;
use crate::outbox::{HOLD, TRIES};

/// How long after a try its absence from the carrier's list means that it was never taken.
const SETTLED: SignedDuration = SignedDuration::from_secs(HOLD as i64);
/// When a carrier that never has time is no longer asked: tries are left for what is decided then.
const ASKED: i64 = TRIES - 2;
/// How far the carrier's clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::from_secs(5);

impl Runtime {
    /// Finds out whether an unsure text has left. [`Refusal::Later`] is a decision that it has not,
    /// or that the carrier shall be asked again.
    pub(crate) async fn look_up(
        &self,
        row: &mut OutboxRow,
        messenger: &dyn Messenger,
        why: &str,
        writes: &mut Vec<Write>,
    ) -> Result<Sent, Refusal> {
        let now = self.parts.clock.now();
        let since = row.unsure.unwrap_or(row.created);
        let age = now.duration_since(since);
        let asked = match messenger.taken(&row.outgoing, earlier(since)).await {
            Ok(taken) => self.ours(row, taken).await,
            Err(refusal) => Err(refusal),
        };
        let (again, decision) = match asked {
            Ok(Some(sent)) => {
                self.note(row, now, &format!("{why}; the carrier has it, so it was sent"), writes);
                return Ok(sent);
            }
            Ok(None) if age < SETTLED => {
                let after = (SETTLED - age).unsigned_abs();
                return Err(Refusal::Later { why: why.into(), after: Some(after) });
            }
            Ok(None) => (true, "the carrier has not got it".to_owned()),
            Err(Refusal::Full { why: busy, after }) => {
                let why = format!("{why}, and the carrier cannot be asked yet: {busy}");
                return Err(Refusal::Later { why, after });
            }
            Err(Refusal::Later { why: busy, after }) if row.refused < ASKED => {
                row.refused += 1;
                let why = format!("{why}, and the carrier cannot be asked yet: {busy}");
                return Err(Refusal::Later { why, after });
            }
            Err(refusal) => match self.parts.delivery.get(&row.outgoing.channel) {
                Some(Delivery::AtLeastOnce) => (true, format!("{refusal} (at_least_once)")),
                _ => (false, format!("{refusal} (at_most_once)")),
            },
        };
        let again = again && row.refused < TRIES;
        let end = if again { "it is sent again" } else { "it is not sent again" };
        let why = format!("{why}; {decision}, so {end}");
        self.note(row, now, &why, writes);
        if again {
            row.unsure = None;
            return Err(Refusal::Later { why, after: Some(std::time::Duration::ZERO) });
        }
        Err(Refusal::Unknown { why })
    }

    /// The one of these that is this text: one that we know already is an older text with the same
    /// words.
    async fn ours(&self, row: &OutboxRow, taken: Vec<Sent>) -> Result<Option<Sent>, Refusal> {
        for sent in taken {
            let known = self.parts.store.sent_as(&row.outgoing.channel, &sent.carrier_id).await;
            match known {
                Ok(None) => return Ok(Some(sent)),
                Ok(Some(_)) => {}
                Err(error) => return Err(Refusal::Later { why: error.to_string(), after: None }),
            }
        }
        Ok(None)
    }

    /// A line in the history of the run.
    fn note(&self, row: &OutboxRow, now: Timestamp, why: &str, writes: &mut Vec<Write>) {
        tracing::warn!(key = row.key, attempt = row.attempts, why, "a text was in doubt");
        metrics::counter!("voxflow_outbox_unsure_total").increment(1);
        if let Some(run) = row.about.clone() {
            let text = format!("unknown whether the text {} was sent: {why}", row.key);
            writes.push(Write::Line(Line { run, at: now, who: "note".into(), text }));
        }
    }
}

fn earlier(since: Timestamp) -> Timestamp {
    since.checked_sub(SKEW).unwrap_or(since)
}
