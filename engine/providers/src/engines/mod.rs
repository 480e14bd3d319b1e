//! Which vendor an agent gets: the one that its configuration names, or the default; then those
//! that it names to stand in; then what stands in for it on this machine.
//!
//! A name is a vendor's, and perhaps one of its models after a dot: `deepgram`,
//! `deepgram.flux-general-en`, `anthropic.claude-haiku-5-5`.

mod accounts;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use agent::{Config, Error, Llm, Models};
use async_trait::async_trait;
use talk::{Duplex, Speaking, Stt, Tts, Vendors, Voice};

use self::accounts::{Accounts, that_do};
pub use self::accounts::{Key, Work, with_accounts};
use crate::espeak::{self, Espeak};
use crate::openai;
use crate::pocketsphinx::{self, Pocketsphinx};
use crate::scripted::{self, Scripted};
use crate::{anthropic, assemblyai, cartesia, deepgram, elevenlabs, gemini};

/// What an operator tells about vendors.
#[derive(Default)]
pub struct Settings {
    /// Accounts, by the vendor's name ([`with_accounts`]).
    pub accounts: BTreeMap<String, Key>,
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
    /// Its work.
    pub does: Work,
    /// What is missing, in words.
    pub usable: Result<(), String>,
}

/// Every vendor, as far as it can be used here.
pub struct Engines {
    accounts: Accounts,
    espeak: Arc<Espeak>,
    pocketsphinx: Arc<Pocketsphinx>,
    rules: Vec<PathBuf>,
    names: Names,
    voice: String,
}

/// The vendors of each work that are used when there is an account and nothing is named, the first
/// one first. The last needs none.
const MODELS: [&str; 4] = [openai::VENDOR, anthropic::VENDOR, gemini::VENDOR, scripted::VENDOR];
const RECOGNIZERS: [&str; 5] = [
    deepgram::VENDOR,
    assemblyai::VENDOR,
    elevenlabs::VENDOR,
    openai::VENDOR,
    pocketsphinx::VENDOR,
];
const VOICES: [&str; 5] =
    [elevenlabs::VENDOR, cartesia::VENDOR, openai::VENDOR, deepgram::VENDOR, espeak::VENDOR];

/// The vendor that does a work on this machine, without an account.
fn local(work: Work) -> &'static str {
    match work {
        Work::Model => scripted::VENDOR,
        Work::Recognizer => pocketsphinx::VENDOR,
        Work::Voice => espeak::VENDOR,
    }
}

/// Every vendor that does a work, as configurations name it.
pub fn names(work: Work) -> impl Iterator<Item = &'static str> {
    that_do(work).chain([local(work)])
}

/// Whether a name can be one of a vendor that does a work, wherever there is a key.
///
/// # Errors
/// The vendor is unknown, does other work, or needs a model.
pub fn known(work: Work, name: &str) -> Result<(), Error> {
    let (vendor, model) = parts(name);
    match names(work).find(|known| *known == vendor) {
        None => Err(unknown(vendor, work)),
        Some(vendor) if work == Work::Model && model.is_empty() && !MODELS.contains(&vendor) => {
            Err(accounts::no_model(vendor))
        }
        Some(_) => Ok(()),
    }
}

/// The vendor and the model of a name, which may be empty.
pub fn parts(name: &str) -> (&str, &str) {
    name.split_once(['.', ':']).unwrap_or((name, ""))
}

