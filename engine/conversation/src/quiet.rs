//! Quiet hours: when a text that nobody asked for may reach a peer, by the peer's own clock.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::zone;

/// The most steps to a time that is quiet nowhere: each passes the quiet hours of one zone.
const STEPS: usize = 16;

/// From when until when it is quiet, every day; over midnight when `from` is the later one.
#[derive(Clone, Debug, PartialEq)]
pub struct Quiet {
    from: Time,
    until: Time,
    /// For peers whose zone is not known.
    elsewhere: TimeZone,
}

impl Quiet {
    /// Reads hours such as `21:00`, and the zone of peers whose own is not known, such as
    /// `Europe/Berlin`.
    ///
    /// # Errors
    /// The input that is no time of day or no zone.
    pub fn new(from: &str, until: &str, elsewhere: &str) -> Result<Self, String> {
        let hour = |text: &str| {
            text.parse::<Time>().map_err(|_| format!("`{text}` is no time of day, such as 21:00"))
        };
        let elsewhere = TimeZone::get(elsewhere)
            .map_err(|_| format!("`{elsewhere}` is no time zone, such as Europe/Berlin"))?;
        Ok(Self { from: hour(from)?, until: hour(until)?, elsewhere })
    }

    /// When a text to a peer may leave: now, or at the end of the quiet hours. Where a number does
    /// not tell its zone for sure, it must be quiet in none of those that it may lie in.
    pub fn over(&self, peer: &str, now: Timestamp) -> Timestamp {
        let mut zones: Vec<TimeZone> =
            zone::of(peer).iter().filter_map(|name| TimeZone::get(name).ok()).collect();
        if zones.is_empty() {
            zones.push(self.elsewhere.clone());
        }
        let mut at = now;
        for _ in 0..STEPS {
            match zones.iter().filter_map(|zone| self.end(zone, at)).max() {
                Some(end) => at = end,
                None => return at,
            }
        }
        // It is always quiet somewhere: then the first zone counts.
        self.end(&zones[0], now).unwrap_or(now)
    }

    /// The end of the quiet hours that `at` lies in, if it does.
    fn end(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        let there = at.to_zoned(zone.clone());
        let time = there.time();
        let over_midnight = self.from > self.until;
        let quiet = if over_midnight {
            time >= self.from || time < self.until
        } else {
            self.from <= time && time < self.until
        };
        if !quiet {
            return None;
        }
        let day = there.date();
        let day = if over_midnight && time >= self.from { day.tomorrow().ok()? } else { day };
        // An hour that a change of clocks leaves out is passed over.
        Some(day.to_datetime(self.until).to_zoned(zone.clone()).ok()?.timestamp())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn night() -> Quiet {
        Quiet::new("21:00", "08:00", "Europe/Berlin").unwrap()
    }

    #[track_caller]
    fn check(peer: &str, now: &str, over: &str) {
        let now: Timestamp = now.parse().unwrap();
        assert_eq!(night().over(peer, now).to_string(), over);
    }

    #[test]
    fn a_text_waits_for_the_peers_own_morning() {
        // 23:00, 02:00 and 12:00 in New York.
        check("+12125550100", "2026-01-16T04:00:00Z", "2026-01-16T13:00:00Z");
        check("+12125550100", "2026-01-16T07:00:00Z", "2026-01-16T13:00:00Z");
        check("+12125550100", "2026-01-16T17:00:00Z", "2026-01-16T17:00:00Z");
        // 21:00 is quiet, 08:00 is not.
        check("+493012345678", "2026-01-16T20:00:00Z", "2026-01-17T07:00:00Z");
        check("+493012345678", "2026-01-16T07:00:00Z", "2026-01-16T07:00:00Z");
        // In summer the clock is another.
        check("+493012345678", "2026-07-16T20:00:00Z", "2026-07-17T06:00:00Z");
    }

    #[test]
    fn it_must_be_quiet_nowhere_that_a_number_may_lie() {
        // 09:00 in New York is 06:00 in Los Angeles: until it is 08:00 there.
        check("+18005550100", "2026-01-16T14:00:00Z", "2026-01-16T16:00:00Z");
        // 20:00 in Los Angeles is 23:00 in New York: until the next day.
        check("+18005550100", "2026-01-17T04:00:00Z", "2026-01-17T16:00:00Z");
        // Who has no number lives where the operator says.
        check("U4af4980629", "2026-01-16T20:30:00Z", "2026-01-17T07:00:00Z");
    }

    #[test]
    fn hours_within_a_day_and_nonsense() {
        let noon = Quiet::new("12:00", "13:00", "UTC").unwrap();
        let now: Timestamp = "2026-01-16T12:30:00Z".parse().unwrap();
        assert_eq!(noon.over("x", now).to_string(), "2026-01-16T13:00:00Z");
        assert!(Quiet::new("9pm", "08:00", "UTC").unwrap_err().contains("`9pm`"));
        assert!(Quiet::new("21:00", "08:00", "Berlin").unwrap_err().contains("`Berlin`"));
        // It is quiet all day somewhere: the first zone decides.
        let long = Quiet::new("08:01", "08:00", "UTC").unwrap();
        let at: Timestamp = "2026-01-16T15:00:00Z".parse().unwrap();
        assert!(long.over("+18005550100", at) > at);
    }
}
