//! What happened, in order; and waiting until something has, instead of sleeping.

use std::fmt::Debug;
use std::time::Duration;

use tokio::sync::watch;

use crate::PATIENCE_S;

/// Things that happened. Anybody may add, anybody may wait.
pub struct Record<T>(watch::Sender<Vec<T>>);

impl<T> Default for Record<T> {
    fn default() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }
}

impl<T: Clone + Debug> Record<T> {
    /// Adds one.
    pub fn push(&self, item: T) {
        self.0.send_modify(|items| items.push(item));
    }

    /// All so far.
    pub fn all(&self) -> Vec<T> {
        self.0.borrow().clone()
    }

    /// Those of them that fit.
    pub fn pick(&self, fits: impl Fn(&T) -> bool) -> Vec<T> {
        self.0.borrow().iter().filter(|item| fits(item)).cloned().collect()
    }

    /// How many so far.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether nothing happened yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first that `wanted` accepts, now or later.
    ///
    /// # Panics
    /// When it does not come in time; tells what came instead.
    pub async fn find<R>(&self, what: &str, wanted: impl Fn(&T) -> Option<R>) -> R {
        self.find_after(0, what, wanted).await
    }

    /// The same, without the first `after` ones.
    ///
    /// # Panics
    /// When it does not come in time; tells what came instead.
    pub async fn find_after<R>(
        &self,
        after: usize,
        what: &str,
        wanted: impl Fn(&T) -> Option<R>,
    ) -> R {
        let mut watching = self.0.subscribe();
        let found = async {
            loop {
                if let Some(found) =
                    watching.borrow_and_update().iter().skip(after).find_map(&wanted)
                {
                    return found;
                }
                watching.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(Duration::from_secs(PATIENCE_S), found).await {
            Ok(found) => found,
            Err(_) => panic!("waited {PATIENCE_S} s for {what}; there was {:#?}", self.all()),
        }
    }

    /// Waits until there are `n`, and returns them.
    ///
    /// # Panics
    /// When they do not come in time.
    pub async fn reach(&self, n: usize, what: &str) -> Vec<T> {
        let mut watching = self.0.subscribe();
        let reached = watching.wait_for(|items| items.len() >= n);
        match tokio::time::timeout(Duration::from_secs(PATIENCE_S), reached).await {
            Ok(items) => items.unwrap().clone(),
            Err(_) => panic!("waited {PATIENCE_S} s for {n} {what}; there are {:#?}", self.all()),
        }
    }
}

/// Asks again and again until there is an answer: for what can only be polled, such as a page.
///
/// # Panics
/// When there is none in time.
pub async fn until<R, F: Future<Output = Option<R>>>(what: &str, mut ask: impl FnMut() -> F) -> R {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(PATIENCE_S), asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {PATIENCE_S} s for {what}"),
    }
}
