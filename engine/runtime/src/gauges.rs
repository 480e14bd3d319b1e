//! How much there is to do and how much lives, for whoever reads the metrics.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Runtime;

/// How old the counts of the database may be: counting a million sessions is work.
const FRESH: Duration = Duration::from_secs(15);

/// When the database was counted last.
#[derive(Default)]
pub(crate) struct Gauged(Mutex<Option<Instant>>);

impl Gauged {
    /// Whether it is time; then it counts as done.
    fn is_old(&self) -> bool {
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = at.is_none_or(|at| at.elapsed() > FRESH);
        if old {
            *at = Some(Instant::now());
        }
        old
    }
}

impl Runtime {
    /// Sets the gauges. Those of the database are of all processes and up to 15 s old.
    pub async fn gauge(&self) {
        metrics::gauge!("voxflow_sessions_active", "kind" => "call").set(self.live_calls() as f64);
        if !self.gauged.is_old() {
            return;
        }
        match self.parts.store.counts().await {
            Ok(counts) => {
                let sessions = counts.sessions as f64;
                metrics::gauge!("voxflow_sessions_active", "kind" => "text").set(sessions);
                metrics::gauge!("voxflow_outbox_queued").set(counts.outbox as f64);
                metrics::gauge!("voxflow_outbox_unsure").set(counts.unsure as f64);
                metrics::gauge!("voxflow_threads_unhandled").set(counts.unhandled as f64);
            }
            Err(error) => tracing::warn!(%error, "the gauges keep their old values"),
        }
    }
}
