//! The flows that a run needs: its own, and those that it has called.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::link::Flow;

/// The flows that a run needs: its own, and the versions that it has called or is about to call,
/// see [`super::Activeflow::flows`]. A run that calls none needs but its own: `&flow` will do.
#[derive(Clone, Copy)]
pub struct Flows<'a> {
    own: &'a Flow,
    called: Option<&'a BTreeMap<String, Arc<Flow>>>,
}

impl<'a> Flows<'a> {
    /// A run's own flow, and versions of others by their ids.
    pub fn new(own: &'a Flow, called: &'a BTreeMap<String, Arc<Flow>>) -> Self {
        Self { own, called: Some(called) }
    }

    /// A version; empty = the run's own.
    pub(super) fn get(self, version: &str) -> Option<&'a Flow> {
        if version.is_empty() {
            return Some(self.own);
        }
        self.called?.get(version).map(Arc::as_ref)
    }

    /// The run's own flow.
    pub(super) fn own(self) -> &'a Flow {
        self.own
    }
}

impl<'a> From<&'a Flow> for Flows<'a> {
    fn from(own: &'a Flow) -> Self {
        Self { own, called: None }
    }
}

impl<'a> From<&'a Arc<Flow>> for Flows<'a> {
    fn from(own: &'a Arc<Flow>) -> Self {
        Self { own, called: None }
    }
}
