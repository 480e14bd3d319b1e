//! ElevenLabs: a voice and a recognizer, each over one WebSocket a call.
//!
//! Read in this order: this file (the account) → [`voice`] → [`scribe`] (the recognizer).

mod scribe;
mod voice;

use agent::Error;
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use talk::{Listening, Speaking, Stt, Tts, Voice, Want};
use url::Url;

use crate::dial::{self, Socket};
use crate::pcm::{TELEPHONE, WIDE};
use crate::{listen, speak};

pub(crate) const VENDOR: &str = "elevenlabs";

/// Where it is.
pub const BASE_URL: &str = "https://api.elevenlabs.io";

/// An account of ElevenLabs.
#[derive(Clone)]
pub struct ElevenLabs {
    key: SecretString,
    base: Url,
    model: String,
}

impl ElevenLabs {
    /// With a key; [`BASE_URL`] unless a proxy or a double stands in.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(key: SecretString, base_url: Option<&str>) -> Result<Self, String> {
        let base = dial::address(base_url.unwrap_or(BASE_URL))?;
        Ok(Self { key, base, model: String::new() })
    }

    /// The same account with a model: `eleven_...` to speak, `scribe_...` to listen; empty = the
    /// default.
    pub fn with_model(&self, model: &str) -> Self {
        Self { model: model.into(), ..self.clone() }
    }

    async fn dial(&self, url: &Url) -> Result<Socket, Error> {
        dial::dial(VENDOR, url, &[("xi-api-key", self.key.expose_secret())]).await
    }
}

#[async_trait]
impl Tts for ElevenLabs {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, voice: Voice) -> Result<Speaking, Error> {
        let rate = if voice.rate == TELEPHONE { TELEPHONE } else { WIDE };
        let url = voice::url(self.base.clone(), &self.model, &voice, rate)?;
        let socket = self.dial(&url).await?;
        Ok(speak::open(socket, voice::Turns::new(rate)))
    }
}

#[async_trait]
impl Stt for ElevenLabs {
    fn name(&self) -> &'static str {
        VENDOR
    }

    async fn open(&self, want: Want) -> Result<Listening, Error> {
        let base = dial::path(&self.base, "/v1/speech-to-text/realtime");
        let socket = self.dial(&scribe::url(base, &self.model, &want)?).await?;
        Ok(listen::open(socket, scribe::Scribe::new(want.rate)))
    }
}
