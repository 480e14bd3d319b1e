//! Services beside the engine that flows call by the name of an action: the seam, and those that
//! are ours: a text into another thread, a call, and a flow that follows on something.

use async_trait::async_trait;
use flow::{Deed, Vars};
use serde_json::Value;
use store::{DeedRow, OutboxRow, Write};

use crate::deeds::End;
use crate::lines::outbound::CREATE_CALL;
use crate::{Runtime, texts};

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
    pub(crate) async fn serve_deed(&self, row: &DeedRow, name: &str, option: &Value) -> End {
        if name == TO_THREAD {
            return match self.to_thread(row, option).await {
                Ok(text) => End { writes: vec![Write::Outbox(text)], ..End::done(Vars::new()) },
                Err(why) => End::failed(why),
            };
        }
        if name == CREATE_CALL {
            return self.create_call(row, option).await;
        }
        if name == ON_END {
            return self.begin_on_end(row, option).await;
        }
        let Some(service) = self.parts.services.iter().find(|service| service.name() == name)
        else {
            return End::failed(format!("no service `{name}` is configured here"));
        };
        match service.call(&row.command.key.0, option).await {
            Ok(values) => End::done(values),
            Err(why) => End::failed(why),
        }
    }

    /// A text into a thread of the same tenant.
    async fn to_thread(&self, row: &DeedRow, option: &Value) -> Result<OutboxRow, String> {
        let said = |name: &str| option[name].as_str().unwrap_or_default();
        let id = said("conversation");
        let thread = self.parts.store.thread(id).await.map_err(|error| error.to_string())?;
        let own = thread.filter(|thread| thread.peering.tenant == row.tenant);
        let thread = own.ok_or_else(|| format!("no conversation has the id `{id}`"))?;
        let (key, now) = (row.command.key.0.clone(), self.parts.clock.now());
        let text = texts::row(key, thread.peering, said("text").into(), Vec::new(), now);
        Ok(OutboxRow { run: Some(row.run.clone()), about: Some(row.run.clone()), ..text })
    }
}
