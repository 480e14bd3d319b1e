//! What was said on a call, as a file: the caller left, we right, both where they were heard.
//!
//! A leg that is recorded is tapped: a task passes on what comes and goes, and gives what was heard to
//! the `tape`, piece by piece.

use std::path::Path;
use std::time::Duration;

use audio::{Frame, Rate};
use talk::{Inbound, Outbound};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::tape::{self, Tape};

/// How late a frame may come and still follow the one before it without a gap.
const JITTER: Duration = Duration::from_millis(120);

/// How much is kept to be changed before it is written: more than a leg is ahead of the ear.
const KEPT: Duration = Duration::from_secs(2);

/// What is more quiet than this, as a root mean square, is silence: -40 dBm0 and some.
const SILENCE: i64 = 230;

/// Two voices on one line of time. Pure: times are counted from the beginning.
struct Score {
    rate: Rate,
    caller: Vec<i16>,
    ours: Vec<i16>,
    /// Samples that are written already, of both.
    written: usize,
}

impl Score {
    fn new(rate: Rate) -> Self {
        Self { rate, caller: Vec::new(), ours: Vec::new(), written: 0 }
    }

    /// The place of a moment, in samples.
    fn place(&self, at: Duration) -> usize {
        (at.as_micros() * u128::from(self.rate) / 1_000_000) as usize
    }

    /// What the caller said until this moment.
    fn caller(&mut self, at: Duration, frame: &Frame) {
        let begins = self.place(at).saturating_sub(frame.samples.len());
        let next = self.written + self.caller.len();
        let begins = if begins <= next + self.place(JITTER) { next } else { begins };
        self.caller.resize(begins - self.written, 0);
        self.caller.extend_from_slice(&frame.samples);
    }

    /// What we gave at this moment: it is heard when all before it was.
    fn ours(&mut self, at: Duration, frame: &Frame) {
        let next = self.written + self.ours.len();
        let begins = self.place(at).max(next);
        self.ours.resize(begins - self.written, 0);
        self.ours.extend_from_slice(&frame.samples);
    }

    /// What is not heard yet will not be.
    fn clear(&mut self, at: Duration) {
        let heard = self.place(at).saturating_sub(self.written);
        self.ours.truncate(heard);
    }

    /// What cannot change any more, one sample of each in turn.
    fn take(&mut self, before: Duration) -> Vec<i16> {
        let length = self.place(before).saturating_sub(self.written);
        for voice in [&mut self.caller, &mut self.ours] {
            if voice.len() < length {
                voice.resize(length, 0);
            }
        }
        let pairs = self.caller.drain(..length).zip(self.ours.drain(..length));
        let taken = pairs.flat_map(|(caller, ours)| [caller, ours]).collect();
        self.written += length;
        taken
    }

    /// How long it is, at this moment.
    fn rest(&mut self, at: Duration) -> Vec<i16> {
        self.clear(at);
        self.take(at)
    }
}

/// When a recording ends by itself.
#[derive(Default)]
pub(crate) struct Ends {
    /// Silence of the caller.
    pub(crate) silence: Option<Duration>,
    /// Any of these keys.
    pub(crate) keys: String,
    /// The longest it may be.
    pub(crate) longest: Option<Duration>,
}

/// A recording that goes on.
pub(crate) struct Recording {
    /// The name of its file.
    pub(crate) file: String,
    pub(crate) stop: CancellationToken,
}

/// The two ends of a leg's sound.
pub(crate) type Ways = (mpsc::Receiver<Inbound>, mpsc::Sender<Outbound>);

/// A recording that has begun.
pub(crate) struct Begun<W> {
    pub(crate) recording: Recording,
    /// Writes it: is over when its file is complete and closed.
    pub(crate) writing: W,
    /// Those that go through the recorder.
    pub(crate) ways: Ways,
}

/// Begins to record what goes through these ways.
///
/// # Errors
/// The file cannot be made; with the ways as they were.
pub(crate) fn begin(
    folder: &Path,
    file: String,
    rate: Rate,
    ways: Ways,
    ends: Ends,
) -> Result<Begun<impl Future<Output = ()> + use<>>, (String, Ways)> {
    let tape = match Tape::create(folder, &file, rate) {
        Ok(tape) => tape,
        Err(why) => return Err((why, ways)),
    };
    let (pieces, to_write) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let (to_call, inbound) = mpsc::channel(64);
    let (outbound, from_call) = mpsc::channel(64);
    let tap = Tap { to_call, from_call, ways, ends, stop: stop.clone() };
    tokio::spawn(tap.pass(Written { score: Score::new(rate), pieces }));
    let recording = Recording { file, stop: stop.clone() };
    let writing = async move {
        tape::write(tape, to_write).await;
        // It may have ended by itself: a full disk.
        stop.cancel();
    };
    Ok(Begun { recording, writing, ways: (inbound, outbound) })
}

/// What is heard, on its way to the file; dropping it ends the file.
struct Written {
    score: Score,
    pieces: mpsc::UnboundedSender<Vec<i16>>,
}

