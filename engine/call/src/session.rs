//! The one task that owns a call: commands in, events out.

use std::sync::Arc;

use agent::{Item, Tools};
use async_trait::async_trait;
use flow::{Command, Event};
use talk::{Note, Vendors};
use tokio::sync::mpsc;

use crate::leg::Leg;

/// A command of the run, and what a conversation needs beside it.
pub struct Order {
    /// The command. Texts do not come here: they are the outbox's.
    pub command: Command,
    /// For `Deed::Talk`: what the model may do.
    pub tools: Option<Arc<dyn Tools>>,
    /// For `Deed::Talk`: what was said before.
    pub history: Vec<Item>,
}

/// What a call reports.
#[derive(Debug)]
pub enum Report {
    /// An event for the run.
    Event(Event),
    /// Something worth remembering of a conversation.
    Note(Note),
    /// A conversation is over; all that was said.
    History(Vec<Item>),
}

/// Finds sound files.
#[async_trait]
pub trait Library: Send + Sync {
    /// The bytes of a wav file: an `https://` address, or a file below the media folder.
    ///
    /// # Errors
    /// Names the source and what is wrong with it.
    async fn fetch(&self, source: &str) -> Result<Vec<u8>, String>;
}

/// Lives the call until the leg is gone, or `orders` is closed (then the leg is hung up).
pub async fn live(
    leg: Leg,
    vendors: Arc<dyn Vendors>,
    library: Arc<dyn Library>,
    orders: mpsc::Receiver<Order>,
    reports: mpsc::UnboundedSender<Report>,
) {
    let _ = (leg, vendors, library, orders, reports);
    let _: Option<Event> = None;
    unimplemented!("seam")
}
