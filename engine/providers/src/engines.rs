//! Which vendor an agent gets: the one that its configuration names, or the default; then what
//! stands in for it on this machine.

use std::path::PathBuf;
use std::sync::Arc;

use agent::{Config, Error, Llm, Models};
use async_trait::async_trait;
use secrecy::SecretString;
use talk::{Speaking, Stt, Tts, Vendors, Voice};

use crate::deepgram::{self, Deepgram};
use crate::elevenlabs::{self, ElevenLabs};
use crate::espeak::{self, Espeak};
use crate::openai::{self, OpenAi};
use crate::pocketsphinx::{self, Pocketsphinx};
use crate::scripted::{self, Scripted};

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
    /// The voice where an agent names none; of the default vendor.
    pub tts_voice_id: Option<String>,
}

/// An account at a vendor.
pub struct Key {
    /// Its key.
    pub api_key: SecretString,
    /// Another address than the vendor's own; `http(s)` or `ws(s)`, whichever the vendor uses.
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

/// A vendor, and whether it can be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// As an agent's configuration names it.
    pub name: &'static str,
    /// Its work: `model`, `recognizer` or `voice`.
    pub does: &'static str,
    /// What is missing, in words.
    pub usable: Result<(), String>,
}

/// Every vendor, as far as it can be used here.
pub struct Engines {
    openai: Option<Arc<OpenAi>>,
    deepgram: Option<Arc<Deepgram>>,
    elevenlabs: Option<Arc<ElevenLabs>>,
    espeak: Arc<Espeak>,
    pocketsphinx: Arc<Pocketsphinx>,
    rules: Vec<PathBuf>,
    names: Names,
    voice: String,
}

/// The vendors of each work, as configurations name them.
const MODELS: [&str; 2] = [openai::VENDOR, scripted::VENDOR];
const RECOGNIZERS: [&str; 2] = [deepgram::VENDOR, pocketsphinx::VENDOR];
const VOICES: [&str; 3] = [elevenlabs::VENDOR, openai::VENDOR, espeak::VENDOR];

