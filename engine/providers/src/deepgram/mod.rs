//! Deepgram: two recognizers and a voice, each over one WebSocket a call.
//!
//! Read in this order: this file (the account) → [`nova`] (phrases) → [`flux`] (turns) → [`aura`]
//! (the voice).

mod aura;
mod flux;
mod nova;

use agent::Error;
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use talk::{Listening, Speaking, Stt, Tts, Voice, Want};
use url::Url;

use crate::dial::{self, Socket};
use crate::{listen, speak};

pub(crate) const VENDOR: &str = "deepgram";

/// Where it is.
pub const BASE_URL: &str = "https://api.deepgram.com";

/// An account of Deepgram.
#[derive(Clone)]
pub struct Deepgram {
    key: SecretString,
    base: Url,
    model: String,
}

impl Deepgram {
    /// With a key; [`BASE_URL`] unless a proxy or a double stands in.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(key: SecretString, base_url: Option<&str>) -> Result<Self, String> {
        let base = dial::address(base_url.unwrap_or(BASE_URL))?;
        Ok(Self { key, base, model: String::new() })
    }

    /// The same account with a model: `nova-...` or `flux-...` to listen, `aura-...` to speak;
    /// empty = the default.
    pub fn with_model(&self, model: &str) -> Self {
        Self { model: model.into(), ..self.clone() }
    }

    fn url(&self, path: &str) -> Url {
        dial::path(&self.base, path)
    }

    async fn dial(&self, url: &Url) -> Result<Socket, Error> {
        let key = format!("Token {}", self.key.expose_secret());
        dial::dial(VENDOR, url, &[("authorization", &key)]).await
    }
}

#[async_trait]
impl Stt for Deepgram {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, want: Want) -> Result<Listening, Error> {
        if self.model.starts_with("flux") {
            let url = flux::url(self.url("/v2/listen"), &self.model, &want);
            let socket = self.dial(&url).await?;
            return Ok(listen::open(socket, flux::Flux::new(want.rate)));
        }
        let model = if self.model.is_empty() { nova::MODEL } else { &self.model };
        let socket = self.dial(&nova::url(self.url("/v1/listen"), model, &want)).await?;
        Ok(listen::open(socket, nova::Nova::new(want.rate)))
    }
}

#[async_trait]
impl Tts for Deepgram {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, voice: Voice) -> Result<Speaking, Error> {
        let (url, rate) = aura::url(self.url("/v1/speak"), &self.model, &voice);
        let socket = self.dial(&url).await?;
        Ok(speak::open(socket, aura::Aura::new(rate)))
    }
}