impl Engines {
    /// Checks the settings and keeps the vendors.
    ///
    /// # Errors
    /// A vendor whose settings cannot be used; a default that is unknown or has no key.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { accounts, rules, engine_model, stt_type, tts_type, tts_voice_id } = settings;
        let accounts = Accounts::new(&accounts)?;
        let first = |vendors: &[&'static str]| {
            let last = vendors.last().copied().unwrap_or_default();
            vendors.iter().copied().find(|name| accounts.has(name)).unwrap_or(last).to_owned()
        };
        let wanted = |name: Option<String>| name.filter(|name| !name.is_empty());
        let names = Names {
            llm: wanted(engine_model).unwrap_or_else(|| match first(&MODELS) {
                name if name == openai::VENDOR => format!("{name}.{}", openai::chat::MODEL),
                name => name,
            }),
            stt: wanted(stt_type).unwrap_or_else(|| first(&RECOGNIZERS)),
            tts: wanted(tts_type).unwrap_or_else(|| first(&VOICES)),
        };
        let engines = Self {
            accounts,
            espeak: Arc::default(),
            pocketsphinx: Arc::default(),
            rules,
            names,
            voice: tts_voice_id.unwrap_or_default(),
        };
        // A default that can never work is told at the start, not to the first caller.
        engines.usable(Work::Model, &engines.names.llm)?;
        engines.usable(Work::Recognizer, &engines.names.stt)?;
        engines.usable(Work::Voice, &engines.names.tts)?;
        Ok(engines)
    }

    /// What is used where an agent names nothing.
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    /// Every vendor, and whether it can be used here.
    pub fn known(&self) -> Vec<Known> {
        let word = |error: Error| error.to_string();
        let of = |does: Work| {
            that_do(does).map(move |name| {
                let usable = match self.accounts.has(name) {
                    true => Ok(()),
                    false => self.usable(does, &format!("{name}.x")).map_err(word),
                };
                Known { name, does, usable }
            })
        };
        let here = |does: Work, usable: Result<(), Error>| Known {
            name: local(does),
            does,
            usable: usable.map_err(word),
        };
        let mut known: Vec<Known> = of(Work::Model).collect();
        known.push(here(Work::Model, Ok(())));
        known.extend(of(Work::Recognizer));
        known.push(here(Work::Recognizer, self.pocketsphinx.program().map(drop)));
        known.extend(of(Work::Voice));
        known.push(here(Work::Voice, self.espeak.program().map(drop)));
        known
    }

    /// Whether a name can be used here for a work.
    ///
    /// # Errors
    /// The vendor is unknown, has no account, or needs a model.
    pub fn usable(&self, work: Work, name: &str) -> Result<(), Error> {
        match (work, parts(name)) {
            (Work::Model, (vendor, _)) if vendor == scripted::VENDOR => Ok(()),
            (Work::Model, _) => self.model(name).map(drop),
            (Work::Recognizer, _) => self.recognizer(name).map(drop),
            (Work::Voice, _) => self.voice(name).map(drop),
        }
    }

    fn scripted(&self, config: &Config) -> Result<Arc<dyn Llm>, Error> {
        if config.rules.is_empty() {
            let why = "the agent has no `rules`; name a file of rules, or set OPENAI_API_KEY and \
                       an `engine_model` such as openai.gpt-4o-mini";
            return Err(Error::Refused { vendor: scripted::VENDOR, why: why.into() });
        }
        Ok(Arc::new(Scripted::open(&self.rules, &config.rules)?))
    }

    fn model(&self, name: &str) -> Result<Arc<dyn Llm>, Error> {
        let (vendor, model) = parts(name);
        self.accounts.model(vendor, model).unwrap_or_else(|| Err(unknown(vendor, Work::Model)))
    }

    fn recognizer(&self, name: &str) -> Result<Arc<dyn Stt>, Error> {
        let (vendor, model) = parts(name);
        if vendor == pocketsphinx::VENDOR {
            return Ok(self.pocketsphinx.clone());
        }
        let found = self.accounts.recognizer(vendor, model);
        found.unwrap_or_else(|| Err(unknown(vendor, Work::Recognizer)))
    }

    fn voice(&self, name: &str) -> Result<Arc<dyn Tts>, Error> {
        let (vendor, model) = parts(name);
        if vendor == espeak::VENDOR {
            return Ok(self.espeak.clone());
        }
        self.accounts.voice(vendor, model).unwrap_or_else(|| Err(unknown(vendor, Work::Voice)))
    }
}

fn or<'a>(name: &'a str, default: &'a str) -> &'a str {
    if name.is_empty() { default } else { name }
}

fn unknown(name: &str, work: Work) -> Error {
    let name: String = name.chars().take(64).collect();
    let known: Vec<&str> = names(work).collect();
    let why = format!("`{name}` is unknown; known are {}", known.join(", "));
    Error::Refused { vendor: work.name(), why }
}

