//! Services beside the engine that flows call by the name of an action: the seam, and those that
//! are ours: a text into another thread, a call, and a flow that follows on something.

use async_trait::async_trait;
use flow::{Deed, Vars};
use serde_json::Value;
use store::{DeedRow, OutboxRow, Write};

use crate::deeds::End;
use crate::lines::outbound::CREATE_CALL;
use crate::{Runtime, Trouble, texts};

/// The service that is ours: its texts leave by the outbox, and the outbox tells their end.
pub(crate) const TO_THREAD: &str = "send_to_conversation";

/// The service that is ours, and that no action asks for: the flow begins that follows on something of
/// the run that has ended.
pub(crate) const ON_END: &str = "on_end";

/// Carries out what one action type asks for, beside the engine.
#[async_trait]
pub trait Aide: Send + Sync {
    /// The action type that calls it: `send_email`.
    fn name(&self) -> &'static str;

    /// Does what the options of the action say. The same key is the same wish, however often it
    /// comes.
    ///
    /// # Errors
    /// Why it was not done, without anything secret.
    async fn call(&self, key: &str, option: &Value) -> Result<Vars, String>;
}

/// Whether only a process with doors can carry out a deed: the sound of a call that is made comes in
/// there.
pub(crate) fn needs_doors(deed: &Deed) -> bool {
    matches!(deed, Deed::Service { name, .. } if name == CREATE_CALL)
}

impl Runtime {
    /// Calls the service of this name, if there is one.
    pub(crate) async fn serve_deed(
        &self,
        row: &DeedRow,
        name: &str,
        option: &Value,
    ) -> Result<End, Trouble> {
        if name == TO_THREAD {
            let writes = vec![Write::Outbox(self.to_thread(row, option).await?)];
            return Ok(End { writes, ..End::done(Vars::new()) });
        }
        if name == CREATE_CALL {
            return self.create_call(row, option).await;
        }
        if name == ON_END {
            let writes = self.begin_on_end(row, option).await?;
            return Ok(End { writes, ..End::done(Vars::new()) });
        }
        let none = || Trouble::Broken(format!("no service `{name}` is configured here"));
        let service = self.parts.services.iter().find(|service| service.name() == name);
        let served = service.ok_or_else(none)?.call(&row.command.key.0, option).await;
        served.map(End::done).map_err(Trouble::Broken)
    }

    /// A text into a thread of the same tenant.
    async fn to_thread(&self, row: &DeedRow, option: &Value) -> Result<OutboxRow, Trouble> {
        let said = |name: &str| option[name].as_str().unwrap_or_default();
        let id = said("conversation");
        let thread = self.parts.store.thread(id).await?;
        let own = thread.filter(|thread| thread.peering.tenant == row.tenant);
        let thread =
            own.ok_or_else(|| Trouble::Broken(format!("no conversation has the id `{id}`")))?;
        let (key, now) = (row.command.key.0.clone(), self.parts.clock.now());
        let text = texts::row(key, thread.peering, said("text").into(), Vec::new(), now);
        Ok(OutboxRow { run: Some(row.run.clone()), about: Some(row.run.clone()), ..text })
    }
}
