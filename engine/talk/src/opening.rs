//! A vendor's stream that is being opened, with the time that it may take.

use std::pin::Pin;
use std::time::Duration;

use agent::Error;
use tokio::time::{Instant, timeout_at};

/// A stream on its way. Dropping it gives it up.
pub(crate) struct Opening<T> {
    stream: Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>,
    vendor: &'static str,
    limit: Duration,
    until: Instant,
}

impl<T> Opening<T> {
    /// `vendor` names it in errors. Begins when it is first waited for, and may take this long from now on.
    pub(crate) fn new(
        vendor: &'static str,
        limit: Duration,
        stream: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Self {
        Self { stream: Box::pin(stream), vendor, limit, until: Instant::now() + limit }
    }

    /// Whether it has taken all the time that it may.
    pub(crate) fn is_late(&self) -> bool {
        self.until <= Instant::now()
    }

    /// Waits for it. May be dropped and called again, until it has given something.
    pub(crate) async fn done(&mut self) -> Result<T, Error> {
        self.done_by(None).await
    }

    /// Waits for it, and perhaps not for as long as it may take.
    pub(crate) async fn done_by(&mut self, sooner: Option<Instant>) -> Result<T, Error> {
        let until = sooner.map_or(self.until, |sooner| sooner.min(self.until));
        match timeout_at(until, self.stream.as_mut()).await {
            Ok(stream) => stream,
            Err(_) => Err(Error::Unreachable {
                vendor: self.vendor,
                why: format!("it did not answer within {:?}", self.limit - (self.until - until)),
            }),
        }
    }
}
