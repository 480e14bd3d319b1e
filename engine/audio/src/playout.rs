//! What is still to be heard, and how much was.
//!
//! A reply's sound comes faster than it can be heard. [`Playout`] keeps it in 20 ms frames, gives
//! each when it is due (the carrier's buffer is kept a little ahead, so that nothing stutters), and
//! asks for marks, by whose return it knows what was played. [`Playout::hold`] takes back what
//! was sent but not heard, so that a reply can go on where it was stopped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::frame::{FRAME_MS, Frame, Rate};

/// How far the far end's buffer is kept ahead of what is heard.
const AHEAD: Duration = Duration::from_millis(160);
/// The buffer is filled up again when it has come down by so much: a tick every 40 ms then sends two
/// frames, whether it comes a little early or late.
const REFILL: Duration = Duration::from_millis(FRAME_MS as u64 / 2);
/// A mark after so many frames: 200 ms.
const FRAMES_A_MARK: u64 = 10;
/// A mark that is later than this is not waited for.
const LATE: Duration = Duration::from_millis(1500);
const FRAME: Duration = Duration::from_millis(FRAME_MS as u64);

/// What goes out next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// 20 ms of sound.
    Frame(Frame),
    /// A request to tell when all sound before has been played.
    Mark(u64),
}

/// The sound of one reply on its way out. Times are counted from any one moment, always the same.
#[derive(Debug)]
pub struct Playout {
    rate: Rate,
    /// Whose sound this is: the turn's number.
    turn: u64,
    /// Frames of this turn that were not sent, or were taken back.
    queue: VecDeque<Frame>,
    /// Less than a frame, until more comes.
    rest: Vec<i16>,
    /// Frames that were sent and perhaps not heard.
    sent: VecDeque<Frame>,
    /// Where the sound that was sent ends, in frames of this turn.
    head: u64,
    /// What has been played for sure, in frames, and since when that is known.
    played: (u64, Duration),
    /// Marks on their way: number and place in frames.
    marks: VecDeque<(u64, u64)>,
    /// When the far end will have played all that was sent.
    empty_at: Duration,
    held: bool,
    /// Whether the far end's buffer is being filled up.
    fills: bool,
    /// No more sound of this turn will come.
    complete: bool,
}

