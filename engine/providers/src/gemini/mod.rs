//! Google's Gemini.
//!
//! Read in this order: this file (the account) → [`chat`] (the model) → [`live`]
//! (the model that hears and speaks).

pub mod chat;
pub(crate) mod live;

use std::sync::Arc;

use secrecy::SecretString;

use self::chat::Signatures;
use crate::http::Account;

pub(crate) const VENDOR: &str = "gemini";

/// Where it is.
pub const BASE_URL: &str = "https://generativelanguage.googleapis.com";

/// An account of Gemini.
#[derive(Clone)]
pub struct Gemini {
    account: Account,
    /// For sockets, which are opened by themselves.
    key: SecretString,
    base: String,
    model: String,
    signatures: Arc<Signatures>,
}

impl Gemini {
    /// With a key; [`BASE_URL`] unless a proxy or a double stands in. A process-wide TLS provider
    /// must be installed before.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(key: SecretString, base_url: Option<&str>) -> Result<Self, String> {
        let base = base_url.unwrap_or(BASE_URL).trim_end_matches('/');
        let account = Account::new(VENDOR, base, Some(("x-goog-api-key", key.clone())))?;
        let base = base.to_owned();
        Ok(Self { account, key, base, model: String::new(), signatures: Arc::default() })
    }

    /// The same account with another model; empty = the default.
    pub fn with_model(&self, model: &str) -> Self {
        Self { model: model.into(), ..self.clone() }
    }
}
