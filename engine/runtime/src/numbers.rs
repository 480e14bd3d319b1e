//! Which flows a number of ours has.

use std::collections::HashMap;
use std::sync::Arc;

use conversation::{Address, Tenant};
use flow::Flow;
use store::{FlowRow, Peering};

use crate::{Runtime, Trouble};

/// A number of ours.
#[derive(Clone)]
pub struct Number {
    /// Whose it is.
    pub tenant: Tenant,
    /// The number.
    pub number: Address,
    /// What a call runs.
    pub call_flow: Option<(FlowRow, Arc<Flow>)>,
    /// What a text runs.
    pub message_flow: Option<(FlowRow, Arc<Flow>)>,
    /// Seconds of silence after which an AI session of a thread is over.
    pub idle_s: Option<i64>,
    /// The carrier that its calls and texts go by, where it reaches whom they are for; `None` = that
    /// of what they are about, or the first that does.
    pub carrier: Option<String>,
}

/// All of our numbers.
#[derive(Clone, Default)]
pub struct Numbers(pub HashMap<String, Number>);

impl Numbers {
    /// The number, if it is ours.
    pub fn get(&self, number: &str) -> Option<&Number> {
        self.0.get(number)
    }
}

impl Numbers {
    /// Every version of a flow that a number of ours has.
    pub fn versions(&self) -> impl Iterator<Item = &(FlowRow, Arc<Flow>)> {
        self.0.values().flat_map(|number| [&number.call_flow, &number.message_flow]).flatten()
    }
}

impl Runtime {
    /// The number of ours that a thread belongs to.
    pub(crate) fn number(&self, peering: &Peering) -> Result<&Number, Trouble> {
        match self.parts.numbers.get(peering.ours.as_str()) {
            Some(number) if number.tenant == peering.tenant => Ok(number),
            Some(_) | None => {
                Err(Trouble::Broken(format!("`{}` is no number of ours any more", peering.ours)))
            }
        }
    }
}
