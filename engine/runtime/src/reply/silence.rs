//! Silence ends sessions: many at once as their timers come due, or one by one as jobs where
//! somebody else was writing at that moment.

use conversation::thread::{Input, Thread, Why};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde_json::json;
use store::{SessionRow, TimerRow, Write};

use crate::step::{self, life};
use crate::{Runtime, Trouble};

/// Sessions that end in one commit.
pub(crate) const TOGETHER: usize = 256;

/// A session that is over: its id, its run, its thread.
type Over = (String, String, String);

impl Runtime {
    /// A session's silence may have lasted long enough.
    pub(crate) async fn expire_session(&self, id: &str) -> Result<(), Trouble> {
        let session = self.parts.store.session_by_id(id).await?;
        let mut writes = Vec::new();
        let over = heard_nothing(id, session, self.parts.clock.now(), &mut writes);
        self.commit(writes).await?;
        self.tell_over(over);
        Ok(())
    }

    /// The silence of these sessions may have lasted long enough: one read and one commit for all of
    /// them, at most [`TOGETHER`]. Where that cannot be, each becomes a job.
    pub(crate) async fn expire_sessions(&self, timers: Vec<TimerRow>) {
        if let Err(error) = self.try_expire(&timers).await {
            tracing::debug!(%error, sessions = timers.len(), "sessions end one by one");
            let mut unheard = Vec::new();
            for timer in timers {
                if !self.wake(&timer.kind, &timer.subject, timer.trace.clone()).await {
                    unheard.push(Write::Unfired(timer));
                }
            }
            if let Err(error) = self.parts.store.commit(unheard).await {
                tracing::warn!(%error, "timers wait until their time is over");
            }
        }
    }

    async fn try_expire(&self, timers: &[TimerRow]) -> Result<(), Trouble> {
        let ids: Vec<&str> = timers.iter().map(|timer| timer.subject.as_str()).collect();
        // The store asks for them together.
        let asked = ids.iter().map(|id| self.parts.store.session_by_id(id));
        let rows = try_join_all(asked).await?;
        let mut found: Vec<(&str, Option<SessionRow>)> = ids.into_iter().zip(rows).collect();
        // Who writes to several threads takes them in one order, as the store's own groups do.
        let thread = |session: &SessionRow| session.thread.clone();
        found.sort_by_cached_key(|(_, session)| session.as_ref().map(thread));
        let now = self.parts.clock.now();
        let mut writes = Vec::new();
        let over: Vec<Over> = found
            .into_iter()
            .filter_map(|(id, session)| heard_nothing(id, session, now, &mut writes))
            .collect();
        self.commit(writes).await?;
        self.tell_over(over);
        Ok(())
    }

    fn tell_over(&self, over: impl IntoIterator<Item = Over>) {
        for (id, run, thread) in over {
            let data = json!({ "session": id, "why": Why::Idle.word() });
            self.tell(&run, &thread, "session_ended", data);
        }
    }
}

/// What the time that has passed means for a session: it is over, or its timer goes on.
fn heard_nothing(
    id: &str,
    session: Option<SessionRow>,
    now: Timestamp,
    writes: &mut Vec<Write>,
) -> Option<Over> {
    let timer = Write::Forget { id: format!("session:{id}") };
    let Some(session) = session else {
        writes.push(timer);
        return None;
    };
    if session.ended.is_some() {
        writes.extend([Write::Unmoved((&session).into()), timer]);
        return None;
    }
    let mut thread = Thread { session: Some(life(&session)) };
    if thread.on(now, Input::Timeout).is_empty() {
        // It was used in between: the timer goes on to the new deadline.
        let due = thread.deadline().unwrap_or(Timestamp::MAX);
        writes.push(Write::Unmoved((&session).into()));
        writes.push(step::timer("session", &session, due));
        return None;
    }
    writes.push(timer);
    if session.answered < session.generation {
        writes.push(Write::Forget { id: format!("reply:{id}") });
    }
    writes.extend(step::release(&session, now));
    let over = (id.to_owned(), session.run.clone(), session.thread.clone());
    writes.push(Write::Session(SessionRow { ended: Some(Why::Idle.word().into()), ..session }));
    Some(over)
}