impl Written {
    /// The last of it, at this moment.
    fn end(mut self, at: Duration) {
        let _ = self.pieces.send(self.score.rest(at));
    }
}

struct Tap {
    to_call: mpsc::Sender<Inbound>,
    from_call: mpsc::Receiver<Outbound>,
    ways: Ways,
    ends: Ends,
    stop: CancellationToken,
}

impl Tap {
    /// Passes on what comes and goes as long as the call lasts; writes it down until it is stopped.
    async fn pass(mut self, written: Written) {
        let start = Instant::now();
        let (mut spoke, mut flushed) = (start, Duration::ZERO);
        let mut written = Some(written);
        let mut waiting: Option<Outbound> = None;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if written.is_some() => {
                    if let Some(written) = written.take() {
                        written.end(start.elapsed());
                    }
                    continue;
                }
                heard = self.ways.0.recv() => {
                    let Some(heard) = heard else { break };
                    match (&heard, &mut written) {
                        (Inbound::Frame(frame), Some(Written { score, .. })) => {
                            score.caller(start.elapsed(), frame);
                            if loud(frame) {
                                spoke = Instant::now();
                            }
                        }
                        (Inbound::Digit(key), _) if self.ends.keys.contains(*key) => {
                            self.stop.cancel();
                        }
                        _ => {}
                    }
                    let last = heard == Inbound::Gone;
                    match self.to_call.try_send(heard) {
                        Ok(()) => {}
                        Err(mpsc::error::TrySendError::Full(Inbound::Frame(_))) => {
                            metrics::counter!("voxflow_frames_dropped_total", "at" => "recorder")
                                .increment(1);
                        }
                        // Keys and marks are waited with, as on any way.
                        Err(mpsc::error::TrySendError::Full(other)) => {
                            let _ = self.to_call.send(other).await;
                        }
                        Err(mpsc::error::TrySendError::Closed(_)) => break,
                    }
                    if last {
                        break;
                    }
                }
                room = self.ways.1.reserve(), if waiting.is_some() => {
                    let Ok(room) = room else { break };
                    if let Some(given) = waiting.take() {
                        match (&given, &mut written) {
                            (Outbound::Frame(frame), Some(Written { score, .. })) => {
                                score.ours(start.elapsed(), frame);
                            }
                            (Outbound::Clear, Some(Written { score, .. })) => {
                                score.clear(start.elapsed());
                            }
                            _ => {}
                        }
                        room.send(given);
                    }
                }
                given = self.from_call.recv(), if waiting.is_none() => match given {
                    Some(given) => waiting = Some(given),
                    None => break,
                },
            }
            let now = start.elapsed();
            if self.ends.longest.is_some_and(|longest| now >= longest)
                || self.ends.silence.is_some_and(|silence| spoke.elapsed() >= silence)
            {
                self.stop.cancel();
            }
            if let Some(Written { score, pieces }) = &mut written
                && now > flushed + KEPT + Duration::from_secs(1)
            {
                flushed = now - KEPT;
                let _ = pieces.send(score.take(flushed));
            }
        }
        if let Some(written) = written {
            written.end(start.elapsed());
        }
    }
}

fn loud(frame: &Frame) -> bool {
    frame.power() > SILENCE * SILENCE * frame.samples.len() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(sample: i16) -> Frame {
        Frame { rate: 8000, samples: vec![sample; 160] }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// What is heard in each 20 ms: the caller, and we.
    fn parts(sound: &[i16]) -> Vec<(i16, i16)> {
        sound.chunks(320).map(|part| (part[0], part[1])).collect()
    }

    #[test]
    fn both_stand_where_they_were_heard() {
        let mut score = Score::new(8000);
        // The caller speaks from 0 to 60 ms; a frame that is late by its network is no gap.
        for (at, sample) in [(20, 1), (40, 2), (95, 3)] {
            score.caller(millis(at), &frame(sample));
        }
        // We give three frames at once at 20 ms: they are heard one after the other.
        for sample in [7, 8, 9] {
            score.ours(millis(20), &frame(sample));
        }
        let first = score.take(millis(60));
        assert_eq!(parts(&first), [(1, 0), (2, 7), (3, 8)]);
        // A pause of the caller is one.
        score.caller(millis(400), &frame(4));
        let rest = parts(&score.rest(millis(400)));
        assert_eq!(rest.len(), 17);
        assert_eq!((rest[0], rest[1], rest[16]), ((0, 9), (0, 0), (4, 0)));
    }

    #[test]
    fn what_was_cleared_was_not_heard() {
        let mut score = Score::new(8000);
        for sample in 1..=10 {
            score.ours(millis(0), &frame(sample));
        }
        score.clear(millis(40));
        score.ours(millis(100), &frame(20));
        let heard: Vec<i16> = parts(&score.rest(millis(120))).iter().map(|part| part.1).collect();
        assert_eq!(heard, [1, 2, 0, 0, 0, 20]);
    }
}