impl Models for Engines {
    fn llm(&self, config: &Config) -> Result<Vec<Arc<dyn Llm>>, Error> {
        let chosen = or(&config.engine_model, &self.names.llm);
        let mut models = Vec::new();
        let mut scripts = false;
        for name in [chosen].into_iter().chain(config.engine_fallback.iter().map(String::as_str)) {
            let script = parts(name).0 == scripted::VENDOR;
            models.push(if script { self.scripted(config)? } else { self.model(name)? });
            scripts |= script;
        }
        if !scripts && !config.rules.is_empty() {
            models.extend(self.scripted(config).ok());
        }
        Ok(models)
    }
}

impl Vendors for Engines {
    fn stt(&self, config: &Config) -> Result<Vec<Arc<dyn Stt>>, Error> {
        let chosen = or(&config.stt_type, &self.names.stt);
        let all = [chosen].into_iter().chain(config.stt_fallback.iter().map(String::as_str));
        let mut recognizers =
            all.map(|name| self.recognizer(name)).collect::<Result<Vec<_>, _>>()?;
        // It stands in only where it has a grammar: words that nobody said are worse than none.
        let grammar = parts(or(&config.engine_model, &self.names.llm)).0 == scripted::VENDOR;
        let named = recognizers.iter().any(|stt| stt.name() == pocketsphinx::VENDOR);
        if grammar && !named && self.pocketsphinx.program().is_ok() {
            recognizers.push(self.pocketsphinx.clone());
        }
        Ok(recognizers)
    }

    fn tts(&self, config: &Config) -> Result<Vec<Arc<dyn Tts>>, Error> {
        let chosen = or(&config.tts_type, &self.names.tts);
        let first = self.voice(chosen)?;
        let default = if chosen == self.names.tts { self.voice.clone() } else { String::new() };
        let mut voices: Vec<Arc<dyn Tts>> = vec![if default.is_empty() {
            first
        } else {
            Arc::new(Preset { voice: first, id: default })
        }];
        for name in &config.tts_fallback {
            voices.push(Arc::new(StandIn { voice: self.voice(name)? }));
        }
        let named = voices.iter().any(|tts| tts.name() == espeak::VENDOR);
        if !named && self.espeak.program().is_ok() {
            voices.push(self.espeak.clone());
        }
        Ok(voices)
    }

