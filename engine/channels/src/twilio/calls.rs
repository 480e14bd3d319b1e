//! Which call waits for what: tokens that media streams must bring, and the lines that are live.
//!
//! Nothing runs for a call before its stream has come; a token that nobody brings is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use call::{Arrival, Dialled};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Twilio;
use super::line::Happening;

/// What a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// A call that arrives.
    New(Arrival),
    /// The caller comes back to the line of this call.
    Back(String),
    /// The caller of a call that another process had; how the dial ended that he was in.
    Lost(Arrival, Option<Dialled>),
}

impl Claim {
    fn call(&self) -> &str {
        match self {
            Self::New(arrival) | Self::Lost(arrival, _) => &arrival.carrier_id,
            Self::Back(call) => call,
        }
    }
}

/// Calls of one account.
pub(super) struct Calls {
    keep: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By token.
    claims: HashMap<String, (Claim, Instant)>,
    /// Answers to webhooks, by call and repetition, so that a repeated webhook gets the same.
    answers: HashMap<(String, String), (String, Instant)>,
    /// By call.
    lines: HashMap<String, mpsc::Sender<Happening>>,
    /// Calls whose stream has come a while ago at most, or that were over before it could.
    seen: HashMap<String, Instant>,
    /// Calls whose line ended a while ago at most.
    ended: HashMap<String, Instant>,
}

impl Calls {
    /// Tokens and answers are kept for `keep`.
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way, so what a poisoned lock guards is whole.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.claims.retain(|_, (_, until)| *until > now);
        state.answers.retain(|_, (_, until)| *until > now);
        state.ended.retain(|_, until| *until > now);
        state.seen.retain(|_, until| *until > now);
        state
    }

    /// A new token for a claim: 128 random bits, good for one stream.
    pub(super) fn token(&self, claim: Claim) -> String {
        let token = format!("{:032x}", rand::random::<u128>());
        self.keep(token.clone(), claim);
        token
    }

    /// The claim that this token stands for, once.
    pub(super) fn keep(&self, token: String, claim: Claim) {
        let until = Instant::now() + self.keep;
        self.state().claims.insert(token, (claim, until));
    }

    /// Takes what a token stands for. Other tokens of the same call are worthless from then on.
    pub(super) fn claim(&self, token: &str) -> Option<Claim> {
        let mut state = self.state();
        let (claim, _) = state.claims.remove(token)?;
        state.claims.retain(|_, (other, _)| other.call() != claim.call());
        let until = Instant::now() + self.keep;
        state.seen.insert(claim.call().to_owned(), until);
        Some(claim)
    }

    /// Whether nothing was seen of a call here, so that its stream may come by another process's
    /// token. It is seen from then on.
    pub(super) fn unseen(&self, call: &str) -> bool {
        let mut state = self.state();
        let until = Instant::now() + self.keep;
        let known = state.lines.contains_key(call) || state.ended.contains_key(call);
        !known && state.seen.insert(call.to_owned(), until).is_none()
    }

    /// The answer that a webhook got before.
    pub(super) fn answered(&self, call: &str, repetition: Option<&str>) -> Option<String> {
        let key = (call.to_owned(), repetition?.to_owned());
        self.state().answers.get(&key).map(|(answer, _)| answer.clone())
    }

    /// Remembers an answer.
    pub(super) fn answer(&self, call: &str, repetition: Option<&str>, answer: &str) {
        if let Some(repetition) = repetition {
            let until = Instant::now() + self.keep;
            let key = (call.to_owned(), repetition.to_owned());
            self.state().answers.insert(key, (answer.to_owned(), until));
        }
    }

    /// The line of a live call.
    pub(super) fn line(&self, call: &str) -> Option<mpsc::Sender<Happening>> {
        self.state().lines.get(call).cloned()
    }

    /// Whether the call had a line that is over.
    pub(super) fn ended(&self, call: &str) -> bool {
        self.state().ended.contains_key(call)
    }

    /// Forgets what waits for a call that is over.
    pub(super) fn over(&self, call: &str) {
        let mut state = self.state();
        state.claims.retain(|_, (claim, _)| claim.call() != call);
        state.seen.insert(call.to_owned(), Instant::now() + self.keep);
    }

    /// Who is here, for tests: tokens, answers, lines.
    #[cfg(test)]
    fn count(&self) -> (usize, usize, usize) {
        let state = self.state();
        (state.claims.len(), state.answers.len(), state.lines.len())
    }
}

/// A line among the live calls of this process, until it is dropped.
pub(super) struct Hosted {
    twilio: Arc<Twilio>,
    call: String,
}

impl Hosted {
    /// `None` = the call has a line already.
    pub(super) fn take(
        twilio: &Arc<Twilio>,
        call: &str,
        line: mpsc::Sender<Happening>,
    ) -> Option<Self> {
        let mut state = twilio.calls.state();
        if state.lines.contains_key(call) {
            return None;
        }
        state.lines.insert(call.to_owned(), line);
        drop(state);
        Some(Self { twilio: Arc::clone(twilio), call: call.to_owned() })
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        let mut state = self.twilio.calls.state();
        state.lines.remove(&self.call);
        state.claims.retain(|_, (claim, _)| claim.call() != self.call);
        let until = Instant::now() + self.twilio.calls.keep;
        state.ended.insert(std::mem::take(&mut self.call), until);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn arrival(call: &str) -> Claim {
        Claim::New(Arrival {
            carrier: "twilio".into(),
            carrier_id: call.into(),
            from: String::new(),
            to: String::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_good_once_and_for_a_minute() {
        let calls = Calls::new(Duration::from_secs(60));
        let token = calls.token(arrival("CA1"));
        assert_eq!(token.len(), 32);
        assert_ne!(token, calls.token(arrival("CA2")));
        assert_eq!(calls.claim("nonsense"), None);
        assert_eq!(calls.claim(&token), Some(arrival("CA1")));
        assert_eq!(calls.claim(&token), None);
        let token = calls.token(arrival("CA3"));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(calls.claim(&token), None);
        assert_eq!(calls.count(), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_tokens_of_a_call_one_counts() {
        let calls = Calls::new(Duration::from_secs(60));
        let first = calls.token(arrival("CA1"));
        let second = calls.token(arrival("CA1"));
        assert!(calls.claim(&second).is_some());
        assert_eq!(calls.claim(&first), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_webhook_gets_the_same_answer() {
        let calls = Calls::new(Duration::from_secs(60));
        calls.answer("CA1", Some("t"), "<Response />");
        calls.answer("CA1", None, "<Response />");
        assert_eq!(calls.answered("CA1", Some("t")).as_deref(), Some("<Response />"));
        assert_eq!(calls.answered("CA1", Some("u")), None);
        assert_eq!(calls.answered("CA1", None), None);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(calls.answered("CA1", Some("t")), None);
    }
}
