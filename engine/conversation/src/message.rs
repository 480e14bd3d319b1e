//! A text to or from a peer, whatever carried it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whose data it is. One tenant never sees another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tenant(pub String);

impl Default for Tenant {
    fn default() -> Self {
        Self("default".into())
    }
}

/// One end of a thread: a phone number in E.164, or the id that a channel gives a person.
/// Parsed once at the rim ([`Address::phone`]), compared as text afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// A phone number as `+` and 7 to 15 digits. Spaces, dots, dashes and brackets are dropped.
    ///
    /// # Errors
    /// The input, and that it is no number in E.164.
    pub fn phone(input: &str) -> Result<Self, String> {
        let number: String = input.chars().filter(|c| !" .-()\u{a0}".contains(*c)).collect();
        let digits = number.strip_prefix('+').unwrap_or_default();
        if (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(number))
        } else {
            Err(format!("`{input}` is no phone number in E.164, such as +15551230000"))
        }
    }

    /// An id that a channel gave, taken as it is.
    pub fn id(input: impl Into<String>) -> Self {
        Self(input.into())
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Where it can be fetched.
    pub url: String,
    /// Such as `image/jpeg`.
    pub content_type: String,
}

/// A text from a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Whose number it came to.
    pub tenant: Tenant,
    /// The channel's file name: `twilio`, `browser`.
    pub channel: String,
    /// Our end.
    pub ours: Address,
    /// The other end.
    pub peer: Address,
    /// The carrier's id of it; twice the same id is one message.
    pub id: Option<String>,
    /// What was written; may be empty when there is media.
    pub text: String,
    /// Attachments.
    #[serde(default)]
    pub media: Vec<Media>,
    /// Whether the carrier has already answered it as an opt-out word.
    #[serde(default)]
    pub answered_by_carrier: bool,
    /// When it reached us.
    pub at: Timestamp,
}

/// A text to a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The idempotency key: never the same for two texts, always the same for one.
    pub key: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// The channel's file name.
    pub channel: String,
    /// Our end.
    pub ours: Address,
    /// The other end.
    pub peer: Address,
    /// What to write.
    pub text: String,
    /// Addresses of attachments.
    #[serde(default)]
    pub media: Vec<String>,
    /// Whether the peer has asked for it: a reply, not an announcement.
    #[serde(default = "prompted")]
    pub prompted: bool,
    /// W3C `traceparent` of what caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

fn prompted() -> bool {
    true
}

/// What a carrier says later about a text that it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The channel's file name.
    pub channel: String,
    /// The id that the carrier gave when it took the text.
    pub carrier_id: String,
    /// How far it came.
    pub status: Status,
    /// The carrier's error code, when it failed.
    pub code: Option<String>,
}

/// How far a text to a peer came. Moves forward only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Stored, not yet given to the carrier.
    Queued,
    /// The carrier has it.
    Sent,
    /// The phone has it.
    Delivered,
    /// It will not arrive.
    Failed,
}
