//! Which vendor an agent gets: the one that its configuration names, or the configured default.

use std::path::PathBuf;
use std::sync::Arc;

use agent::{Config, Error, Llm, Models};
use secrecy::SecretString;
use talk::{Stt, Tts, Vendors};

use crate::deepgram::Deepgram;
use crate::elevenlabs::ElevenLabs;
use crate::openai::OpenAi;

/// What an operator tells about vendors.
#[derive(Default)]
pub struct Settings {
    /// OpenAI, or a service that speaks its protocol.
    pub openai: Option<Key>,
    /// Deepgram.
    pub deepgram: Option<Key>,
    /// ElevenLabs.
    pub elevenlabs: Option<Key>,
    /// Folders in which files of rules are looked for.
    pub rules: Vec<PathBuf>,
    /// Vendor and model where an agent names none.
    pub engine_model: Option<String>,
    /// The recognizer where an agent names none.
    pub stt_type: Option<String>,
    /// The voice's vendor where an agent names none.
    pub tts_type: Option<String>,
    /// The voice where an agent names none.
    pub tts_voice_id: Option<String>,
}

/// An account at a vendor.
pub struct Key {
    /// Its key.
    pub api_key: SecretString,
    /// Another address than the vendor's own.
    pub base_url: Option<String>,
}

/// What is used where an agent names nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The model.
    pub llm: String,
    /// The recognizer.
    pub stt: String,
    /// The voice.
    pub tts: String,
}

/// Every vendor that can be used here.
pub struct Engines {
    openai: Option<Arc<OpenAi>>,
    deepgram: Option<Arc<Deepgram>>,
    elevenlabs: Option<Arc<ElevenLabs>>,
    names: Names,
}

impl Engines {
    /// Checks the settings and keeps the vendors.
    ///
    /// # Errors
    /// The vendor whose settings cannot be used.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let refused = |vendor| move |why| Error::Refused { vendor, why };
        let openai = settings.openai.as_ref();
        let openai = openai
            .map(|key| OpenAi::new(key.api_key.clone(), key.base_url.as_deref()).map(Arc::new))
            .transpose()
            .map_err(refused("openai"))?;
        let deepgram = settings.deepgram.as_ref();
        let deepgram = deepgram
            .map(|key| Deepgram::new(key.api_key.clone(), key.base_url.as_deref()).map(Arc::new))
            .transpose()
            .map_err(refused("deepgram"))?;
        let elevenlabs = settings.elevenlabs.as_ref();
        let elevenlabs = elevenlabs
            .map(|key| ElevenLabs::new(key.api_key.clone(), key.base_url.as_deref()).map(Arc::new))
            .transpose()
            .map_err(refused("elevenlabs"))?;
        let or = |wanted: Option<String>, there, name: &str, else_: &str| {
            wanted.unwrap_or_else(|| if there { name } else { else_ }.to_owned())
        };
        let names = Names {
            llm: or(settings.engine_model, openai.is_some(), "openai", "scripted"),
            stt: or(settings.stt_type, deepgram.is_some(), "deepgram", "pocketsphinx"),
            tts: or(settings.tts_type, elevenlabs.is_some(), "elevenlabs", "espeak"),
        };
        Ok(Self { openai, deepgram, elevenlabs, names })
    }

    /// What is used where an agent names nothing.
    pub fn names(&self) -> Names {
        self.names.clone()
    }
}

fn missing(vendor: &'static str) -> Error {
    Error::Refused { vendor, why: "it is not set up".into() }
}

impl Models for Engines {
    fn llm(&self, _: &Config) -> Result<Vec<Arc<dyn Llm>>, Error> {
        let openai = self.openai.clone().ok_or_else(|| missing("the model"))?;
        Ok(vec![openai])
    }
}

impl Vendors for Engines {
    fn stt(&self, _: &Config) -> Result<Vec<Arc<dyn Stt>>, Error> {
        let deepgram = self.deepgram.clone().ok_or_else(|| missing("the recognizer"))?;
        Ok(vec![deepgram])
    }

    fn tts(&self, _: &Config) -> Result<Vec<Arc<dyn Tts>>, Error> {
        let elevenlabs = self.elevenlabs.clone().ok_or_else(|| missing("the voice"))?;
        Ok(vec![elevenlabs])
    }
}
