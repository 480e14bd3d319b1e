//! Who takes a call that a carrier brings.

use async_trait::async_trait;

use crate::leg::Leg;

/// Takes calls. Implemented by the runtime, called by channels.
#[async_trait]
pub trait Switchboard: Send + Sync {
    /// Whether a dialed number has a flow for calls.
    fn answers(&self, to: &str) -> bool;

    /// Whether another call can be taken now without those that live suffering.
    fn admits(&self) -> bool;

    /// Hosts the call until it is over.
    async fn arrive(&self, leg: Leg);
}
