//! Reply tokens: each makes one answer free, for about a minute.
//!
//! They live in this process only. Another process, or this one after a restart, pushes instead.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// How long a token is used; LINE takes it for about a minute, and says "as soon as possible".
const LIFE: SignedDuration = SignedDuration::from_secs(50);

/// Above so many, those that have run out are thrown away.
const MANY: usize = 4096;

/// The newest token of each peer.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<String, (String, Timestamp)>>);

impl Tokens {
    /// Keeps a token that came with an event of that time.
    pub(super) fn keep(&self, peer: &str, token: String, at: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MANY {
            all.retain(|_, (_, since)| at.duration_since(*since) < LIFE);
        }
        all.insert(peer.into(), (token, at));
    }

    /// The peer's token, if it may still be good. It is good once.
    pub(super) fn take(&self, peer: &str, now: Timestamp) -> Option<String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (token, at) = all.remove(peer)?;
        (now.duration_since(at) < LIFE).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_is_used_once_and_not_late() {
        let tokens = Tokens::default();
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        tokens.keep("U1", "a".into(), at(0));
        tokens.keep("U1", "b".into(), at(1));
        tokens.keep("U2", "c".into(), at(0));
        assert_eq!(tokens.take("U1", at(2)).as_deref(), Some("b"));
        assert_eq!(tokens.take("U1", at(2)), None);
        assert_eq!(tokens.take("U2", at(50)), None);
    }
}
