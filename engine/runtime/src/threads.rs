//! A human takes a thread over, answers it, and gives it back.

use store::{SessionRow, ThreadRow, Write};
use uuid::Uuid;

use crate::step::release;
use crate::{Runtime, texts};

impl Runtime {
    /// Gives a thread to a human, or back to its flow (`None`). Texts that come meanwhile run no
    /// flow, and a reply that an agent is thinking about is not sent. `None` when there is no such
    /// thread.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn assign(
        &self,
        thread: &str,
        to: Option<&str>,
    ) -> Result<Option<ThreadRow>, store::Error> {
        loop {
            let Some(row) = self.parts.store.thread(thread).await? else { return Ok(None) };
            let now = self.parts.clock.now();
            let row = ThreadRow { assigned: to.map(Into::into), updated: now, ..row };
            let mut writes = vec![Write::Thread(row.clone())];
            let session = self.parts.store.session(thread).await?;
            if let Some(session) = session.filter(|s| to.is_some() && s.answered < s.generation) {
                writes.push(Write::Forget { id: format!("reply:{}", session.id) });
                writes.extend(release(&session, now));
                let answered = session.generation;
                writes.push(Write::Session(SessionRow { answered, awaited: None, ..session }));
            }
            match self.commit(writes).await {
                Ok(()) => {
                    let data = serde_json::json!({ "to": to });
                    self.tell("", thread, "assigned", data);
                    return Ok(Some(row));
                }
                // A text was handled in between.
                Err(store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a text of a human to the peer of a thread; its key. `None` when there is no such
    /// thread.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn write(
        &self,
        thread: &str,
        text: &str,
        media: Vec<String>,
    ) -> Result<Option<String>, store::Error> {
        let Some(row) = self.parts.store.thread(thread).await? else { return Ok(None) };
        let key = format!("human/{}", Uuid::now_v7());
        let now = self.parts.clock.now();
        let out = texts::row(key.clone(), row.peering, text.into(), media, now);
        let out = self.in_our_manner(out, true);
        self.commit(vec![Write::Outbox(out)]).await?;
        Ok(Some(key))
    }
}
