//! Flows that a played flow calls: given by the scenario, or lying beside it.

use std::path::Path;
use std::sync::Arc;

use flow::{Flow, Key, Needs, Vars};
use serde_json::{Value, json};

use super::scenario::{Reply, Source};
use super::stage::{News, Stage};
use crate::files;

impl Stage {
    /// The run calls a flow by its name.
    pub(super) fn call(&mut self, key: Key, name: &str) {
        match self.load(name) {
            Ok(()) => {
                self.news.push(News::Note(format!("calls the flow {name}")));
                let values = Vars::from([("version".into(), json!(name))]);
                self.done(key, "done", values, "", None);
            }
            Err(why) => self.done(key, "failed", Vars::new(), &why, None),
        }
    }

    /// A server has answered with a flow, or has not.
    pub(super) fn loaded(&mut self, key: Key, reply: &Reply, why: &str) {
        let mut values = reply.learned();
        let known = values.get("version").and_then(Value::as_str).map(str::to_owned);
        let found = match (known, values.get("body")) {
            (Some(version), _) => self.load(&version),
            (None, Some(body)) => {
                let version = format!("fetched-{}", self.called.len() + 1);
                let linked = self.link(Path::new(&version), &body.to_string());
                values.insert("version".into(), json!(version));
                linked.map(|flow| drop(self.called.insert(version, flow)))
            }
            (None, None) if reply.exit == "done" => Err("the server answered with no flow".into()),
            (None, None) => Ok(()),
        };
        match found {
            Ok(()) => self.done(key, &reply.exit, values, why, None),
            Err(why) => self.done(key, "failed", Vars::new(), &why, None),
        }
    }

    /// Finds a flow by its name: as given, else a file beside the flow, by its own name or that of
    /// the file.
    fn load(&mut self, name: &str) -> Result<(), String> {
        if self.called.contains_key(name) {
            return Ok(());
        }
        let (path, text) = match self.known.get(name) {
            Some(Source::Document(document)) => (name.into(), document.to_string()),
            Some(Source::File(path)) => {
                let path = self.folder.join(path);
                let text = files::read(&path)?;
                (path, text)
            }
            None => self.beside(name)?,
        };
        let flow = self.link(&path, &text)?;
        self.called.insert(name.into(), flow);
        Ok(())
    }

    fn beside(&self, name: &str) -> Result<(std::path::PathBuf, String), String> {
        let is_it = |(path, text): &(std::path::PathBuf, String)| {
            let document = serde_json::from_str::<Value>(text).unwrap_or_default();
            let called = document.get("name").and_then(Value::as_str);
            let named = called == Some(name) || path.file_stem().is_some_and(|stem| stem == name);
            named && !super::is_scenario(text)
        };
        let mut all = files::below(&self.folder)?.into_iter();
        all.find(is_it)
            .ok_or_else(|| format!("no flow in {} is called `{name}`", self.folder.display()))
    }

    fn link(&self, path: &Path, text: &str) -> Result<Arc<Flow>, String> {
        super::link(path, text, self.flow.catalog, Needs::Nothing)
    }
}
