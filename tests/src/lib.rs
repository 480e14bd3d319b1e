//! End to end: the world around voxflow, for tests.
//!
//! Read in this order: [`record`] (what happened, awaited) → [`sound`] (speech and tones) →
//! [`double`] (the vendors and the carrier on loopback) → [`phone`] (a caller, as Twilio brings
//! one) → [`softphone`] (a caller by SIP) and [`rough`] (a bad network for it) → [`storm`] (a bad way to a vendor) → [`rig`] (voxflow itself, as processes) → [`front`] (what spreads requests to several of them) → [`servers`] (a broker and a database to break)
//! → [`python`] (the vendors' own libraries).
//!
//! Invariant: nothing here uses voxflow's own code. What it speaks is written from the vendors'
//! documents and held against their own libraries, so that a mistake is not made twice alike.
//! A double that is used wrongly says so in its `violations`.

#![allow(clippy::unwrap_used)] // A rig that cannot be built is a failed test, with the place in it.

pub mod double;
pub mod front;
pub mod linphone;
pub mod phone;
pub mod python;
pub mod record;
pub mod rig;
pub mod rough;
pub mod servers;
pub mod softphone;
pub mod sound;
pub mod storm;

/// How long a test waits for anything before it fails, seconds. Generous: a busy machine is no bug.
pub const PATIENCE_S: u64 = 30;
