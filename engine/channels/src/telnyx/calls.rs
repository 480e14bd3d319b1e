//! The live calls of an account, by every name that Telnyx may call them, and events told before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::happening::Happening;

/// How long an event is remembered: Telnyx repeats what was not answered for a few minutes.
const REPEATS: Duration = Duration::from_secs(600);

/// Calls of one account.
#[derive(Default)]
pub(super) struct Calls(Mutex<State>);

#[derive(Default)]
struct State {
    /// By call control id, and by the token that our streams and commands carry.
    lines: HashMap<String, mpsc::Sender<Happening>>,
    events: HashMap<String, Instant>,
    swept: Option<Instant>,
}

impl Calls {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way, so what a poisoned lock guards is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an event is told for the first time.
    pub(super) fn fresh(&self, event: &str) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        if state.swept.is_none_or(|at| now > at + REPEATS / 10) {
            state.events.retain(|_, until| *until > now);
            state.swept = Some(now);
        }
        event.is_empty() || state.events.insert(event.to_owned(), now + REPEATS).is_none()
    }

    /// The line of a live call.
    pub(super) fn line(&self, name: &str) -> Option<mpsc::Sender<Happening>> {
        self.state().lines.get(name).cloned()
    }

    /// How many names are known, for tests.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.state().lines.len()
    }
}

/// A line among the live calls of this process, until it is dropped.
pub(super) struct Hosted {
    calls: Arc<Calls>,
    names: Vec<String>,
    line: mpsc::Sender<Happening>,
}

impl Hosted {
    pub(super) fn new(calls: &Arc<Calls>, line: mpsc::Sender<Happening>) -> Self {
        Self { calls: Arc::clone(calls), names: Vec::new(), line }
    }

    /// Calls the line by one more name. False when another has it.
    pub(super) fn name(&mut self, name: &str) -> bool {
        let mut state = self.calls.state();
        if state.lines.contains_key(name) {
            return false;
        }
        state.lines.insert(name.to_owned(), self.line.clone());
        self.names.push(name.to_owned());
        true
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        let mut state = self.calls.state();
        for name in &self.names {
            state.lines.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_goes_by_its_names_as_long_as_it_lives() {
        let calls = Arc::new(Calls::default());
        let (line, _happenings) = mpsc::channel(1);
        let mut hosted = Hosted::new(&calls, line.clone());
        assert!(hosted.name("v3:abc") && hosted.name("token"));
        assert!(!Hosted::new(&calls, line).name("v3:abc"));
        assert!(calls.line("token").is_some() && calls.line("other").is_none());
        drop(hosted);
        assert_eq!(calls.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_fresh_once() {
        let calls = Calls::default();
        assert!(calls.fresh("e1") && calls.fresh("e2") && !calls.fresh("e1"));
        assert!(calls.fresh("") && calls.fresh(""));
        tokio::time::advance(REPEATS * 2).await;
        assert!(calls.fresh("e1"));
    }
}
