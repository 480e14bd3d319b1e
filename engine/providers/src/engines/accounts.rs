//! The accounts that an operator has, by the vendors' names, and what each vendor does.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::{Error, Llm};
use secrecy::SecretString;
use talk::{Duplex, Stt, Tts};

use crate::anthropic::{self, Anthropic};
use crate::assemblyai::{self, AssemblyAi};
use crate::cartesia::{self, Cartesia};
use crate::deepgram::{self, Deepgram};
use crate::elevenlabs::{self, ElevenLabs};
use crate::gemini::{self, Gemini};
use crate::openai::dialects::{self, Dialect};
use crate::openai::{self, OpenAi};

/// An account at a vendor.
#[derive(Clone, Default)]
pub struct Key {
    /// Its key; without one, only a vendor that needs none can be used.
    pub api_key: Option<SecretString>,
    /// Another address than the vendor's own; `http(s)` or `ws(s)`, whichever the vendor uses.
    pub base_url: Option<String>,
}

/// What a vendor can do for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It thinks.
    Model,
    /// It listens.
    Recognizer,
    /// It speaks.
    Voice,
}

impl Work {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Recognizer => "recognizer",
            Self::Voice => "voice",
        }
    }
}

/// The vendors that have accounts and are no mere service of OpenAI's protocol, and what they do.
const VENDORS: [(&str, &[Work]); 7] = [
    (openai::VENDOR, &[Work::Model, Work::Recognizer, Work::Voice]),
    (anthropic::VENDOR, &[Work::Model]),
    (gemini::VENDOR, &[Work::Model]),
    (deepgram::VENDOR, &[Work::Recognizer, Work::Voice]),
    (assemblyai::VENDOR, &[Work::Recognizer]),
    (elevenlabs::VENDOR, &[Work::Recognizer, Work::Voice]),
    (cartesia::VENDOR, &[Work::Voice]),
];

/// Every vendor that has accounts, by its name in configurations and settings.
pub fn with_accounts() -> impl Iterator<Item = &'static str> {
    let others: &'static [Dialect] = &dialects::OTHERS;
    VENDORS.iter().map(|(name, _)| *name).chain(others.iter().map(|other| other.name))
}

/// Those of them that do a work.
pub(super) fn that_do(work: Work) -> impl Iterator<Item = &'static str> {
    let others: &'static [Dialect] = &dialects::OTHERS;
    let others = others.iter().filter(move |_| work == Work::Model).map(|other| other.name);
    VENDORS
        .iter()
        .filter(move |(_, does)| does.contains(&work))
        .map(|(name, _)| *name)
        .chain(others)
}

/// All accounts.
#[derive(Default)]
pub(super) struct Accounts {
    services: BTreeMap<&'static str, OpenAi>,
    anthropic: Option<Anthropic>,
    gemini: Option<Gemini>,
    deepgram: Option<Deepgram>,
    assemblyai: Option<AssemblyAi>,
    elevenlabs: Option<ElevenLabs>,
    cartesia: Option<Cartesia>,
}

impl Accounts {
    /// Checks the settings.
    ///
    /// # Errors
    /// A vendor that is unknown, or whose settings cannot be used.
    pub(super) fn new(keys: &BTreeMap<String, Key>) -> Result<Self, Error> {
        let mut accounts = Self::default();
        for (name, key) in keys {
            let known = with_accounts().find(|known| known == name);
            let vendor = known.ok_or_else(|| Error::Refused {
                vendor: "vendor",
                why: format!("`{name}` is unknown"),
            })?;
            accounts.add(vendor, key).map_err(|why| Error::Refused { vendor, why })?;
        }
        let free = dialects::OTHERS.iter().filter(|dialect| !dialect.needs_key);
        for dialect in free.filter(|dialect| !keys.contains_key(dialect.name)) {
            let refused = |why| Error::Refused { vendor: dialect.name, why };
            accounts.add(dialect.name, &Key::default()).map_err(refused)?;
        }
        Ok(accounts)
    }

    fn add(&mut self, name: &'static str, key: &Key) -> Result<(), String> {
        let base = key.base_url.as_deref();
        let dialect = dialects::dialect(name);
        if let Some(dialect) = dialect.filter(|dialect| !dialect.needs_key) {
            let api_key = key.api_key.clone().unwrap_or_else(|| "none".into());
            self.services.insert(name, OpenAi::at(dialect, api_key, base)?);
            return Ok(());
        }
        let Some(api_key) = key.api_key.clone() else { return Ok(()) };
        match (name, dialect) {
            (_, Some(dialect)) => {
                if dialect.base.is_empty() && base.is_none() {
                    let variable = format!("{}_BASE_URL", name.to_uppercase());
                    return Err(format!("every account has an address of its own; set {variable}"));
                }
                self.services.insert(name, OpenAi::at(dialect, api_key, base)?);
            }
            (anthropic::VENDOR, _) => self.anthropic = Some(Anthropic::new(api_key, base)?),
            (gemini::VENDOR, _) => self.gemini = Some(Gemini::new(api_key, base)?),
            (deepgram::VENDOR, _) => self.deepgram = Some(Deepgram::new(api_key, base)?),
            (assemblyai::VENDOR, _) => self.assemblyai = Some(AssemblyAi::new(api_key, base)?),
            (elevenlabs::VENDOR, _) => self.elevenlabs = Some(ElevenLabs::new(api_key, base)?),
            (cartesia::VENDOR, _) => self.cartesia = Some(Cartesia::new(api_key, base)?),
            (other, _) => return Err(format!("`{other}` is unknown")),
        }
        Ok(())
    }

