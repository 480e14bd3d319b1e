//! The first words of a call, made sound of while its phone rings.

use call::Prepared;
use flow::{Activeflow, Deed, Event, Flow, Vars};
use serde_json::Value;

use crate::Runtime;

/// How many actions may be left before the conversation.
const AHEAD: usize = 8;

impl Runtime {
    /// Begins with the greeting of the agent that a run which has not begun will talk by, if it is
    /// certain that it does so first. One that is not wanted in the end costs one request.
    pub(super) fn greeting(&self, flow: &Flow, state: &Activeflow, rate: u32) -> Option<Prepared> {
        let agent = self.first_agent(flow, state)?;
        let agent = self.parts.agents.resolve(agent).ok()?;
        call::prepare(&*self.parts.vendors, &agent, rate)
    }

    /// A run decides without acting: so a copy of it can be asked what it will do.
    fn first_agent(&self, flow: &Flow, state: &Activeflow) -> Option<Value> {
        let (now, mut state) = (self.parts.clock.now(), state.clone());
        let mut event = Event::Started;
        for _ in 0..AHEAD {
            let mut commands = state.advance(flow, now, event).commands.into_iter();
            let (Some(command), None) = (commands.next(), commands.next()) else { return None };
            event = match command.deed {
                Deed::Talk { agent, .. } => return Some(agent),
                Deed::Answer => Event::Done {
                    key: command.key,
                    exit: "done".into(),
                    values: Vars::new(),
                    why: String::new(),
                    then: None,
                },
                _ => return None,
            };
        }
        None
    }
}
