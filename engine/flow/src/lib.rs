//! The flow language: what a flow is, how it is linked, and how it advances.
//!
//! Read in this order: [`document`] (the JSON as written) → [`link`] (a [`Flow`], or every
//! [`Diagnostic`]) → [`run`] (an event in, commands out). [`action`] is what a step of a flow must
//! be able to do, [`Cx`] what it sees, [`step`] what it answers; [`event`] is the vocabulary that it shares with the world.
//!
//! Invariant: nothing here waits, reads a clock, opens a socket or draws a random number.

pub mod action;
mod cx;
pub mod diagnostic;
pub mod document;
pub mod event;
pub mod expression;
pub mod limits;
pub mod link;
pub mod older;
mod place;
pub mod run;
mod shape;
pub mod step;
pub mod text;

pub use action::{Action, Catalog, Needs, Pace, Spec, Tool};
pub use cx::Cx;
pub use diagnostic::{Diagnostic, Severity};
pub use document::Document;
pub use event::{
    Command, Deed, Destination, Event, FlowSource, HangupCause, Key, Medium, Outcome, Vars,
};
pub use expression::Expression;
pub use link::{Bound, Budget, Flow, Linking, Offer, SentText, budget, format, link};
pub use place::Lines;
pub use run::{Activeflow, Advance, Cause, Flows, Taken};
pub use shape::nearest;
pub use step::{Call, Split, Step, Target, Until, Wait};
