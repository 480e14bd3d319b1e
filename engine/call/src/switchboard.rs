//! Who takes a call that a carrier brings.

use async_trait::async_trait;

use crate::leg::{Arrival, Dialled, Leg};

/// Takes calls. Implemented by the runtime, called by channels.
#[async_trait]
pub trait Switchboard: Send + Sync {
    /// Whether a dialed number has a flow for calls.
    fn answers(&self, to: &str) -> bool;

    /// Whether another call can be taken now without those that live suffering.
    fn admits(&self) -> bool;

    /// Hosts the call until it is over.
    async fn arrive(&self, leg: Leg);

    /// A call that is on its way through a flow, and that nobody here hosts: the carrier has brought
    /// it back, so whoever had it has lost it. `None` = it is over, or nobody knows it.
    async fn brought_back(&self, carrier: &str, carrier_id: &str) -> Option<Arrival> {
        let _ = (carrier, carrier_id);
        None
    }

    /// The same of a call that lost its sound, where nobody knows whether its host lives: waits
    /// until that is certain. `None` also when it does, and so will see to it.
    async fn orphaned(&self, carrier: &str, carrier_id: &str) -> Option<Arrival> {
        let _ = (carrier, carrier_id);
        None
    }

    /// Takes over such a call and hosts it until it is over: its run goes on where it was. `end` is
    /// how the dial ended in which the carrier had bridged it, if it had.
    async fn take_over(&self, leg: Leg, end: Option<Dialled>) {
        let _ = (leg, end);
    }

    /// The carrier says that a call is over which nobody here hosts.
    async fn ended(&self, carrier: &str, carrier_id: &str) {
        let _ = (carrier, carrier_id);
    }

    /// Where another process of this house is reached, such as `http://10.0.0.7:8080`. `None` = the
    /// name is that of this one, or nobody's who is known to live.
    async fn address_of(&self, process: &str) -> Option<String> {
        let _ = process;
        None
    }

    /// Where the process is reached that hosts a call, if it is another one and known to live.
    async fn elsewhere(&self, carrier: &str, carrier_id: &str) -> Option<String> {
        let _ = (carrier, carrier_id);
        None
    }

    /// Whether another process has taken over a call that was hosted here.
    async fn is_taken(&self, carrier: &str, carrier_id: &str) -> bool {
        let _ = (carrier, carrier_id);
        false
    }
}