    fn duplex(&self, config: &Config) -> Result<Option<Arc<dyn Duplex>>, Error> {
        let (vendor, model) = parts(or(&config.engine_model, &self.names.llm));
        self.accounts.duplex(vendor, model).transpose()
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

/// A vendor that stands in for another: the agent's voice is that one's, and unknown here.
struct StandIn {
    voice: Arc<dyn Tts>,
}

#[async_trait]
impl Tts for StandIn {
    fn name(&self) -> &'static str {
        self.voice.name()
    }

    async fn open(&self, mut voice: Voice) -> Result<Speaking, Error> {
        voice.id.clear();
        self.voice.open(voice).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key() -> Key {
        Key { api_key: Some("sk-secret".to_owned().into()), base_url: None }
    }

    fn accounts(names: &[&str]) -> BTreeMap<String, Key> {
        names.iter().map(|name| ((*name).to_owned(), key())).collect()
    }

    fn engines(settings: Settings) -> Result<Engines, Error> {
        // Any client of HTTPS needs one; the second installation of a process is refused.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Engines::new(settings)
    }

    fn keyless() -> Engines {
        let rules = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../flows")];
        engines(Settings { rules, ..Settings::default() }).unwrap()
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
        let engines = engines(Settings {
            accounts: accounts(&["openai", "deepgram", "elevenlabs"]),
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
        let said = why(engines.llm(&other));
        let beginning =
            "model refused: `acme` is unknown; known are openai, anthropic, gemini, azure";
        assert!(said.starts_with(beginning) && said.ends_with("together, scripted"), "{said}");
        let bare = config(|config| config.engine_model = "groq".into());
        assert_eq!(why(engines.llm(&bare)), "groq refused: name a model too, as in `groq.MODEL`");
        let stt = config(|config| config.stt_type = "deepgram".into());
        assert!(why(engines.stt(&stt)).contains("DEEPGRAM_API_KEY"));
        let tts = config(|config| config.tts_type = "elevenlabs".into());
        assert!(why(engines.tts(&tts)).contains("ELEVENLABS_API_KEY"));
        let settings = Settings { tts_type: Some("acme".into()), ..Settings::default() };
        assert!(
            why(Engines::new(settings)).contains("openai, deepgram, elevenlabs, cartesia, espeak")
        );
        let bad = Key { base_url: Some("nonsense".into()), ..key() };
        let accounts = [("openai".to_owned(), bad)].into();
        let said = why(Engines::new(Settings { accounts, ..Settings::default() }));
        assert!(said.contains("nonsense") && !said.contains("sk-secret"), "{said}");
    }

    #[test]
    fn every_vendor_does_its_work_with_a_key() {
        let all: Vec<&str> = with_accounts().collect();
        let mut accounts = accounts(&all);
        assert_eq!(accounts.len(), all.len());
        assert!(
            why(engines(Settings { accounts: accounts.clone(), ..Settings::default() }))
                .contains("AZURE_BASE_URL")
        );
        let azure = Key { base_url: Some("https://x.openai.azure.com/openai/v1".into()), ..key() };
        accounts.insert("azure".into(), azure);
        let engines = engines(Settings { accounts, ..Settings::default() }).unwrap();
        for work in [Work::Model, Work::Recognizer, Work::Voice] {
            for name in names(work) {
                engines.usable(work, &format!("{name}.some-model")).unwrap();
            }
        }
        assert!(engines.known().iter().filter(|known| known.usable.is_ok()).count() > 25);
        let config = Config {
            engine_model: "groq.llama".into(),
            stt_type: "assemblyai".into(),
            tts_type: "cartesia.sonic-3".into(),
            engine_fallback: vec!["anthropic".into(), "gemini.gemini-x".into()],
            stt_fallback: vec!["deepgram.flux-general-en".into()],
            tts_fallback: vec!["deepgram".into()],
            ..Config::default()
        };
        let llms: Vec<_> = engines.llm(&config).unwrap().iter().map(|llm| llm.name()).collect();
        assert_eq!(llms, ["groq", "anthropic", "gemini"]);
        let stts: Vec<_> = engines.stt(&config).unwrap().iter().map(|stt| stt.name()).collect();
        assert_eq!(stts, ["assemblyai", "deepgram"]);
        let ttss: Vec<_> = engines.tts(&config).unwrap().iter().map(|tts| tts.name()).collect();
        assert_eq!(ttss, ["cartesia", "deepgram", "espeak"]);
    }

    #[test]
    fn a_model_that_hears_and_speaks_has_one_that_reads_beside_it() {
        let accounts = accounts(&["openai", "gemini"]);
        let engines = engines(Settings { accounts, ..Settings::default() }).unwrap();
        let duplex = |name: &str| {
            let config = Config { engine_model: name.into(), ..Config::default() };
            assert_eq!(engines.llm(&config).unwrap().len(), 1, "texts are answered too");
            engines.duplex(&config).unwrap().map(|duplex| duplex.name())
        };
        assert_eq!(duplex("openai.gpt-realtime-2.1"), Some("openai"));
        assert_eq!(duplex("gemini.gemini-2.5-flash-native-audio"), Some("gemini"));
        assert_eq!(duplex("openai.gpt-4o"), None);
        assert_eq!(duplex("gemini.gemini-2.5-flash"), None);
        let config = Config { engine_model: "openai.gpt-realtime".into(), ..Config::default() };
        assert!(why(keyless().duplex(&config)).contains("OPENAI_API_KEY"));
    }

    #[test]
    fn a_vendor_without_a_key_of_its_own_needs_none() {
        let engines = keyless();
        engines.usable(Work::Model, "ollama.llama3").unwrap();
        assert!(why(engines.usable(Work::Model, "groq.llama")).contains("GROQ_API_KEY"));
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
