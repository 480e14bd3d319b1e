//! How fast our numbers may send: a carrier's limit, whichever process sends.
//!
//! Where a database is one process's own, so are the lanes. Where it is shared, so is each number's
//! rate: its tokens come from the store, some of them ahead, so that what may send often does not
//! ask for each text. A number without a limit asks for nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conversation::Outgoing;
use conversation::lane::Lanes;
use jiff::{SignedDuration, Timestamp};
use store::Tokens;

use crate::Runtime;

/// Texts per second of a lane without a limit of ours: only the carrier closes it.
const UNLIMITED: f64 = 1e9;
/// So much of a second is taken ahead.
const AHEAD: f64 = 0.1;
/// For how long tokens that were taken ahead are good. What is not used then is lost: it would come
/// on top of the others later.
const GOOD: SignedDuration = SignedDuration::from_secs(1);

/// The lanes of this process.
pub(crate) struct Pacing {
    own: Mutex<Lanes>,
    /// The limit that all processes keep together, texts per second; `None` = there is none, or it
    /// is this process's alone.
    together: Option<f64>,
    ahead: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Ahead>>>>,
}

/// What is known of a lane that all processes share.
#[derive(Default)]
struct Ahead {
    tokens: i64,
    good_until: Timestamp,
    /// Nothing but a reply needs to ask before.
    none_before: Timestamp,
}

impl Pacing {
    /// Lanes of so many texts per second, together with other processes where the store is shared.
    pub(crate) fn new(per_second: Option<f64>, shared: bool) -> Self {
        let (own, together) = if shared { (None, per_second) } else { (per_second, None) };
        let own = Mutex::new(Lanes::new(own.unwrap_or(UNLIMITED)));
        Self { own, together, ahead: Mutex::default() }
    }

    fn own(&self) -> MutexGuard<'_, Lanes> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ahead(&self, lane: &str) -> Arc<tokio::sync::Mutex<Ahead>> {
        let mut all = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(lane.to_owned()).or_default())
    }
}

impl Runtime {
    /// Whether the lane of its sender lets a text go now; else when to ask again.
    pub(crate) async fn admit(
        &self,
        text: &Outgoing,
    ) -> Result<Result<(), Timestamp>, store::Error> {
        let (lane, reply) = (text.ours.as_str(), text.prompted);
        let own = self.pacing.own().admit(self.parts.clock.now(), lane, reply);
        let (Ok(()), Some(rate)) = (own, self.pacing.together) else { return Ok(own) };
        let ahead = self.pacing.ahead(lane);
        // Texts of one number ask one after the other: what the first one brings is for all.
        let mut ahead = ahead.lock().await;
        let now = self.parts.clock.now();
        if ahead.tokens > 0 && now < ahead.good_until {
            ahead.tokens -= 1;
            return Ok(Ok(()));
        }
        if !reply && now < ahead.none_before {
            return Ok(Err(ahead.none_before));
        }
        let tokens = Tokens {
            lane: lane.to_owned(),
            now,
            each: SignedDuration::try_from_secs_f64(1.0 / rate).unwrap_or(SignedDuration::MAX),
            most: rate.max(1.0) as i64,
            wanted: (rate * AHEAD).max(1.0) as i64,
            reply,
        };
        let granted = self.parts.store.tokens(&tokens).await?;
        match granted {
            Ok(tokens) => {
                ahead.tokens = tokens - 1;
                ahead.good_until = now.checked_add(GOOD).unwrap_or(Timestamp::MAX);
            }
            Err(again) if !reply => ahead.none_before = again,
            Err(_) => {}
        }
        Ok(granted.map(|_| ()))
    }

    /// The carrier asked for a pause: the other texts of that number wait too.
    pub(crate) fn pause(&self, text: &Outgoing, until: Timestamp) {
        self.pacing.own().close(self.parts.clock.now(), text.ours.as_str(), until);
    }
}
