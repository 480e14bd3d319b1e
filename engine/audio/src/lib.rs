//! Sound as numbers: frames, laws, rates, voice detection, keys, files.
//!
//! Read in this order: [`frame`] (what sound is here) → [`g711`] and [`resample`] (to and from the
//! wire) → [`codec`] and [`rtp`] (sound in packets) → [`mix`] (several at once) → [`vad`] (is somebody speaking) → [`playout`]
//! (what is still to be heard) → [`dtmf`] (keys as sound) → [`tone`] (those of the network) →
//! [`wav`].
//!
//! Invariant: nothing here waits, reads a clock or opens a socket.

pub mod codec;
mod conceal;
pub mod dtmf;
pub mod frame;
pub mod g711;
pub mod mix;
pub mod playout;
pub mod resample;
pub mod rtp;
pub mod tone;
pub mod vad;
pub mod wav;

pub use frame::{FRAME_MS, Frame, Rate};