    /// Whether there is an account at a vendor.
    pub(super) fn has(&self, name: &str) -> bool {
        match name {
            anthropic::VENDOR => self.anthropic.is_some(),
            gemini::VENDOR => self.gemini.is_some(),
            deepgram::VENDOR => self.deepgram.is_some(),
            assemblyai::VENDOR => self.assemblyai.is_some(),
            elevenlabs::VENDOR => self.elevenlabs.is_some(),
            cartesia::VENDOR => self.cartesia.is_some(),
            service => self.services.contains_key(service),
        }
    }

    /// A model; `None` = this vendor has none. An empty name = its default.
    pub(super) fn model(&self, vendor: &str, model: &str) -> Option<Result<Arc<dyn Llm>, Error>> {
        let vendor = that_do(Work::Model).find(|known| *known == vendor)?;
        // One that hears and speaks takes no written question: its vendor's other one does.
        let model = if self.duplex(vendor, model).is_some() { "" } else { model };
        let llm: Option<Arc<dyn Llm>> = match vendor {
            anthropic::VENDOR => {
                self.anthropic.as_ref().map(|it| Arc::new(it.with_model(model)) as _)
            }
            gemini::VENDOR => self.gemini.as_ref().map(|it| Arc::new(it.with_model(model)) as _),
            service => self.services.get(service).map(|it| Arc::new(it.with_model(model)) as _),
        };
        if model.is_empty() && !VENDORS.iter().any(|(name, _)| *name == vendor) {
            return Some(Err(no_model(vendor)));
        }
        Some(llm.ok_or_else(|| no_key(vendor)))
    }

    /// A model that hears and speaks; `None` = this is none.
    pub(super) fn duplex(
        &self,
        vendor: &str,
        model: &str,
    ) -> Option<Result<Arc<dyn Duplex>, Error>> {
        let found: Result<Arc<dyn Duplex>, Error> = match vendor {
            openai::VENDOR if openai::realtime::converses(model) => match self.services.get(vendor)
            {
                Some(openai) => Ok(Arc::new(openai.with_model(model))),
                None => Err(no_key(openai::VENDOR)),
            },
            gemini::VENDOR if gemini::live::converses(model) => match &self.gemini {
                Some(gemini) => Ok(Arc::new(gemini.with_model(model))),
                None => Err(no_key(gemini::VENDOR)),
            },
            _ => return None,
        };
        Some(found)
    }

    /// A recognizer; `None` = this vendor has none. An empty model = its default.
    pub(super) fn recognizer(
        &self,
        vendor: &str,
        model: &str,
    ) -> Option<Result<Arc<dyn Stt>, Error>> {
        let vendor = that_do(Work::Recognizer).find(|known| *known == vendor)?;
        let stt: Option<Arc<dyn Stt>> = match vendor {
            deepgram::VENDOR => {
                self.deepgram.as_ref().map(|it| Arc::new(it.with_model(model)) as _)
            }
            assemblyai::VENDOR => {
                self.assemblyai.as_ref().map(|it| Arc::new(it.with_model(model)) as _)
            }
            elevenlabs::VENDOR => {
                self.elevenlabs.as_ref().map(|it| Arc::new(it.with_model(model)) as _)
            }
            service => self.services.get(service).map(|it| Arc::new(it.with_model(model)) as _),
        };
        Some(stt.ok_or_else(|| no_key(vendor)))
    }

    /// A voice; `None` = this vendor has none. An empty model = its default.
    pub(super) fn voice(&self, vendor: &str, model: &str) -> Option<Result<Arc<dyn Tts>, Error>> {
        let vendor = that_do(Work::Voice).find(|known| *known == vendor)?;
        let tts: Option<Arc<dyn Tts>> = match vendor {
            deepgram::VENDOR => {
                self.deepgram.as_ref().map(|it| Arc::new(it.with_model(model)) as _)
            }
            cartesia::VENDOR => {
                self.cartesia.as_ref().map(|it| Arc::new(it.with_model(model)) as _)
            }
            elevenlabs::VENDOR => {
                self.elevenlabs.as_ref().map(|it| Arc::new(it.with_model(model)) as _)
            }
            service => self.services.get(service).map(|it| Arc::new(it.with_model(model)) as _),
        };
        Some(tts.ok_or_else(|| no_key(vendor)))
    }
}

/// A vendor none of whose models stays needs to be told which.
pub(super) fn no_model(vendor: &'static str) -> Error {
    let why = format!("name a model too, as in `{vendor}.MODEL`");
    Error::Refused { vendor, why }
}

fn no_key(vendor: &'static str) -> Error {
    let why = format!("it has no key; set {}_API_KEY", vendor.to_uppercase());
    Error::Refused { vendor, why }
}
