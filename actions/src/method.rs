//! How a server is asked: a method of HTTP.

use schemars::JsonSchema;
use serde::Deserialize;

/// A method of HTTP.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    /// Brings something, the usual way.
    #[default]
    Post,
    /// Asks for something.
    Get,
    /// Puts something in its place.
    Put,
    /// Changes something.
    Patch,
    /// Takes something away.
    Delete,
}

impl Method {
    /// As in a request: `POST`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}
