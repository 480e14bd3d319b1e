//! The carrier's play buffer of one call, as times: until when it sounds, whether it ran dry in the
//! middle of an answer, which marks come back when. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a caller is about to hear.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    /// Until when what came will sound; `None` = nothing of this answer came yet.
    until: Option<Instant>,
    marks: VecDeque<(Instant, String)>,
}

impl Buffer {
    /// Takes sound. Gives how long the caller has heard nothing in the middle of the answer since
    /// it was due: zero when it came in time, or first.
    pub(super) fn take(&mut self, now: Instant, sound: Duration) -> Duration {
        let until = self.until.unwrap_or(now);
        self.until = Some(until.max(now) + sound);
        now.saturating_duration_since(until)
    }

    /// Takes a mark: it is due when all before it was heard.
    pub(super) fn mark(&mut self, now: Instant, name: String) {
        self.marks.push_back((self.until.unwrap_or(now), name));
    }

    /// The next mark that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<String> {
        self.marks.pop_front_if(|(at, _)| *at <= now).map(|(_, name)| name)
    }

    /// Drops what was not heard; its marks are due at once. The next sound begins anew.
    pub(super) fn clear(&mut self, now: Instant) {
        self.until = None;
        self.marks.iter_mut().for_each(|(at, _)| *at = now);
    }

    /// The next sound is another answer's.
    pub(super) fn next_answer(&mut self) {
        self.until = None;
    }

    /// Whether nothing has sounded for so long.
    pub(super) fn is_silent(&self, now: Instant, long: Duration) -> bool {
        self.until.is_none_or(|until| until + long <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_frame_is_late_by_what_was_not_heard_before_it() {
        let (start, mut buffer) = (Instant::now(), Buffer::default());
        assert_eq!(buffer.take(start, ms(20)), ms(0));
        assert_eq!(buffer.take(start + ms(5), ms(20)), ms(0));
        // 40 ms came, and then nothing for 70.
        assert_eq!(buffer.take(start + ms(70), ms(20)), ms(30));
        assert_eq!(buffer.take(start + ms(71), ms(20)), ms(0));
        buffer.clear(start + ms(80));
        assert_eq!(buffer.take(start + ms(900), ms(20)), ms(0), "it begins anew");
        buffer.next_answer();
        assert_eq!(buffer.take(start + ms(2_000), ms(20)), ms(0));
    }

    #[test]
    fn marks_come_back_when_they_were_heard_or_cleared() {
        let (start, mut buffer) = (Instant::now(), Buffer::default());
        buffer.take(start, ms(200));
        buffer.mark(start, "m1".into());
        buffer.take(start, ms(200));
        buffer.mark(start, "m2".into());
        assert_eq!(buffer.due(start + ms(199)), None);
        assert_eq!(buffer.due(start + ms(200)), Some("m1".into()));
        assert_eq!(buffer.due(start + ms(200)), None);
        buffer.clear(start + ms(210));
        assert_eq!(buffer.due(start + ms(210)), Some("m2".into()));
        assert!(buffer.is_silent(start + ms(210), ms(0)));
    }
}
