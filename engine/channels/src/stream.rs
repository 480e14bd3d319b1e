//! What the messages of carriers' media streams have in common: JSON texts, read without copies.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// What a carrier says on a media stream, in its own terms of a beginning and of sound.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard<Start, Sound> {
    /// The stream begins.
    Start(Start),
    /// Sound of the caller.
    Sound(Sound),
    /// A key.
    Digit(char),
    /// A mark by its name.
    Mark(String),
    /// Something of ours was not taken.
    Error(String),
    /// The stream ends.
    Stop,
    /// What we do not need: `connected`, the other track, events that are newer than we.
    Other,
}

/// Sound as it is written.
#[derive(Deserialize)]
pub(crate) struct Media<'a> {
    #[serde(borrow, default)]
    track: Cow<'a, str>,
    #[serde(borrow, default)]
    chunk: Cow<'a, str>,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

impl Media<'_> {
    /// Which piece of the sound it is, where the carrier counts them.
    pub(crate) fn number(&self) -> Option<u64> {
        self.chunk.parse().ok()
    }

    /// The bytes of the caller's sound; `None` = the other track.
    ///
    /// # Errors
    /// That they cannot be read.
    pub(crate) fn bytes(&self) -> Result<Option<Vec<u8>>, &'static str> {
        if self.track == "outbound" {
            return Ok(None);
        }
        let bytes = BASE64_STANDARD.decode(self.payload.as_bytes());
        bytes.map(Some).map_err(|_| "a payload that is not base64")
    }
}

/// A mark as it is written.
#[derive(Deserialize)]
pub(crate) struct Mark<'a> {
    /// What we named it.
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
}

/// A key as it is written.
#[derive(Deserialize)]
pub(crate) struct Dtmf<'a> {
    #[serde(borrow)]
    digit: Cow<'a, str>,
}

impl Dtmf<'_> {
    /// The key that was pressed.
    ///
    /// # Errors
    /// That it is none.
    pub(crate) fn key(&self) -> Result<char, &'static str> {
        let mut keys = self.digit.chars();
        match (keys.next().and_then(audio::dtmf::key), keys.next()) {
            (Some(key), None) => Ok(key),
            _ => Err("a digit that is no key"),
        }
    }
}
