//! What time it is. Tests bring their own, so that a day of silence takes no time.

use async_trait::async_trait;
use jiff::Timestamp;

/// Tells and awaits the time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Resolves at that time, or at once when it has passed.
    async fn until(&self, then: Timestamp);
}

/// The machine's clock.
pub struct System;

#[async_trait]
impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn until(&self, then: Timestamp) {
        let left = then.duration_since(Timestamp::now());
        if let Ok(left) = std::time::Duration::try_from(left) {
            tokio::time::sleep(left).await;
        }
    }
}
