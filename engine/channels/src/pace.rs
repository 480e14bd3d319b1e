//! Sound that a call gives ahead of time, on its way to a wire that wants it in time: one frame
//! every 20 ms, marks when all before them went out.

use std::collections::VecDeque;

use audio::Frame;
use call::{Inbound, Outbound};

use crate::rim::Rim;

/// Frames that wait for their time, 1.3 s; then the call waits.
const QUEUE: usize = 64;

/// What waits for its time.
#[derive(Default)]
pub(crate) struct Pace {
    queue: VecDeque<Outbound>,
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
                for left in std::mem::take(&mut self.queue) {
                    if let Outbound::Mark(id) = left {
                        rim.tell(Inbound::Mark(id));
                    }
                }
            }
            Outbound::Frame(_) | Outbound::Mark(_) => self.queue.push_back(given),
        }
    }

    /// The frame of these 20 ms. What went out a tick ago has been heard: its marks are told.
    pub(crate) fn tick(&mut self, rim: &mut Rim) -> Option<Frame> {
        loop {
            match self.queue.pop_front()? {
                Outbound::Mark(id) => rim.tell(Inbound::Mark(id)),
                Outbound::Frame(frame) => return Some(frame),
                // It is never queued.
                Outbound::Clear => {}
            }
        }
    }
}
