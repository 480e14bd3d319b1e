//! OpenAI, and the many services that speak its protocol.
//!
//! Read in this order: this file (the account) → [`dialects`] (who else speaks so) → [`chat`] (the
//! model) → `speech` (the voice) → `transcription` (the recognizer) →
//! [`realtime`] (the model that hears and speaks).

pub mod chat;
pub mod dialects;
pub(crate) mod realtime;
mod speech;
mod transcription;

use secrecy::SecretString;

use self::dialects::Dialect;
use crate::http::{Account, bearer};

pub(crate) const VENDOR: &str = dialects::OPENAI.name;

/// Where it is.
pub const BASE_URL: &str = dialects::OPENAI.base;

/// An account of OpenAI, or of a service that speaks its protocol.
#[derive(Clone)]
pub struct OpenAi {
    dialect: &'static Dialect,
    account: Account,
    /// For sockets, which are opened by themselves.
    key: SecretString,
    base: String,
    model: String,
}

impl OpenAi {
    /// With a key; [`BASE_URL`] unless another service stands in. A process-wide TLS provider must
    /// be installed before.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(key: SecretString, base_url: Option<&str>) -> Result<Self, String> {
        Self::at(&dialects::OPENAI, key, base_url)
    }

    /// The same at another service.
    ///
    /// # Errors
    /// The address is none, or is missing where the service has none of its own.
    pub fn at(
        dialect: &'static Dialect,
        key: SecretString,
        base_url: Option<&str>,
    ) -> Result<Self, String> {
        let base = base_url.unwrap_or(dialect.base).trim_end_matches('/').to_owned();
        let sent = match dialect.key_header {
            Some(header) => (header, key.clone()),
            None => bearer(&key),
        };
        let account = Account::new(dialect.name, &base, Some(sent))?;
        Ok(Self { dialect, account, key, base, model: String::new() })
    }

    /// The same account with another model; empty = the default of whatever it is used for.
    pub fn with_model(&self, model: &str) -> Self {
        Self { model: model.into(), ..self.clone() }
    }

    fn model_or<'a>(&'a self, default: &'a str) -> &'a str {
        if self.model.is_empty() { default } else { &self.model }
    }
}
