//! Who brings texts in and who takes them out: the two seams to the channels.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::message::{Address, Message, Outgoing, Receipt, Tenant};

/// Takes what channels read. Implemented by the runtime, called by channels.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Whose a number or address of ours is, if it answers texts.
    fn answers(&self, channel: &str, ours: &str) -> Option<Tenant>;

    /// Stores a message durably, once. When it returns, the carrier may be told that we have it.
    async fn receive(&self, message: Message) -> Result<Accepted, Busy>;

    /// Stores how far a text of ours came.
    async fn receipt(&self, receipt: Receipt) -> Result<(), Busy>;

    /// Texts of ours for a peer who comes for them, in order: those that were sent, by whichever
    /// process, after what he has seen. Waits until there is one, however long that takes; may be
    /// dropped and called again.
    async fn unread(&self, reader: Reader) -> Vec<Outgoing>;
}

/// A peer who comes for texts of ours instead of being reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Whose the number is.
    pub tenant: Tenant,
    /// The channel's file name.
    pub channel: String,
    /// Our end.
    pub ours: Address,
    /// The other end.
    pub peer: Address,
    /// The key of the text of ours that he has seen last. When he does not say, or names none of his
    /// thread, it is the last of which a receipt says that it was delivered.
    pub seen: Option<String>,
}

/// What became of a message at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored and will be answered.
    New,
    /// We had it already; nothing happened.
    Again,
}

/// It could not be stored now; the carrier should bring it again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the message could not be stored: {0}")]
pub struct Busy(pub String);

/// Gives texts to one carrier. Implemented by channels, called by the outbox.
#[async_trait]
pub trait Messenger: Send + Sync {
    /// The channel's file name.
    fn channel(&self) -> &'static str;

    /// Whether it reaches phone numbers.
    fn reaches_phones(&self) -> bool {
        true
    }

    /// Sends one text.
    async fn send(&self, text: &Outgoing) -> Result<Sent, Refusal>;

    /// Texts like this one, from us to the peer, that the carrier has taken since. It is asked when
    /// nobody saw how the sending of a text ended.
    ///
    /// # Errors
    /// [`Refusal::Never`] from a carrier that cannot be asked: then [`Delivery`] decides.
    /// [`Refusal::Later`] when asking again may help.
    async fn taken(&self, text: &Outgoing, since: Timestamp) -> Result<Vec<Sent>, Refusal> {
        let _ = (text, since);
        let why = "it keeps no list of what it took".into();
        Err(Refusal::Never { code: "cannot_be_asked".into(), why })
    }
}

/// What is done with a text when it may or may not have left and the carrier cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It counts as failed: perhaps it never left, and the run is told so.
    #[default]
    AtMostOnce,
    /// It is sent again, with the same key: perhaps it arrives twice.
    AtLeastOnce,
}

/// The carrier has the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The carrier's id, by which receipts name it.
    pub carrier_id: String,
}

/// Why a text did not leave, in the terms of whoever must decide what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It certainly did not leave; trying again may help, not before `after`.
    #[error("not now: {why}")]
    Later {
        /// In words.
        why: String,
        /// What the carrier asked for.
        after: Option<Duration>,
    },
    /// It certainly did not leave: the carrier has as much as it takes at this moment. That is a
    /// wait and no try.
    #[error("the carrier takes no more at this moment: {why}")]
    Full {
        /// In words.
        why: String,
        /// What the carrier asked for.
        after: Option<Duration>,
    },
    /// It did not leave and never will.
    #[error("refused ({code}): {why}")]
    Never {
        /// The carrier's code.
        code: String,
        /// In words.
        why: String,
    },
    /// The peer does not want texts from us.
    #[error("the peer has opted out ({code})")]
    OptedOut {
        /// The carrier's code.
        code: String,
    },
    /// It may or may not have left: the answer was lost.
    #[error("unknown whether it was sent: {why}")]
    Unknown {
        /// In words.
        why: String,
    },
}
