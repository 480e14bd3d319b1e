//! Sound that a call gives ahead of time, on its way to a wire that wants it in time: one frame
//! every 20 ms, marks when all before them went out.

use std::collections::VecDeque;

use audio::Frame;
use call::{Inbound, Outbound};

use crate::rim::Rim;

/// Frames that wait for their time, 1.3 s; then the call waits.
const QUEUE: usize = 64;
/// Ticks from a frame's way out to the ear: the far side evens out arrivals too, and 60 to 100 ms
/// are usual. Whoever hung up when the last frame left would cut off the last syllable.
const EAR: u64 = 6;

/// What waits for its time.
#[derive(Default)]
pub(crate) struct Pace {
    queue: VecDeque<Outbound>,
    /// Marks whose sound is on its way, and the tick at which it was heard.
    sounding: VecDeque<(u64, u64)>,
    ticks: u64,
}

impl Pace {
    /// Whether no more can be taken now.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= QUEUE
    }

    /// Takes what the call gives. What is dropped has its marks told at once.
    pub(crate) fn take(&mut self, given: Outbound, rim: &mut Rim) {
        match given {
            Outbound::Clear => {
                for (id, _) in std::mem::take(&mut self.sounding) {
                    rim.tell(Inbound::Mark(id));
                }
                for left in std::mem::take(&mut self.queue) {
                    if let Outbound::Mark(id) = left {
                        rim.tell(Inbound::Mark(id));
                    }
                }
            }
            Outbound::Frame(_) | Outbound::Mark(_) => self.queue.push_back(given),
        }
    }

    /// The frame of these 20 ms. Marks are told when what was before them has been heard.
    pub(crate) fn tick(&mut self, rim: &mut Rim) -> Option<Frame> {
        self.ticks += 1;
        while let Some((id, _)) = self.sounding.pop_front_if(|(_, at)| *at <= self.ticks) {
            rim.tell(Inbound::Mark(id));
        }
        loop {
            match self.queue.pop_front()? {
                Outbound::Mark(id) => self.sounding.push_back((id, self.ticks + EAR)),
                Outbound::Frame(frame) => return Some(frame),
                // It is never queued.
                Outbound::Clear => {}
            }
        }
    }
}