impl Engines {
    /// Checks the settings and keeps the vendors.
    ///
    /// # Errors
    /// A vendor whose settings cannot be used; a default that is unknown or has no key.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let Settings {
            openai,
            deepgram,
            elevenlabs,
            rules,
            engine_model,
            stt_type,
            tts_type,
            tts_voice_id,
        } = settings;
        let openai = openai.map(|key| OpenAi::new(key.api_key, key.base_url.as_deref()));
        let openai = openai.transpose().map_err(refused(openai::VENDOR))?;
        let deepgram = deepgram.map(|key| Deepgram::new(key.api_key, key.base_url.as_deref()));
        let deepgram = deepgram.transpose().map_err(refused(deepgram::VENDOR))?;
        let elevenlabs =
            elevenlabs.map(|key| ElevenLabs::new(key.api_key, key.base_url.as_deref()));
        let elevenlabs = elevenlabs.transpose().map_err(refused(elevenlabs::VENDOR))?;

        let wanted = |name: Option<String>| name.filter(|name| !name.is_empty());
        let llm = wanted(engine_model).unwrap_or_else(|| match &openai {
            Some(_) => format!("{}.{}", openai::VENDOR, openai::chat::MODEL),
            None => scripted::VENDOR.into(),
        });
        let stt = wanted(stt_type).unwrap_or_else(|| match &deepgram {
            Some(_) => deepgram::VENDOR.into(),
            None => pocketsphinx::VENDOR.into(),
        });
        let tts = wanted(tts_type).unwrap_or_else(|| match (&elevenlabs, &openai) {
            (Some(_), _) => elevenlabs::VENDOR.into(),
            (None, Some(_)) => openai::VENDOR.into(),
            (None, None) => espeak::VENDOR.into(),
        });
        let engines = Self {
            openai: openai.map(Arc::new),
            deepgram: deepgram.map(Arc::new),
            elevenlabs: elevenlabs.map(Arc::new),
            espeak: Arc::default(),
            pocketsphinx: Arc::default(),
            rules,
            names: Names { llm, stt, tts },
            voice: tts_voice_id.unwrap_or_default(),
        };
        engines.check()?;
        Ok(engines)
    }

    /// What is used where an agent names nothing.
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    /// Every vendor, and whether it can be used here.
    pub fn known(&self) -> Vec<Known> {
        let word = |error: Error| error.to_string();
        let openai = || self.openai().map(drop).map_err(word);
        let known = |name, does, usable| Known { name, does, usable };
        vec![
            known(openai::VENDOR, "model", openai()),
            known(scripted::VENDOR, "model", Ok(())),
            known(deepgram::VENDOR, "recognizer", self.deepgram().map(drop).map_err(word)),
            known(
                pocketsphinx::VENDOR,
                "recognizer",
                self.pocketsphinx.program().map(drop).map_err(word),
            ),
            known(elevenlabs::VENDOR, "voice", self.elevenlabs().map(drop).map_err(word)),
            known(openai::VENDOR, "voice", openai()),
            known(espeak::VENDOR, "voice", self.espeak.program().map(drop).map_err(word)),
        ]
    }

    /// A default that can never work is told at the start, not to the first caller.
    fn check(&self) -> Result<(), Error> {
        match self.names.llm.split(['.', ':']).next().unwrap_or_default() {
            openai::VENDOR => drop(self.openai()?),
            scripted::VENDOR => {}
            other => return Err(unknown(other, "model", &MODELS)),
        }
        let config = Config::default();
        self.voice(&config)?;
        self.recognizer(&config).map(drop)
    }

    fn openai(&self) -> Result<Arc<OpenAi>, Error> {
        self.openai.clone().ok_or_else(|| no_key(openai::VENDOR, "OPENAI_API_KEY"))
    }

    fn deepgram(&self) -> Result<Arc<Deepgram>, Error> {
        self.deepgram.clone().ok_or_else(|| no_key(deepgram::VENDOR, "DEEPGRAM_API_KEY"))
    }

    fn elevenlabs(&self) -> Result<Arc<ElevenLabs>, Error> {
        self.elevenlabs.clone().ok_or_else(|| no_key(elevenlabs::VENDOR, "ELEVENLABS_API_KEY"))
    }

    fn scripted(&self, config: &Config) -> Result<Arc<dyn Llm>, Error> {
        if config.rules.is_empty() {
            let why = "the agent has no `rules`; name a file of rules, or set OPENAI_API_KEY and \
                       an `engine_model` such as openai.gpt-4o-mini";
            return Err(refused(scripted::VENDOR)(why.into()));
        }
        Ok(Arc::new(Scripted::open(&self.rules, &config.rules)?))
    }

    /// The vendor and model of an agent, the default's where it names none.
    fn model<'a>(&'a self, config: &'a Config) -> (&'a str, &'a str) {
        let name =
            if config.engine_model.is_empty() { &self.names.llm } else { &config.engine_model };
        name.split_once(['.', ':']).unwrap_or((name, ""))
    }

    fn recognizer(&self, config: &Config) -> Result<Arc<dyn Stt>, Error> {
        match or(&config.stt_type, &self.names.stt) {
            deepgram::VENDOR => Ok(self.deepgram()?),
            pocketsphinx::VENDOR => Ok(self.pocketsphinx.clone()),
            other => Err(unknown(other, "recognizer", &RECOGNIZERS)),
        }
    }

    fn voice(&self, config: &Config) -> Result<Arc<dyn Tts>, Error> {
        let name = or(&config.tts_type, &self.names.tts);
        let voice: Arc<dyn Tts> = match name {
            elevenlabs::VENDOR => self.elevenlabs()?,
            openai::VENDOR => self.openai()?,
            espeak::VENDOR => self.espeak.clone(),
            other => return Err(unknown(other, "voice", &VOICES)),
        };
        if self.voice.is_empty() || name != self.names.tts {
            return Ok(voice);
        }
        Ok(Arc::new(Preset { voice, id: self.voice.clone() }))
    }
}

fn or<'a>(name: &'a str, default: &'a str) -> &'a str {
    if name.is_empty() { default } else { name }
}

fn refused(vendor: &'static str) -> impl Fn(String) -> Error {
    move |why| Error::Refused { vendor, why }
}

fn no_key(vendor: &'static str, variable: &str) -> Error {
    refused(vendor)(format!("it has no key; set {variable}"))
}

fn unknown(name: &str, does: &'static str, known: &[&str]) -> Error {
    let name: String = name.chars().take(64).collect();
    refused(does)(format!("`{name}` is unknown; known are {}", known.join(", ")))
}

impl Models for Engines {
    fn llm(&self, config: &Config) -> Result<Vec<Arc<dyn Llm>>, Error> {
        match self.model(config) {
            (openai::VENDOR, model) => {
                let mut models: Vec<Arc<dyn Llm>> =
                    vec![Arc::new(self.openai()?.with_model(model))];
                if !config.rules.is_empty() {
                    models.extend(self.scripted(config).ok());
                }
                Ok(models)
            }
            (scripted::VENDOR, _) => Ok(vec![self.scripted(config)?]),
            (other, _) => Err(unknown(other, "model", &MODELS)),
        }
    }
}

impl Vendors for Engines {
    fn stt(&self, config: &Config) -> Result<Vec<Arc<dyn Stt>>, Error> {
        let mut recognizers = vec![self.recognizer(config)?];
        // It stands in only where it has a grammar: words that nobody said are worse than none.
        let grammar = self.model(config).0 == scripted::VENDOR;
        let chosen = or(&config.stt_type, &self.names.stt) == pocketsphinx::VENDOR;
        if grammar && !chosen && self.pocketsphinx.program().is_ok() {
            recognizers.push(self.pocketsphinx.clone());
        }
        Ok(recognizers)
    }

