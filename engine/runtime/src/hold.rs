//! What is claimed is ours for a while only: what leaves this process on the strength of a claim leaves
//! before that while is over, or not at all.
//!
//! A process that was frozen does not know it, and its clock may have been set meanwhile. So it is a
//! clock that nobody sets that is asked, and it is asked before each piece of the work: a timer alone
//! would fire after a piece that a frozen process still had before it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use store::OutboxRow;

use crate::Runtime;

/// When something began to be ours: the time before the claim was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held(Duration);

/// A text that this process has claimed.
pub(crate) struct Claimed {
    pub(crate) row: OutboxRow,
    pub(crate) held: Held,
}

impl Runtime {
    /// To be taken before a claim is asked for.
    pub(crate) fn hold(&self) -> Held {
        Held(self.parts.clock.steady())
    }

    /// For how long something has been ours, or longer.
    pub(crate) fn held_for(&self, held: Held) -> Duration {
        self.parts.clock.steady().saturating_sub(held.0)
    }

    /// Works until something has been ours for so long; `None` when that was too short.
    pub(crate) async fn while_held<T>(
        &self,
        held: Held,
        at_most: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        let in_time = poll_fn(|cx| {
            if self.held_for(held) >= at_most {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        });
        let left = at_most.saturating_sub(self.held_for(held));
        tokio::time::timeout(left, in_time).await.ok().flatten()
    }
}