/// A number that no other mark in this process has, so that a late one cannot be mistaken.
pub fn fresh_mark() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Playout {
    /// Nothing to play, for a leg of `rate`.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            turn: 0,
            queue: VecDeque::new(),
            rest: Vec::new(),
            sent: VecDeque::new(),
            head: 0,
            played: (0, Duration::ZERO),
            marks: VecDeque::new(),
            empty_at: Duration::ZERO,
            held: false,
            fills: true,
            complete: true,
        }
    }

    /// Begins the sound of a turn; what is left of the turn before is forgotten.
    pub fn begin(&mut self, turn: u64) {
        *self = Self { turn, empty_at: self.empty_at, complete: false, ..Self::new(self.rate) };
    }

    /// Takes sound of a turn, of any length, at the leg's rate. Sound of another turn is dropped.
    pub fn push(&mut self, turn: u64, samples: &[i16]) {
        if turn != self.turn || self.complete {
            return;
        }
        self.rest.extend_from_slice(samples);
        let size = Frame::samples_per_frame(self.rate).max(1);
        let whole = self.rest.len() / size * size;
        let frames = self.rest[..whole].chunks_exact(size);
        self.queue
            .extend(frames.map(|samples| Frame { rate: self.rate, samples: samples.to_vec() }));
        self.rest.drain(..whole);
    }

    /// Fills up a frame that was begun, since no more sound comes soon.
    pub fn flush(&mut self) {
        if !self.rest.is_empty() {
            self.rest.resize(Frame::samples_per_frame(self.rate), 0);
            let samples = std::mem::take(&mut self.rest);
            self.queue.push_back(Frame { rate: self.rate, samples });
        }
    }

    /// No more sound of this turn will come.
    pub fn complete(&mut self) {
        self.flush();
        self.complete = true;
    }

    /// What is due now. To be called until it gives nothing; then again 20 ms later.
    pub fn next(&mut self, now: Duration) -> Option<Next> {
        let at_end = self.queue.is_empty() && self.rest.is_empty();
        let marked = self.marks.back().map_or(self.played.0, |(_, place)| *place);
        if !self.held && (self.head - marked >= FRAMES_A_MARK || (at_end && self.head > marked)) {
            let mark = fresh_mark();
            self.marks.push_back((mark, self.head));
            return Some(Next::Mark(mark));
        }
        self.fills = match self.empty_at {
            full if full > now + AHEAD => false,
            low if low <= now + AHEAD - REFILL => true,
            _ => self.fills,
        };
        if self.held || !self.fills {
            return None;
        }
        let frame = self.queue.pop_front()?;
        if self.empty_at <= now {
            // The far end has nothing: what is sent now is heard from now on.
            self.played.1 = self.played.1.max(now);
        }
        self.empty_at = self.empty_at.max(now) + FRAME;
        self.sent.push_back(frame.clone());
        self.head += 1;
        Some(Next::Frame(frame))
    }

    /// Puts back what could not be sent, after [`Playout::next`] gave it.
    pub fn refused(&mut self, next: Next) {
        match next {
            Next::Frame(frame) => {
                self.sent.pop_back();
                self.head -= 1;
                self.empty_at = self.empty_at.saturating_sub(FRAME);
                self.queue.push_front(frame);
            }
            Next::Mark(_) => {
                self.marks.pop_back();
            }
        }
    }

    /// A mark came back: all before it was played. `false` = it is of another turn, and unknown here.
    pub fn marked(&mut self, now: Duration, mark: u64) -> bool {
        let Some(at) = self.marks.iter().position(|(number, _)| *number == mark) else {
            return false;
        };
        let place = self.marks[at].1;
        self.marks.drain(..=at);
        self.played = (place, now);
        let unheard = (self.head - place) as usize;
        self.sent.drain(..self.sent.len().saturating_sub(unheard));
        true
    }

    /// What was heard of this turn, in milliseconds: up to the last mark, and what time has passed
    /// since, but never more than was sent.
    pub fn heard(&self, now: Duration) -> u64 {
        let since = (now.saturating_sub(self.played.1).as_millis() / u128::from(FRAME_MS)) as u64;
        (self.played.0 + since).min(self.head) * u64::from(FRAME_MS)
    }

    /// Stops the sound and takes back what was not heard. The caller must clear the far end too.
    pub fn hold(&mut self, now: Duration) {
        let heard = self.heard(now) / u64::from(FRAME_MS);
        while self.head > heard
            && let Some(frame) = self.sent.pop_back()
        {
            self.queue.push_front(frame);
            self.head -= 1;
        }
        self.sent.clear();
        self.marks.clear();
        self.played = (self.head, now);
        self.empty_at = now;
        self.held = true;
    }

    /// Goes on after [`Playout::hold`].
    pub fn go_on(&mut self, now: Duration) {
        self.held = false;
        self.played.1 = now;
    }

    /// Drops all that is still to be heard of this turn. The caller must clear the far end too.
    pub fn clear(&mut self, now: Duration) {
        self.hold(now);
        self.held = false;
        self.queue.clear();
        self.rest.clear();
        self.complete = true;
    }

    /// Whether nothing is left to be sent.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.rest.is_empty()
    }

    /// Whether all sound that came was heard: its last mark is back, or is so late that it will not
    /// come.
    pub fn is_silent(&self, now: Duration) -> bool {
        self.is_empty() && (self.played.0 >= self.head || now > self.empty_at + LATE)
    }

    /// Whether the whole turn was heard.
    pub fn is_over(&self, now: Duration) -> bool {
        self.complete && self.is_silent(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Sound whose every frame is filled with its own number.
    fn sound(frames: i16) -> Vec<i16> {
        (0..frames).flat_map(|n| [n; 160]).collect()
    }

    fn due(playout: &mut Playout, now: Duration) -> (Vec<i16>, Vec<u64>) {
        let (mut frames, mut marks) = (Vec::new(), Vec::new());
        while let Some(next) = playout.next(now) {
            match next {
                Next::Frame(frame) => frames.push(frame.samples[0]),
                Next::Mark(mark) => marks.push(mark),
            }
        }
        (frames, marks)
    }

    fn playing(frames: i16) -> Playout {
        let mut playout = Playout::new(8_000);
        playout.begin(1);
        playout.push(1, &sound(frames));
        playout.complete();
        playout
    }

    #[test]
    fn it_keeps_a_little_ahead_and_then_in_time() {
        let mut playout = playing(50);
        assert_eq!(due(&mut playout, ms(0)).0, (0..9).collect::<Vec<_>>());
        assert_eq!(due(&mut playout, ms(20)).0, Vec::<i16>::new(), "two at a time");
        assert_eq!(due(&mut playout, ms(40)).0, [9, 10]);
        assert_eq!(due(&mut playout, ms(79)).0, [11], "a little early");
        // A late tick makes up for it.
        assert_eq!(due(&mut playout, ms(160)).0, (12..17).collect::<Vec<_>>());
    }

    #[test]
    fn marks_come_every_200_ms_and_at_the_end() {
        let mut playout = playing(25);
        let mut marks = 0;
        for tick in 0..40 {
            marks += due(&mut playout, ms(tick * 20)).1.len();
        }
        assert_eq!(marks, 3);
    }

    #[test]
    fn what_was_heard_follows_the_marks() {
        let mut playout = playing(50);
        let mut marks = Vec::new();
        for tick in 0..20 {
            marks.extend(due(&mut playout, ms(tick * 20)).1);
        }
        // The carrier is 90 ms late.
        playout.marked(ms(290), marks[0]);
        assert_eq!(playout.heard(ms(290)), 200);
        assert_eq!(playout.heard(ms(350)), 260);
        playout.marked(ms(490), marks[1]);
        assert_eq!(playout.heard(ms(490)), 400);
        // More than was sent cannot have been heard.
        assert_eq!(playout.heard(ms(9_000)), playout.head * 20);
    }

    #[test]
    fn a_hold_takes_back_what_was_not_heard() {
        let mut playout = playing(50);
        for tick in 0..10 {
            due(&mut playout, ms(tick * 20));
        }
        playout.hold(ms(200));
        assert_eq!(due(&mut playout, ms(220)).0, Vec::<i16>::new());
        assert_eq!(playout.heard(ms(400)), 200);
        playout.go_on(ms(400));
        assert_eq!(due(&mut playout, ms(400)).0[0], 10);
    }

    #[test]
    fn late_marks_after_a_clear_count_for_nothing() {
        let mut playout = playing(50);
        let mut marks = Vec::new();
        for tick in 0..10 {
            marks.extend(due(&mut playout, ms(tick * 20)).1);
        }
        playout.clear(ms(200));
        assert!(playout.is_over(ms(200)));
        playout.marked(ms(210), marks[0]);
        assert_eq!(playout.heard(ms(210)), 200);
        playout.push(1, &sound(3));
        assert!(playout.is_empty(), "sound that comes after a clear is not wanted");
    }

    #[test]
    fn sound_of_an_older_turn_is_dropped() {
        let mut playout = playing(5);
        playout.begin(2);
        playout.push(1, &sound(5));
        assert!(playout.is_empty());
    }

    #[test]
    fn it_is_over_when_the_last_mark_is_back_or_lost() {
        let mut playout = playing(5);
        let (frames, marks) = due(&mut playout, ms(0));
        assert_eq!((frames.len(), marks.len()), (5, 1));
        assert!(!playout.is_over(ms(100)));
        assert!(
            playout.is_over(ms(1_601)),
            "a carrier that never answers does not hold the call up"
        );
        playout.marked(ms(130), marks[0]);
        assert!(playout.is_over(ms(130)));
    }

    #[test]
    fn a_frame_that_did_not_fit_goes_first_next_time() {
        let mut playout = playing(3);
        let next = playout.next(ms(0)).expect("a frame is due");
        playout.refused(next);
        assert_eq!(due(&mut playout, ms(0)).0, [0, 1, 2]);
    }

    #[test]
    fn less_than_a_frame_is_filled_up_at_the_end() {
        let mut playout = Playout::new(8_000);
        playout.begin(1);
        playout.push(1, &[7; 200]);
        assert_eq!(due(&mut playout, ms(0)).0, [7]);
        playout.complete();
        let Some(Next::Frame(frame)) = playout.next(ms(0)) else {
            unreachable!("40 samples are left")
        };
        assert_eq!((frame.samples.len(), frame.samples[39], frame.samples[40]), (160, 7, 0));
    }
}