    fn tts(&self, config: &Config) -> Result<Vec<Arc<dyn Tts>>, Error> {
        let mut voices = vec![self.voice(config)?];
        let chosen = or(&config.tts_type, &self.names.tts) == espeak::VENDOR;
        if !chosen && self.espeak.program().is_ok() {
            voices.push(self.espeak.clone());
        }
        Ok(voices)
    }
}

/// A vendor with a default voice that is not its own.
struct Preset {
    voice: Arc<dyn Tts>,
    id: String,
}

#[async_trait]
impl Tts for Preset {
    fn name(&self) -> &'static str {
        self.voice.name()
    }

    async fn open(&self, mut voice: Voice) -> Result<Speaking, Error> {
        if voice.id.is_empty() {
            voice.id.clone_from(&self.id);
        }
        self.voice.open(voice).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key() -> Option<Key> {
        // Any client of HTTPS needs one; the second installation of a process is refused.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Some(Key { api_key: "sk-secret".to_owned().into(), base_url: None })
    }

    fn keyless() -> Engines {
        let rules = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../flows")];
        Engines::new(Settings { rules, ..Settings::default() }).unwrap()
    }

    fn why<T>(result: Result<T, Error>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn without_keys_this_machine_does_the_work() {
        let engines = keyless();
        let names = engines.names();
        assert_eq!([names.llm, names.stt, names.tts], ["scripted", "pocketsphinx", "espeak"]);
        let config = Config { rules: "support_line.rules.json".into(), ..Config::default() };
        assert_eq!(engines.llm(&config).unwrap().len(), 1);
        assert_eq!(engines.stt(&config).unwrap().len(), 1);
        assert_eq!(engines.tts(&config).unwrap().len(), 1);
        assert!(why(engines.llm(&Config::default())).contains("OPENAI_API_KEY"));
    }

    #[test]
    fn with_keys_vendors_come_first_and_this_machine_stands_in() {
        let engines = Engines::new(Settings {
            openai: key(),
            deepgram: key(),
            elevenlabs: key(),
            rules: keyless().rules,
            ..Settings::default()
        })
        .unwrap();
        let names = engines.names();
        assert_eq!(
            [names.llm, names.stt, names.tts],
            ["openai.gpt-4o-mini", "deepgram", "elevenlabs"]
        );
        let config = Config { rules: "support_line.rules.json".into(), ..Config::default() };
        assert_eq!(engines.llm(&config).unwrap().len(), 2);
        assert_eq!(engines.stt(&config).unwrap().len(), 1, "no grammar, so no stand-in");
        assert_eq!(engines.tts(&config).unwrap().len(), 2);
        let scripted = Config { engine_model: "scripted".into(), ..config };
        assert_eq!(engines.llm(&scripted).unwrap().len(), 1);
        assert_eq!(engines.stt(&scripted).unwrap().len(), 2);
    }

    #[test]
    fn what_is_missing_is_named_and_no_key_is_shown() {
        let engines = keyless();
        let config = |field: fn(&mut Config)| {
            let mut config = Config::default();
            field(&mut config);
            config
        };
        let openai = config(|config| config.engine_model = "openai.gpt-4o".into());
        assert_eq!(why(engines.llm(&openai)), "openai refused: it has no key; set OPENAI_API_KEY");
        let other = config(|config| config.engine_model = "acme.brain".into());
        assert_eq!(
            why(engines.llm(&other)),
            "model refused: `acme` is unknown; known are openai, scripted"
        );
        let stt = config(|config| config.stt_type = "deepgram".into());
        assert!(why(engines.stt(&stt)).contains("DEEPGRAM_API_KEY"));
        let tts = config(|config| config.tts_type = "elevenlabs".into());
        assert!(why(engines.tts(&tts)).contains("ELEVENLABS_API_KEY"));
        let settings = Settings { tts_type: Some("acme".into()), ..Settings::default() };
        assert!(why(Engines::new(settings)).contains("elevenlabs, openai, espeak"));
        let bad = Key { base_url: Some("nonsense".into()), ..key().unwrap() };
        let settings = Settings { openai: Some(bad), ..Settings::default() };
        let said = why(Engines::new(settings));
        assert!(said.contains("nonsense") && !said.contains("sk-secret"), "{said}");
    }

    #[test]
    fn every_vendor_is_known_and_says_what_it_lacks() {
        let known = keyless().known();
        let usable = |name| known.iter().find(|known| known.name == name).unwrap().usable.clone();
        assert_eq!(usable("scripted"), Ok(()));
        assert!(usable("openai").unwrap_err().contains("OPENAI_API_KEY"));
        assert_eq!(usable("espeak"), Ok(()), "the package espeak-ng is needed");
        assert_eq!(
            usable("pocketsphinx"),
            Ok(()),
            "pocketsphinx and pocketsphinx-en-us are needed"
        );
    }
}
