//! Rate lanes: how fast each of our numbers may send, and that replies go before the rest.
//!
//! A lane is a bucket of tokens that fills with time and holds what one second brings, at least
//! one. A reply that finds it empty books the next token, and whatever is no reply waits behind the
//! last that is booked.
//!
//! Invariant: no clock is read here; every question brings its own time.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

/// Above so many, lanes that are full again are forgotten.
const MANY: usize = 4096;

/// What rounding may take from a token.
const ROUNDED: f64 = 1e-5;

/// The lanes of all senders.
#[derive(Clone, Debug, PartialEq)]
pub struct Lanes {
    /// Tokens per second and lane.
    rate: f64,
    lanes: HashMap<String, Lane>,
}

#[derive(Clone, Debug, PartialEq)]
struct Lane {
    tokens: f64,
    /// As of when.
    at: Timestamp,
    /// When the last reply that had to wait has its token.
    booked: Timestamp,
    /// The carrier wants nothing before.
    closed: Timestamp,
}

impl Lanes {
    /// Lanes of so many texts per second.
    pub fn new(per_second: f64) -> Self {
        Self { rate: per_second.max(f64::MIN_POSITIVE), lanes: HashMap::new() }
    }

    /// Whether a text of this sender may leave now; else when to ask again.
    ///
    /// # Errors
    /// The time to ask again.
    pub fn admit(&mut self, now: Timestamp, sender: &str, reply: bool) -> Result<(), Timestamp> {
        let rate = self.rate;
        let token = SignedDuration::try_from_secs_f64(1.0 / rate).unwrap_or(SignedDuration::MAX);
        let lane = self.lane(now, sender);
        if now < lane.closed {
            return Err(lane.closed);
        }
        if !reply && now < lane.booked {
            return Err(after(lane.booked, token));
        }
        if lane.tokens >= 1.0 - ROUNDED {
            lane.tokens -= 1.0;
            return Ok(());
        }
        let next = SignedDuration::try_from_secs_f64((1.0 - lane.tokens) / rate);
        let mut next = after(now, next.unwrap_or(token));
        if reply {
            if lane.booked >= next {
                next = after(lane.booked, token);
            }
            lane.booked = next;
        }
        Err(next)
    }

    /// The carrier has asked for a pause.
    pub fn close(&mut self, now: Timestamp, sender: &str, until: Timestamp) {
        let lane = self.lane(now, sender);
        lane.closed = lane.closed.max(until);
    }

    fn lane(&mut self, now: Timestamp, sender: &str) -> &mut Lane {
        let (rate, most) = (self.rate, self.rate.max(1.0));
        let filled = |lane: &Lane| {
            let passed = now.duration_since(lane.at).as_secs_f64().max(0.0);
            (lane.tokens + passed * rate).min(most)
        };
        if self.lanes.len() >= MANY {
            self.lanes.retain(|_, lane| filled(lane) < most || now < lane.closed);
        }
        let fresh = Lane { tokens: most, at: now, booked: now, closed: now };
        let lane = self.lanes.entry(sender.into()).or_insert(fresh);
        lane.tokens = filled(lane);
        lane.at = lane.at.max(now);
        lane
    }
}

fn after(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
    }

    #[test]
    fn a_lane_sends_as_fast_as_it_may_and_each_sender_has_its_own() {
        let mut lanes = Lanes::new(2.0);
        assert_eq!(lanes.admit(at(0), "a", false), Ok(()));
        assert_eq!(lanes.admit(at(0), "a", false), Ok(()));
        assert_eq!(lanes.admit(at(0), "a", false), Err(at(500)));
        assert_eq!(lanes.admit(at(0), "b", false), Ok(()));
        assert!(lanes.admit(at(499), "a", false).is_err());
        assert_eq!(lanes.admit(at(500), "a", false), Ok(()));
        // A long pause does not save up more than a second brings.
        for _ in 0..2 {
            assert_eq!(lanes.admit(at(60_000), "a", false), Ok(()));
        }
        assert_eq!(lanes.admit(at(60_000), "a", false), Err(at(60_500)));
    }

    #[test]
    fn a_reply_that_waits_goes_before_what_is_none() {
        let mut lanes = Lanes::new(1.0);
        assert_eq!(lanes.admit(at(0), "a", false), Ok(()));
        assert_eq!(lanes.admit(at(0), "a", true), Err(at(1000)));
        assert_eq!(lanes.admit(at(0), "a", true), Err(at(2000)));
        // The next tokens are the replies', whoever asks first.
        assert_eq!(lanes.admit(at(1000), "a", false), Err(at(3000)));
        assert_eq!(lanes.admit(at(1000), "a", true), Ok(()));
        assert_eq!(lanes.admit(at(2000), "a", true), Ok(()));
        assert_eq!(lanes.admit(at(3000), "a", false), Ok(()));
    }

    #[test]
    fn a_carriers_pause_holds_the_whole_lane() {
        let mut lanes = Lanes::new(10.0);
        lanes.close(at(0), "a", at(7000));
        assert_eq!(lanes.admit(at(10), "a", true), Err(at(7000)));
        assert_eq!(lanes.admit(at(10), "b", true), Ok(()));
        assert_eq!(lanes.admit(at(7000), "a", true), Ok(()));
        // Time that goes backwards fills nothing.
        assert_eq!(lanes.admit(at(6000), "b", true), Ok(()));
    }
}
