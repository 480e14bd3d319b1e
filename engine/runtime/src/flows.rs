//! Flows beside those of the numbers: found by name, asked of a server, linked once, known from
//! then on by the hash of their text.

use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use conversation::Tenant;
use flow::{Activeflow, Event, Flow, FlowSource, Linking, Needs, Vars};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{DeedRow, FlowRow, Write};

use crate::deeds::End;
use crate::web::Asking;
use crate::{Called, Runtime, Trouble};

/// How long a server may take to give a flow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Linked versions that a process keeps; the others are linked again when they are needed.
const KEPT: usize = 1024;

/// The id of a version: the same text is the same version, to each tenant its own.
pub fn version(tenant: &Tenant, text: &str) -> String {
    let mut hash = Sha256::new();
    if *tenant != Tenant::default() {
        hash.update(tenant.0.as_bytes());
        hash.update([0]);
    }
    hash.update(text.as_bytes());
    hash.finalize().iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

impl Runtime {
    /// A version of a flow, linked.
    pub(crate) async fn flow(&self, version: &str) -> Result<Arc<Flow>, Trouble> {
        if let Some(flow) = self.known(version) {
            return Ok(flow);
        }
        let broken = |why: &str| Trouble::Broken(format!("the flow version {version} {why}"));
        let row = self.parts.store.flow(version).await?.ok_or_else(|| broken("is not stored"))?;
        let flow = self.link(row.text).await;
        let flow = flow.map_err(|why| broken(&format!("does not link any more: {why}")))?;
        self.know(version, &flow);
        Ok(flow)
    }

    /// The versions of called flows that a run needs in order to take an event. One that cannot be
    /// had is left out: the run then says so.
    pub(crate) async fn called(&self, run: &Activeflow, event: &Event) -> Result<Called, Trouble> {
        let mut called = Called::new();
        for version in run.flows(event) {
            match self.flow(version).await {
                Ok(flow) => drop(called.insert(version.into(), flow)),
                Err(Trouble::Broken(why)) => tracing::warn!(run = run.id, why, "a flow is lost"),
                Err(error) => return Err(error),
            }
        }
        Ok(called)
    }

    /// A flow of a tenant, by its name or its version, linked.
    ///
    /// # Errors
    /// [`Trouble::Broken`] names the flow: there is none, or it does not link.
    pub(crate) async fn named(
        &self,
        tenant: &Tenant,
        name: &str,
    ) -> Result<(FlowRow, Arc<Flow>), Trouble> {
        let all = self.parts.flows.iter().chain(self.parts.numbers.versions());
        let mut own = all.filter(|(row, _)| row.tenant == *tenant);
        if let Some((row, flow)) = own.find(|(row, _)| row.name == name || row.id == name) {
            return Ok((row.clone(), Arc::clone(flow)));
        }
        let stored = self.parts.store.flow_named(tenant, name).await?;
        let none = || Trouble::Broken(format!("there is no flow `{name}`"));
        let row = stored.ok_or_else(none)?;
        let flow = self.flow(&row.id).await?;
        Ok((row, flow))
    }

    /// A flow that is not stored yet, linked, as a version.
    ///
    /// # Errors
    /// The first finding of the linker.
    pub(crate) async fn fresh_version(
        &self,
        tenant: &Tenant,
        called: &str,
        text: String,
    ) -> Result<(FlowRow, Arc<Flow>), String> {
        let flow = self.link(text.clone()).await?;
        let id = version(tenant, &text);
        self.know(&id, &flow);
        let name = if flow.name.is_empty() { called.to_owned() } else { flow.name.clone() };
        let created = self.parts.clock.now();
        Ok((FlowRow { id, tenant: tenant.clone(), name, text, created }, flow))
    }

    /// Gets the flow that a run wants to go on with.
    pub(crate) async fn load(&self, row: &DeedRow, source: &FlowSource) -> Result<End, Trouble> {
        let version = self.loaded(row, source).await?;
        let values = Vars::from([("version".into(), json!(version.id))]);
        Ok(End { writes: vec![Write::Flow(version)], ..End::done(values) })
    }

    async fn loaded(&self, row: &DeedRow, source: &FlowSource) -> Result<FlowRow, Trouble> {
        let (method, url) = match source {
            FlowSource::Known { flow } => {
                return self.named(&row.tenant, flow).await.map(|(row, _)| row);
            }
            FlowSource::Url { method, url } => (method, url),
        };
        let about = self.parts.store.run(&row.run).await?.map(|run| run.subject);
        let body =
            (method != "GET").then(|| json!({ "activeflow_id": row.run, "reference_id": about }));
        let asking = Asking {
            key: row.command.key.0.clone(),
            method: method.clone(),
            url: url.clone(),
            headers: Default::default(),
            body,
            timeout: PATIENCE,
        };
        let broken = |why: String| Trouble::Broken(format!("the flow of the server: {why}"));
        let answered = self.parts.web.ask(asking).await;
        let answered = answered.map_err(|error| Trouble::Broken(error.to_string()))?;
        if !(200..300).contains(&answered.status) {
            let why = format!("the server of the flow answered {}", answered.status);
            return Err(Trouble::Broken(why));
        }
        let version = self.fresh_version(&row.tenant, "fetched", answered.body).await;
        version.map(|(version, _)| version).map_err(broken)
    }

    /// Links beside whatever else this thread has to do, such as sound.
    async fn link(&self, text: String) -> Result<Arc<Flow>, String> {
        let linking = Linking { catalog: self.parts.catalog, medium: Needs::Nothing };
        let linked = tokio::task::spawn_blocking(move || flow::link(&text, linking)).await;
        match linked.map_err(|error| error.to_string())? {
            Ok((flow, _)) => Ok(flow),
            Err(found) => Err(match found.first() {
                Some(first) => format!("{} in line {}: {}", first.code, first.line, first.message),
                None => "it does not link".into(),
            }),
        }
    }

    fn known(&self, version: &str) -> Option<Arc<Flow>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner).get(version).cloned()
    }

    fn know(&self, version: &str, flow: &Arc<Flow>) {
        let mut known = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(version.into(), Arc::clone(flow));
    }
}
