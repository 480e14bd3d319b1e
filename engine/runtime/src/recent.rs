//! Runs that wait for the end of their text, as they were committed a moment ago: the end comes soon
//! and to this process, so nothing has to be read again. Whatever is out of date here is refused by
//! the fence of its row, and then read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use store::{RunRow, SessionRow, ThreadRow};

/// Runs that are kept; when there are more, all are forgotten.
const KEPT: usize = 4096;

/// A run with what is around it.
pub(crate) type Around = (RunRow, Option<ThreadRow>, Option<SessionRow>);

/// What was committed a moment ago.
#[derive(Default)]
pub(crate) struct Recent(Mutex<HashMap<String, Around>>);

impl Recent {
    /// Keeps a run that is not over, as it is after its commit.
    pub(crate) fn keep(&self, run: RunRow, thread: Option<ThreadRow>, session: Option<SessionRow>) {
        if run.outcome.is_none() {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(run.id.clone(), (run, thread, session));
        }
    }

    /// Takes a run; the next one who asks reads it.
    pub(crate) fn take(&self, run: &str) -> Option<Around> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(run)
    }
}
