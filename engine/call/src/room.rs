//! Rooms: who is in one hears all others of it. Conferences and bridges are rooms by name.
//!
//! A room lives in one process, and its task mixes 20 ms at a time for as long as somebody is in it.
//! Who speaks gets a queue of its own there, so that one whose sound comes late holds up nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audio::mix::Mix;
use audio::{FRAME_MS, Frame, Rate};
use tokio::sync::mpsc;
use tokio::time::interval;

use crate::tenants::{Name, Own};

/// The rate at which rooms mix: that of a wideband telephone, samples a second.
pub(crate) const RATE: Rate = 16_000;

/// Samples that are mixed at once.
const SIZE: usize = Frame::samples_per_frame(RATE);
/// How much must have come of a voice before it is heard: what a network holds back now and then.
const AHEAD: usize = 2 * SIZE;
/// How much of a voice is kept at most; the oldest goes.
const KEPT: usize = 8 * SIZE;
/// Frames of the mix that wait for somebody who does not take them.
const WAITING: usize = 8;

/// The rooms of a tenant.
pub type Rooms = Own<AllRooms>;

/// The rooms of all tenants in which somebody is.
#[derive(Default)]
pub struct AllRooms(Mutex<HashMap<Name, Arc<Room>>>);

#[derive(Default)]
struct Room {
    guests: Mutex<HashMap<u64, Guest>>,
}

/// Somebody in a room.
struct Guest {
    /// What was said and is not mixed yet.
    said: VecDeque<i16>,
    /// Whether it is taken as it comes; after a gap it is gathered first.
    flows: bool,
    heard: mpsc::Sender<Frame>,
}

/// A guest's end of a room. Whoever drops it leaves.
pub(crate) struct Seat {
    room: Arc<Room>,
    id: u64,
    heard: mpsc::Receiver<Frame>,
}

impl Rooms {
    /// Takes a seat in the room of this name, which is made if nobody is in it.
    pub(crate) fn enter(&self, name: &str) -> Seat {
        let name = self.name(name);
        let mut all = lock(&self.all.0);
        let fresh = !all.contains_key(&name);
        let room = Arc::clone(all.entry(name.clone()).or_default());
        let (guest, heard) = Guest::new();
        let id = {
            let mut guests = lock(&room.guests);
            let id = guests.keys().max().map_or(0, |last| last + 1);
            guests.insert(id, guest);
            id
        };
        if fresh {
            tokio::spawn(mix(Arc::clone(&self.all), name, Arc::clone(&room)));
        }
        Seat { room, id, heard }
    }
}

impl Guest {
    fn new() -> (Self, mpsc::Receiver<Frame>) {
        let (heard, seat) = mpsc::channel(WAITING);
        (Self { said: VecDeque::with_capacity(KEPT), flows: false, heard }, seat)
    }

    /// The next 20 ms of this voice; empty = silence.
    fn next(&mut self) -> Vec<i16> {
        let enough = if self.flows { SIZE } else { AHEAD };
        self.flows = self.said.len() >= enough;
        if self.flows { self.said.drain(..SIZE).collect() } else { Vec::new() }
    }
}

impl Seat {
    /// Says something to the others: sound of the room's rate.
    pub(crate) fn say(&self, samples: &[i16]) {
        if let Some(guest) = lock(&self.room.guests).get_mut(&self.id) {
            guest.said.extend(samples);
            let more = guest.said.len().saturating_sub(KEPT);
            guest.said.drain(..more);
        }
    }

    /// The next 20 ms of what the others say.
    pub(crate) async fn hear(&mut self) -> Option<Frame> {
        self.heard.recv().await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.room.guests).remove(&self.id);
    }
}

/// The life of a room.
async fn mix(all: Arc<AllRooms>, name: Name, room: Arc<Room>) {
    let mut ticks = interval(Duration::from_millis(FRAME_MS.into()));
    let mut mix = Mix::default();
    loop {
        ticks.tick().await;
        if room.mix(&mut mix) {
            continue;
        }
        // Who comes in takes this lock first, so nobody can come in now.
        let mut all = lock(&all.0);
        if lock(&room.guests).is_empty() {
            all.remove(&name);
            return;
        }
    }
}

impl Room {
    /// Lets all hear 20 ms; whether anybody is there.
    fn mix(&self, mix: &mut Mix) -> bool {
        let mut guests = lock(&self.guests);
        mix.begin(SIZE);
        let mut voices = Vec::with_capacity(guests.len());
        for (id, guest) in guests.iter_mut() {
            let voice = guest.next();
            mix.add(&voice);
            voices.push((*id, voice));
        }
        for (id, voice) in voices {
            let Some(guest) = guests.get(&id) else { continue };
            let frame = Frame { rate: RATE, samples: mix.without(&voice) };
            if let Err(mpsc::error::TrySendError::Full(_)) = guest.heard.try_send(frame) {
                metrics::counter!("voxflow_frames_dropped_total", "at" => "room").increment(1);
            }
        }
        !guests.is_empty()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Speaks for so many frames; what was heard meanwhile, a value a frame.
    async fn talk(seat: &mut Seat, value: i16, frames: usize) -> Vec<i16> {
        let mut heard = Vec::new();
        for _ in 0..frames {
            seat.say(&[value; SIZE]);
            heard.push(seat.hear().await.unwrap().samples[SIZE - 1]);
        }
        heard
    }

    #[tokio::test(start_paused = true)]
    async fn each_hears_the_others_and_nobody_hears_another_room() {
        let rooms = Rooms::default().of("a");
        let (mut anna, mut ben) = (rooms.enter("team"), rooms.enter("team"));
        let (mut carl, mut dora) = (rooms.enter("other"), rooms.of("b").enter("team"));
        let heard = tokio::join!(
            talk(&mut anna, 100, 20),
            talk(&mut ben, 20, 20),
            talk(&mut carl, 3, 20),
            talk(&mut dora, 4, 20),
        );
        assert_eq!(heard.0[3..], [20; 17]);
        assert_eq!(heard.1[3..], [100; 17]);
        assert_eq!(heard.2, [0; 20]);
        assert_eq!(heard.3, [0; 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_is_not_heard_and_an_empty_room_ends() {
        let rooms = Rooms::default().of("a");
        let (mut anna, ben) = (rooms.enter("team"), rooms.enter("team"));
        ben.say(&[50; 4 * SIZE]);
        assert_eq!(anna.hear().await.unwrap().samples, [50; SIZE]);
        drop(ben);
        while anna.hear().await.unwrap().samples[0] != 0 {}
        drop(anna);
        while !lock(&rooms.all.0).is_empty() {
            tokio::time::advance(Duration::from_millis(20)).await;
            tokio::task::yield_now().await;
        }
        // One of the same name begins anew.
        let mut dora = rooms.enter("team");
        assert_eq!(dora.hear().await.unwrap().samples, [0; SIZE]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_voice_that_comes_in_bursts_is_gathered_and_one_that_is_ahead_loses_its_oldest() {
        let rooms = Rooms::default().of("a");
        let (mut anna, ben) = (rooms.enter("team"), rooms.enter("team"));
        ben.say(&[7; SIZE]);
        // One frame alone waits for a second.
        assert_eq!(anna.hear().await.unwrap().samples[0], 0);
        ben.say(&[8; SIZE]);
        let mut heard = Vec::new();
        for _ in 0..3 {
            heard.push(anna.hear().await.unwrap().samples[0]);
        }
        assert_eq!(heard, [7, 8, 0]);
        for value in 0..20 {
            ben.say(&[value; SIZE]);
        }
        assert_eq!(anna.hear().await.unwrap().samples[0], 12);
    }
}
